// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/restic/chunker"

	"toolchain/courier/internal/stream"
)

// Pieces are cut where their content says, so that an insertion moves no cut but those beside it. Sizes in bytes.
const (
	polynomial = chunker.Pol(0x3DA3358B4DC173)
	smallest   = 8 << 10
	largest    = 256 << 10
	// averageBits makes pieces of 32 KiB beyond the smallest: an index of 2 MB for each GB.
	averageBits = 15
	// What is small is cut finer: reports and descriptions change in a line or two.
	smallestFine    = 1 << 10
	averageFineBits = 11
	smallFile       = 16 << 20
	smallMember     = 1 << 20
)

// cutter cuts a stream into pieces. Members of a tar archive are cut by themselves, and what lies between them is a piece
// of its own: headers hold times, and would else spoil the ends of members that are the same.
type cutter struct {
	chunker *chunker.Chunker
	buffer  []byte
	yield   func(piece []byte) error
}

// cut gives a stream's pieces, one after the other; together they are the stream.
func cut(source io.Reader, fine bool, yield func(piece []byte) error) error {
	c := &cutter{
		chunker: chunker.NewWithBoundaries(source, polynomial, smallest, largest),
		buffer:  make([]byte, largest),
		yield:   yield,
	}
	between := &recorder{source: source, on: true}
	archive := tar.NewReader(between)
	for {
		header, err := archive.Next()
		if failed := between.failed; failed != nil {
			return failed
		}
		for gap := between.take(); len(gap) > 0; {
			size := min(len(gap), largest)
			if err := yield(gap[:size]); err != nil {
				return err
			}
			gap = gap[size:]
		}
		if err != nil || stream.Sparse(header) {
			// The archive's end, no archive, or a file that the archive holds in another form: the rest is cut as it comes.
			return c.content(source, fine)
		}
		between.on = false
		err = c.content(archive, fine || header.Size <= smallMember)
		between.on = true
		if err != nil {
			return err
		}
	}
}

func (c *cutter) content(source io.Reader, fine bool) error {
	least, bits := uint(smallest), averageBits
	if fine {
		least, bits = smallestFine, averageFineBits
	}
	c.chunker.ResetWithBoundaries(whole{source}, polynomial, least, largest)
	c.chunker.SetAverageBits(bits)
	for {
		piece, err := c.chunker.Next(c.buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.yield(piece.Data); err != nil {
			return err
		}
	}
}

// errCutOff stands for io.ErrUnexpectedEOF, which the chunker takes for the end of a buffer and reads on for ever.
var errCutOff = errors.New("it is cut off")

type whole struct{ source io.Reader }

func (w whole) Read(buffer []byte) (int, error) {
	count, err := w.source.Read(buffer)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCutOff
	}
	return count, err
}

// recorder keeps what is read through it while it is on, and remembers why reading failed.
type recorder struct {
	source io.Reader
	on     bool
	kept   []byte
	failed error
}

func (r *recorder) Read(buffer []byte) (int, error) {
	count, err := r.source.Read(buffer)
	if r.on {
		r.kept = append(r.kept, buffer[:count]...)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return count, err
}

func (r *recorder) take() []byte {
	kept := r.kept
	r.kept = nil
	return kept
}

// name identifies a piece by its content.
type name [16]byte

func nameOf(piece []byte) name {
	sum := sha256.Sum256(piece)
	return name(sum[:16])
}
