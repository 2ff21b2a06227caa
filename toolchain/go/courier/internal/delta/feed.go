// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"toolchain/courier/internal/files"
)

// feed gives the pieces of one origin that a target's instructions ask for. An origin that is taken as it is can be read
// anywhere; one that is unpacked is read once from its beginning, and what is needed in another order was kept aside.
type feed struct {
	file     *os.File
	unpacked bool
	stream   io.ReadCloser
	position int64
	aside    *aside
}

// copy writes a piece.
func (f *feed) copy(target io.Writer, one instruction, streamed bool, buffer []byte) error {
	switch {
	case !f.unpacked:
		return exactly(target, io.NewSectionReader(f.file, one.offset, one.length), one.length, buffer)
	case !streamed:
		return f.aside.copy(target, one, buffer)
	}
	if err := f.skip(one.offset, buffer); err != nil {
		return err
	}
	f.position += one.length
	return exactly(target, io.LimitReader(f.stream, one.length), one.length, buffer)
}

func (f *feed) skip(offset int64, buffer []byte) error {
	if f.stream == nil {
		if _, err := f.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		stream, err := unpack(f.file)
		if err != nil {
			return err
		}
		f.stream = stream
	}
	gap := offset - f.position
	f.position = offset
	return exactly(io.Discard, io.LimitReader(f.stream, gap), gap, buffer)
}

// restart lets the next piece be read from the beginning.
func (f *feed) restart() error {
	if f.stream == nil {
		return nil
	}
	stream := f.stream
	f.stream, f.position = nil, 0
	return stream.Close()
}

func (f *feed) close() error {
	err := f.restart()
	if f.aside != nil {
		err = errors.Join(err, f.aside.file.Close())
	}
	return errors.Join(err, f.file.Close())
}

// aside holds pieces of an unpacked origin in a file without a name, which is gone when the program ends.
type aside struct {
	file       *os.File
	stretches  []stretch
	beginnings []int64
}

// keep puts stretches of an origin aside.
func (f *feed) keep(folder string, stretches []stretch, progress *files.Progress, buffer []byte) error {
	file, err := os.CreateTemp(folder, ".courier-aside-")
	if err != nil {
		return err
	}
	f.aside = &aside{file: file, stretches: stretches}
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	var written int64
	for _, one := range stretches {
		f.aside.beginnings = append(f.aside.beginnings, written)
		if err := f.skip(one.from, buffer); err != nil {
			return err
		}
		size := one.to - one.from
		if err := exactly(file, progress.Reader(io.LimitReader(f.stream, size)), size, buffer); err != nil {
			return err
		}
		f.position += size
		written += size
	}
	return f.restart()
}

func (a *aside) copy(target io.Writer, one instruction, buffer []byte) error {
	at := sort.Search(len(a.stretches), func(i int) bool { return a.stretches[i].to > one.offset })
	begin := a.beginnings[at] + one.offset - a.stretches[at].from
	return exactly(target, io.NewSectionReader(a.file, begin, one.length), one.length, buffer)
}

// exactly copies that many bytes; an error where there are fewer.
func exactly(target io.Writer, source io.Reader, size int64, buffer []byte) error {
	// The plain types keep io.CopyBuffer from using another buffer than the one that it is given.
	count, err := io.CopyBuffer(struct{ io.Writer }{target}, struct{ io.Reader }{source}, buffer)
	if err == nil && count != size {
		err = fmt.Errorf("%d bytes were there, %d are asked for", count, size)
	}
	return err
}
