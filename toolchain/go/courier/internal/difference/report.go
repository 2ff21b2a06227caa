// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"cmp"
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"toolchain/courier/internal/files"
)

// Report is what changed.
type Report struct {
	Old      Side          `json:"old"`
	New      Side          `json:"new"`
	Packages []Change      `json:"packages"`
	Images   []ImageChange `json:"images"`
	Models   []Change      `json:"models"`
	Blobs    Blobs         `json:"blobs"`
	// Components are of bills of materials.
	Components []ComponentChange `json:"components"`
	Findings   Findings          `json:"vulnerabilities"`
	Files      []FileChange      `json:"files"`
	Notes      []string          `json:"notes"`
}

// Side is one of the two.
type Side struct {
	Path string `json:"path"`
	Kind string `json:"kind"`
	Size int64  `json:"size"`
}

// Change is of something with a version; one that is empty says that it is not on that side.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// ImageChange is of an image; nil says that it is not on that side.
type ImageChange struct {
	Name string `json:"name"`
	Old  *Image `json:"old"`
	New  *Image `json:"new"`
}

// Blobs counts content by digest; sizes are in bytes, as in the archive.
type Blobs struct {
	Shared     int    `json:"shared"`
	SharedSize int64  `json:"shared_size"`
	NewSize    int64  `json:"new_size"`
	GoneSize   int64  `json:"gone_size"`
	New        []Blob `json:"new"`
	Gone       []Blob `json:"gone"`
}

// ComponentChange is of a software package in an image.
type ComponentChange struct {
	Component
	Old string `json:"old"`
	New string `json:"new"`
}

// Findings are vulnerabilities; Compared is false where a side has no scan.
type Findings struct {
	Compared bool      `json:"compared"`
	Fixed    []Finding `json:"fixed"`
	New      []Finding `json:"new"`
	Stay     int       `json:"stay"`
}

// FileChange is of a file of a release folder. A size of -1 says that it is not on that side.
type FileChange struct {
	Path    string `json:"path"`
	OldPath string `json:"old_path,omitempty"`
	Old     int64  `json:"old"`
	New     int64  `json:"new"`
}

// Compare reads two releases, bundles or packages, and tells what changed.
//
// Raises an exit error where one cannot be read, is nothing that can be compared, or the two are of different kinds.
func Compare(ctx context.Context, oldPlace, newPlace string, told *os.File) (*Report, error) {
	var sides [2]*Artifact
	for number, place := range []string{oldPlace, newPlace} {
		progress := files.NewProgress(ctx, told, "reading "+place, 0)
		artifact, err := read(place, progress)
		progress.End()
		if err != nil {
			return nil, err
		}
		sides[number] = artifact
	}
	if sides[0].Kind != sides[1].Kind {
		return nil, files.Fail(2, "%s is a %s, %s a %s: both must be of one kind", oldPlace, sides[0].Kind, newPlace, sides[1].Kind)
	}
	return compare(sides[0], sides[1]), nil
}

func compare(old, next *Artifact) *Report {
	report := &Report{
		Old:        Side{old.Path, old.Kind, old.Size},
		New:        Side{next.Path, next.Kind, next.Size},
		Packages:   changes(old.Packages, next.Packages),
		Images:     []ImageChange{},
		Models:     changes(old.Models, next.Models),
		Blobs:      compareBlobs(old.Blobs, next.Blobs),
		Components: []ComponentChange{},
		Findings:   compareFindings(old.Findings, next.Findings),
		Files:      compareFiles(old.Files, next.Files),
		Notes:      []string{},
	}
	for _, key := range keys(old.Images, next.Images, strings.Compare) {
		before, was := old.Images[key]
		after, is := next.Images[key]
		if before == after {
			continue
		}
		change := ImageChange{Name: key}
		if was {
			change.Old = &before
		}
		if is {
			change.New = &after
		}
		report.Images = append(report.Images, change)
	}
	order := func(a, b Component) int {
		return cmp.Or(strings.Compare(a.Image, b.Image), strings.Compare(a.Sort, b.Sort), strings.Compare(a.Name, b.Name))
	}
	for _, key := range keys(old.Components, next.Components, order) {
		if old.Components[key] != next.Components[key] {
			report.Components = append(report.Components, ComponentChange{key, old.Components[key], next.Components[key]})
		}
	}
	if old.Kind == kindRelease && !report.Findings.Compared {
		report.Notes = append(report.Notes, "vulnerabilities are not compared: one of the two has no scan/*/report.json")
	}
	if old.Bills == 0 || next.Bills == 0 {
		report.Notes = append(report.Notes, "software in images is not compared: one of the two has no bills of materials")
	}
	return report
}

