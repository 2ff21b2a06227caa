// SPDX-License-Identifier: Apache-2.0

package media

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func save(t *testing.T, path string, content []byte) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, content, 0o644))
	return path
}

func noise(seed byte, size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(content)
	return content
}

func code(err error) int {
	var told *exit.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return -1
}

func split(t *testing.T, source, size string) (string, *Manifest) {
	t.Helper()
	capacity, err := ParseSize(size)
	must(t, err)
	output := filepath.Join(t.TempDir(), "media")
	manifest, err := Split(context.Background(), source, capacity, output, nil)
	must(t, err)
	for number := 1; number <= manifest.Media; number++ {
		used, err := sizeOf(medium(output, number, manifest.Media))
		must(t, err)
		if used > capacity.Medium {
			t.Errorf("medium %d holds %d bytes of %d", number, used, capacity.Medium)
		}
	}
	return output, manifest
}

func join(output string, offers ...string) error {
	_, err := Join(context.Background(), offers, output, false, nil)
	return err
}

func media(folder string, manifest *Manifest) (found []string) {
	for number := 1; number <= manifest.Media; number++ {
		found = append(found, medium(folder, number, manifest.Media))
	}
	return found
}

func left(t *testing.T, folder string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func release(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "dist")
	save(t, filepath.Join(folder, "index.html"), []byte("<html>"))
	save(t, filepath.Join(folder, "empty"), nil)
	must(t, os.Chmod(save(t, filepath.Join(folder, "tools/courier"), noise(1, 50_000)), 0o755))
	save(t, filepath.Join(folder, "bundles/it's large.tar.zst"), noise(2, 1_700_000))
	for number := range 20 {
		save(t, filepath.Join(folder, "packages", string(rune('a'+number))), noise(byte(number), 90_000))
	}
	return folder
}

func same(t *testing.T, a, b string) {
	t.Helper()
	if text, err := exec.Command("diff", "-r", a, b).CombinedOutput(); err != nil {
		t.Fatalf("%s and %s differ: %s", a, b, text)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Capacity{
		"4.7GB": {4_700_000_000, 4_700_000_000}, "700 MiB": {700 << 20, 700 << 20}, "65536": {65536, 65536},
		"1gib": {1 << 30, 1 << 30}, "100k": {100_000, 100_000}, "DVD": {dvd - system, fat32},
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "dvds", "-1GB", "1XB", "0", "1e9", "1kB", "9999999999TB", "NaN"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

func TestAFileGoesOverMediaAndComesBackInAnyOrder(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "bundle.tar.zst"), noise(1, 1_000_000))
	folder, manifest := split(t, source, "200kB")
	if manifest.Media < 6 || manifest.Media > 7 {
		t.Errorf("%d media", manifest.Media)
	}
	offers := media(folder, manifest)
	offers[0], offers[3] = offers[3], offers[0]
	output := filepath.Join(t.TempDir(), "out")
	must(t, join(output, offers...))
	same(t, source, output)
	must(t, join(filepath.Join(t.TempDir(), "again"), folder))
}

func TestAReleaseFolderIsPackedAndOnlyWhatIsTooLargeIsCut(t *testing.T) {
	source := release(t)
	folder, manifest := split(t, source, "500kB")
	for _, whole := range manifest.Files {
		if cut := len(whole.Parts) > 1; cut != strings.HasPrefix(whole.Path, "bundles/") {
			t.Errorf("%s has %d parts", whole.Path, len(whole.Parts))
		}
		if (whole.Path == "index.html" || whole.Path == "tools/courier") && whole.Parts[0].Medium != 1 {
			t.Errorf("%s is on medium %d", whole.Path, whole.Parts[0].Medium)
		}
	}
	// 3.5 MB of files, and clusters.
	if manifest.Media > 9 {
		t.Errorf("%d media", manifest.Media)
	}
	output := filepath.Join(t.TempDir(), "out")
	must(t, join(output, media(folder, manifest)...))
	same(t, source, output)
	about, err := os.Stat(filepath.Join(output, "tools/courier"))
	must(t, err)
	if about.Mode().Perm() != 0o755 {
		t.Errorf("courier came back as %v", about.Mode())
	}
}

// The commands in README.txt are run as they stand there, but for the places of the media.
func TestWhatREADMESaysWorksWithoutCourier(t *testing.T) {
	for _, source := range []string{release(t), save(t, filepath.Join(t.TempDir(), "it's.tar.zst"), noise(1, 500_000))} {
		folder, manifest := split(t, source, "300kB")
		text, err := os.ReadFile(filepath.Join(medium(folder, 1, manifest.Media), readmeName))
		must(t, err)
		work := t.TempDir()
		script := "set -e\n"
		for _, place := range media(folder, manifest) {
			script += "(cd '" + place + "' && sha256sum --check PARTS.sha256)\ncp -r '" + place + "'/. '" + work + "'\n"
		}
		script += "cd '" + work + "'\n"
		if manifest.Folder {
			script += "cd '" + manifest.Name + "'\n"
		}
		commands := 0
		for _, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "cat ") || strings.Contains(line, "WHOLE.sha256") && strings.HasPrefix(line, "sha256sum") {
				script += strings.ReplaceAll(line, "/media/1/", medium(folder, 1, manifest.Media)+"/") + "\n"
				commands++
			}
		}
		if text, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil || commands != 2 {
			t.Fatalf("%d commands: %v\n%s\n%s", commands, err, script, text)
		}
	}
}

