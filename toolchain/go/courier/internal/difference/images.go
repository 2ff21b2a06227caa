// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"encoding/json"
	"path"
	"strings"
)

// descriptor and the two after it are of OCI's image specification, as far as they are read here.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
}

type manifest struct {
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

type config struct {
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func (a *Artifact) describeImage(entry descriptor, architecture string, content func(digest string) []byte) {
	reference := entry.Annotations["org.opencontainers.image.base.name"]
	if reference == "" {
		reference = entry.Annotations["org.opencontainers.image.ref.name"]
	}
	image := Image{reference, entry.Digest, entry.Size}
	var of manifest
	if json.Unmarshal(content(entry.Digest), &of) == nil {
		for _, part := range append(of.Layers, of.Config) {
			image.Size += part.Size
			if blob, known := a.Blobs[hexOf(part.Digest)]; known && blob.Of == "image" {
				blob.Of = reference
				a.Blobs[hexOf(part.Digest)] = blob
			}
		}
		var settings config
		if json.Unmarshal(content(of.Config.Digest), &settings) == nil {
			if model := settings.Config.Labels["ai.cowabunga.model.id"]; model != "" {
				a.Models[model] = settings.Config.Labels["ai.cowabunga.model.digest"]
			}
		}
	}
	a.Images[repository(reference)+" "+architecture+variant(reference)] = image
}

// repository is a reference without tag and digest.
func repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if colon := strings.LastIndex(reference, ":"); colon > strings.LastIndex(reference, "/") {
		reference = reference[:colon]
	}
	return reference
}

// variant tells the image of a gpu flavor, which has the same repository.
func variant(reference string) string {
	if strings.HasSuffix(reference, "-gpu") {
		return " gpu"
	}
	return ""
}

// short is the last part of a repository, which is the service's name.
func short(reference string) string {
	name := path.Base(repository(reference))
	if variant(reference) != "" {
		name += "-gpu"
	}
	return name
}
