// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
)

// application holds what is known while a delta is applied.
type application struct {
	ctx     context.Context
	output  *os.File
	header  *Header
	payload *io.SectionReader
	// places are of the old files, as the header numbers them; staged is where new ones are made.
	places []string
	staged string
}

// Applied is what was made, for people and programs.
type Applied struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Files  int    `json:"files"`
	SHA256 string `json:"sha256,omitempty"`
}

// Apply makes the new file or folder from the old one and a delta. The delta may come from anywhere: what it says is
// bounded and checked, nothing is written outside the output, and the output has its name only when it is whole.
//
// Raises an exit error: WrongOld before any work, Damaged, Malformed, Exists, or DiskFull.
func Apply(ctx context.Context, oldPlace, path, outputPlace string, output *os.File) (applied *Applied, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, files.Fail(files.Missing, "the delta cannot be read: %v", err)
	}
	defer file.Close()
	a := &application{ctx: ctx, output: output}
	if a.header, err = readHeader(file); err != nil {
		return nil, files.Fail(files.Malformed, "%s: %v", path, err)
	}
	outputPlace, err = a.place(outputPlace)
	if err != nil {
		return nil, err
	}
	if err := a.checkPayload(file, path); err != nil {
		return nil, err
	}
	if err := a.checkOld(oldPlace); err != nil {
		return nil, err
	}
	folder, err := files.Parent(outputPlace)
	if err != nil {
		return nil, err
	}
	if err := a.checkRoom(folder, path); err != nil {
		return nil, err
	}
	if a.staged, err = os.MkdirTemp(folder, ".courier-apply-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(files.Explain(err), os.RemoveAll(a.staged)) }()
	if err := a.all(path); err != nil {
		return nil, err
	}
	return a.publish(outputPlace)
}

// place is where the output goes: a file may go into a folder, under the name that the delta gives it.
func (a *application) place(output string) (string, error) {
	if about, err := os.Stat(output); err == nil && about.IsDir() && !a.header.Folder {
		output = filepath.Join(output, filepath.Base(a.header.New[0].Path))
	}
	return output, files.NeedAbsent(output)
}

// each gives every target with its part of the payload.
func (a *application) each(see func(*Target, io.ReaderAt) error) error {
	var begin int64
	for number := range a.header.New {
		target := &a.header.New[number]
		size := target.Literals + target.Instructions
		if err := see(target, io.NewSectionReader(a.payload, begin, size)); err != nil {
			return err
		}
		begin += size
	}
	return nil
}

// all makes every new file below the staging folder.
func (a *application) all(path string) error {
	assembly := &assembly{ctx: a.ctx, output: a.output, folder: a.staged, open: func(origin Origin) (*os.File, error) {
		if origin.New {
			return os.Open(a.stagedPlace(origin.File))
		}
		return os.Open(a.places[origin.File])
	}}
	number := 0
	return a.each(func(target *Target, part io.ReaderAt) error {
		err := a.one(assembly, target, part, a.stagedPlace(number))
		number++
		var told *exit.Error
		if err == nil || a.ctx.Err() != nil || errors.As(err, &told) || files.IsFull(err) {
			return err
		}
		if errors.Is(err, errOtherBytes) && a.header.Encoder != encoderName() {
			err = fmt.Errorf("%w: the delta was made with %s, this program has %s; use the courier that came with it",
				err, a.header.Encoder, encoderName())
		}
		return files.Fail(files.Malformed, "%s: %s: %v", path, target.Path, err)
	})
}

func (a *application) stagedPlace(number int) string {
	return filepath.Join(a.staged, "new", filepath.FromSlash(a.header.New[number].Path))
}

func (a *application) one(assembly *assembly, target *Target, part io.ReaderAt, place string) (err error) {
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if target.Executable {
		mode = 0o755
	}
	file, err := os.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	progress := files.NewProgress(a.ctx, a.output, target.Path, target.Size)
	defer progress.End()
	if err := assembly.run(target, part, file, progress); err != nil {
		return err
	}
	return file.Sync()
}

// publish gives what was made its name.
func (a *application) publish(output string) (*Applied, error) {
	if err := files.NeedAbsent(output); err != nil {
		return nil, err
	}
	applied := &Applied{Path: output, Files: len(a.header.New)}
	for _, target := range a.header.New {
		applied.Size += target.Size
	}
	if a.header.Folder {
		return applied, os.Rename(filepath.Join(a.staged, "new"), output)
	}
	applied.SHA256 = a.header.New[0].SHA256
	return applied, os.Rename(a.stagedPlace(0), output)
}