func TestMissingPartsAreNamedAndNothingIsWritten(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "b"), noise(1, 500_000))
	folder, manifest := split(t, source, "200kB")
	offers := media(folder, manifest)
	output := filepath.Join(t.TempDir(), "out")
	err := join(output, offers[0], offers[2])
	if code(err) != files.Missing || !strings.Contains(err.Error(), "of medium 2 of 3") || !strings.Contains(err.Error(), "b.part-002") {
		t.Fatal(err)
	}
	if found := left(t, filepath.Dir(output)); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
	place := filepath.Join(offers[1], "b.part-002")
	must(t, os.Truncate(place, 100))
	if err := join(output, folder); code(err) != files.Missing || !strings.Contains(err.Error(), "not copied whole") {
		t.Fatal(err)
	}
}

func TestADamagedPartIsNamedUnlessThereIsAnotherCopy(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "b"), noise(1, 500_000))
	folder, _ := split(t, source, "200kB")
	place := filepath.Join(folder, "medium-02/b.part-002")
	content, err := os.ReadFile(place)
	must(t, err)
	spare := save(t, filepath.Join(t.TempDir(), "b.part-002"), content)
	content[7] ^= 1
	save(t, place, content)
	output := filepath.Join(t.TempDir(), "out")
	err = join(output, folder)
	if code(err) != files.Damaged || !strings.Contains(err.Error(), place) {
		t.Fatal(err)
	}
	if found := left(t, filepath.Dir(output)); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
	must(t, join(output, folder, spare))
	same(t, source, output)
}

func TestOneDriveIsEnough(t *testing.T) {
	source := release(t)
	folder, manifest := split(t, source, "500kB")
	output := filepath.Join(t.TempDir(), "out")
	offers := media(folder, manifest)
	for number, place := range offers {
		joined, err := Join(context.Background(), []string{place}, output, true, nil)
		if last := number == len(offers)-1; last != (err == nil) || joined.Whole != last {
			t.Fatalf("medium %d of %d: %+v %v", number+1, len(offers), joined, err)
		}
		if err != nil && code(err) != files.Missing {
			t.Fatal(err)
		}
	}
	same(t, source, output)
	if found := left(t, filepath.Dir(output)); len(found) != 1 {
		t.Errorf("left behind: %v", found)
	}
}

// later is a context that is interrupted after some questions whether it is.
type later struct {
	context.Context
	left int
}

