// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/files"
)

// literal is the tag of bytes that the delta itself carries.
const literal = 0

// maxWindow bounds what unpacking holds in memory; zstd's own tools go to 128 MiB by themselves.
const maxWindow = 128 << 20

// instruction gives the next bytes of a new file: literals, or a piece of an origin.
type instruction struct {
	tag    uint8
	length int64
	offset int64
}

func (i instruction) end() int64 { return i.offset + i.length }

// writer packs instructions: tag, length, and for a copy the distance from where the last copy of that origin ended.
type writer struct {
	packed  bytes.Buffer
	encoder *zstd.Encoder
	pending instruction
	ends    [maxOrigins + 1]int64
	count   int
}

func newWriter() (*writer, error) {
	w := &writer{}
	encoder, err := zstd.NewWriter(&w.packed, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	w.encoder = encoder
	return w, err
}

// add joins an instruction to the one before where it goes on with the same.
func (w *writer) add(next instruction) error {
	if w.pending.length > 0 && w.pending.tag == next.tag && (next.tag == literal || w.pending.end() == next.offset) {
		w.pending.length += next.length
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.pending = next
	return nil
}

func (w *writer) flush() error {
	if w.pending.length == 0 {
		return nil
	}
	if w.count++; w.count > maxInstructions {
		return fmt.Errorf("more than %d instructions are needed: old and new share only crumbs", maxInstructions)
	}
	line := binary.AppendUvarint(nil, uint64(w.pending.tag))
	line = binary.AppendUvarint(line, uint64(w.pending.length)) //nolint:gosec // lengths are positive
	if w.pending.tag != literal {
		line = binary.AppendVarint(line, w.pending.offset-w.ends[w.pending.tag])
		w.ends[w.pending.tag] = w.pending.end()
	}
	w.pending = instruction{}
	_, err := w.encoder.Write(line)
	return err
}

// finish is the packed instructions.
func (w *writer) finish() ([]byte, error) {
	err := errors.Join(w.flush(), w.encoder.Close())
	return w.packed.Bytes(), err
}

// readInstructions unpacks a target's instructions and checks that they give as many bytes as it says.
func readInstructions(source io.Reader, target *Target) ([]instruction, error) {
	decoder, err := zstd.NewReader(source, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	reader := bufio.NewReader(decoder)
	var found []instruction
	var ends [maxOrigins + 1]int64
	var total int64
	for {
		tag, err := binary.ReadUvarint(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		length, errLength := binary.ReadUvarint(reader)
		if err = errors.Join(err, errLength); err != nil {
			return nil, fmt.Errorf("its instructions are broken: %w", err)
		}
		if tag > uint64(len(target.Origins)) || length == 0 || length > uint64(target.Unpacked-total) {
			return nil, fmt.Errorf("instruction %d makes no sense", len(found))
		}
		next := instruction{tag: uint8(tag), length: int64(length)} //nolint:gosec // both were compared
		if tag != literal {
			distance, err := binary.ReadVarint(reader)
			if err != nil {
				return nil, fmt.Errorf("its instructions are broken: %w", err)
			}
			next.offset = ends[tag] + distance
			if next.offset < 0 || next.offset > files.MaxSize || next.end() > files.MaxSize {
				return nil, fmt.Errorf("instruction %d copies from %d", len(found), next.offset)
			}
			ends[tag] = next.end()
		}
		if total += next.length; len(found) >= maxInstructions {
			return nil, fmt.Errorf("it has more than %d instructions", maxInstructions)
		}
		found = append(found, next)
	}
	if total != target.Unpacked {
		return nil, fmt.Errorf("its instructions give %d bytes, %d are expected", total, target.Unpacked)
	}
	return found, nil
}
