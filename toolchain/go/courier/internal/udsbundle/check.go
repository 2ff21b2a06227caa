// SPDX-License-Identifier: Apache-2.0

// Package udsbundle checks UDS bundles: an OCI layout that holds a uds-bundle.yaml and Zarf packages.
package udsbundle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/oci"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/trust"
	"toolchain/courier/internal/zarfpackage"
)

// Facts are what a bundle says of itself, once it is known to be whole.
type Facts struct {
	// Archive is the name that the bundle's file should have.
	Archive string
	Name    string
	Version string
	// Root is the digest of uds-bundle.yaml.
	Root     string
	Packages []*zarfpackage.Facts
}

// Has tells whether contents look like a bundle.
func Has(contents *content.Contents) bool {
	return contents.Files[indexName] != nil && contents.Files[layoutName] != nil
}

// bundle is a bundle while it is checked.
type bundle struct {
	contents *content.Contents
	anchor   *trust.Anchor
	result   *report.Result
	used     map[string]bool
	broken   []*fault.Fault
	facts    *Facts
}

// Check answers everything that can be asked of a bundle without its provenance. Facts are nil where it is not readable.
// Without an anchor nobody asks for signatures.
func Check(ctx context.Context, contents *content.Contents, anchor *trust.Anchor) (*report.Result, *Facts, error) {
	b := &bundle{
		contents: contents, anchor: anchor, result: &report.Result{Name: contents.Place, Kind: "UDS bundle"},
		used: map[string]bool{indexName: true, layoutName: true}, facts: &Facts{},
	}
	b.blobs()
	root, described, err := b.root()
	if err != nil {
		b.result.Add("checksums", fmt.Sprintf("%d blobs", len(contents.Files)), b.broken...)
		b.result.Add("bundle", "", fault.New(fault.Unreadable, contents.Place, "%v", err))
		return b.result, nil, nil
	}
	b.facts.Archive = fmt.Sprintf("uds-bundle-%s-%s-%s.tar.zst", described.Metadata.Name, described.Metadata.Architecture,
		described.Metadata.Version)
	b.facts.Name, b.facts.Version = described.Metadata.Name, described.Metadata.Version
	if err := b.packages(ctx, root, described); err != nil {
		return nil, nil, err
	}
	b.unused()
	b.result.Add("checksums", fmt.Sprintf("%d blobs", len(contents.Files)), b.broken...)
	return b.result, b.facts, nil
}

func (b *bundle) fail(kind *fault.Kind, place, format string, values ...any) {
	b.broken = append(b.broken, fault.New(kind, place, format, values...))
}

// blobs compares every blob with its name.
func (b *bundle) blobs() {
	for _, name := range slices.Sorted(maps.Keys(b.contents.Files)) {
		hex, blob := strings.CutPrefix(name, blobsFolder)
		if digest := b.contents.Files[name].Digest; blob && digest != hex {
			b.fail(fault.Corrupt, name, "its SHA-256 is %s", digest)
		}
	}
}

// root reads the bundle's own manifest and its uds-bundle.yaml.
func (b *bundle) root() (*oci.Manifest, *definition, error) {
	index := oci.Manifest{}
	if err := json.Unmarshal(b.contents.Text(indexName), &index); err != nil {
		return nil, nil, fmt.Errorf("its index.json is not readable: %w", err)
	}
	if len(index.Manifests) != 1 {
		return nil, nil, fmt.Errorf("its index.json names %d manifests, expected one", len(index.Manifests))
	}
	root, err := b.manifest(index.Manifests[0])
	if err != nil {
		return nil, nil, err
	}
	b.blob(root.Config)
	for _, layer := range root.Layers {
		if layer.Annotations[oci.Title] != definitionName {
			continue
		}
		file := b.blob(layer)
		if file == nil {
			break
		}
		described := &definition{}
		if err := yaml.Unmarshal(file.Text, described); err != nil {
			return nil, nil, fmt.Errorf("its %s is not readable: %w", definitionName, err)
		}
		if described.Kind != "UDSBundle" {
			return nil, nil, fmt.Errorf("its %s is of kind %q, expected UDSBundle", definitionName, described.Kind)
		}
		b.facts.Root = file.Digest
		return root, described, nil
	}
	return nil, nil, fmt.Errorf("it has no %s", definitionName)
}

