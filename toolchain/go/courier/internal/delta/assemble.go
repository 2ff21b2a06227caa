// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/files"
)

// errOtherBytes is what a target is told that did not become what it should.
var errOtherBytes = errors.New("it did not become the bytes that it should")

// assembly makes new files from old ones and a delta's payload.
type assembly struct {
	ctx    context.Context
	output *os.File
	folder string
	// open opens an origin's file.
	open func(Origin) (*os.File, error)
}

// run writes a target's bytes, and checks them. The payload is the target's part of it.
func (a *assembly) run(target *Target, payload io.ReaderAt, sink io.Writer, progress *files.Progress) error {
	checked := &checker{target: sink, left: target.Size, sum: sha256.New(), progress: progress}
	if err := a.write(target, payload, checked); err != nil {
		return err
	}
	if checked.left != 0 || hex.EncodeToString(checked.sum.Sum(nil)) != target.SHA256 {
		return errOtherBytes
	}
	return nil
}

func (a *assembly) write(target *Target, payload io.ReaderAt, checked *checker) (err error) {
	buffer := make([]byte, files.Buffer)
	if target.Same != nil {
		file, err := a.open(Origin{File: *target.Same})
		if err != nil {
			return err
		}
		defer file.Close()
		return exactly(checked, io.LimitReader(file, target.Size), target.Size, buffer)
	}
	instructions, err := instructionsOf(target, payload)
	if err != nil {
		return err
	}
	flags := inOrder(instructions, len(target.Origins))
	feeds, err := a.feeds(target, outOfOrder(instructions, flags, target.Origins), buffer)
	defer func() {
		for _, one := range feeds {
			err = errors.Join(err, one.close())
		}
	}()
	if err != nil {
		return err
	}
	literals, err := zstd.NewReader(io.NewSectionReader(payload, 0, target.Literals),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer literals.Close()
	var result io.Writer = checked
	if target.Level > 0 {
		encoder, err := pack(checked, target.Level)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, encoder.Close()) }()
		result = encoder
	}
	for number, one := range instructions {
		if one.tag == literal {
			err = exactly(result, io.LimitReader(literals, one.length), one.length, buffer)
		} else {
			err = feeds[one.tag-1].copy(result, one, flags[number], buffer)
		}
		if err != nil {
			return fmt.Errorf("instruction %d of %d: %w", number, len(instructions), err)
		}
	}
	return nil
}

// feeds opens a target's origins, and puts aside what is needed out of order.
func (a *assembly) feeds(target *Target, asides map[uint8][]stretch, buffer []byte) ([]*feed, error) {
	var feeds []*feed
	progress := files.NewProgress(a.ctx, a.output, "putting aside", length(asides))
	defer progress.End()
	for number, origin := range target.Origins {
		file, err := a.open(origin)
		if err != nil {
			return feeds, err
		}
		one := &feed{file: file, unpacked: origin.Unpacked}
		feeds = append(feeds, one)
		if list := asides[uint8(number+1)]; len(list) > 0 { //nolint:gosec // at most maxOrigins
			if err := one.keep(a.folder, list, progress, buffer); err != nil {
				return feeds, err
			}
		}
	}
	return feeds, nil
}

// instructionsOf reads a target's instructions, which follow its literals.
func instructionsOf(target *Target, payload io.ReaderAt) ([]instruction, error) {
	return readInstructions(io.NewSectionReader(payload, target.Literals, target.Instructions), target)
}

// asideOf is how many bytes must be put aside to make a target.
func asideOf(target *Target, payload io.ReaderAt) (int64, error) {
	if target.Same != nil {
		return 0, nil
	}
	instructions, err := instructionsOf(target, payload)
	if err != nil {
		return 0, err
	}
	return length(outOfOrder(instructions, inOrder(instructions, len(target.Origins)), target.Origins)), nil
}

// checker sums what goes through it, and lets no more through than there should be.
type checker struct {
	target   io.Writer
	left     int64
	sum      hash.Hash
	progress *files.Progress
}

func (c *checker) Write(bytes []byte) (int, error) {
	if c.left -= int64(len(bytes)); c.left < 0 {
		return 0, errOtherBytes
	}
	_, _ = c.sum.Write(bytes)
	if err := c.progress.Add(int64(len(bytes))); err != nil {
		return 0, err
	}
	return c.target.Write(bytes)
}
