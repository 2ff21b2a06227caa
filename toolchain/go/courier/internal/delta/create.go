// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"toolchain/courier/internal/files"
)

// Summary is what was made, for people and programs.
type Summary struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	NewSize  int64  `json:"new_size"`
	Files    int    `json:"files"`
	Same     int    `json:"same"`
	Repacked int    `json:"repacked"`
	// AsIs names compressed archives that no known encoder packs to the same bytes; they were compared packed.
	AsIs []string `json:"as_is"`
	// Aside is the most that applying puts aside, in bytes.
	Aside int64 `json:"aside"`
}

// creation holds what is known while a delta is made.
type creation struct {
	ctx      context.Context
	output   *os.File
	old, new []files.File
	header   Header
	summary  Summary
	index    *index
	mains    map[string]int32
	asIs     bool
	payload  *os.File
}

// Create makes the delta that turns one file or folder into another, and proves it by making every new file once.
//
// Raises an exit error where an input cannot be read, one is a folder and the other is not, or the output is there.
func Create(ctx context.Context, oldPlace, newPlace, path string, output *os.File) (summary *Summary, err error) {
	if err := files.NeedAbsent(path); err != nil {
		return nil, err
	}
	folder, err := files.Parent(path)
	if err != nil {
		return nil, err
	}
	c := &creation{ctx: ctx, output: output, index: newIndex(), mains: map[string]int32{}}
	if err := c.list(oldPlace, newPlace); err != nil {
		return nil, err
	}
	if c.payload, err = os.CreateTemp(folder, ".courier-payload-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(files.Explain(err), c.payload.Close()) }()
	if err := os.Remove(c.payload.Name()); err != nil {
		return nil, err
	}
	if err := c.learn(false); err != nil {
		return nil, err
	}
	for number := range c.new {
		if err := c.target(number); err != nil {
			return nil, fmt.Errorf("%s: %w", c.new[number].Path, err)
		}
	}
	return c.save(path, folder)
}

func (c *creation) list(oldPlace, newPlace string) error {
	var oldFolder, newFolder bool
	var err error
	if c.old, oldFolder, err = files.List(oldPlace); err != nil {
		return err
	}
	if c.new, newFolder, err = files.List(newPlace); err != nil {
		return err
	}
	if oldFolder != newFolder {
		return files.Fail(2, "%s and %s must both be files, or both folders", oldPlace, newPlace)
	}
	if len(c.new) == 0 {
		return files.Fail(2, "%s holds no files", newPlace)
	}
	c.header = Header{Format: "cowabunga-delta", Version: version, Encoder: encoderName(), Folder: newFolder}
	c.summary.AsIs = []string{}
	return nil
}

// learn indexes all old files: packed archives by their content, and once more as they are where asIs asks for it.
func (c *creation) learn(asIs bool) error {
	progress := files.NewProgress(c.ctx, c.output, "reading the old", total(c.old))
	defer progress.End()
	for number, file := range c.old {
		packed := isPacked(file.Path)
		if asIs && !packed {
			continue
		}
		known, err := c.learnFile(file, Origin{File: number, Unpacked: packed && !asIs}, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Place, err)
		}
		if !asIs {
			c.header.Old = append(c.header.Old, known)
		}
	}
	return nil
}

func (c *creation) learnFile(file files.File, origin Origin, progress *files.Progress) (Known, error) {
	opened, err := os.Open(file.Place)
	if err != nil {
		return Known{}, err
	}
	defer opened.Close()
	sum := sha256.New()
	raw := io.TeeReader(progress.Reader(opened), sum)
	number := c.index.origin(origin)
	err = pieces(raw, origin.Unpacked, file.Size, func(piece []byte, offset int64) error {
		c.index.add(nameOf(piece), number, offset)
		return nil
	})
	// What cannot be unpacked to its end is copied from up to there. A disk that fails does so once more below.
	if err != nil && (!origin.Unpacked || c.ctx.Err() != nil) {
		return Known{}, err
	}
	// What follows a packed stream belongs to the file's digest, too.
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return Known{}, err
	}
	c.mains[c.kin(file.Path, origin.Unpacked)] = number
	return Known{file.Path, file.Size, hex.EncodeToString(sum.Sum(nil))}, nil
}

// pieces cuts a file of a size, unpacked where that is asked for, and tells each piece with its offset.
func pieces(raw io.Reader, unpacked bool, size int64, see func(piece []byte, offset int64) error) error {
	source := raw
	if unpacked {
		stream, err := unpack(raw)
		if err != nil {
			return err
		}
		defer stream.Close()
		source = stream
	}
	var offset int64
	return cut(source, !unpacked && size <= smallFile, func(piece []byte) error {
		err := see(piece, offset)
		offset += int64(len(piece))
		return err
	})
}

// digits are what the names of two releases' files differ in.
var digits = regexp.MustCompile(`[0-9]+`)

// kin is the same for a file and its older self.
func (c *creation) kin(path string, unpacked bool) string {
	if !c.header.Folder {
		path = ""
	}
	return fmt.Sprint(digits.ReplaceAllString(path, "0"), unpacked)
}

// save writes header and payload, and gives the delta its name when both are on disk.
func (c *creation) save(path, folder string) (*Summary, error) {
	digest, size, err := files.Digest(io.NewSectionReader(c.payload, 0, files.MaxSize))
	if err != nil {
		return nil, err
	}
	c.header.Payload = Known{Size: size, SHA256: digest}
	if err := c.header.check(); err != nil {
		return nil, err
	}
	staged, err := os.CreateTemp(folder, ".courier-delta-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(staged.Name())
	err = c.header.write(staged)
	if err == nil {
		_, err = io.Copy(staged, io.NewSectionReader(c.payload, 0, size))
	}
	if err = errors.Join(err, staged.Sync(), staged.Chmod(0o644), staged.Close()); err != nil {
		return nil, err
	}
	if err := files.NeedAbsent(path); err != nil {
		return nil, err
	}
	about, err := os.Stat(staged.Name())
	if err != nil {
		return nil, err
	}
	c.summary.Path, c.summary.Size = path, about.Size()
	return &c.summary, os.Rename(staged.Name(), path)
}

func total(list []files.File) int64 {
	var sum int64
	for _, file := range list {
		sum += file.Size
	}
	return sum
}
