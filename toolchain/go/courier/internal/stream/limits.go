// SPDX-License-Identifier: Apache-2.0

// Package stream reads archives and folders that nobody has vouched for yet: entry by entry, within bounds, and without
// writing anything.
package stream

import (
	"io"
	"sync/atomic"

	"toolchain/courier/internal/fault"
)

// Bounds on what is read. A bundle of 30 services has some 2000 entries; its layers are compressed already.
const (
	MaxEntries = 200_000
	// MaxWindow is how far back compressed data may refer, in bytes; zstd's own tools use 8 MiB, and 128 MiB with --ultra.
	MaxWindow = 128 << 20
	// MaxRatio is how many times larger than itself a file may unpack, past the first Allowance bytes.
	MaxRatio  = 200
	Allowance = int64(64 << 20)
)

// bounded stops reading where far more comes out than went in.
type bounded struct {
	source io.Reader
	in     func() int64
	out    int64
	place  string
}

func (b *bounded) Read(buffer []byte) (int, error) {
	count, err := b.source.Read(buffer)
	b.out += int64(count)
	if b.out > Allowance && b.out > b.in()*MaxRatio {
		return count, fault.New(fault.Unsafe, b.place, "it unpacks to more than %d times its size", MaxRatio)
	}
	return count, err
}

// counter counts what is read through it. The decoder of zstd reads beside whoever asks for the count.
type counter struct {
	source io.Reader
	count  atomic.Int64
}

func (c *counter) Read(buffer []byte) (int, error) {
	count, err := c.source.Read(buffer)
	c.count.Add(int64(count))
	return count, err
}
