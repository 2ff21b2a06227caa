// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	manifestName = "manifest.json"
	// Bounds of what is read before anything is checked.
	maxManifest = 1 << 20
	format      = 1
)

// A file of a model, as manifest.json has it.
type file struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// What a model's folder says of itself; services/sdk describes the form.
type manifest struct {
	Format  int    `json:"format"`
	ID      string `json:"id"`
	Licence string `json:"licence"`
	Files   []file `json:"files"`
	raw     []byte
}

func (m *manifest) size() (total int64) {
	for _, one := range m.Files {
		total += one.Size
	}
	return total
}

// readManifest reads a model's manifest.json, and refuses one that names files outside of the model's folder.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, manifestName)
	opened, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s is no model: %w", folder, err)
	}
	defer opened.Close()
	raw, err := io.ReadAll(io.LimitReader(opened, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxManifest)
	}
	read := &manifest{raw: raw}
	if err := json.Unmarshal(raw, read); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if read.Format != format {
		return nil, fmt.Errorf("%s has the format %d; this program reads %d", path, read.Format, format)
	}
	if len(read.Files) == 0 {
		return nil, fmt.Errorf("%s names no files", path)
	}
	seen := map[string]bool{}
	for _, one := range read.Files {
		digest, err := hex.DecodeString(one.SHA256)
		switch {
		case !filepath.IsLocal(one.Path) || filepath.Clean(one.Path) != one.Path || one.Path == manifestName:
			return nil, fmt.Errorf("%s: %q is no path below the model's folder", path, one.Path)
		case seen[one.Path]:
			return nil, fmt.Errorf("%s names %s twice", path, one.Path)
		case one.Size < 0:
			return nil, fmt.Errorf("%s: %s has the size %d", path, one.Path, one.Size)
		case err != nil || len(digest) != 32:
			return nil, fmt.Errorf("%s: %s has no SHA-256 but %q", path, one.Path, one.SHA256)
		}
		seen[one.Path] = true
	}
	return read, nil
}
