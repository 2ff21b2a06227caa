// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/oci"
	"toolchain/courier/internal/stream"
)

const blobs = "blobs/sha256"

// Remote is a package or a bundle in a registry. Its contents are those of an OCI layout, index.json included.
type Remote struct {
	Contents *Contents
	Manifest oci.Manifest
	// Titles are what function Titles makes of the manifest.
	Titles map[string]string
	// Digest is of the manifest.
	Digest string
}

type registry struct {
	reader   *Reader
	place    name.Repository
	options  []remote.Option
	contents *Contents
	lock     sync.Mutex
}

// Where says how to find something in a registry.
type Where struct {
	Reference string
	PlainHTTP bool
	// Architecture chooses where there are several; it may be empty where there is one.
	Architecture string
}

// Registry reads a package or a bundle from a registry, several blobs at once. Credentials are those of `docker login`.
func (r *Reader) Registry(ctx context.Context, where Where) (*Remote, error) {
	reference := where.Reference
	var options []name.Option
	if where.PlainHTTP {
		options = append(options, name.Insecure)
	}
	parsed, err := name.ParseReference(reference, options...)
	if err != nil {
		return nil, err
	}
	from := &registry{reader: r, place: parsed.Context(), contents: &Contents{Place: reference, Files: map[string]*File{}}}
	from.options = []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	root, err := remote.Get(parsed, from.options...)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", reference, err)
	}
	if root.MediaType.IsIndex() {
		if root, err = from.platform(root.Manifest, where.Architecture); err != nil {
			return nil, err
		}
	}
	made := &Remote{Contents: from.contents, Digest: root.Digest.Hex}
	if err := json.Unmarshal(root.Manifest, &made.Manifest); err != nil {
		return nil, fault.New(fault.Unreadable, reference, "it is no manifest: %v", err)
	}
	titles, faults := Titles(reference, made.Manifest.Layers)
	if wrong := fault.First(faults); wrong != nil {
		return nil, wrong
	}
	made.Titles = titles
	if err := from.keep(root.Digest.Hex, root.Manifest); err != nil {
		return nil, err
	}
	entry := oci.Descriptor{MediaType: string(root.MediaType), Digest: root.Digest.String(), Size: root.Size}
	index, err := json.Marshal(oci.Manifest{Manifests: []oci.Descriptor{entry}})
	if err != nil {
		return nil, err
	}
	from.contents.Files["index.json"] = &File{Name: "index.json", Size: int64(len(index)), Text: index}
	from.contents.Files["oci-layout"] = &File{Name: "oci-layout"}
	from.contents.again = from.again
	wanted := append([]oci.Descriptor{made.Manifest.Config}, made.Manifest.Layers...)
	for _, layer := range made.Manifest.Layers {
		// A bundle's packages are manifests of their own, of which UDS says that they are layers.
		if layer.Annotations[oci.Title] == "" || types.MediaType(layer.MediaType).IsImage() {
			inner, err := from.manifest(ctx, layer)
			if err != nil {
				return nil, err
			}
			wanted = append(append(wanted, inner.Config), inner.Layers...)
		}
	}
	return made, from.fetch(ctx, wanted)
}

// platform chooses from an index, which is what Zarf and UDS publish.
func (r *registry) platform(index []byte, architecture string) (*remote.Descriptor, error) {
	listed := oci.Manifest{}
	if err := json.Unmarshal(index, &listed); err != nil {
		return nil, fault.New(fault.Unreadable, r.contents.Place, "it is no index: %v", err)
	}
	var known []string
	var chosen []oci.Descriptor
	for _, entry := range listed.Manifests {
		if entry.Platform == nil {
			continue
		}
		known = append(known, entry.Platform.Architecture)
		if architecture == "" || architecture == entry.Platform.Architecture {
			chosen = append(chosen, entry)
		}
	}
	if len(chosen) != 1 {
		return nil, fmt.Errorf("%s has %s; --architecture chooses one", r.contents.Place, strings.Join(known, ", "))
	}
	root, err := remote.Get(r.place.Digest(chosen[0].Digest), r.options...)
	if err != nil && mismatch(err) {
		return nil, fault.New(fault.Corrupt, r.contents.Place, "manifest %s is another one: %v", chosen[0].Digest, err)
	}
	return root, err
}

func (r *registry) keep(hex string, text []byte) error {
	file, err := r.reader.file(stream.Entry{Name: path.Join(blobs, hex), Size: int64(len(text))}, bytes.NewReader(text))
	if err == nil {
		r.contents.Files[file.Name] = file
	}
	return err
}

// manifest reads the manifest of a package in a bundle, which a registry may hold as a blob like any other.
func (r *registry) manifest(ctx context.Context, entry oci.Descriptor) (*oci.Manifest, error) {
	inner := &oci.Manifest{}
	got, err := remote.Get(r.place.Digest(entry.Digest), r.options...)
	switch {
	case err == nil:
		err = r.keep(entry.Hex(), got.Manifest)
	case mismatch(err):
		return nil, fault.New(fault.Corrupt, r.contents.Place, "manifest %s is another one: %v", entry.Digest, err)
	case absent(err):
		err = r.fetch(ctx, []oci.Descriptor{entry})
	}
	if err != nil {
		return nil, err
	}
	text := r.contents.Text(path.Join(blobs, entry.Hex()))
	if err := json.Unmarshal(text, inner); text != nil && err != nil {
		return nil, fault.New(fault.Corrupt, r.contents.Place, "%s is no manifest: %v", entry.Digest, err)
	}
	return inner, nil
}

// fetch reads blobs, each once.
func (r *registry) fetch(ctx context.Context, wanted []oci.Descriptor) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU() + 1)
	asked := map[string]bool{}
	for _, entry := range wanted {
		file := path.Join(blobs, entry.Hex())
		if entry.Hex() == "" || asked[file] || r.contents.Files[file] != nil {
			continue
		}
		asked[file] = true
		group.Go(func() error {
			read, err := r.read(ctx, entry)
			if err != nil || read == nil {
				return err
			}
			r.lock.Lock()
			defer r.lock.Unlock()
			r.contents.Files[file] = read
			return nil
		})
	}
	return group.Wait()
}

// read reads one blob; nil where the registry lacks it, of which whoever needs it will tell.
func (r *registry) read(ctx context.Context, entry oci.Descriptor) (*File, error) {
	var read *File
	err := r.open(ctx, entry.Digest, func(content io.Reader) (err error) {
		read, err = r.reader.file(stream.Entry{Name: path.Join(blobs, entry.Hex()), Size: entry.Size}, content)
		return err
	})
	return read, err
}

func (r *registry) open(ctx context.Context, digest string, visit func(io.Reader) error) error {
	layer, err := remote.Layer(r.place.Digest(digest), append(r.options, remote.WithContext(ctx))...)
	if err != nil {
		return err
	}
	source, err := layer.Compressed()
	if err != nil {
		if absent(err) {
			return nil
		}
		return err
	}
	defer source.Close()
	return visit(&whole{source: &counted{stoppable{ctx, source}, r.reader.Count}})
}

func (r *registry) again(ctx context.Context, wanted map[string]bool, visit stream.Visit) error {
	for file := range wanted {
		err := r.open(ctx, "sha256:"+path.Base(file), func(content io.Reader) error {
			return visit(stream.Entry{Name: file, Size: r.contents.Files[file].Size}, content)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
