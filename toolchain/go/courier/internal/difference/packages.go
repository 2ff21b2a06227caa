// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"toolchain/courier/internal/files"
)

// Names inside a Zarf package, which in a bundle are the titles of its blobs.
const (
	zarfYAML   = "zarf.yaml"
	imageIndex = "images/index.json"
	imageBlobs = "images/blobs/sha256/"
	sbomsTar   = "sboms.tar"
	titleKey   = "org.opencontainers.image.title"
)

// readPackage reads a Zarf package in one pass.
func (a *Artifact) readPackage(place string, progress *files.Progress) error {
	var kept small
	err := walk(place, progress, func(name string, size int64, content io.Reader) error {
		if name == sbomsTar {
			sum := sha256.New()
			if err := a.readSBOMs(io.TeeReader(content, sum)); err != nil {
				return err
			}
			// The archive's padding belongs to the digest, too.
			if _, err := io.Copy(sum, content); err != nil {
				return err
			}
			a.blob(hex.EncodeToString(sum.Sum(nil)), size, name)
			return nil
		}
		if digest, found := strings.CutPrefix(name, imageBlobs); found {
			a.blob(digest, size, "image")
			return kept.keep(name, size, content)
		}
		sum := sha256.New()
		if err := kept.keep(name, size, io.TeeReader(content, sum)); err != nil {
			return err
		}
		if _, err := io.Copy(sum, content); err != nil {
			return err
		}
		a.blob(hex.EncodeToString(sum.Sum(nil)), size, name)
		return nil
	})
	if err != nil {
		return files.Fail(files.Damaged, "%s cannot be read: %v", place, err)
	}
	err = a.describePackage(func(name string) []byte { return kept.contents[name] })
	if err != nil {
		return files.Fail(files.Malformed, "%s: %v", place, err)
	}
	return nil
}

func (a *Artifact) blob(digest string, size int64, of string) {
	if _, known := a.Blobs[digest]; !known {
		a.Blobs[digest] = Blob{digest, size, of}
	}
}

// readBundle reads a UDS bundle in one pass: what describes a package lies before it.
func (a *Artifact) readBundle(place string, progress *files.Progress) error {
	var kept small
	titles := map[string]string{}
	err := walk(place, progress, func(name string, size int64, content io.Reader) error {
		digest, found := strings.CutPrefix(name, "blobs/sha256/")
		if !found {
			return kept.keep(name, size, content)
		}
		a.blob(digest, size, "")
		if titles[digest] == sbomsTar {
			return a.readSBOMs(content)
		}
		if err := kept.keep(digest, size, content); err != nil {
			return err
		}
		// Small blobs that are no manifests have no layers: nothing is lost by looking.
		var described manifest
		if json.Unmarshal(kept.contents[digest], &described) == nil {
			for _, layer := range described.Layers {
				if title := layer.Annotations[titleKey]; title != "" {
					titles[hexOf(layer.Digest)] = title
				}
			}
		}
		return nil
	})
	if err != nil {
		return files.Fail(files.Damaged, "%s cannot be read: %v", place, err)
	}
	if err := a.describeBundle(kept.contents); err != nil {
		return files.Fail(files.Malformed, "%s: %v", place, err)
	}
	return nil
}

func (a *Artifact) describeBundle(contents map[string][]byte) error {
	var index, root manifest
	if err := json.Unmarshal(contents["index.json"], &index); err != nil || len(index.Manifests) == 0 {
		return fmt.Errorf("its index.json names no manifest: %v", err)
	}
	if err := json.Unmarshal(contents[hexOf(index.Manifests[0].Digest)], &root); err != nil {
		return fmt.Errorf("its manifest cannot be read: %w", err)
	}
	for _, layer := range root.Layers {
		// UDS gives packages' manifests the media type of any blob: what titles a zarf.yaml is one.
		var of manifest
		if json.Unmarshal(contents[hexOf(layer.Digest)], &of) != nil {
			continue
		}
		digests := map[string]string{}
		for _, part := range of.Layers {
			title := part.Annotations[titleKey]
			digests[title] = hexOf(part.Digest)
			if blob, known := a.Blobs[hexOf(part.Digest)]; known {
				blob.Of = title
				if strings.HasPrefix(title, imageBlobs) {
					blob.Of = "image"
				}
				a.Blobs[hexOf(part.Digest)] = blob
			}
		}
		if digests[zarfYAML] == "" {
			continue
		}
		if err := a.describePackage(func(name string) []byte { return contents[digests[name]] }); err != nil {
			return err
		}
	}
	if len(a.Packages) == 0 {
		return errors.New("none of its manifests is of a package")
	}
	return nil
}

// describePackage notes a package's version, and its images.
func (a *Artifact) describePackage(content func(name string) []byte) error {
	var about struct {
		Metadata struct {
			Name         string `yaml:"name"`
			Version      string `yaml:"version"`
			Architecture string `yaml:"architecture"`
		} `yaml:"metadata"`
		Build struct {
			Flavor string `yaml:"flavor"`
		} `yaml:"build"`
	}
	if err := yaml.Unmarshal(content(zarfYAML), &about); err != nil || about.Metadata.Name == "" {
		return fmt.Errorf("its %s names no package: %v", zarfYAML, err)
	}
	key := about.Metadata.Name + " " + about.Metadata.Architecture
	if about.Build.Flavor != "" {
		key += " " + about.Build.Flavor
	}
	a.Packages[key] = about.Metadata.Version
	var index manifest
	if text := content(imageIndex); len(text) > 0 {
		if err := json.Unmarshal(text, &index); err != nil {
			return fmt.Errorf("its %s cannot be read: %w", imageIndex, err)
		}
	}
	for _, entry := range index.Manifests {
		a.describeImage(entry, about.Metadata.Architecture, func(digest string) []byte { return content(imageBlobs + hexOf(digest)) })
	}
	return nil
}
