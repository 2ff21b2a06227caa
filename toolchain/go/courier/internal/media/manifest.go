// SPDX-License-Identifier: Apache-2.0

package media

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"toolchain/courier/internal/files"
)

const (
	manifestName = "manifest.json"
	format       = "cowabunga-media"
	version      = 1
	maxManifest  = 64 << 20
	maxMedia     = 10_000
	maxParts     = 200_000
)

// Manifest says what a set of media holds. Every medium has the same one.
type Manifest struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Name is of the file or folder that was split.
	Name   string  `json:"name"`
	Folder bool    `json:"folder"`
	Size   int64   `json:"size"`
	Media  int     `json:"media"`
	Files  []Whole `json:"files"`
}

// Whole is a file as it was before, and will be again. Its parts follow each other.
type Whole struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"`
	Executable bool   `json:"executable,omitempty"`
	Parts      []Part `json:"parts"`
}

// Part is a file on a medium; media are counted from 1, and the path is relative to the medium.
type Part struct {
	Path   string `json:"path"`
	Medium int    `json:"medium"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (m *Manifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	return append(text, '\n'), err
}

// readManifest reads a manifest that may come from anywhere, and gives the digest of its bytes.
func readManifest(place string) (*Manifest, string, error) {
	file, err := os.Open(place)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxManifest {
		return nil, "", files.Fail(files.Malformed, "%s: it has more than %d bytes", place, maxManifest)
	}
	manifest := &Manifest{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(manifest); err != nil {
		return nil, "", files.Fail(files.Malformed, "%s is no manifest of split media: %v", place, err)
	}
	if err := manifest.check(); err != nil {
		return nil, "", files.Fail(files.Malformed, "%s: %v", place, err)
	}
	sum := sha256.Sum256(text)
	return manifest, hex.EncodeToString(sum[:]), nil
}

func (m *Manifest) check() error {
	if m.Format != format || m.Version != version {
		return fmt.Errorf("it is of format %q %d, expected is %q %d; use the courier that is on the media",
			m.Format, m.Version, format, version)
	}
	if err := files.CheckName(m.Name); err != nil || strings.Contains(m.Name, "/") {
		return fmt.Errorf("%q is no name", m.Name)
	}
	if m.Media < 1 || m.Media > maxMedia {
		return fmt.Errorf("it is of %d media, expected are 1 to %d", m.Media, maxMedia)
	}
	if !m.Folder && len(m.Files) != 1 {
		return fmt.Errorf("it is of one file, but names %d", len(m.Files))
	}
	seen, count, total := map[string]bool{}, 0, int64(0)
	for _, whole := range m.Files {
		if err := whole.check(m.Media); err != nil {
			return fmt.Errorf("%s: %w", whole.Path, err)
		}
		names := []string{"whole/" + whole.Path}
		for _, part := range whole.Parts {
			names = append(names, "part/"+part.Path)
		}
		for _, name := range names {
			if seen[name] {
				return fmt.Errorf("%s: it is named twice", strings.SplitN(name, "/", 2)[1])
			}
			seen[name] = true
		}
		if count += len(whole.Parts); count > maxParts {
			return fmt.Errorf("it names more than %d parts", maxParts)
		}
		if total += whole.Size; total > files.MaxSize {
			return fmt.Errorf("its files have more than %d bytes", files.MaxSize)
		}
	}
	if total != m.Size {
		return fmt.Errorf("its files have %d bytes, it says %d", total, m.Size)
	}
	return nil
}

func (w *Whole) check(media int) error {
	if err := errors.Join(files.CheckName(w.Path), files.CheckSize(w.Size), files.CheckDigest(w.SHA256)); err != nil {
		return err
	}
	left := w.Size
	for _, part := range w.Parts {
		if err := errors.Join(files.CheckName(part.Path), files.CheckSize(part.Size), files.CheckDigest(part.SHA256)); err != nil {
			return err
		}
		if part.Medium < 1 || part.Medium > media {
			return fmt.Errorf("part %s is on medium %d of %d", part.Path, part.Medium, media)
		}
		left -= part.Size
	}
	if left != 0 {
		return fmt.Errorf("its parts have %d bytes, it has %d", w.Size-left, w.Size)
	}
	return nil
}

// sums are the lines for `sha256sum --check`: of the parts on one medium, or of the whole files.
func (m *Manifest) sums(medium int) (parts, wholes string) {
	for _, whole := range m.Files {
		wholes += whole.SHA256 + "  " + whole.Path + "\n"
		for _, part := range whole.Parts {
			if part.Medium == medium {
				parts += part.SHA256 + "  " + part.Path + "\n"
			}
		}
	}
	return parts, wholes
}

// partPath is a file's place on a medium: its own where it is whole, else with a number that sorts.
func (m *Manifest) partPath(whole string, number, count int) string {
	place := whole
	if m.Folder {
		place = path.Join(m.Name, whole)
	}
	if count == 1 && m.Folder {
		return place
	}
	return fmt.Sprintf("%s.part-%0*d", place, max(3, len(fmt.Sprint(count))), number)
}
