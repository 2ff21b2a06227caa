// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"cmp"
	"context"
	"os"
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
