// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

// names lists a folder.
func names(t *testing.T, folder string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func expect(t *testing.T, found []string, wanted ...string) {
	t.Helper()
	if !slices.Equal(found, wanted) {
		t.Errorf("expected %q, found %q", wanted, found)
	}
}

// A teller passes on what a program says.
type teller chan string

func (t teller) Write(said []byte) (int, error) {
	t <- string(said)
	return len(said), nil
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
	expect(t, names(t, filepath.Dir(to)), ".m.lock", "m")
}

func TestASecondReplicaWaitsForTheFirst(t *testing.T) {
	content := map[string]string{"a": strings.Repeat("weights!", 40_000)}
	from, pipe, to := model(t, content), model(t, content), filepath.Join(t.TempDir(), "m")
	source := filepath.Join(pipe, "a")
	if err := errors.Join(os.Remove(source), syscall.Mkfifo(source, 0o644)); err != nil {
		t.Fatal(err)
	}
	results, said := make(chan error, 2), make(teller, 9)
	go func() { results <- run([]string{pipe, to}, io.Discard) }()
	feed, err := os.OpenFile(source, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: a part of it has been read.
	if _, err := io.WriteString(feed, content["a"][:200_000]); err != nil {
		t.Fatal(err)
	}
	expect(t, names(t, to))

	go func() { results <- run([]string{from, to}, said) }()
	if first := <-said; first != "waiting for another copy to "+to+"\n" {
		t.Error(first)
	}
	if _, err := io.WriteString(feed, content["a"][200_000:]); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(feed.Close(), <-results, <-results); err != nil {
		t.Fatal(err)
	}
	if last := <-said; !strings.Contains(last, "of which 0.0 were copied") {
		t.Error(last)
	}
	expect(t, names(t, to), "a", manifestName)
}

func TestModelsInOneVolumeLeaveEachOtherAlone(t *testing.T) {
	volume := t.TempDir()
	for _, name := range []string{"old", "new"} {
		if err := run([]string{model(t, map[string]string{name + ".gguf": name}), filepath.Join(volume, name)}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, names(t, volume), ".new.lock", ".old.lock", "new", "old")
	expect(t, names(t, filepath.Join(volume, "old")), manifestName, "old.gguf")
	expect(t, names(t, filepath.Join(volume, "new")), manifestName, "new.gguf")
}

func TestAModelAfterAnotherInOneFolderIsThereAlone(t *testing.T) {
	to := filepath.Join(t.TempDir(), "m")
	first := map[string]string{"a.gguf": "weights", "file": "1", "folder/b": "2", "gone/c": "3"}
	second := map[string]string{"b.gguf": "weights", "file/b": "1", "folder": "2"}
	for _, content := range []map[string]string{first, second} {
		// With trailing slash, too, all that is not of the model lies beside its folder.
		if err := run([]string{model(t, content), to + "/"}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, names(t, to), "b.gguf", "file", "folder", manifestName)
	expect(t, names(t, filepath.Join(to, "file")), "b")
}

func TestAFileTooManyIsRemovedFromACompleteCopy(t *testing.T) {
	from, to := model(t, map[string]string{"a": "weights"}), filepath.Join(t.TempDir(), "m")
	for range 2 {
		if err := run([]string{from, to}, io.Discard); err != nil {
			t.Fatal(err)
		}
		expect(t, names(t, to), "a", manifestName)
		write(t, filepath.Join(to, "other"), "weights")
	}
}

func TestWhatAKilledCopyLeftIsRemoved(t *testing.T) {
	from, volume := model(t, map[string]string{"a": "weights"}), t.TempDir()
	write(t, filepath.Join(volume, ".m.parts", "left"), "wei")
	if err := run([]string{from, filepath.Join(volume, "m")}, io.Discard); err != nil {
		t.Fatal(err)
	}
	expect(t, names(t, volume), ".m.lock", "m")
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
			from, to := model(t, map[string]string{"a": "weights"}), filepath.Join(t.TempDir(), "m")
			write(t, filepath.Join(from, "a"), content)
			err := run([]string{from, to}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), "a is not the file that manifest.json names") {
				t.Fatal(err)
			}
			expect(t, names(t, to))
			expect(t, names(t, filepath.Dir(to)), ".m.lock", "m")
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
