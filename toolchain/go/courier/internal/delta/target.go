// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/files"
)

// target makes the part of the payload that turns old files into a new one, and proves it.
func (c *creation) target(number int) error {
	file := c.new[number]
	progress := files.NewProgress(c.ctx, c.output, file.Path, file.Size)
	defer progress.End()
	digest, _, err := files.DigestOf(file.Place, progress)
	if err != nil {
		return err
	}
	target := Target{Known: Known{file.Path, file.Size, digest}, Executable: file.Executable}
	c.summary.Files++
	c.summary.NewSize += file.Size
	for at, old := range c.header.Old {
		if old.SHA256 == digest && old.Size == file.Size {
			target.Same = &at
			c.header.New = append(c.header.New, target)
			c.summary.Same++
			return nil
		}
	}
	var levels []int
	if isPacked(file.Path) {
		if levels, err = c.levels(file); err != nil {
			return err
		}
	}
	// Level 0, without unpacking, always gives the same bytes: also of what is broken or continues with something else.
	var done Target
	for _, level := range append(levels, 0) {
		done, err = c.try(number, target, level)
		if err == nil || c.ctx.Err() != nil || files.IsFull(err) {
			break
		}
	}
	if err != nil {
		return err
	}
	if done.Level > 0 {
		c.summary.Repacked++
	} else if isPacked(file.Path) {
		c.summary.AsIs = append(c.summary.AsIs, file.Path)
	}
	c.header.New = append(c.header.New, done)
	return nil
}

func (c *creation) levels(file files.File) ([]int, error) {
	opened, err := os.Open(file.Place)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return levelsOf(opened)
}

// try writes a target's part of the payload, makes the target from it, and takes the part back where that fails.
func (c *creation) try(number int, target Target, level int) (Target, error) {
	if level == 0 && isPacked(target.Path) && !c.asIs {
		c.asIs = true
		if err := c.learn(true); err != nil {
			return target, err
		}
	}
	begin, err := c.payload.Seek(0, io.SeekEnd)
	if err != nil {
		return target, err
	}
	target.Level = level
	literals, err := c.instruct(number, &target)
	if err == nil {
		err = c.prove(&target, begin)
	}
	if err != nil {
		return target, errors.Join(err, c.payload.Truncate(begin))
	}
	for _, one := range literals {
		c.index.add(one.name, one.origin, one.offset)
	}
	return target, nil
}

// fresh is a piece that no older file has.
type fresh struct {
	name   name
	origin int32
	offset int64
}

// instruct writes literals and instructions of a target behind the payload; it gives the pieces that are new.
func (c *creation) instruct(number int, target *Target) ([]fresh, error) {
	file, err := os.Open(c.new[number].Place)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	begin, err := c.payload.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	literals, err := zstd.NewWriter(c.payload, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	instructions, err := newWriter()
	if err != nil {
		return nil, errors.Join(err, literals.Close())
	}
	main, known := c.mains[c.kin(target.Path, target.Level > 0)]
	if !known {
		main = -1
	}
	search := c.index.search(main)
	progress := files.NewProgress(c.ctx, c.output, "comparing "+target.Path, target.Size)
	defer progress.End()
	var found []fresh
	own := c.index.origin(Origin{New: true, File: number, Unpacked: target.Level > 0})
	err = pieces(progress.Reader(file), target.Level > 0, target.Size, func(piece []byte, offset int64) error {
		target.Unpacked = offset + int64(len(piece))
		id := nameOf(piece)
		if copied, ok := search.find(id, int64(len(piece))); ok {
			return instructions.add(copied)
		}
		found = append(found, fresh{id, own, offset})
		if _, err := literals.Write(piece); err != nil {
			return err
		}
		return instructions.add(instruction{tag: literal, length: int64(len(piece))})
	})
	if err = errors.Join(err, literals.Close()); err != nil {
		return nil, err
	}
	end, err := c.payload.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	packed, err := instructions.finish()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(c.payload, bytes.NewReader(packed))
	target.Literals, target.Instructions, target.Origins = end-begin, int64(len(packed)), search.used
	return found, err
}

// prove makes a target from its part of the payload, into nothing.
func (c *creation) prove(target *Target, begin int64) error {
	progress := files.NewProgress(c.ctx, c.output, "proving "+target.Path, target.Size)
	defer progress.End()
	part := io.NewSectionReader(c.payload, begin, target.Literals+target.Instructions)
	aside, err := asideOf(target, part)
	if err != nil {
		return err
	}
	c.summary.Aside = max(c.summary.Aside, aside)
	open := func(origin Origin) (*os.File, error) {
		list := c.old
		if origin.New {
			list = c.new
		}
		return os.Open(list[origin.File].Place)
	}
	assembly := &assembly{ctx: c.ctx, output: c.output, folder: filepath.Dir(c.payload.Name()), open: open}
	return assembly.run(target, part, io.Discard, progress)
}
