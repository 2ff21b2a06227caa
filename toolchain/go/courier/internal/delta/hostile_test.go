// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/files"
)

// sample is an old file, a good delta, and what comes out.
func sample(t *testing.T) (old string, good []byte) {
	t.Helper()
	folder := t.TempDir()
	old = save(t, filepath.Join(folder, "old/a.tar.zst"), archive(t, early, member{"m", noise(1, 300_000)}))
	next := save(t, filepath.Join(folder, "new/a.tar.zst"), archive(t, late, member{"m", noise(1, 300_000)}, member{"n", noise(2, 500)}))
	path := filepath.Join(folder, "d")
	_, err := Create(context.Background(), old, next, path, nil)
	must(t, err)
	good, err = os.ReadFile(path)
	must(t, err)
	return old, good
}

// refused applies a delta that must be refused with a code, and must leave nothing.
func refused(t *testing.T, old string, content []byte, want int) error {
	t.Helper()
	root := t.TempDir()
	path := save(t, filepath.Join(t.TempDir(), "d"), content)
	_, err := Apply(context.Background(), old, path, filepath.Join(root, "out"), nil)
	if code(err) != want {
		t.Fatalf("code %d, expected %d: %v", code(err), want, err)
	}
	if found := names(t, root); len(found) > 0 {
		t.Errorf("written: %v", found)
	}
	return err
}

// forged is a delta with another header or payload, of which all sums are right.
func forged(t *testing.T, good []byte, change func(*Header, *[]byte)) []byte {
	t.Helper()
	reader := bytes.NewReader(good)
	header, err := readHeader(reader)
	must(t, err)
	payload := slices.Clone(good[len(good)-reader.Len():])
	change(header, &payload)
	digest, size, err := files.Digest(bytes.NewReader(payload))
	must(t, err)
	if header.Payload.Path == "" {
		header.Payload = Known{Size: size, SHA256: digest}
	}
	var out bytes.Buffer
	must(t, header.write(&out))
	return append(out.Bytes(), payload...)
}

func TestAWrongOldIsToldBeforeAnyWork(t *testing.T) {
	_, good := sample(t)
	other := save(t, filepath.Join(t.TempDir(), "a.tar.zst"), archive(t, early, member{"m", noise(9, 300_000)}))
	err := refused(t, other, good, files.WrongOld)
	if !strings.Contains(err.Error(), "a.tar.zst") {
		t.Error(err)
	}
	refused(t, filepath.Dir(other), good, files.WrongOld)
	refused(t, other+".none", good, files.Missing)
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	old, good := sample(t)
	places := rand.New(dice(3))
	for number := range 100 {
		at := number
		if number > 30 {
			at = places.IntN(len(good))
		}
		damaged := slices.Clone(good)
		damaged[at] ^= 1 << places.IntN(8)
		path := save(t, filepath.Join(t.TempDir(), "d"), damaged)
		_, err := Apply(context.Background(), old, path, filepath.Join(t.TempDir(), "out"), nil)
		if got := code(err); got != files.Damaged && got != files.Malformed {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	header := bytes.Index(good, []byte("}}")) + 2
	for size, want := range map[int]int{
		0: files.Malformed, 5: files.Malformed, 30: files.Malformed, header: files.Malformed,
		header + 40: files.Damaged, len(good) - 1: files.Damaged,
	} {
		refused(t, old, good[:size], want)
	}
	refused(t, old, append(slices.Clone(good), 0), files.Damaged)
}

func TestForgedHeadersAreRefused(t *testing.T) {
	old, good := sample(t)
	for name, change := range map[string]func(*Header){
		"above":          func(h *Header) { h.Folder = true; h.New[0].Path = "../escaped" },
		"absolute":       func(h *Header) { h.New[0].Path = "/tmp/escaped" },
		"backslash":      func(h *Header) { h.New[0].Path = `..\escaped` },
		"escape codes":   func(h *Header) { h.New[0].Path = "a\x1b[2J" },
		"old above":      func(h *Header) { h.Old[0].Path = "../../etc/passwd" },
		"huge":           func(h *Header) { h.New[0].Size = 1 << 62 },
		"negative":       func(h *Header) { h.New[0].Unpacked = -1 },
		"literals":       func(h *Header) { h.New[0].Literals = 1 << 40 },
		"overlap":        func(h *Header) { h.New[0].Literals, h.New[0].Instructions = -5, h.Payload.Size+5 },
		"level":          func(h *Header) { h.New[0].Level = 99 },
		"origin":         func(h *Header) { h.New[0].Origins[0].File = 7 },
		"origin before":  func(h *Header) { h.New[0].Origins[0].File = -1 },
		"itself":         func(h *Header) { h.New[0].Origins[0].New = true },
		"origins":        func(h *Header) { h.New[0].Origins = make([]Origin, 200) },
		"same":           func(h *Header) { same := 4; h.New[0].Same = &same },
		"same as other":  func(h *Header) { same := 0; h.New[0].Same = &same; h.New[0].Literals, h.New[0].Instructions = 0, 0 },
		"nothing":        func(h *Header) { h.New = nil },
		"version":        func(h *Header) { h.Version = 2 },
		"twice":          func(h *Header) { h.Folder = true; h.New = append(h.New, h.New[0]) },
		"several":        func(h *Header) { h.Old = append(h.Old, h.Old[0]) },
		"digest":         func(h *Header) { h.New[0].SHA256 = "../x" },
		"more unpacked":  func(h *Header) { h.New[0].Unpacked++ },
		"less unpacked":  func(h *Header) { h.New[0].Unpacked-- },
		"payload digest": func(h *Header) { h.Payload = Known{Path: "kept", Size: h.Payload.Size, SHA256: "00"} },
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { change(h) }), files.Malformed)
		})
	}
	refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { h.New[0].SHA256 = h.Old[0].SHA256 }), files.Malformed)
	refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { h.New[0].Size++ }), files.Malformed)
	refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { h.New[0].Size = 10 }), files.Malformed)
	err := refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { h.New[0].Level, h.Encoder = 1, "another v9" }), files.Malformed)
	if !strings.Contains(err.Error(), "another v9") {
		t.Error(err)
	}
	refused(t, old, forged(t, good, func(h *Header, _ *[]byte) { h.New[0].Size = files.MaxSize }), files.DiskFull)
}