func (l *later) Err() error {
	if l.left--; l.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestAnInterruptedJoinGoesOn(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "b"), noise(1, 4_000_000))
	folder, manifest := split(t, source, "1MB")
	output := filepath.Join(t.TempDir(), "out")
	runs, taken := 0, 0
	for questions := 4; ; questions++ {
		joined, err := Join(&later{context.Background(), questions}, []string{folder}, output, false, nil)
		if runs++; runs > 100 {
			t.Fatal("it does not end")
		}
		if _, gone := os.Stat(output); (gone == nil) != (err == nil) {
			t.Fatalf("the output is there: %v; the error: %v", gone == nil, err)
		}
		if err == nil {
			taken = joined.Parts
			break
		}
	}
	if runs < 3 || taken >= joinedParts(manifest) {
		t.Errorf("%d runs, the last took %d parts: nothing was gone on with", runs, taken)
	}
	same(t, source, output)
}

func joinedParts(manifest *Manifest) (count int) {
	for _, whole := range manifest.Files {
		count += len(whole.Parts)
	}
	return count
}

func TestNothingIsOverwritten(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "b"), noise(1, 300_000))
	folder, _ := split(t, source, "200kB")
	if err := join(source, folder); code(err) != files.Exists {
		t.Error(err)
	}
	capacity, err := ParseSize("200kB")
	must(t, err)
	if _, err := Split(context.Background(), source, capacity, folder, nil); code(err) != files.Exists {
		t.Error(err)
	}
	other, _ := split(t, save(t, filepath.Join(t.TempDir(), "b"), noise(2, 300_000)), "200kB")
	if err := join(filepath.Join(t.TempDir(), "o"), folder, other); code(err) != files.Damaged {
		t.Error(err)
	}
}

func TestRoomIsCheckedFirst(t *testing.T) {
	source := filepath.Join(t.TempDir(), "sparse")
	save(t, source, nil)
	// More than any disk of a test has, without holding a byte.
	must(t, os.Truncate(source, 15<<40))
	capacity, err := ParseSize("1TB")
	must(t, err)
	output := filepath.Join(t.TempDir(), "out")
	if _, err := Split(context.Background(), source, capacity, output, nil); code(err) != files.DiskFull {
		t.Fatal(err)
	}
	if found := left(t, filepath.Dir(output)); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestAManifestOfSomethingElseTravelsAsAnyFile(t *testing.T) {
	source := release(t)
	save(t, filepath.Join(source, "models/x/manifest.json"), []byte(`{"id": "x", "format": "gguf"}`))
	save(t, filepath.Join(source, "models/y/manifest.json"), []byte("no JSON"))
	folder, manifest := split(t, source, "500kB")
	for name, offers := range map[string][]string{"each medium": media(folder, manifest), "their folder": {folder}} {
		output := filepath.Join(t.TempDir(), "out")
		if err := join(output, offers...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, source, output)
	}
	save(t, filepath.Join(folder, "medium-02/manifest.json"), []byte("damaged"))
	if err := join(filepath.Join(t.TempDir(), "out"), folder); code(err) != files.Malformed {
		t.Errorf("a medium's own that is damaged: %v", err)
	}
}

func TestWhatTurnsOutWrongIsTakenAgainAndNothingElse(t *testing.T) {
	source := release(t)
	folder, manifest := split(t, source, "500kB")
	output := filepath.Join(t.TempDir(), "out")
	offers := media(folder, manifest)
	stage := filepath.Join(filepath.Dir(output), ".out.joining")
	for _, place := range offers[:len(offers)-1] {
		_, err := Join(context.Background(), []string{place}, output, true, nil)
		if code(err) != files.Missing {
			t.Fatal(err)
		}
	}
	wrong := manifest.Files[0]
	place := filepath.Join(stage, "new", wrong.Path)
	content, err := os.ReadFile(place)
	must(t, err)
	save(t, place, append([]byte{content[0] ^ 1}, content[1:]...))
	_, err = Join(context.Background(), offers[len(offers)-1:], output, true, nil)
	if code(err) != files.Damaged || !strings.Contains(err.Error(), wrong.Path) {
		t.Fatal(err)
	}
	joined, err := Join(context.Background(), offers, output, true, nil)
	must(t, err)
	if joined.Parts != len(wrong.Parts) {
		t.Errorf("%d parts were taken again, expected are %d", joined.Parts, len(wrong.Parts))
	}
	same(t, source, output)
}