// keys are those of both, sorted, each once.
func keys[K comparable, V any](a, b map[K]V, order func(a, b K) int) []K {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.SortedFunc(maps.Keys(all), order)
}

func changes(old, next map[string]string) []Change {
	found := []Change{}
	for _, key := range keys(old, next, strings.Compare) {
		if old[key] != next[key] {
			found = append(found, Change{key, old[key], next[key]})
		}
	}
	return found
}

func compareBlobs(old, next map[string]Blob) Blobs {
	found := Blobs{New: []Blob{}, Gone: []Blob{}}
	for digest, blob := range next {
		if _, known := old[digest]; known {
			found.Shared++
			found.SharedSize += blob.Size
		} else {
			found.NewSize += blob.Size
			found.New = append(found.New, blob)
		}
	}
	for digest, blob := range old {
		if _, known := next[digest]; !known {
			found.GoneSize += blob.Size
			found.Gone = append(found.Gone, blob)
		}
	}
	largest := func(a, b Blob) int { return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.Digest, b.Digest)) }
	slices.SortFunc(found.New, largest)
	slices.SortFunc(found.Gone, largest)
	return found
}

// compareFindings looks away from the installed version: a fault that another version still has is not fixed.
func compareFindings(old, next map[Finding]bool) Findings {
	found := Findings{Compared: old != nil && next != nil, Fixed: []Finding{}, New: []Finding{}}
	if !found.Compared {
		return found
	}
	without := func(all map[Finding]bool) map[Finding]Finding {
		keyed := map[Finding]Finding{}
		for one := range all {
			key := one
			key.Installed, key.Severity = "", ""
			keyed[key] = one
		}
		return keyed
	}
	before, after := without(old), without(next)
	for key, one := range before {
		if _, stays := after[key]; stays {
			found.Stay++
		} else {
			found.Fixed = append(found.Fixed, one)
		}
	}
	for key, one := range after {
		if _, was := before[key]; !was {
			found.New = append(found.New, one)
		}
	}
	slices.SortFunc(found.Fixed, worst)
	slices.SortFunc(found.New, worst)
	return found
}

func worst(a, b Finding) int {
	severities := []string{"CRITICAL", "HIGH", "MEDIUM", "LOW"}
	rank := func(severity string) int {
		if at := slices.Index(severities, severity); at >= 0 {
			return at
		}
		return len(severities)
	}
	return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), strings.Compare(a.ID, b.ID),
		strings.Compare(a.Service, b.Service), strings.Compare(a.Package, b.Package))
}

var versions = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// compareFiles pairs files of other versions with one another.
func compareFiles(old, next map[string]int64) []FileChange {
	pairs := map[string]string{}
	for path := range old {
		if _, stays := next[path]; !stays {
			pairs[versions.ReplaceAllString(path, "0")] = path
		}
	}
	found := []FileChange{}
	paired := map[string]bool{}
	for path, size := range next {
		before, known := old[path]
		if known && before == size {
			continue
		}
		change := FileChange{Path: path, Old: -1, New: size}
		if known {
			change.Old = before
		} else if was, similar := pairs[versions.ReplaceAllString(path, "0")]; similar {
			change.OldPath, change.Old = was, old[was]
			paired[was] = true
		}
		found = append(found, change)
	}
	for path, size := range old {
		if _, stays := next[path]; !stays && !paired[path] {
			found = append(found, FileChange{Path: path, Old: size, New: -1})
		}
	}
	slices.SortFunc(found, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	return found
}