func TestForgedInstructionsAreRefused(t *testing.T) {
	old, good := sample(t)
	line := func(values ...uint64) (text []byte) {
		for _, value := range values {
			text = binary.AppendUvarint(text, value)
		}
		return text
	}
	for name, raw := range map[string][]byte{
		"beyond the old":  append(line(1, 300_000), binary.AppendVarint(nil, 1<<40)...),
		"before the old":  append(line(1, 300_000), binary.AppendVarint(nil, -5)...),
		"far":             append(line(1, 300_000), binary.AppendVarint(nil, 1<<62)...),
		"no origin":       line(9, 10, 0),
		"nothing":         line(0, 0),
		"endless":         line(0, 1<<63),
		"more literals":   line(0, 300_000),
		"cut off":         {0x80},
		"cut off later":   line(1, 300_000),
		"a million lines": bytes.Repeat(append(line(1, 1), binary.AppendVarint(nil, -1)...), 3<<20),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, old, forged(t, good, func(h *Header, payload *[]byte) {
				target := &h.New[0]
				target.Unpacked = 300_000
				if name == "a million lines" {
					target.Unpacked = 3 << 20
				}
				packed := pressed(t, raw)
				*payload = append((*payload)[:target.Literals], packed...)
				target.Instructions = int64(len(packed))
			}), files.Malformed)
		})
	}
}

func pressed(t *testing.T, raw []byte) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	must(t, err)
	return encoder.EncodeAll(raw, nil)
}

// A few kilobytes that unpack to gigabytes must neither fill memory nor the disk.
func TestBombsAreRefusedInLittleMemory(t *testing.T) {
	old, good := sample(t)
	var bomb bytes.Buffer
	encoder, err := zstd.NewWriter(&bomb)
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 4096 {
		_, err := encoder.Write(zeros)
		must(t, err)
	}
	must(t, encoder.Close())
	for name, change := range map[string]func(*Header, *[]byte){
		"instructions": func(h *Header, payload *[]byte) {
			target := &h.New[0]
			*payload = append((*payload)[:target.Literals], bomb.Bytes()...)
			target.Instructions = int64(bomb.Len())
		},
		"literals": func(h *Header, payload *[]byte) {
			target := &h.New[0]
			instructions := pressed(t, binary.AppendUvarint([]byte{0}, 4<<30))
			*payload = append(slices.Clone(bomb.Bytes()), instructions...)
			target.Literals, target.Instructions = int64(bomb.Len()), int64(len(instructions))
			target.Unpacked, target.Level = 4<<30, 0
		},
		"window": func(h *Header, payload *[]byte) {
			target := &h.New[0]
			// A frame's header that asks for a window of 1 GiB.
			frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00}
			*payload = append((*payload)[:target.Literals], frame...)
			target.Instructions = int64(len(frame))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			refused(t, old, forged(t, good, change), files.Malformed)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 128<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

func TestAHeaderThatSaysItIsLargeTakesNoMemory(t *testing.T) {
	old, _ := sample(t)
	front := binary.LittleEndian.AppendUint32([]byte(magic), maxHeader)
	refused(t, old, append(front, '{'), files.Malformed)
	refused(t, old, binary.LittleEndian.AppendUint32([]byte(magic), maxHeader+1), files.Malformed)
	text, err := json.Marshal(map[string]any{"format": "cowabunga-delta"})
	must(t, err)
	refused(t, old, append(binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text))), text...), files.Malformed)
}

