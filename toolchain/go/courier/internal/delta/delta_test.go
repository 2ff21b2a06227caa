// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
)

// member is a file of an archive.
type member struct {
	name    string
	content []byte
}

func dice(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func noise(seed byte, size int) []byte {
	content := make([]byte, size)
	_, _ = dice(seed).Read(content)
	return content
}

// archive packs members as Zarf and UDS do.
func archive(t *testing.T, modified time.Time, members ...member) []byte {
	t.Helper()
	var packed bytes.Buffer
	encoder, err := zstd.NewWriter(&packed)
	must(t, err)
	plain := tar.NewWriter(encoder)
	for _, one := range members {
		must(t, plain.WriteHeader(&tar.Header{Name: one.name, Mode: 0o644, Size: int64(len(one.content)), ModTime: modified}))
		_, err := plain.Write(one.content)
		must(t, err)
	}
	must(t, errors.Join(plain.Close(), encoder.Close()))
	return packed.Bytes()
}

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

func code(err error) int {
	var told *exit.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return -1
}

// round makes a delta of two files, applies it, and compares; it gives the delta's size and what was said of it.
func round(t *testing.T, name string, before, after []byte) *Summary {
	t.Helper()
	folder := t.TempDir()
	old := save(t, filepath.Join(folder, "old", name), before)
	next := save(t, filepath.Join(folder, "new", name), after)
	path := filepath.Join(folder, "a.delta")
	summary, err := Create(context.Background(), old, next, path, nil)
	must(t, err)
	result := filepath.Join(folder, "result")
	_, err = Apply(context.Background(), old, path, result, nil)
	must(t, err)
	got, err := os.ReadFile(result)
	must(t, err)
	if !bytes.Equal(got, after) {
		t.Fatalf("%d other bytes came out, %d went in", len(got), len(after))
	}
	return summary
}

var (
	early = time.Unix(1_700_000_000, 0)
	late  = time.Unix(1_800_000_000, 123_000_000)
)

func TestWhatMembersShareIsNotCarried(t *testing.T) {
	weights := member{"blobs/sha256/weights", noise(1, 20<<20)}
	before := archive(t, early, member{"blobs/sha256/code", noise(2, 300_000)}, member{"blobs/sha256/base", noise(3, 2<<20)}, weights)
	after := archive(t, late, member{"blobs/sha256/base", noise(3, 2<<20)}, member{"blobs/sha256/new", noise(4, 310_000)}, weights)
	summary := round(t, "bundle.tar.zst", before, after)
	// The new member, and headers.
	if summary.Size > 320_000 || summary.Repacked != 1 || len(summary.AsIs) != 0 {
		t.Fatalf("%+v", summary)
	}
}

func TestMembersInAnotherOrderArePutAside(t *testing.T) {
	a, b, c := member{"a", noise(1, 5<<20)}, member{"b", noise(2, 1<<20)}, member{"c", noise(3, 1<<20)}
	summary := round(t, "x.tar.zst", archive(t, early, a, b, c), archive(t, early, c, b, a))
	// The largest streams, the two others wait.
	if summary.Size > 10_000 || summary.Aside < 2<<20 || summary.Aside > 2<<20+10_000 {
		t.Fatalf("%+v", summary)
	}
}

func TestAnInsertionInsideAMemberCostsOnlyItsPieces(t *testing.T) {
	content := noise(1, 8<<20)
	changed := slices.Concat(content[:3<<20], []byte("something new"), content[3<<20:])
	for _, name := range []string{"a.tar.zst", "a.bin"} {
		before, after := content, changed
		if name == "a.tar.zst" {
			before, after = archive(t, early, member{"m", content}), archive(t, late, member{"m", changed})
		}
		if summary := round(t, name, before, after); summary.Size > 3*largest {
			t.Fatalf("%s: %+v", name, summary)
		}
	}
}

func TestALineInAReportCostsLittle(t *testing.T) {
	var text bytes.Buffer
	for words := rand.New(dice(1)); text.Len() < 1<<20; {
		fmt.Fprintf(&text, "line %x\n", words.Uint64())
	}
	changed := bytes.Replace(text.Bytes(), []byte("line"), []byte("another line"), 1)
	if summary := round(t, "report.json", text.Bytes(), changed); summary.Size > 10_000 {
		t.Fatalf("%+v", summary)
	}
	before, after := archive(t, early, member{"m", text.Bytes()[:900_000]}), archive(t, early, member{"m", changed[:900_008]})
	if summary := round(t, "a.tar.zst", before, after); summary.Size > 10_000 {
		t.Fatalf("%+v", summary)
	}
}

// sparse is an archive of a file that ends in a hole of 8 MB. Go writes none: it is made of one that is nearly that.
func sparse(t *testing.T, seed byte) []byte {
	t.Helper()
	const size = 100_000
	var made bytes.Buffer
	writer := tar.NewWriter(&made)
	records := map[string]string{
		"GNU_sparse.map": fmt.Sprintf("0,%d", size), "GNU_sparse.numblocks": "1", "GNU_sparse.size": fmt.Sprint(size + 8<<20),
	}
	must(t, writer.WriteHeader(&tar.Header{Name: "m", Size: size, PAXRecords: records}))
	_, err := writer.Write(noise(seed, size))
	must(t, errors.Join(err, writer.Close()))
	return bytes.ReplaceAll(made.Bytes(), []byte("GNU_sparse."), []byte("GNU.sparse."))
}

func TestOddFilesComeOutAsTheyWere(t *testing.T) {
	plain := archive(t, early, member{"m", noise(1, 100_000)})
	large := archive(t, early, member{"m", noise(1, probed+2<<20)})
	var pax bytes.Buffer
	writer := tar.NewWriter(&pax)
	must(t, writer.WriteHeader(&tar.Header{Name: "long/" + fmt.Sprint(noise(9, 200)), Size: 3, Format: tar.FormatPAX}))
	_, err := writer.Write([]byte("abc"))
	must(t, errors.Join(err, writer.Close()))
	for name, pair := range map[string][2][]byte{
		"empty":              {{}, {}},
		"from-empty":         {{}, noise(1, 5000)},
		"to-empty":           {noise(1, 5000), {}},
		"one":                {{1}, {2}},
		"small.tar.zst":      {plain, archive(t, late, member{"m", noise(1, 100_001)})},
		"junk.tar.zst":       {plain, append(slices.Clone(plain), "junk"...)},
		"junk-later.tar.zst": {append(slices.Clone(large), "old junk"...), append(slices.Clone(large), "new junk"...)},
		"cut-later.tar.zst":  {large[:len(large)-5000], large[:len(large)-9000]},
		"none.tar.zst":       {plain, noise(3, 70_000)},
		"truncated.tar.zst":  {plain, plain[:len(plain)/2]},
		"two.tar.zst":        {plain, slices.Concat(plain, plain)},
		"pax.tar":            {pax.Bytes(), append(pax.Bytes(), noise(1, 10)...)},
		"sparse.tar":         {sparse(t, 1), sparse(t, 2)},
	} {
		t.Run(name, func(t *testing.T) { round(t, name, pair[0], pair[1]) })
	}
}

func TestEveryLevelIsFound(t *testing.T) {
	var text bytes.Buffer
	for words := rand.New(dice(1)); text.Len() < 10<<20; {
		fmt.Fprintf(&text, "word %d of a text; ", words.IntN(3000))
	}
	for level := 1; level <= maxLevel; level++ {
		var packed bytes.Buffer
		encoder, err := pack(&packed, level)
		must(t, err)
		_, err = encoder.Write(text.Bytes())
		must(t, errors.Join(err, encoder.Close()))
		path := save(t, filepath.Join(t.TempDir(), "x"), packed.Bytes())
		file, err := os.Open(path)
		must(t, err)
		found, err := levelsOf(file)
		must(t, errors.Join(err, file.Close()))
		if !slices.Equal(found, []int{level}) {
			t.Errorf("level %d was taken for %v", level, found)
		}
	}
}

func TestTheNumberOfCoresAndOfWritesChangesNoByte(t *testing.T) {
	content := slices.Concat(noise(1, 3<<20), bytes.Repeat([]byte("the same "), 400_000), noise(2, 1<<20))
	var sums [][32]byte
	for _, cores := range []int{1, 2, 7} {
		for _, step := range []int{777, 1 << 20, len(content)} {
			var packed bytes.Buffer
			encoder, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(cores))
			must(t, err)
			for part := range slices.Chunk(content, step) {
				_, err := encoder.Write(part)
				must(t, err)
			}
			must(t, encoder.Close())
			sums = append(sums, sha256.Sum256(packed.Bytes()))
		}
	}
	if len(slices.Compact(sums)) != 1 {
		t.Fatal("packing depends on cores or writes: deltas could not be applied elsewhere")
	}
}

