// SPDX-License-Identifier: Apache-2.0

package zarfpackage

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/trust"
	"toolchain/courier/internal/weights"
)

// Facts are what a package says of itself, once it is known to be whole.
type Facts struct {
	// Archive is the name that the package's file should have.
	Archive string
	Name    string
	Version string
	// Root is the digest of zarf.yaml.
	Root   string
	Images []*images.Image
	Models []weights.Model
}

// Chosen are the optional components that a bundle takes of a package; nil where all are there.
type Chosen struct{ Optional []string }

func (c *Chosen) leavesOut(one component) bool {
	if c == nil || one.Required == nil || *one.Required {
		return false
	}
	for _, name := range c.Optional {
		if name == one.Name {
			return false
		}
	}
	return true
}

// Has tells whether contents look like a Zarf package.
func Has(contents *content.Contents) bool { return contents.Files[definitionName] != nil }

// Check answers everything that can be asked of a package without its provenance. Facts are nil where it is not readable.
// Without an anchor nobody asks for a signature.
func Check(ctx context.Context, contents *content.Contents, anchor *trust.Anchor, chosen *Chosen) (*report.Result, *Facts, error) {
	result := &report.Result{Name: contents.Place, Kind: "Zarf package"}
	described, err := parse(contents)
	if err != nil {
		result.Add("package", "", fault.New(fault.Unreadable, contents.Place, "%v", err))
		return result, nil, nil
	}
	facts := &Facts{
		Archive: described.archive(), Name: described.Metadata.Name, Version: described.Metadata.Version,
		Root: contents.Files[definitionName].Digest,
	}
	if anchor != nil {
		result.Add("signature", "by "+anchor.String(), signature(contents, anchor)...)
	}

	found, broken := images.Read(contents, imagesFolder)
	facts.Images = found
	there, out := described.references(chosen.leavesOut)
	broken = tolerated(broken, there, out)
	lines, wrong := checksums(contents, described, found, chosen)
	result.Add("checksums", fmt.Sprintf("%d files", lines), append(corrupt(broken), wrong...)...)
	result.Add("images", listed(found), append(rest(broken), missing(found, there, out)...)...)

	bills, without := sboms(contents, found)
	result.Add("sbom", bills, without...)

	models, other, err := weights.Check(ctx, contents, imagesFolder, found)
	if broken := fault.As(err); broken != nil {
		other, err = append(other, fault.New(fault.Corrupt, broken.Place, "%s", broken.Text)), nil
	}
	if err != nil {
		return nil, nil, err
	}
	facts.Models = models
	result.Add("weights", told(models), other...)
	result.Add("name", described.archive(), names(described, found)...)
	return result, facts, nil
}

func signature(contents *content.Contents, anchor *trust.Anchor) []*fault.Fault {
	definition := contents.Text(definitionName)
	var err error
	switch {
	case contents.Files[bundleName] != nil:
		err = anchor.Data(contents.Text(bundleName), definition)
	case contents.Files[bareName] != nil:
		err = anchor.Bare(contents.Text(bareName), definition)
	default:
		return []*fault.Fault{fault.New(fault.Unsigned, contents.Place, "it has no signature; expected one by %s", anchor)}
	}
	if err == nil {
		return nil
	}
	return []*fault.Fault{trust.FaultOf(err, contents.Place, "zarf.yaml")}
}

// tolerated leaves out what is missing only because its component is.
func tolerated(broken []*fault.Fault, there, out map[string]bool) []*fault.Fault {
	var kept []*fault.Fault
	for _, one := range broken {
		reference := normal(one.Place)
		if one.Kind == fault.Contents && out[reference] && !there[reference] {
			continue
		}
		kept = append(kept, one)
	}
	return kept
}

func corrupt(all []*fault.Fault) (some []*fault.Fault) {
	for _, one := range all {
		if one.Kind == fault.Corrupt {
			some = append(some, one)
		}
	}
	return some
}

func rest(all []*fault.Fault) (some []*fault.Fault) {
	for _, one := range all {
		if one.Kind != fault.Corrupt {
			some = append(some, one)
		}
	}
	return some
}

// missing compares the images that are there with those that zarf.yaml names.
func missing(found []*images.Image, there, out map[string]bool) (faults []*fault.Fault) {
	have := map[string]bool{}
	for _, image := range found {
		reference := normal(image.Reference)
		have[reference] = true
		if !there[reference] && !out[reference] {
			faults = append(faults, fault.New(fault.Image, image.Reference, "zarf.yaml names no such image"))
		}
	}
	for reference := range there {
		if !have[reference] {
			faults = append(faults, fault.New(fault.Contents, reference, "the image is missing"))
		}
	}
	return faults
}

// normal writes a reference in full, so that two ways to write it are the same.
func normal(reference string) string {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return reference
	}
	return parsed.Name()
}

// names compares what the package is called with what is in it.
func names(described *definition, found []*images.Image) (faults []*fault.Fault) {
	metadata, build := described.Metadata, described.Build
	if metadata.Architecture != "" && metadata.Architecture != build.Architecture {
		faults = append(faults, fault.New(fault.Name, described.archive(), "it is for %s, and was built for %s",
			metadata.Architecture, build.Architecture))
	}
	var own []string
	for _, image := range found {
		for _, wrong := range architecture(image, build.Architecture) {
			faults = append(faults, wrong)
		}
		if service, ours := strings.CutPrefix(image.Reference, registry); ours && image.Model() == "" {
			own = append(own, service)
		}
	}
	service, ours := strings.CutPrefix(metadata.Name, prefix)
	if !ours || len(own) == 0 {
		return faults
	}
	for _, image := range own {
		if image == service+":"+metadata.Version || strings.HasPrefix(image, service+":"+metadata.Version+"-") {
			return faults
		}
	}
	return append(faults, fault.New(fault.Name, described.archive(), "it calls itself %s %s, and holds %s", metadata.Name,
		metadata.Version, strings.Join(own, ", ")))
}

// What is ours is called so: a package cowabungaai-<service> holds the image <service>:<version>.
const (
	registry = "ghcr.io/cowabungaai/"
	prefix   = "cowabungaai-"
)

func architecture(image *images.Image, expected string) []*fault.Fault {
	if image.InIndex || image.Platform.Architecture == "" || image.Platform.Architecture == expected {
		return nil
	}
	return []*fault.Fault{fault.New(fault.Name, image.Reference, "the image is for %s, the package for %s",
		image.Platform.Architecture, expected)}
}

func listed(found []*images.Image) string {
	if len(found) == 1 {
		return fmt.Sprintf("%s@sha256:%s", found[0].Reference, found[0].Digest[:12])
	}
	return fmt.Sprintf("%d images", len(found))
}

func told(models []weights.Model) string {
	if len(models) == 0 {
		return "none inside"
	}
	var parts []string
	for _, model := range models {
		parts = append(parts, fmt.Sprintf("%s %.12s, %d files, %.1f MB", model.ID, model.Digest, model.Files,
			float64(model.Bytes)/1e6))
	}
	return strings.Join(parts, "; ")
}