func TestNothingIsOverwritten(t *testing.T) {
	old, good := sample(t)
	path := save(t, filepath.Join(t.TempDir(), "d"), good)
	if _, err := Apply(context.Background(), old, path, old, nil); code(err) != files.Exists {
		t.Error(err)
	}
	if _, err := Create(context.Background(), old, old, path, nil); code(err) != files.Exists {
		t.Error(err)
	}
}

// The order in which pieces are copied must not matter, whatever it is.
func TestAnyOrderOfPiecesComesOut(t *testing.T) {
	for seed := range byte(3) {
		pieces := make([][]byte, 40)
		sizes := rand.New(dice(seed))
		for number := range pieces {
			pieces[number] = noise(seed+byte(number)*7, 20_000+sizes.IntN(200_000))
		}
		var before, after []member
		for number, piece := range pieces {
			before = append(before, member{fmt.Sprintf("%02d", number), piece})
		}
		for _, number := range sizes.Perm(len(pieces)) {
			after = append(after, before[number])
		}
		summary := round(t, "x.tar.zst", archive(t, early, before...), archive(t, early, append(after, before[:5]...)...))
		if summary.Size > 30_000 {
			t.Errorf("seed %d: %+v", seed, summary)
		}
	}
}

// FuzzHeader changes the text of headers, under sums that are right: of what is read, nothing may lead out of a folder or
// out of the payload.
func FuzzHeader(f *testing.F) {
	known := Known{Path: "a", Size: 10, SHA256: strings.Repeat("0", 64)}
	plain := func(path string, literals, instructions int64) Target {
		return Target{Known: Known{Path: path, Size: 10, SHA256: known.SHA256}, Literals: literals, Instructions: instructions}
	}
	for _, targets := range [][]Target{
		{plain("a", 4, 6)}, {plain("../a", 4, 6)}, {plain("a", -4, 14)}, {plain("a", 4, 5)}, {plain("a", 4, 7)},
		{plain("a", 4, 1), plain("b", 2, 3)}, {plain("a", 4, 1), plain("a", 2, 3)},
		{{Known: known, Literals: 4, Instructions: 6, Origins: []Origin{{File: 1}}}},
		{{Known: known, Literals: 4, Instructions: 6, Origins: []Origin{{File: 0, New: true}}}},
	} {
		payload := Known{Size: 10, SHA256: known.SHA256}
		text, err := json.Marshal(&Header{
			Format: "cowabunga-delta", Version: version, Folder: true, Old: []Known{known}, New: targets, Payload: payload,
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sum := sha256.Sum256(text)
		front := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(text)))
		header, err := readHeader(bytes.NewReader(slices.Concat(front, text, sum[:])))
		if err != nil {
			return
		}
		used, written := int64(0), map[string]bool{}
		for _, old := range header.Old {
			bounded(t, old)
		}
		for number, target := range header.New {
			bounded(t, target.Known)
			if written[target.Path] {
				t.Errorf("%q is written twice", target.Path)
			}
			written[target.Path] = true
			if target.Literals < 0 || target.Instructions < 0 || target.Unpacked < 0 || target.Unpacked > files.MaxSize {
				t.Errorf("sizes of %+v", target)
			}
			used += target.Literals + target.Instructions
			for _, origin := range target.Origins {
				if origin.File < 0 || origin.New && origin.File >= number || !origin.New && origin.File >= len(header.Old) {
					t.Errorf("origin %+v of file %d", origin, number)
				}
			}
			if target.Same != nil && (*target.Same < 0 || *target.Same >= len(header.Old)) {
				t.Errorf("file %d is the same as old file %d of %d", number, *target.Same, len(header.Old))
			}
		}
		if used != header.Payload.Size {
			t.Errorf("files take %d bytes of a payload that has %d", used, header.Payload.Size)
		}
	})
}

func bounded(t *testing.T, known Known) {
	t.Helper()
	if !filepath.IsLocal(known.Path) || strings.ContainsAny(known.Path, "\\\x1b") || known.Size < 0 || known.Size > files.MaxSize {
		t.Errorf("%+v leads elsewhere or has no size of a file", known)
	}
}
