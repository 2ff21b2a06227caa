// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"toolchain/courier/internal/files"
)

// Hasher computes a SHA-256 beside whoever writes to it, so that reading and hashing use a core each.
type Hasher struct {
	full chan []byte
	free chan []byte
	done chan struct{}
	sum  hash.Hash
	size int64
}

// NewHasher starts one; Sum must be called to end it.
func NewHasher() *Hasher {
	const buffers = 4
	h := &Hasher{
		full: make(chan []byte, buffers), free: make(chan []byte, buffers), done: make(chan struct{}), sum: sha256.New(),
	}
	for range buffers {
		h.free <- make([]byte, 0, files.Buffer)
	}
	go func() {
		defer close(h.done)
		for part := range h.full {
			h.sum.Write(part)
			h.free <- part[:0]
		}
	}()
	return h
}

// Write never fails.
func (h *Hasher) Write(data []byte) (int, error) {
	total := len(data)
	for len(data) > 0 {
		buffer := <-h.free
		count := min(len(data), cap(buffer))
		buffer = append(buffer, data[:count]...)
		data = data[count:]
		h.full <- buffer
	}
	h.size += int64(total)
	return total, nil
}

// Sum ends the work: the digest in hexadecimal digits, and how many bytes it is of.
func (h *Hasher) Sum() (string, int64) {
	close(h.full)
	<-h.done
	return hex.EncodeToString(h.sum.Sum(nil)), h.size
}
