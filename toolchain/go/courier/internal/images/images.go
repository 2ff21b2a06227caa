// SPDX-License-Identifier: Apache-2.0

// Package images walks OCI layouts: index, manifests, configurations, layers, each against its digest.
package images

import (
	"encoding/json"
	"path"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/oci"
)

// Labels and annotations that say what an image is.
const (
	ModelID      = "ai.cowabunga.model.id"
	ModelDigest  = "ai.cowabunga.model.digest"
	BaseName     = "org.opencontainers.image.base.name"
	BaseDigest   = "org.opencontainers.image.base.digest"
	ReferredName = "org.opencontainers.image.ref.name"
)

const (
	maxDepth       = 3
	maxDescriptors = 20_000
)

// Image is an image of one platform.
type Image struct {
	Reference string
	// Digest is of the manifest, and Config of the configuration, in hexadecimal digits.
	Digest   string
	Config   string
	Platform oci.Platform
	// InIndex tells whether the image is one of several platforms below its reference.
	InIndex bool
	Labels  map[string]string
	Layers  []oci.Descriptor
}

// Model is the id of the model that the image carries; empty where it is not one that carries a model.
func (i *Image) Model() string { return i.Labels[ModelID] }

// Layout is a folder of blobs with an index.
type Layout struct {
	contents *content.Contents
	folder   string
	count    int
	faults   []*fault.Fault
	images   []*Image
}

// Read walks the layout in a folder of contents, whose name is empty or ends with a slash.
func Read(contents *content.Contents, folder string) ([]*Image, []*fault.Fault) {
	layout := &Layout{contents: contents, folder: folder}
	for name, file := range contents.Files {
		if hex, blob := strings.CutPrefix(name, folder+"blobs/sha256/"); blob && file.Digest != hex {
			layout.fail(fault.Corrupt, name, "its SHA-256 is %s", file.Digest)
		}
	}
	text := contents.Text(folder + "index.json")
	if text == nil {
		return nil, layout.faults
	}
	index := oci.Manifest{}
	if err := json.Unmarshal(text, &index); err != nil {
		layout.fail(fault.Corrupt, folder+"index.json", "it is no index of images: %v", err)
		return nil, layout.faults
	}
	for _, entry := range index.Manifests {
		layout.manifest(entry, entry.Annotations[ReferredName], 0)
	}
	return layout.images, layout.faults
}

func (l *Layout) fail(kind *fault.Kind, place, format string, values ...any) {
	l.faults = append(l.faults, fault.New(kind, place, format, values...))
}

// blob is the file of a descriptor; nil where it is missing or another one, of which a fault tells.
func (l *Layout) blob(entry oci.Descriptor, of string) *content.File {
	l.count++
	if l.count > maxDescriptors {
		if l.count == maxDescriptors+1 {
			l.fail(fault.Unsafe, l.folder+"index.json", "it refers to more than %d blobs", maxDescriptors)
		}
		return nil
	}
	hex := entry.Hex()
	if hex == "" {
		l.fail(fault.Corrupt, of, "it refers to %q, which is no SHA-256 digest", entry.Digest)
		return nil
	}
	file := l.contents.Files[path.Join(l.folder, "blobs/sha256", hex)]
	if file == nil {
		l.fail(fault.Contents, of, "its blob %s is missing", entry.Digest)
		return nil
	}
	if file.Size != entry.Size && file.Digest == hex {
		l.fail(fault.Corrupt, of, "blob %s has %d bytes, not %d", entry.Digest, file.Size, entry.Size)
	}
	return file
}

func (l *Layout) manifest(entry oci.Descriptor, reference string, depth int) {
	place := reference
	if place == "" {
		place = entry.Digest
	}
	file := l.blob(entry, place)
	if file == nil || file.Digest != entry.Hex() {
		return
	}
	manifest := oci.Manifest{}
	if err := json.Unmarshal(file.Text, &manifest); err != nil || depth > maxDepth {
		l.fail(fault.Corrupt, place, "%s is no manifest of an image", entry.Digest)
		return
	}
	if len(manifest.Manifests) > 0 {
		for _, inner := range manifest.Manifests {
			// A manifest without a platform is about an image, such as an attestation of it.
			if inner.Platform == nil || inner.Platform.Architecture != "unknown" {
				l.manifest(inner, reference, depth+1)
			}
		}
		return
	}
	image := &Image{Reference: reference, Digest: entry.Hex(), Config: manifest.Config.Hex(), InIndex: depth > 0}
	if config := l.blob(manifest.Config, place); config != nil {
		described := struct {
			oci.Platform
			Config struct{ Labels map[string]string }
		}{}
		if err := json.Unmarshal(config.Text, &described); err != nil && config.Digest == image.Config {
			l.fail(fault.Corrupt, place, "%s is no configuration of an image", manifest.Config.Digest)
		}
		image.Platform, image.Labels = described.Platform, described.Config.Labels
	}
	for _, layer := range manifest.Layers {
		l.blob(layer, place)
	}
	image.Layers = manifest.Layers
	l.images = append(l.images, image)
}
