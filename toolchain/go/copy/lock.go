// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// beside names what belongs to a model's folder but must not lie in it, since services check all that does.
func beside(folder, kind string) string {
	folder = filepath.Clean(folder)
	return filepath.Join(filepath.Dir(folder), "."+filepath.Base(folder)+"."+kind)
}

// lock lets one program at a time write a model's folder; it ends with the program that has it. The file stays: if it were
// removed, two programs might lock two files.
func lock(folder string, out io.Writer) (unlock func(), err error) {
	path := beside(folder, "lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// NFS locks only what is open for writing.
	opened, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(opened.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(out, "waiting for another copy to %s\n", folder)
		for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
			err = syscall.Flock(int(opened.Fd()), syscall.LOCK_EX)
		}
	}
	if err != nil {
		opened.Close()
		return nil, fmt.Errorf("%s cannot be locked: %w; a volume needs a file system with locks", path, err)
	}
	return func() { opened.Close() }, nil
}
