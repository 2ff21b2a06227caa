// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
)

// Folder is a folder that is read without leaving it.
type Folder struct {
	root    *os.Root
	place   string
	Entries []Entry
}

// OpenFolder lists a folder's regular files. Links and devices are faults, and so are names that lead elsewhere.
func OpenFolder(place string) (*Folder, error) {
	root, err := os.OpenRoot(place)
	if err != nil {
		return nil, err
	}
	folder := &Folder{root: root, place: place}
	err = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fault.New(fault.Unsafe, place, "%q is a link or a device; expected files and folders alone", path)
		}
		if err := files.CheckName(path); err != nil {
			return fault.New(fault.Unsafe, place, "%v", err)
		}
		if len(folder.Entries) >= MaxEntries {
			return fault.New(fault.Unsafe, place, "it has more than %d files", MaxEntries)
		}
		about, err := entry.Info()
		if err != nil {
			return err
		}
		folder.Entries = append(folder.Entries, Entry{Name: path, Size: about.Size()})
		return nil
	})
	if err != nil {
		root.Close()
		return nil, err
	}
	return folder, nil
}

// Close lets the folder go.
func (f *Folder) Close() error { return f.root.Close() }

// Open opens a file of the folder.
func (f *Folder) Open(name string) (*os.File, error) { return f.root.Open(name) }

// Each visits files side by side; visit must stand that.
func (f *Folder) Each(ctx context.Context, atOnce int, wanted func(string) bool, visit Visit) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, entry := range f.Entries {
		if wanted != nil && !wanted(entry.Name) {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			file, err := f.root.Open(entry.Name)
			if err != nil {
				return err
			}
			defer file.Close()
			return visit(entry, file)
		})
	}
	return group.Wait()
}

// machine tells what the operating system, or whoever interrupts, says from what is wrong with a file.
func machine(err error) bool {
	var path *fs.PathError
	var number syscall.Errno
	return errors.As(err, &path) || errors.As(err, &number) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrClosedPipe)
}
