// SPDX-License-Identifier: Apache-2.0

package media

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"toolchain/courier/internal/files"
)

func TestManifestsFromElsewhereCannotDoHarm(t *testing.T) {
	source := save(t, filepath.Join(t.TempDir(), "b"), noise(1, 300_000))
	folder, _ := split(t, source, "200kB")
	text, err := os.ReadFile(filepath.Join(folder, "medium-01", manifestName))
	must(t, err)
	part := func(m *Manifest) *Part { return &m.Files[0].Parts[0] }
	for name, change := range map[string]func(*Manifest){
		"output above":      func(m *Manifest) { m.Files[0].Path = "../b" },
		"output absolute":   func(m *Manifest) { m.Files[0].Path = "/tmp/b" },
		"part above":        func(m *Manifest) { part(m).Path = "x/../../b" },
		"name above":        func(m *Manifest) { m.Name = ".." },
		"name with folder":  func(m *Manifest) { m.Name = "a/b" },
		"control character": func(m *Manifest) { part(m).Path = "b\x1b[2J" },
		"huge":              func(m *Manifest) { m.Files[0].Size, m.Size = 1<<62, 1<<62 },
		"negative":          func(m *Manifest) { part(m).Size = -1 },
		"sizes":             func(m *Manifest) { m.Files[0].Size++; m.Size++ },
		"overflow":          func(m *Manifest) { m.Files[0].Parts = []Part{*part(m), *part(m)} },
		"digest":            func(m *Manifest) { part(m).SHA256 = "x" },
		"medium":            func(m *Manifest) { part(m).Medium = 99 },
		"media":             func(m *Manifest) { m.Media = 1 << 40 },
		"no files":          func(m *Manifest) { m.Files, m.Size = nil, 0 },
		"twice":             func(m *Manifest) { m.Folder, m.Files, m.Size = true, append(m.Files, m.Files[0]), 2*m.Size },
		"version":           func(m *Manifest) { m.Version = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			manifest := &Manifest{}
			must(t, json.Unmarshal(text, manifest))
			change(manifest)
			changed, err := manifest.encode()
			must(t, err)
			place := save(t, filepath.Join(t.TempDir(), "m", manifestName), changed)
			root := t.TempDir()
			if err := join(filepath.Join(root, "a/out"), filepath.Dir(place), folder+"/medium-02"); code(err) != files.Malformed {
				t.Fatal(err)
			}
			if found := left(t, root); len(found) > 0 {
				t.Errorf("written: %v", found)
			}
		})
	}
	for name, raw := range map[string][]byte{
		"no JSON": []byte("{"), "unknown field": []byte(`{"format":"cowabunga-media","version":1,"run":"rm"}`),
		"deep": bytes.Repeat([]byte("["), 1<<20),
	} {
		place := save(t, filepath.Join(t.TempDir(), name, manifestName), raw)
		if err := join(filepath.Join(t.TempDir(), "out"), filepath.Dir(place)); code(err) != files.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
