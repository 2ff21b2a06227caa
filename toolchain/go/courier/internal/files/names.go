// SPDX-License-Identifier: Apache-2.0

package files

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a file from elsewhere may ask for. The largest size is that of a file system's largest file, 16 TiB.
const (
	maxName = 1024
	MaxSize = int64(16) << 40
)

// CheckName refuses a path that is not a plain relative one inside its folder, with slashes and printable characters.
func CheckName(name string) error {
	local := filepath.IsLocal(filepath.FromSlash(name)) && name == filepath.ToSlash(filepath.Clean(name))
	plain := utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' })
	if name == "" || name == "." || len(name) > maxName || !local || !plain {
		return fmt.Errorf("%q is no path inside a folder", name)
	}
	return nil
}

// IsArchive tells by its name whether a file is a package or a bundle: Zarf writes both endings.
func IsArchive(name string) bool {
	return strings.HasSuffix(name, ".tar.zst") || strings.HasSuffix(name, ".tar")
}

// CheckDigest refuses what is no SHA-256 in lower-case hexadecimal digits.
func CheckDigest(digest string) error {
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 || strings.ToLower(digest) != digest {
		return fmt.Errorf("%q is no SHA-256", digest)
	}
	return nil
}

// CheckSize refuses a size that no file has.
func CheckSize(size int64) error {
	if size < 0 || size > MaxSize {
		return fmt.Errorf("%d is no size of a file, in bytes from 0 to %d", size, MaxSize)
	}
	return nil
}

// File is a regular file that a command reads. Path is relative to the folder that was named, or its own name.
type File struct {
	Path       string
	Place      string
	Size       int64
	Executable bool
}

// List finds the regular files of a folder, sorted by path, or describes the one file.
func List(place string) (found []File, folder bool, err error) {
	about, err := os.Stat(place)
	if err != nil {
		return nil, false, Fail(Missing, "%s cannot be read: %v", place, errors.Unwrap(err))
	}
	if !about.IsDir() {
		if !about.Mode().IsRegular() {
			return nil, false, Fail(2, "%s is neither a file nor a folder", place)
		}
		return []File{describe(filepath.Base(place), place, about)}, false, nil
	}
	err = filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(place, path)
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return Fail(2, "%s is no regular file: links and devices do not travel; remove it from the folder", path)
		}
		about, err := entry.Info()
		if err != nil {
			return err
		}
		found = append(found, describe(filepath.ToSlash(relative), path, about))
		return nil
	})
	if err != nil {
		return nil, true, err
	}
	slices.SortFunc(found, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, file := range found {
		if err := CheckName(file.Path); err != nil {
			return nil, true, Fail(2, "%s: %v; rename it", place, err)
		}
	}
	return found, true, nil
}

func describe(path, place string, about fs.FileInfo) File {
	return File{Path: path, Place: place, Size: about.Size(), Executable: about.Mode()&0o100 != 0}
}
