// SPDX-License-Identifier: Apache-2.0

package content

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/stream"
)

const wholeBill = `{"artifacts": [{"name": "a", "of": [1, {"b": null}]}], "source": {"id": "x", "metadata": {"imageID": "sha256:1"}}}`

func packed(t *testing.T, texts map[string]string) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer := tar.NewWriter(made)
	for name, text := range texts {
		if err := writer.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(writer, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

func read(reader *Reader, name string, data []byte) (*File, error) {
	return reader.file(stream.Entry{Name: name, Size: int64(len(data))}, bytes.NewReader(data))
}

func TestBillsOfMaterialsAreFoundWhereTheyMayLie(t *testing.T) {
	archive := packed(t, map[string]string{"a.json": wholeBill, "b.json": "{}", "etc/c.json": wholeBill, "viewer.html": "<p>"})
	for name, expected := range map[string][]Inner{
		"sboms.tar":            {{"a.json", "sha256:1"}, {"b.json", ""}},
		"blobs/sha256/1":       {{"a.json", "sha256:1"}, {"b.json", ""}},
		"components/a.tar":     nil,
		"images/blobs/sha256/": nil,
	} {
		file, err := read(&Reader{}, name, archive)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(file.Inside, func(a, b Inner) int { return strings.Compare(a.Name, b.Name) })
		if !slices.Equal(file.Inside, expected) {
			t.Errorf("%s: %v", name, file.Inside)
		}
	}
}

func TestWorkStopsWhereNothingMoreIsReadOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(path, packed(t, map[string]string{"a": "text"}), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	reader := &Reader{Count: func(int64) error {
		stop()
		return nil
	}}
	contents, err := reader.Archive(ctx, path, "a")
	if !errors.Is(err, context.Canceled) || len(contents.Files) > 0 {
		t.Errorf("%v %v", contents.Files, err)
	}
}

// Nobody has signed what is read here.
func TestABillOfMaterialsTakesLittleMemory(t *testing.T) {
	const size = 100 << 20
	for name, text := range map[string]string{
		"nesting": strings.Repeat("[", size),
		"string":  `"` + strings.Repeat("a", size) + `"`,
		"spaces":  strings.Repeat(" ", size),
	} {
		archive := packed(t, map[string]string{
			"a.json": `{"artifacts": ` + text, "b.json": `{"source": {"metadata": {"imageID": ` + text, "c.json": wholeBill,
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := read(&Reader{}, "sboms.tar", archive)
		runtime.ReadMemStats(&after)
		if err != nil || len(file.Inside) != 3 {
			t.Fatalf("%s: %v %v", name, file, err)
		}
		for _, inner := range file.Inside {
			if found := inner.ImageID; found != map[string]string{"c.json": "sha256:1"}[inner.Name] {
				t.Errorf("%s: %s is of image %q", name, inner.Name, found)
			}
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
			t.Errorf("%s: %d bytes were allocated", name, grown)
		}
	}
}

func TestNamesOfBillsAreBoundedInAllArchivesTogether(t *testing.T) {
	texts := map[string]string{}
	for number := range MaxBills/2 + 1 {
		texts[fmt.Sprintf("%d.json", number)] = ""
	}
	archive, reader := packed(t, texts), &Reader{}
	if file, err := read(reader, "blobs/sha256/1", archive); err != nil || len(file.Inside) != len(texts) {
		t.Fatal(file, err)
	}
	_, err := read(reader, "blobs/sha256/2", archive)
	if found := fault.As(err); found == nil || found.Kind != fault.Unsafe {
		t.Error(err)
	}
}
