// SPDX-License-Identifier: Apache-2.0

// Package debian finds the Debian packages that images were made of, and those that compiled what is in them, with the
// digests of the archives that they came in.
package debian

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"path"
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
	records = "var/lib/dpkg/status.d/"
	// compilers has the records of the packages by which others in the same layer were compiled.
	compilers  = "usr/share/cowabungaai/compiled-with"
	maxRecords = 1 << 20
)

// Package is a Debian package of an image.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	SHA256       string `json:"sha256"`
}

// Read finds the packages in the layers of images, each once, sorted. Records without a digest are of an image that
// somebody else made: its own digest stands for them.
func Read(ctx context.Context, contents *content.Contents, found []*images.Image) ([]Package, error) {
	layers := map[string]bool{}
	for _, image := range found {
		for _, layer := range image.Layers {
			layers[layer.Hex()] = image.Model() == ""
		}
	}
	wanted := map[string]bool{}
	for name, file := range contents.Files {
		if path.Base(name) == file.Digest && layers[file.Digest] {
			wanted[name] = true
		}
	}
	all := []Package{}
	err := contents.Again(ctx, wanted, func(entry stream.Entry, layer io.Reader) error {
		plain, release, err := stream.Plain(layer, entry.Name)
		if err != nil {
			return err
		}
		defer release()
		more, err := readLayer(plain, entry.Name)
		all = append(all, more...)
		return err
	})
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.SHA256, b.SHA256))
	})
	return slices.Compact(all), err
}

// readLayer reads the records in a layer. Nothing is written, so names that lead elsewhere, or that other systems do not
// take, do no harm: images of others have such files.
func readLayer(plain io.Reader, place string) (all []Package, err error) {
	reader := tar.NewReader(plain)
	for count := 0; ; count++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, fault.New(fault.Corrupt, place, "it is no layer of an image: %v", err)
		case count >= stream.MaxEntries:
			return all, fault.New(fault.Unsafe, place, "it has more than %d entries", stream.MaxEntries)
		}
		name := path.Clean(header.Name)
		record := strings.HasPrefix(name, records) && !strings.HasSuffix(name, ".md5sums")
		if !record && name != compilers || header.Typeflag != tar.TypeReg {
			continue
		}
		more, err := parse(reader, header.Name)
		if err != nil {
			return all, err
		}
		all = append(all, more...)
	}
}

// parse reads records, whose fields are lines that begin with the field's name; an empty line ends a record.
func parse(data io.Reader, place string) (all []Package, err error) {
	one := Package{}
	end := func() error {
		if one.SHA256 != "" {
			if files.CheckDigest(one.SHA256) != nil || one.Name == "" || one.Version == "" {
				return fault.New(fault.Corrupt, place, "it is no record of a Debian package")
			}
			all = append(all, one)
		}
		one = Package{}
		return nil
	}
	fields := map[string]*string{
		"Package": &one.Name, "Version": &one.Version, "Architecture": &one.Architecture, "SHA256": &one.SHA256,
	}
	lines := bufio.NewScanner(io.LimitReader(data, maxRecords))
	lines.Buffer(nil, maxRecords)
	for lines.Scan() {
		if lines.Text() == "" {
			if err := end(); err != nil {
				return all, err
			}
		}
		name, value, _ := strings.Cut(lines.Text(), ":")
		if field := fields[name]; field != nil {
			*field = strings.TrimSpace(value)
		}
	}
	err = cmp.Or(lines.Err(), end())
	return all, err
}
