// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"toolchain/courier/internal/exit"
)

func code(err error) int {
	var told *exit.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return -1
}

func TestNamesThatLeaveTheirFolderAreRefused(t *testing.T) {
	for _, name := range []string{"a", "a/b", "..a", "ä ö/日本", "a b"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/", "/a", "../a", "a/../../b", "a/..", "a//b", "./a", "a/", `a\b`, "a\x00", "a\n", "a\x1b[2J",
		"a\u202eb", "\xff", strings.Repeat("a", maxName+1),
	} {
		if err := CheckName(name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestDigestsAndSizes(t *testing.T) {
	if err := CheckDigest(strings.Repeat("0a", 32)); err != nil {
		t.Error(err)
	}
	for _, digest := range []string{"", "0a", strings.Repeat("0A", 32), strings.Repeat("0g", 32), strings.Repeat("0a", 33)} {
		if err := CheckDigest(digest); err == nil {
			t.Errorf("%q was taken", digest)
		}
	}
	if CheckSize(0) != nil || CheckSize(MaxSize) != nil || CheckSize(-1) == nil || CheckSize(MaxSize+1) == nil {
		t.Error("sizes of files are 0 to MaxSize")
	}
	for size, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 4_700_000_000: "4.7 GB", MaxSize: "17.6 TB"} {
		if got := Bytes(size); got != want {
			t.Errorf("%d is %s, expected is %s", size, got, want)
		}
	}
}

func TestLinksDoNotTravel(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := List(folder); code(err) != exit.Usage {
		t.Error(err)
	}
	if _, _, err := List(filepath.Join(folder, "none")); code(err) != Missing {
		t.Error(err)
	}
}

func TestAFullDiskHasItsCode(t *testing.T) {
	if err := Explain(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}); code(err) != DiskFull {
		t.Error(err)
	}
	if err := NeedRoom(t.TempDir(), 1<<62); code(err) != DiskFull {
		t.Error(err)
	}
	if err := NeedRoom(t.TempDir(), 1); err != nil {
		t.Error(err)
	}
	other := errors.New("other")
	if Explain(other) != other || Explain(nil) != nil { //nolint:errorlint // the same one
		t.Error("other errors stay")
	}
}
