// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/fault"
)

type member struct {
	name string
	kind byte
	text string
}

func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer := tar.NewWriter(made)
	for _, one := range members {
		header := &tar.Header{Name: one.name, Typeflag: one.kind, Mode: 0o644, Size: int64(len(one.text))}
		if one.kind != tar.TypeReg {
			header.Size, header.Linkname = 0, one.text
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if one.kind == tar.TypeReg {
			if _, err := io.WriteString(writer, one.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

func squeezed(t testing.TB, plain []byte, options ...zstd.EOption) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer, err := zstd.NewWriter(made, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

func read(source []byte) (map[string]string, error) {
	found := map[string]string{}
	err := Tar(bytes.NewReader(source), "test", func(entry Entry, content io.Reader) error {
		text, err := io.ReadAll(content)
		found[entry.Name] = string(text)
		return err
	})
	return found, err
}

func TestFilesAreReadWithAndWithoutCompression(t *testing.T) {
	plain := archive(t, member{"a/", tar.TypeDir, ""}, member{"./a/b", tar.TypeReg, "text"}, member{"c", tar.TypeReg, ""})
	for name, source := range map[string][]byte{"plain": plain, "zstd": squeezed(t, plain)} {
		found, err := read(source)
		if err != nil || found["a/b"] != "text" || len(found) != 2 {
			t.Errorf("%s: %v %v", name, found, err)
		}
	}
}

func TestWhatIsUnsafeIsRefused(t *testing.T) {
	for name, members := range map[string][]member{
		"up":        {{"../a", tar.TypeReg, "x"}},
		"deep up":   {{"a/../../b", tar.TypeReg, "x"}},
		"absolute":  {{"/etc/passwd", tar.TypeReg, "x"}},
		"backslash": {{`a\b`, tar.TypeReg, "x"}},
		"control":   {{"a\x1b[2Jb", tar.TypeReg, "x"}},
		"long":      {{strings.Repeat("a", 5000), tar.TypeReg, "x"}},
		"symlink":   {{"a", tar.TypeSymlink, "/etc/passwd"}},
		"hard link": {{"a", tar.TypeReg, "x"}, {"b", tar.TypeLink, "a"}},
		"device":    {{"a", tar.TypeChar, ""}},
		"pipe":      {{"a", tar.TypeFifo, ""}},
		"twice":     {{"a", tar.TypeReg, "x"}, {"a", tar.TypeReg, "y"}},
	} {
		_, err := read(archive(t, members...))
		if found := fault.As(err); found == nil || found.Kind != fault.Unsafe {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sparse is an archive of a file with a hole of 100 MB. Go writes none: it is made of one that is nearly that.
func sparse(t *testing.T, records map[string]string, content string) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer := tar.NewWriter(made)
	header := &tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: int64(len(content)), PAXRecords: map[string]string{}}
	for name, value := range records {
		header.PAXRecords["GNU_sparse."+name] = value
	}
	if err := writer.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(writer, content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(made.Bytes(), []byte("GNU_sparse."), []byte("GNU.sparse."))
}

// oldSparse is such an archive as GNU tar wrote them before there was PAX.
func oldSparse(t *testing.T) []byte {
	t.Helper()
	made := archive(t, member{"a", tar.TypeReg, strings.Repeat("x", 512)})
	const kind, sums, sumsEnd, magic, holes, size = 156, 148, 156, 257, 386, 483
	made[kind] = tar.TypeGNUSparse
	copy(made[magic:], "ustar  \x00")
	copy(made[holes:], fmt.Sprintf("%011o\x00%011o\x00", 0, 512))
	copy(made[size:], fmt.Sprintf("%011o\x00", 100_000_000))
	copy(made[sums:sumsEnd], "        ")
	sum := 0
	for _, one := range made[:512] {
		sum += int(one)
	}
	copy(made[sums:], fmt.Sprintf("%06o\x00 ", sum))
	return made
}

func TestSparseFilesAreRefusedBeforeTheyAreUnpacked(t *testing.T) {
	data := strings.Repeat("x", 512)
	table := fmt.Sprintf("%-512s", "2\n0\n512\n100000000\n0\n") + data
	for name, source := range map[string][]byte{
		"old": oldSparse(t),
		"0.1": sparse(t, map[string]string{"map": "0,512", "numblocks": "1", "size": "100000000"}, data),
		"1.0": sparse(t, map[string]string{"major": "1", "minor": "0", "realsize": "100000000"}, strings.ReplaceAll(table, " ", "\x00")),
	} {
		header, err := tar.NewReader(bytes.NewReader(source)).Next()
		if err != nil || header.Size != 100_000_000 {
			t.Fatalf("%s: no sparse file, so nothing is tested: %+v %v", name, header, err)
		}
		for _, links := range []bool{false, true} {
			err := Entries(bytes.NewReader(source), "test", links, func(Entry, io.Reader) error { return errors.New("it is visited") })
			if found := fault.As(err); found == nil || found.Kind != fault.Unsafe || !strings.Contains(found.Text, "sparse") {
				t.Errorf("%s, links %t: %v", name, links, err)
			}
		}
	}
}

func TestBombsAreRefused(t *testing.T) {
	bomb := archive(t, member{"a", tar.TypeReg, strings.Repeat("\x00", 100<<20)})
	for name, source := range map[string][]byte{
		"ratio":  squeezed(t, bomb),
		"window": squeezed(t, slices.Concat(bomb, make([]byte, 512<<20)), zstd.WithWindowSize(512<<20)),
	} {
		_, err := read(source)
		if found := fault.As(err); found == nil || found.Kind != fault.Unsafe {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := &bytes.Buffer{}
	writer := tar.NewWriter(many)
	for number := range MaxEntries + 1 {
		if err := writer.WriteHeader(&tar.Header{Name: fmt.Sprint(number), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(many.Bytes()); fault.As(err) == nil || fault.As(err).Kind != fault.Unsafe {
		t.Errorf("many: %v", err)
	}
}

// The decoder reads ahead while the bound is looked at, which is what this is for under -race.
func TestLargeFilesPassTheBound(t *testing.T) {
	text := make([]byte, Allowance+16<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(text)
	source := squeezed(t, archive(t, member{"a", tar.TypeReg, string(text)}), zstd.WithEncoderLevel(zstd.SpeedFastest))
	err := Tar(bytes.NewReader(source), "test", func(_ Entry, content io.Reader) error {
		count, err := io.Copy(io.Discard, content)
		if count != int64(len(text)) {
			t.Error(count)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDamageIsTold(t *testing.T) {
	plain := archive(t, member{"a", tar.TypeReg, strings.Repeat("text ", 1000)})
	whole := squeezed(t, plain)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, one := range map[string]struct {
		source []byte
		kind   *fault.Kind
	}{
		"checksum":  {flipped, fault.Corrupt},
		"truncated": {whole[:len(whole)-5], fault.Truncated},
		"cut tar":   {plain[:700], fault.Truncated},
		"following": {slices.Concat(plain, []byte("more")), fault.Contents},
		"no tar":    {[]byte(strings.Repeat("no archive ", 100)), fault.Corrupt},
	} {
		_, err := read(one.source)
		if found := fault.As(err); found == nil || found.Kind != one.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFoldersAreNotLeft(t *testing.T) {
	place := t.TempDir()
	if err := os.WriteFile(filepath.Join(place, "a"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := OpenFolder(place)
	if err != nil || len(folder.Entries) != 1 || folder.Entries[0] != (Entry{"a", 4}) {
		t.Fatal(folder, err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(place, "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(place); fault.As(err) == nil || fault.As(err).Kind != fault.Unsafe {
		t.Error(err)
	}
}

func TestHashersHashAllThatIsWritten(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1_000_000)
	for _, step := range []int{1 << 10, 3_000_000, len(data)} {
		hasher := NewHasher()
		for part := range slices.Chunk(data, step) {
			if _, err := hasher.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		digest, size := hasher.Sum()
		if sum := sha256.Sum256(data); digest != hex.EncodeToString(sum[:]) || size != int64(len(data)) {
			t.Errorf("in steps of %d: %s of %d", step, digest, size)
		}
	}
}

func FuzzTar(f *testing.F) {
	plain := archive(f, member{"a", tar.TypeReg, "text"}, member{"b/c", tar.TypeReg, "more"})
	f.Add(plain)
	f.Add(squeezed(f, plain))
	f.Add(archive(f, member{"../a", tar.TypeReg, "x"}))
	f.Add(archive(f, member{"a", tar.TypeSymlink, "/"}))
	f.Fuzz(func(t *testing.T, source []byte) {
		found, err := read(source)
		for name := range found {
			if !filepath.IsLocal(name) {
				t.Errorf("%q leads elsewhere", name)
			}
		}
		if err != nil && fault.As(err) == nil {
			t.Errorf("no fault, and so an error of the machine: %v", err)
		}
	})
}
