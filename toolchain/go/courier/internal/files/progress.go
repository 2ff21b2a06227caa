// SPDX-License-Identifier: Apache-2.0

package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// Buffer is how much is read at once, in bytes.
const Buffer = 1 << 20

const (
	onTerminal = 200 * time.Millisecond
	elsewhere  = 10 * time.Second
)

// Progress tells how far a long piece of work is: on a terminal in one line that changes, elsewhere a line now and then.
type Progress struct {
	ctx      context.Context
	output   *os.File
	title    string
	total    int64
	done     int64
	began    time.Time
	told     time.Time
	terminal bool
}

// NewProgress begins to tell; output may be nil. The total is in bytes, and 0 where nobody knows it.
func NewProgress(ctx context.Context, output *os.File, title string, total int64) *Progress {
	progress := &Progress{ctx: ctx, output: output, title: title, total: total, began: time.Now(), told: time.Now()}
	if output != nil {
		about, err := output.Stat()
		progress.terminal = err == nil && about.Mode()&os.ModeCharDevice != 0
	}
	return progress
}

// Add counts bytes that are done; an error where the work was interrupted.
func (p *Progress) Add(count int64) error {
	p.done += count
	if p.output != nil {
		wait := elsewhere
		if p.terminal {
			wait = onTerminal
		}
		if time.Since(p.told) >= wait {
			p.told = time.Now()
			p.tell()
		}
	}
	return p.ctx.Err()
}

func (p *Progress) tell() {
	line := fmt.Sprintf("%s: %s", p.title, Bytes(p.done))
	if p.total > 0 {
		line = fmt.Sprintf("%s: %s of %s (%d %%)", p.title, Bytes(p.done), Bytes(p.total), p.done*100/p.total)
	}
	if seconds := time.Since(p.began).Seconds(); seconds > 0 {
		line += fmt.Sprintf(", %s/s", Bytes(int64(float64(p.done)/seconds)))
	}
	if p.terminal {
		fmt.Fprintf(p.output, "\r%s\x1b[K", line)
	} else {
		fmt.Fprintln(p.output, line)
	}
}

// End removes the line from a terminal.
func (p *Progress) End() {
	if p.output != nil && p.terminal {
		fmt.Fprint(p.output, "\r\x1b[K")
	}
}

// Reader counts what is read.
func (p *Progress) Reader(source io.Reader) io.Reader { return &counted{source, p} }

type counted struct {
	source   io.Reader
	progress *Progress
}

func (c *counted) Read(buffer []byte) (int, error) {
	count, err := c.source.Read(buffer)
	if stop := c.progress.Add(int64(count)); stop != nil {
		return count, stop
	}
	return count, err
}

// Digest is the SHA-256 of all that a reader gives, and how many bytes that is.
func Digest(source io.Reader) (string, int64, error) {
	sum := sha256.New()
	count, err := io.CopyBuffer(sum, source, make([]byte, Buffer))
	return hex.EncodeToString(sum.Sum(nil)), count, err
}

// DigestOf is the SHA-256 of a file, counted.
func DigestOf(path string, progress *Progress) (string, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	return Digest(progress.Reader(file))
}
