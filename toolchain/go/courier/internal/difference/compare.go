// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
)

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
func compareFiles(old, next map[string]State) []FileChange {
	pairs := map[string]string{}
	for path := range old {
		if _, stays := next[path]; !stays {
			pairs[versions.ReplaceAllString(path, "0")] = path
		}
	}
	found := []FileChange{}
	paired := map[string]bool{}
	for path, state := range next {
		before, known := old[path]
		if known && before == state {
			continue
		}
		change := FileChange{Path: path, Old: -1, New: state.Size}
		if known {
			change.Old = before.Size
		} else if was, similar := pairs[versions.ReplaceAllString(path, "0")]; similar {
			change.OldPath, change.Old = was, old[was].Size
			paired[was] = true
		}
		found = append(found, change)
	}
	for path, state := range old {
		if _, stays := next[path]; !stays && !paired[path] {
			found = append(found, FileChange{Path: path, Old: state.Size, New: -1})
		}
	}
	slices.SortFunc(found, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	return found
}