// blob is the file of a descriptor; nil where it is missing, of which a fault tells.
func (b *bundle) blob(entry oci.Descriptor) *content.File {
	file := b.contents.Files[blobsFolder+entry.Hex()]
	if file == nil || entry.Hex() == "" {
		b.fail(fault.Contents, b.contents.Place, "blob %q is missing", entry.Digest)
		return nil
	}
	b.used[file.Name] = true
	if file.Size != entry.Size && file.Digest == entry.Hex() {
		b.fail(fault.Corrupt, b.contents.Place, "blob %s has %d bytes, not %d", entry.Digest, file.Size, entry.Size)
	}
	return file
}

func (b *bundle) manifest(entry oci.Descriptor) (*oci.Manifest, error) {
	file := b.blob(entry)
	if file == nil {
		return nil, fmt.Errorf("its manifest %q is missing", entry.Digest)
	}
	manifest := &oci.Manifest{}
	if err := json.Unmarshal(file.Text, manifest); err != nil {
		return nil, fmt.Errorf("%s is no manifest: %w", entry.Digest, err)
	}
	return manifest, nil
}

// packages checks each package, and that they are those that uds-bundle.yaml names.
func (b *bundle) packages(ctx context.Context, root *oci.Manifest, described *definition) error {
	named := map[string]packaged{}
	for _, one := range described.Packages {
		_, digest, found := strings.Cut(one.Ref, "@")
		if !found {
			b.fail(fault.Contents, one.Name, "%s names it without a digest: %q", definitionName, one.Ref)
			continue
		}
		named[digest] = one
	}
	_, faults := content.Titles(b.contents.Place, root.Layers)
	b.broken = append(b.broken, faults...)
	for number, layer := range root.Layers {
		switch title := layer.Annotations[oci.Title]; {
		case number > maxPackages:
			b.fail(fault.Unsafe, b.contents.Place, "it has more than %d packages", maxPackages)
			return nil
		case title == definitionName:
		case title == bareName:
			b.bare(layer)
		default:
			one, known := named[layer.Digest]
			delete(named, layer.Digest)
			if !known {
				b.fail(fault.Contents, layer.Digest, "%s names no such package", definitionName)
			}
			if err := b.inner(ctx, layer, one); err != nil {
				return err
			}
		}
	}
	for digest, one := range named {
		b.fail(fault.Contents, one.Name, "package %s of %s is missing", digest, definitionName)
	}
	return nil
}

// bare checks the bundle's own signature, where it has one.
func (b *bundle) bare(layer oci.Descriptor) {
	signed := b.blob(layer)
	definition := b.contents.Files[blobsFolder+b.facts.Root]
	if signed == nil || definition == nil || b.anchor == nil {
		return
	}
	var faults []*fault.Fault
	if err := b.anchor.Bare(signed.Text, definition.Text); err != nil {
		faults = append(faults, trust.FaultOf(err, b.contents.Place, definitionName))
	}
	b.result.Add("signature", "by "+b.anchor.String(), faults...)
}

func (b *bundle) inner(ctx context.Context, layer oci.Descriptor, one packaged) error {
	manifest, err := b.manifest(layer)
	if err != nil {
		b.fail(fault.Corrupt, b.contents.Place, "%v", err)
		return nil
	}
	b.blob(manifest.Config)
	for _, part := range manifest.Layers {
		b.blob(part)
	}
	names, faults := content.Titles(one.Name, manifest.Layers)
	b.broken = append(b.broken, faults...)
	result, facts, err := zarfpackage.Check(ctx, b.contents.Under(one.Name, names), b.anchor, &zarfpackage.Chosen{Optional: one.Optional})
	if err != nil {
		return err
	}
	if facts != nil {
		b.facts.Packages = append(b.facts.Packages, facts)
		version, _, _ := strings.Cut(one.Ref, "@")
		result.Name = facts.Archive
		if facts.Name != one.Name || facts.Version != version {
			b.fail(fault.Name, one.Name, "the package calls itself %s %s; %s says %s %s", facts.Name, facts.Version, definitionName,
				one.Name, version)
		}
	}
	b.result.Parts = append(b.result.Parts, result)
	return nil
}

// unused tells of what nothing refers to.
func (b *bundle) unused() {
	for _, name := range slices.Sorted(maps.Keys(b.contents.Files)) {
		if !b.used[name] {
			b.fail(fault.Contents, name, "nothing in the bundle refers to it")
		}
	}
}
