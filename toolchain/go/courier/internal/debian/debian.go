// SPDX-License-Identifier: Apache-2.0

// Package debian finds the Debian packages that images were made of, with the digests of the archives that they came in.
package debian

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/stream"
)

const (
	// records is where an image without dpkg has a file for each package, of which those that end in .md5sums are others.
	records   = "var/lib/dpkg/status.d/"
	maxRecord = 1 << 20
)

// Package is a Debian package of an image.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"`
}

// Read finds the packages in the layers of images, each once, sorted. Records without a digest are of an image that
// somebody else made: its own digest stands for them. Blobs lie in a folder of contents, whose name is empty or ends with
// a slash.
func Read(ctx context.Context, contents *content.Contents, blobs string, found []*images.Image) ([]Package, error) {
	wanted := map[string]bool{}
	for _, image := range found {
		if image.Model() != "" {
			continue
		}
		names, _ := image.Blobs(contents, blobs)
		for _, name := range names {
			wanted[name] = true
		}
	}
	var all []Package
	err := contents.Again(ctx, wanted, func(entry stream.Entry, layer io.Reader) error {
		plain, release, err := stream.Plain(layer, entry.Name)
		if err != nil {
			return err
		}
		defer release()
		return stream.Entries(plain, entry.Name, true, func(file stream.Entry, data io.Reader) error {
			name, record := strings.CutPrefix(file.Name, records)
			if !record || strings.HasSuffix(name, ".md5sums") {
				return nil
			}
			one, err := parse(data, file.Name)
			if err == nil && one.SHA256 != "" {
				all = append(all, one)
			}
			return err
		})
	})
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.SHA256, b.SHA256))
	})
	return slices.Compact(all), err
}

// parse reads a record, whose fields are lines that begin with the field's name.
func parse(data io.Reader, place string) (Package, error) {
	one := Package{}
	fields := map[string]*string{
		"Package": &one.Name, "Version": &one.Version, "Architecture": &one.Architecture, "SHA256": &one.SHA256,
	}
	lines := bufio.NewScanner(io.LimitReader(data, maxRecord))
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if field := fields[name]; field != nil {
			*field = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return one, err
	}
	if one.SHA256 != "" && (files.CheckDigest(one.SHA256) != nil || one.Name == "" || one.Version == "") {
		return one, fault.New(fault.Corrupt, place, "it is no record of a Debian package")
	}
	return one, nil
}
