// SPDX-License-Identifier: Apache-2.0

// Package difference tells what changed between two releases, bundles or packages.
package difference

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"toolchain/courier/internal/files"
	"toolchain/courier/internal/stream"
)

// Kinds of what can be compared.
const (
	kindRelease = "release folder"
	kindBundle  = "bundle"
	kindPackage = "package"
)

// Bounds on what is read of an archive, which may come from anywhere.
const (
	maxMembers = 1_000_000
	// maxSmall is the largest description that is kept, and maxKept what all of one archive may have, in bytes.
	maxSmall = 1 << 20
	maxKept  = 256 << 20
	maxSBOM  = 256 << 20
)

// Artifact is what one side of a comparison holds. Keys are what stays the same from version to version.
type Artifact struct {
	Path     string
	Kind     string
	Size     int64
	Packages map[string]string
	Images   map[string]Image
	Models   map[string]string
	Blobs    map[string]Blob
	// Components are of bills of materials: the key is of image, sort and name, the value holds versions.
	Components map[Component]string
	// Bills is how many bills of materials were read.
	Bills int
	// Findings are nil where there is no scan.
	Findings map[Finding]bool
	Files    map[string]State
}

// State is what a file of a release folder is.
type State struct {
	Size   int64
	SHA256 string
}

// Image is an image in a package.
type Image struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// Blob is a piece of content, and what it is part of.
type Blob struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Of     string `json:"of"`
}

// Component is a software package in an image, of any version.
type Component struct {
	Image string `json:"image"`
	Sort  string `json:"sort"`
	Name  string `json:"name"`
}

// Finding is a vulnerability of a package.
type Finding struct {
	ID        string `json:"id"`
	Service   string `json:"service"`
	Package   string `json:"package"`
	Severity  string `json:"severity"`
	Installed string `json:"installed"`
}

func newArtifact(place, kind string) *Artifact {
	return &Artifact{
		Path: place, Kind: kind, Packages: map[string]string{}, Images: map[string]Image{}, Models: map[string]string{},
		Blobs: map[string]Blob{}, Components: map[Component]string{}, Files: map[string]State{},
	}
}

// read finds out what a file or folder is, and what it holds.
func read(place string, progress *files.Progress) (*Artifact, error) {
	list, folder, err := files.List(place)
	if err != nil {
		return nil, err
	}
	artifact := newArtifact(place, kindRelease)
	for _, file := range list {
		artifact.Size += file.Size
	}
	if folder {
		return artifact, artifact.readRelease(list, progress)
	}
	name := filepath.Base(place)
	switch {
	case strings.HasPrefix(name, "uds-bundle-"):
		artifact.Kind = kindBundle
		err = artifact.readBundle(place, progress)
	case strings.HasPrefix(name, "zarf-package-"):
		artifact.Kind = kindPackage
		err = artifact.readPackage(place, progress)
	default:
		return nil, files.Fail(2, "%s is neither a release folder nor a uds-bundle-*.tar.zst nor a zarf-package-*.tar.zst; "+
			"a differential file can be made of any file, with --differential", place)
	}
	return artifact, err
}

// walk gives an archive's regular files, one after the other.
func walk(place string, progress *files.Progress, see func(name string, size int64, content io.Reader) error) error {
	file, err := os.Open(place)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, release, err := stream.Plain(progress.Reader(file), place)
	if err != nil {
		return err
	}
	defer release()
	return members(plain, see)
}

// members gives a tar archive's regular files.
func members(source io.Reader, see func(name string, size int64, content io.Reader) error) error {
	archive := tar.NewReader(source)
	for range maxMembers {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if stream.Sparse(header) {
			return fmt.Errorf("%s is sparse: it could be of any size", header.Name)
		}
		if err := see(strings.TrimPrefix(header.Name, "./"), header.Size, archive); err != nil {
			return err
		}
	}
	return fmt.Errorf("it has more than %d members", maxMembers)
}

// small keeps descriptions in memory, up to a bound.
type small struct {
	contents map[string][]byte
	size     int64
}

func (s *small) keep(name string, size int64, content io.Reader) error {
	if size > maxSmall {
		return nil
	}
	if s.size += size; s.size > maxKept {
		return fmt.Errorf("its descriptions have more than %d bytes", maxKept)
	}
	text, err := io.ReadAll(io.LimitReader(content, maxSmall))
	if s.contents == nil {
		s.contents = map[string][]byte{}
	}
	s.contents[name] = text
	return err
}
