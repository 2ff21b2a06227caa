// SPDX-License-Identifier: Apache-2.0

package media

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"toolchain/courier/internal/files"
)

// Bounds on how far a medium is searched.
const (
	maxDepth   = 12
	maxEntries = 1_000_000
)

// offered is what the user's folders and files hold.
type offered struct {
	manifest *Manifest
	digest   string
	from     string
	// places of files by their last name.
	places map[string][]string
}

// search looks through folders and files, in any order, for the manifest and for parts.
func search(offers []string) (*offered, error) {
	found := &offered{places: map[string][]string{}}
	entries := 0
	for _, offer := range offers {
		about, err := os.Stat(offer)
		if err != nil {
			return nil, files.Fail(files.Missing, "%s cannot be read: %v", offer, err)
		}
		if !about.IsDir() {
			if err := found.take(offer, true); err != nil {
				return nil, err
			}
			continue
		}
		err = filepath.WalkDir(offer, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entries++; entries > maxEntries {
				return files.Fail(2, "%s holds more than %d files; name the media's own folders", offer, maxEntries)
			}
			if entry.IsDir() {
				if strings.Count(path[len(offer):], string(filepath.Separator)) >= maxDepth {
					return filepath.SkipDir
				}
				return nil
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			return found.take(path, filepath.Dir(path) == filepath.Clean(offer))
		})
		if err != nil {
			return nil, err
		}
	}
	if found.manifest == nil {
		return nil, files.Fail(files.Missing, "no %s is among what was named: every medium has it at its top; name a medium's folder", manifestName)
	}
	return found, nil
}

// take notes a file; top tells whether the user named it, or its folder.
func (o *offered) take(path string, top bool) error {
	base := filepath.Base(path)
	o.places[base] = append(o.places[base], path)
	if base != manifestName || !top && !describesMedia(path) {
		return nil
	}
	manifest, digest, err := readManifest(path)
	if err != nil {
		return err
	}
	if o.manifest != nil && o.digest != digest {
		return files.Fail(files.Damaged, "%s and %s differ: they are of different sets of media, or one is damaged; name one set", o.from, path)
	}
	o.manifest, o.digest, o.from = manifest, digest, path
	return nil
}

// describesMedia tells a set's manifest, also a damaged one, from other files of that name, such as a model's: it says
// so, or lies beside the sums of a medium.
func describesMedia(path string) bool {
	if _, err := os.Lstat(filepath.Join(filepath.Dir(path), wholeSums)); err == nil {
		return true
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var head struct {
		Format string `json:"format"`
	}
	return json.NewDecoder(io.LimitReader(file, maxManifest)).Decode(&head) == nil && head.Format == format
}

// of is where a part may lie: files of its last name and of its size, those in its own folder first.
func (o *offered) of(part *Part) []string {
	var found []string
	for _, place := range o.places[filepath.Base(part.Path)] {
		if about, err := os.Stat(place); err == nil && about.Size() == part.Size {
			found = append(found, place)
		}
	}
	own := func(place string) int {
		if strings.HasSuffix(place, filepath.FromSlash(part.Path)) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(found, func(a, b string) int { return own(a) - own(b) })
	return found
}

// why says what stands in a missing part's place.
func (o *offered) why(part *Part) string {
	for _, place := range o.places[filepath.Base(part.Path)] {
		if about, err := os.Stat(place); err == nil && about.Size() != part.Size {
			return fmt.Sprintf(" (%s has %d bytes of %d: it was not copied whole)", place, about.Size(), part.Size)
		}
	}
	return ""
}
