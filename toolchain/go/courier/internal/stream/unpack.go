// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
)

var (
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic = []byte{0x1f, 0x8b}
)

// Entry is a regular file in an archive or a folder.
type Entry struct {
	Name string
	Size int64
}

// Visit receives each entry with its content, which it may leave unread.
type Visit func(entry Entry, content io.Reader) error

// Plain undoes the compression of a stream, whichever of zstd, gzip and none it has. The second result frees what it holds.
func Plain(source io.Reader, place string) (io.Reader, func(), error) {
	counted := &counter{source: source}
	head := bufio.NewReaderSize(counted, files.Buffer)
	magic, err := head.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	release := func() {}
	plain := io.Reader(head)
	switch {
	case bytes.HasPrefix(magic, zstdMagic):
		decoder, err := zstd.NewReader(head, zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, broken(err, place)
		}
		release = decoder.Close
		plain = decoder
	case bytes.HasPrefix(magic, gzipMagic):
		decoder, err := gzip.NewReader(head)
		if err != nil {
			return nil, nil, broken(err, place)
		}
		plain = decoder
	}
	return &bounded{source: plain, in: counted.count.Load, place: place}, release, nil
}

// Tar visits the regular files of an archive, compressed or not, and reads it to its end, so that its checksums count.
// Links, devices, sparse files and names that lead elsewhere are faults: nothing that is shipped has any.
func Tar(source io.Reader, place string, visit Visit) error {
	plain, release, err := Plain(source, place)
	if err != nil {
		return err
	}
	defer release()
	if err := Entries(plain, place, false, visit); err != nil {
		return err
	}
	return rest(plain, place)
}

// Entries visits the regular files of an archive that is not compressed. Where links are allowed they are passed over, and
// names may come twice.
func Entries(plain io.Reader, place string, links bool, visit Visit) error {
	reader := tar.NewReader(plain)
	seen := map[string]bool{}
	for count := 0; ; count++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err, place)
		}
		if count >= MaxEntries {
			return fault.New(fault.Unsafe, place, "it has more than %d entries", MaxEntries)
		}
		name, err := cleaned(header.Name)
		if err != nil {
			return fault.New(fault.Unsafe, place, "%v", err)
		}
		switch {
		case Sparse(header):
			return fault.New(fault.Unsafe, place, "%q is a sparse file, which may unpack to any size", name)
		case header.Typeflag == tar.TypeDir:
			continue
		case header.Typeflag != tar.TypeReg && links:
			continue
		case header.Typeflag != tar.TypeReg:
			return fault.New(fault.Unsafe, place, "%q is a link or a device; expected files and folders alone", name)
		case seen[name]:
			return fault.New(fault.Unsafe, place, "it has %q twice", name)
		}
		if !links {
			seen[name] = true
		}
		if err := visit(Entry{Name: name, Size: header.Size}, reader); err != nil {
			return broken(err, place)
		}
	}
}

// Sparse tells files with holes, of which an archive holds other bytes than reading them gives: a hole of any size takes
// none, and reading it reads nothing of the archive.
func Sparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// rest reads what follows the archive's end: only zeros may.
func rest(plain io.Reader, place string) error {
	buffer := make([]byte, 64<<10)
	for {
		count, err := plain.Read(buffer)
		if bytes.ContainsFunc(buffer[:count], func(r rune) bool { return r != 0 }) {
			return fault.New(fault.Contents, place, "something follows the archive's end")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(err, place)
		}
	}
}

func cleaned(name string) (string, error) {
	for len(name) > 2 && name[:2] == "./" {
		name = name[2:]
	}
	for len(name) > 1 && name[len(name)-1] == '/' {
		name = name[:len(name)-1]
	}
	if name == "." || name == "./" {
		return ".", nil
	}
	return name, files.CheckName(name)
}

// broken names what a failure to read means: a fault of the file, where it is one.
func broken(err error, place string) error {
	switch {
	case fault.As(err) != nil:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Truncated, place, "it ends too early")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fault.New(fault.Unsafe, place, "it asks for more memory than %d MiB", MaxWindow>>20)
	case damaged(err):
		return fault.New(fault.Corrupt, place, "it cannot be unpacked: %v", err)
	}
	return err
}

// damaged tells damage of an archive from failures of the machine.
func damaged(err error) bool {
	for _, known := range []error{
		tar.ErrHeader, gzip.ErrHeader, gzip.ErrChecksum, zstd.ErrCRCMismatch, zstd.ErrMagicMismatch, zstd.ErrReservedBlockType,
		zstd.ErrCompressedSizeTooBig, zstd.ErrBlockTooSmall, zstd.ErrUnexpectedBlockSize, zstd.ErrWindowSizeTooSmall,
		zstd.ErrFrameSizeExceeded, zstd.ErrFrameSizeMismatch, zstd.ErrUnknownDictionary,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	// Most of zstd's and flate's complaints have no name. What the operating system says has a type of its own.
	return !machine(err)
}
