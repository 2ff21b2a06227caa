// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// NeedRoom refuses where the file system of a folder has too little room for that many bytes.
func NeedRoom(folder string, need int64) error {
	var about syscall.Statfs_t
	if err := syscall.Statfs(folder, &about); err != nil {
		return fmt.Errorf("the free space of %s cannot be told: %w", folder, err)
	}
	if free := int64(about.Bavail) * about.Bsize; free < need { //nolint:gosec // no file system has 2^63 bytes
		return Fail(DiskFull, "%s has %s free, %s are needed; free some space, or name another place with --output",
			folder, Bytes(free), Bytes(need))
	}
	return nil
}

// NeedAbsent refuses an output that is there already: nothing is ever overwritten.
func NeedAbsent(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return Fail(Exists, "%s is there already; remove it, or name another place with --output", path)
}

// Parent is the folder of a path; it is made where it is missing.
func Parent(path string) (string, error) {
	folder := filepath.Dir(filepath.Clean(path))
	return folder, os.MkdirAll(folder, 0o755)
}

// IsFull tells whether an error says that there is no room left.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Explain gives a full disk its own code; other errors stay as they are.
func Explain(err error) error {
	if IsFull(err) {
		return Fail(DiskFull, "the disk is full: %v; free some space and run it again", err)
	}
	return err
}

// Bytes is a size as people read it, in decimal units as media are sold.
func Bytes(size int64) string {
	value, unit := float64(size), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", size)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
