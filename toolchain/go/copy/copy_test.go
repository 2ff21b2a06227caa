// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func model(t *testing.T, contents map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	described := manifest{Format: 1, ID: "m", Licence: "MIT"}
	for path, content := range contents {
		write(t, filepath.Join(folder, path), content)
		sum := sha256.Sum256([]byte(content))
		described.Files = append(described.Files, file{path, int64(len(content)), hex.EncodeToString(sum[:])})
	}
	raw, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, manifestName), string(raw))
	return folder
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCopiesAllFilesAndTheManifest(t *testing.T) {
	from, to := model(t, map[string]string{"a.gguf": "weights", "sub/b.json": "{}"}), filepath.Join(t.TempDir(), "m")
	if err := run([]string{from, to}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a.gguf", "sub/b.json", manifestName} {
		if read(t, filepath.Join(from, path)) != read(t, filepath.Join(to, path)) {
			t.Errorf("%s differs", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(to, "*.part")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestASecondCopyWritesNothing(t *testing.T) {
	from, to := model(t, map[string]string{"a": "weights"}), t.TempDir()
	if err := run([]string{from, to}, io.Discard); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(to, "a"), old, old); err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	if err := run([]string{from, to}, said); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(filepath.Join(to, "a")); !info.ModTime().Equal(old) {
		t.Error("the file was written anew")
	}
	if !strings.Contains(said.String(), "of which 0.0 were copied") {
		t.Error(said)
	}
}

func TestADamagedCopyIsMended(t *testing.T) {
	from, to := model(t, map[string]string{"a": "weights", "b": "more"}), t.TempDir()
	if err := run([]string{from, to}, io.Discard); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "a"), "weightz")
	if err := run([]string{from, to}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(to, "a")) != "weights" {
		t.Error("not mended")
	}
}

func TestSwappedWeightsAreRefusedAndGetNoName(t *testing.T) {
	for name, content := range map[string]string{"other": "weightz", "shorter": "weight", "longer": "weights!"} {
		t.Run(name, func(t *testing.T) {
			from, to := model(t, map[string]string{"a": "weights"}), t.TempDir()
			write(t, filepath.Join(from, "a"), content)
			err := run([]string{from, to}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "a is not the file that manifest.json names") {
				t.Fatal(err)
			}
			if entries, _ := os.ReadDir(to); len(entries) > 0 {
				t.Errorf("left %v", entries)
			}
			if err := run([]string{"--check", from}, io.Discard); err == nil {
				t.Error("the check passed")
			}
		})
	}
}

func TestCheckPassesOnWhatIsAsNamed(t *testing.T) {
	if err := run([]string{"--check", model(t, map[string]string{"a": "weights"})}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func TestManifestsThatMustNotBeTrusted(t *testing.T) {
	sum := strings.Repeat("0", 64)
	for name, content := range map[string]string{
		"above":       `{"format":1,"files":[{"path":"../a","size":1,"sha256":"` + sum + `"}]}`,
		"absolute":    `{"format":1,"files":[{"path":"/etc/passwd","size":1,"sha256":"` + sum + `"}]}`,
		"itself":      `{"format":1,"files":[{"path":"manifest.json","size":1,"sha256":"` + sum + `"}]}`,
		"twice":       `{"format":1,"files":[{"path":"a","size":1,"sha256":"` + sum + `"},{"path":"a","size":1,"sha256":"` + sum + `"}]}`,
		"negative":    `{"format":1,"files":[{"path":"a","size":-1,"sha256":"` + sum + `"}]}`,
		"digest":      `{"format":1,"files":[{"path":"a","size":1,"sha256":"0"}]}`,
		"none":        `{"format":1,"files":[]}`,
		"format":      `{"format":2,"files":[{"path":"a","size":1,"sha256":"` + sum + `"}]}`,
		"no JSON":     `{`,
		"large":       strings.Repeat(" ", maxManifest+1),
		"dots inside": `{"format":1,"files":[{"path":"b/../a","size":1,"sha256":"` + sum + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, filepath.Join(folder, manifestName), content)
			if err := run([]string{folder, t.TempDir()}, io.Discard); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestALinkInPlaceOfAFileIsReplaced(t *testing.T) {
	from, to := model(t, map[string]string{"a": "weights"}), t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "secret")
	write(t, elsewhere, "weights")
	if err := os.Symlink(elsewhere, filepath.Join(to, "a")); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{from, to}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Lstat(filepath.Join(to, "a")); !info.Mode().IsRegular() {
		t.Error("the link stayed")
	}
}