func TestFoldersShareWhatIsNewOnce(t *testing.T) {
	folder := t.TempDir()
	old, next := filepath.Join(folder, "old"), filepath.Join(folder, "new")
	weights, layer := member{"w", noise(1, 4<<20)}, member{"l", noise(2, 500_000)}
	save(t, filepath.Join(old, "packages/p-1.0.tar.zst"), archive(t, early, weights))
	save(t, filepath.Join(old, "bundles/b-1.0.tar.zst"), archive(t, early, member{"x", noise(3, 99_000)}, weights))
	save(t, filepath.Join(old, "tools/zarf"), noise(5, 1<<20))
	save(t, filepath.Join(next, "packages/p-1.1.tar.zst"), archive(t, late, layer, weights))
	save(t, filepath.Join(next, "bundles/b-1.1.tar.zst"), archive(t, late, layer, member{"x", noise(3, 99_000)}, weights))
	must(t, os.Chmod(save(t, filepath.Join(next, "tools/zarf"), noise(5, 1<<20)), 0o755))
	save(t, filepath.Join(next, "empty"), nil)
	path, result := filepath.Join(folder, "d"), filepath.Join(folder, "result")
	summary, err := Create(context.Background(), old, next, path, nil)
	must(t, err)
	if summary.Size > 520_000 || summary.Same != 1 || summary.Repacked != 2 || summary.Aside != 0 {
		t.Errorf("%+v", summary)
	}
	_, err = Apply(context.Background(), old, path, result, nil)
	must(t, err)
	if got, want := tree(t, result), tree(t, next); got != want {
		t.Errorf("%s came out, %s went in", got, want)
	}
}

func tree(t *testing.T, folder string) string {
	t.Helper()
	list, _, err := files.List(folder)
	must(t, err)
	var text bytes.Buffer
	for _, file := range list {
		content, err := os.ReadFile(file.Place)
		must(t, err)
		fmt.Fprintf(&text, "%s %v %x\n", file.Path, file.Executable, sha256.Sum256(content))
	}
	return text.String()
}

func TestInterruptedWorkLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	old, next := save(t, filepath.Join(folder, "in/a.tar.zst"), archive(t, early, member{"m", noise(1, 9<<20)})),
		save(t, filepath.Join(folder, "in/b.tar.zst"), archive(t, early, member{"m", noise(2, 9<<20)}))
	path := filepath.Join(folder, "out/d")
	_, err := Create(context.Background(), old, next, path, nil)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Apply(ctx, old, path, filepath.Join(folder, "out/new"), nil)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err = Create(ctx, old, next, filepath.Join(folder, "out/e"), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := names(t, filepath.Join(folder, "out")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func names(t *testing.T, folder string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}
