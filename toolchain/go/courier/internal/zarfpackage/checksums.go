// SPDX-License-Identifier: Apache-2.0

package zarfpackage

import (
	"bufio"
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/images"
)

// checksums compares every file with checksums.txt, and that with zarf.yaml. The first result is how many files it lists.
func checksums(contents *content.Contents, described *definition, found []*images.Image, chosen *Chosen) (int, []*fault.Fault) {
	file := contents.Files[checksumsName]
	if file == nil {
		return 0, []*fault.Fault{fault.New(fault.Contents, contents.Place, "it has no checksums.txt")}
	}
	lines, wrong := parseChecksums(file.Text)
	if wrong != nil {
		return 0, []*fault.Fault{wrong}
	}
	var faults []*fault.Fault
	if file.Digest != described.Metadata.AggregateChecksum {
		faults = append(faults, fault.New(fault.Changed, checksumsName, "its SHA-256 is %s; zarf.yaml says %s", file.Digest,
			described.Metadata.AggregateChecksum))
	}
	swapped := others(contents, lines, found)
	faults = append(faults, swapped...)
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		if one := compare(contents, name, lines[name], len(swapped) > 0, optional(described, chosen)); one != nil {
			faults = append(faults, one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(contents.Files)) {
		if _, known := lines[name]; !known && !apart(name, described) && !(len(swapped) > 0 && blob(name)) {
			faults = append(faults, fault.New(fault.Contents, name, "checksums.txt does not list it"))
		}
	}
	return len(lines), faults
}

// parseChecksums reads lines of a digest, a space and a path, which is what Zarf writes.
func parseChecksums(text []byte) (map[string]string, *fault.Fault) {
	lines := map[string]string{}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for scanner.Scan() {
		line := scanner.Text()
		if line == "" {
			continue
		}
		digest, name, found := strings.Cut(line, " ")
		if !found || files.CheckDigest(digest) != nil || files.CheckName(name) != nil || lines[name] != "" {
			return nil, fault.New(fault.Corrupt, checksumsName, "expected a SHA-256, a space and a path, each once; got %q", line)
		}
		lines[name] = digest
	}
	if scanner.Err() != nil || text == nil {
		return nil, fault.New(fault.Corrupt, checksumsName, "it is not readable: %v", scanner.Err())
	}
	return lines, nil
}

// others are images whose manifest checksums.txt does not know, though they are whole: somebody has put them there.
func others(contents *content.Contents, lines map[string]string, found []*images.Image) (faults []*fault.Fault) {
	for _, image := range found {
		manifest := path.Join(imagesFolder, "blobs/sha256", image.Digest)
		if _, known := lines[manifest]; !known && contents.Files[manifest] != nil {
			faults = append(faults, another(image, "it is sha256:"+image.Digest+", which checksums.txt does not list"))
		}
	}
	index := contents.Files[imagesFolder+"index.json"]
	if len(faults) == 0 && index != nil && lines[index.Name] != "" && lines[index.Name] != index.Digest && len(found) > 0 {
		faults = append(faults, fault.New(fault.Image, index.Name, "it names other images than the package was made with"))
	}
	return faults
}

// another tells of an image that is not the one which was packaged; where it carries a model, of other weights.
func another(image *images.Image, text string) *fault.Fault {
	if image.Model() != "" || strings.HasPrefix(image.Reference, registry+"models/") {
		return fault.New(fault.Weights, image.Reference, "%s", text)
	}
	return fault.New(fault.Image, image.Reference, "%s", text)
}

func compare(contents *content.Contents, name, digest string, swapped bool, optional func(string) bool) *fault.Fault {
	file := contents.Files[name]
	switch {
	case file == nil && optional(name):
		return nil
	case file == nil:
		return fault.New(fault.Contents, name, "it is missing")
	case file.Digest == digest:
		return nil
	case blob(name) && path.Base(name) != file.Digest:
		// A blob that differs from its own name is told of where images are read.
		return nil
	case name == imagesFolder+"index.json" && swapped:
		return nil
	}
	return fault.New(fault.Corrupt, name, "its SHA-256 is %s; checksums.txt says %s", file.Digest, digest)
}

func blob(name string) bool { return strings.HasPrefix(name, imagesFolder+"blobs/sha256/") }

// apart are files that checksums.txt does not list: those that it goes back to, and signatures.
func apart(name string, described *definition) bool {
	switch name {
	case definitionName, checksumsName, bundleName, bareName:
		return true
	}
	return slices.Contains(described.Build.ProvenanceFiles, name)
}

// optional tells which files may be missing, since a bundle left their component out: its own, and any blob, for images
// that are there are known to have theirs.
func optional(described *definition, chosen *Chosen) func(string) bool {
	names := map[string]bool{}
	for _, one := range described.Components {
		if chosen.leavesOut(one) {
			names["components/"+one.Name+".tar"] = true
		}
	}
	return func(name string) bool { return names[name] || len(names) > 0 && blob(name) }
}
