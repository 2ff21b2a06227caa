// SPDX-License-Identifier: Apache-2.0

// Package delta makes and applies differential files: from an old file or folder and a delta comes the new one, byte for
// byte. Compressed tar archives are compared unpacked, and packed again by the encoder that Zarf and UDS use.
package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"toolchain/courier/internal/files"
)

const (
	magic   = "cowabunga-delta\n"
	version = 1
)

// Bounds on what a delta may ask for, so that reading one takes little memory whatever it says.
const (
	maxHeader       = 64 << 20
	maxFiles        = 100_000
	maxOrigins      = 16
	maxInstructions = 1 << 21
)

// Header is what a delta says of itself, as JSON after the magic and its length.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Encoder names the library that packs, with its version: another one may pack to other bytes.
	Encoder string   `json:"encoder"`
	Folder  bool     `json:"folder"`
	Old     []Known  `json:"old"`
	New     []Target `json:"new"`
	Payload Known    `json:"payload"`
}

// Known is a file by its bytes.
type Known struct {
	Path   string `json:"path,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Target is a new file, and how it is made.
type Target struct {
	Known
	Executable bool `json:"executable,omitempty"`
	// Same is the old file with the same bytes; then nothing follows.
	Same *int `json:"same,omitempty"`
	// Level is the encoder's, where the bytes that the instructions give are then packed; 0 where they are not.
	Level int `json:"level,omitempty"`
	// Unpacked is how many bytes the instructions give.
	Unpacked int64 `json:"unpacked,omitempty"`
	// Origins are what instructions copy from: tag 1 is the first.
	Origins []Origin `json:"origins,omitempty"`
	// Literals and Instructions follow each other in the payload, each packed on its own. Their sizes are of packed bytes.
	Literals     int64 `json:"literals,omitempty"`
	Instructions int64 `json:"instructions,omitempty"`
}

// Origin is a file that is copied from: an old one, or a new one that was made before; as it is, or unpacked.
type Origin struct {
	New      bool `json:"new,omitempty"`
	File     int  `json:"file"`
	Unpacked bool `json:"unpacked,omitempty"`
}

// encoderName is the pinned library that this program packs with.
func encoderName() string {
	const path = "github.com/klauspost/compress"
	if about, ok := debug.ReadBuildInfo(); ok {
		for _, module := range about.Deps {
			if module.Path == path {
				return path + " " + module.Version
			}
		}
	}
	return path
}

// write puts a header before its payload.
func (h *Header) write(target io.Writer) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	front := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text))) //nolint:gosec // bounded by maxHeader
	_, err = target.Write(append(append(front, text...), sum[:]...))
	return err
}

// readHeader reads what a delta says of itself and checks that it makes sense.
func readHeader(source io.Reader) (*Header, error) {
	front := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(source, front); err != nil || !bytes.HasPrefix(front, []byte(magic)) {
		return nil, errors.New("it is no delta: a delta begins with the line \"cowabunga-delta\"")
	}
	length := binary.LittleEndian.Uint32(front[len(magic):])
	if length > maxHeader {
		return nil, fmt.Errorf("its header says that it has %d bytes, at most %d are expected", length, maxHeader)
	}
	// The buffer grows with what is there, not with what is said to be there.
	var text bytes.Buffer
	if count, err := io.CopyN(&text, source, int64(length)); err != nil {
		return nil, fmt.Errorf("it ends after %d of its header's %d bytes", count, length)
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(source, sum[:]); err != nil || sum != sha256.Sum256(text.Bytes()) {
		return nil, errors.New("its header does not have the SHA-256 that follows it")
	}
	header := &Header{}
	if err := json.Unmarshal(text.Bytes(), header); err != nil {
		return nil, fmt.Errorf("its header is not as expected: %w", err)
	}
	return header, header.check()
}

// check refuses a header that no delta of ours has.
func (h *Header) check() error {
	if h.Format != "cowabunga-delta" || h.Version != version {
		return fmt.Errorf("it is of format %q %d, this program knows version %d; use the courier that came with it",
			h.Format, h.Version, version)
	}
	if len(h.Old) > maxFiles || len(h.New) > maxFiles || len(h.New) == 0 {
		return fmt.Errorf("it names %d old and %d new files, expected are 1 to %d", len(h.Old), len(h.New), maxFiles)
	}
	if !h.Folder && (len(h.New) != 1 || len(h.Old) != 1) {
		return errors.New("it is of one file, but names several")
	}
	if err := errors.Join(files.CheckSize(h.Payload.Size), files.CheckDigest(h.Payload.SHA256)); err != nil {
		return err
	}
	for _, known := range h.Old {
		if err := known.check(); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	left := h.Payload.Size
	for number, target := range h.New {
		if err := target.check(h, number); err != nil {
			return fmt.Errorf("%s: %w", target.Path, err)
		}
		if seen[target.Path] {
			return fmt.Errorf("%s: it is named twice", target.Path)
		}
		seen[target.Path] = true
		if left -= target.Literals + target.Instructions; left < 0 {
			return fmt.Errorf("%s: the payload is too short for it", target.Path)
		}
	}
	if left != 0 {
		return fmt.Errorf("its payload has %d bytes that belong to no file", left)
	}
	return nil
}

func (k *Known) check() error {
	return errors.Join(files.CheckName(k.Path), files.CheckSize(k.Size), files.CheckDigest(k.SHA256))
}

func (t *Target) check(header *Header, number int) error {
	if err := t.Known.check(); err != nil {
		return err
	}
	for _, size := range []int64{t.Unpacked, t.Literals, t.Instructions} {
		if err := files.CheckSize(size); err != nil {
			return err
		}
	}
	if t.Same != nil {
		if *t.Same < 0 || *t.Same >= len(header.Old) || t.Literals+t.Instructions != 0 {
			return errors.New("the old file that it equals is not named")
		}
		if old := header.Old[*t.Same]; old.SHA256 != t.SHA256 || old.Size != t.Size {
			return errors.New("the old file that it equals has other bytes")
		}
		return nil
	}
	if t.Level < 0 || t.Level > maxLevel || len(t.Origins) > maxOrigins {
		return fmt.Errorf("level %d of %d, or %d origins of %d, are too many", t.Level, maxLevel, len(t.Origins), maxOrigins)
	}
	for _, origin := range t.Origins {
		if end := map[bool]int{false: len(header.Old), true: number}[origin.New]; origin.File < 0 || origin.File >= end {
			return fmt.Errorf("it copies from file %d, there are %d", origin.File, end)
		}
	}
	return nil
}
