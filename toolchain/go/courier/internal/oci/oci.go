// SPDX-License-Identifier: Apache-2.0

// Package oci has the forms of the OCI image specification that are read here.
package oci

import (
	"strings"

	"toolchain/courier/internal/files"
)

// Title is the annotation by which a layer has the name of a file.
const Title = "org.opencontainers.image.title"

// Descriptor refers to a blob.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// Hex is the digest without its algorithm; empty where that is not SHA-256.
func (d Descriptor) Hex() string {
	digest, found := strings.CutPrefix(d.Digest, "sha256:")
	if !found || files.CheckDigest(digest) != nil {
		return ""
	}
	return digest
}

// Manifest is of an image, or of any artifact, or an index.
type Manifest struct {
	MediaType string       `json:"mediaType"`
	Config    Descriptor   `json:"config"`
	Layers    []Descriptor `json:"layers"`
	Manifests []Descriptor `json:"manifests"`
}
