// SPDX-License-Identifier: Apache-2.0

// Package weights checks model images: every file of a model against the manifest that lies beside it, and that against
// the image's labels.
package weights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/stream"
)

const (
	folder      = "model/"
	manifest    = "manifest.json"
	maxManifest = 1 << 20
	// shortened is how many digits of the digest a model image's tag has.
	shortened = 12
)

// Model is a model that was found in an image.
type Model struct {
	ID     string
	Digest string
	Files  int
	Bytes  int64
}

type listed struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type seen struct {
	size   int64
	digest string
}

// carried is what the layers of one image hold.
type carried struct {
	image    *images.Image
	files    map[string]seen
	manifest []byte
	wrong    []string
}

// Check reads the layers of model images. Blobs lie in a folder of contents, whose name is empty or ends with a slash.
// Of an image that is not whole, whoever reads images has told.
func Check(ctx context.Context, contents *content.Contents, blobs string, found []*images.Image) ([]Model, []*fault.Fault, error) {
	wanted := map[string]bool{}
	holders := map[string][]*carried{}
	var all []*carried
	for _, image := range found {
		if image.Model() == "" {
			continue
		}
		names, whole := layers(contents, blobs, image)
		if !whole {
			continue
		}
		one := &carried{image: image, files: map[string]seen{}}
		all = append(all, one)
		for _, name := range names {
			wanted[name] = true
			holders[name] = append(holders[name], one)
		}
	}
	if len(all) == 0 {
		return nil, nil, nil
	}
	if err := contents.Again(ctx, wanted, func(entry stream.Entry, layer io.Reader) error {
		return readLayer(entry.Name, layer, holders[entry.Name])
	}); err != nil {
		return nil, nil, err
	}
	var models []Model
	var faults []*fault.Fault
	for _, one := range all {
		model, wrong := one.compare()
		for _, text := range wrong {
			faults = append(faults, fault.New(fault.Weights, one.image.Reference, "%s", text))
		}
		models = append(models, model)
	}
	return models, faults, nil
}

// layers are the files of an image's layers, and whether all are there and as they should be.
func layers(contents *content.Contents, blobs string, image *images.Image) (names []string, whole bool) {
	for _, layer := range image.Layers {
		name := path.Join(blobs, "blobs/sha256", layer.Hex())
		if file := contents.Files[name]; file == nil || file.Digest != layer.Hex() {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

func readLayer(place string, layer io.Reader, holders []*carried) error {
	plain, release, err := stream.Plain(layer, place)
	if err != nil {
		return err
	}
	defer release()
	return stream.Entries(plain, place, true, func(entry stream.Entry, data io.Reader) error {
		name, below := strings.CutPrefix(entry.Name, folder)
		if !below {
			return nil
		}
		var text []byte
		if name == manifest {
			if text, err = io.ReadAll(io.LimitReader(data, maxManifest+1)); err != nil {
				return err
			}
		}
		hasher := stream.NewHasher()
		_, err := io.Copy(hasher, data)
		digest, size := hasher.Sum()
		if err != nil {
			return err
		}
		for _, one := range holders {
			one.add(name, text, seen{size, digest})
		}
		return nil
	})
}

func (c *carried) add(name string, text []byte, file seen) {
	_, twice := c.files[name]
	switch {
	case strings.HasPrefix(path.Base(name), ".wh."), twice, name == manifest && c.manifest != nil:
		c.wrong = append(c.wrong, fmt.Sprintf("%s is in two of its layers, or removed by one", name))
	case name == manifest:
		c.manifest = text
	default:
		c.files[name] = file
	}
}

// compare is the model, and a line for everything that is not as the manifest and the labels say.
func (c *carried) compare() (Model, []string) {
	model := Model{ID: c.image.Model()}
	wrong := c.wrong
	described := struct {
		ID    string   `json:"id"`
		Files []listed `json:"files"`
	}{}
	if c.manifest == nil {
		return model, append(wrong, "it has no model/manifest.json, so nobody knows its files")
	}
	if err := json.Unmarshal(c.manifest, &described); err != nil || len(c.manifest) > maxManifest {
		return model, append(wrong, fmt.Sprintf("its model/manifest.json is not readable: %v", err))
	}
	if described.ID != model.ID {
		wrong = append(wrong, fmt.Sprintf("its label names model %q, its manifest %q", model.ID, described.ID))
	}
	left := maps.Clone(c.files)
	for _, file := range described.Files {
		have, there := c.files[file.Path]
		delete(left, file.Path)
		switch {
		case !there:
			wrong = append(wrong, fmt.Sprintf("%s is missing", file.Path))
		case have.size != file.Size || have.digest != file.SHA256:
			wrong = append(wrong, fmt.Sprintf("%s has SHA-256 %s and %d bytes; its manifest says %s and %d",
				file.Path, have.digest, have.size, file.SHA256, file.Size))
		}
		model.Files++
		model.Bytes += have.size
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		wrong = append(wrong, fmt.Sprintf("%s is not in its manifest", name))
	}
	model.Digest = digestOf(described.Files)
	return model, append(wrong, c.labels(model.Digest)...)
}

func (c *carried) labels(digest string) []string {
	var wrong []string
	if label := strings.TrimPrefix(c.image.Labels[images.ModelDigest], "sha256:"); label != digest {
		wrong = append(wrong, fmt.Sprintf("its label says digest %q, its manifest makes %s", label, digest))
	}
	if _, tag, found := strings.Cut(path.Base(c.image.Reference), ":sha256-"); found && tag != digest[:shortened] {
		wrong = append(wrong, fmt.Sprintf("its tag says digest %s…, its manifest makes %s", tag, digest))
	}
	return wrong
}

// digestOf names weights as services/sdk does: SHA-256 over the paths and digests of the files.
func digestOf(files []listed) string {
	sum := sha256.New()
	for _, file := range slices.SortedFunc(slices.Values(files), func(a, b listed) int { return strings.Compare(a.Path, b.Path) }) {
		fmt.Fprintf(sum, "%s\x00%s\n", file.Path, file.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
