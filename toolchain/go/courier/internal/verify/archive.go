// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"path/filepath"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/origin"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/trust"
	"toolchain/courier/internal/udsbundle"
	"toolchain/courier/internal/weights"
	"toolchain/courier/internal/zarfpackage"
)

// Subject is a package or a bundle, as far as it could be read.
type Subject struct {
	Contents *content.Contents
	// Whole tells whether the file could be read to its end.
	Whole bool
	// Archive is the name that its file should have; empty where it could not be read.
	Archive string
	Name    string
	Version string
	// Root is the file that all others hang on, and RootDigest its digest.
	Root       string
	RootDigest string
	Bundle     bool
	Images     []*images.Image
	Models     []weights.Model
}

// Archive reads a file that holds a package or a bundle, and checks all but its name and provenance.
func Archive(ctx context.Context, reader *content.Reader, path string, anchor *trust.Anchor) (*report.Result, *Subject, error) {
	contents, err := reader.Archive(ctx, path, filepath.Base(path))
	broken := fault.As(err)
	if err != nil && broken == nil {
		return nil, nil, err
	}
	if broken != nil {
		result := &report.Result{Name: contents.Place, Kind: "archive"}
		result.Add("archive", "", broken)
		return result, &Subject{Contents: contents}, nil
	}
	return Contents(ctx, contents, anchor)
}

// Contents checks a package or a bundle that was read.
func Contents(ctx context.Context, contents *content.Contents, anchor *trust.Anchor) (*report.Result, *Subject, error) {
	subject := &Subject{Contents: contents, Whole: true}
	switch {
	case zarfpackage.Has(contents):
		result, facts, err := zarfpackage.Check(ctx, contents, anchor, nil)
		if facts != nil {
			subject.Archive, subject.Name, subject.Version = facts.Archive, facts.Name, facts.Version
			subject.Root, subject.RootDigest = "zarf.yaml", facts.Root
			subject.Images, subject.Models = facts.Images, facts.Models
		}
		return result, subject, err
	case udsbundle.Has(contents):
		subject.Bundle = true
		result, facts, err := udsbundle.Check(ctx, contents, anchor)
		if facts != nil {
			subject.Archive, subject.Name, subject.Version = facts.Archive, facts.Name, facts.Version
			subject.Root, subject.RootDigest = "uds-bundle.yaml", facts.Root
			for _, one := range facts.Packages {
				subject.Images = append(subject.Images, one.Images...)
				subject.Models = append(subject.Models, one.Models...)
			}
		}
		return result, subject, err
	}
	result := &report.Result{Name: contents.Place, Kind: "archive"}
	result.Add("archive", "", fault.New(fault.Unreadable, contents.Place, "it is neither a Zarf package nor a UDS bundle"))
	return result, subject, nil
}

// provenance checks where a subject comes from. Signed is the sigstore bundle, and nil where there is none; file is the
// name of the subject's archive, and empty where it lies in a folder or a registry.
func provenance(subject *Subject, anchor *trust.Anchor, signed []byte, file string) (detail string, faults []*fault.Fault) {
	place := subject.Contents.Place
	if signed == nil {
		return "", []*fault.Fault{fault.New(fault.NoOrigin, place, "it has no provenance; --provenance names one that lies elsewhere")}
	}
	text, err := anchor.Statement(signed)
	if err != nil {
		return "", []*fault.Fault{trust.FaultOf(err, place, "its provenance")}
	}
	statement, err := origin.Parse(text, place)
	if err != nil {
		return "", []*fault.Fault{fault.As(err)}
	}
	var wrong *fault.Fault
	switch {
	case file != "":
		wrong = statement.Check(file, subject.Contents.Digest, subject.Contents.Size, subject.Whole)
	case subject.Archive != "":
		wrong = statement.CheckRoot(subject.Archive, subject.Root, subject.RootDigest)
	}
	if wrong != nil {
		faults = append(faults, wrong)
	}
	if file != "" && file != subject.Archive || wrong != nil && wrong.Kind == fault.Name {
		// It is about something else, which holds other things.
		return "", faults
	}
	return "by " + statement.Predicate.RunDetails.Builder.ID, append(faults, inputs(subject, statement)...)
}

// inputs compares images and models with those that the provenance names, where it names any.
func inputs(subject *Subject, statement *origin.Statement) (faults []*fault.Fault) {
	for _, image := range subject.Images {
		if image.InIndex {
			continue
		}
		kind := fault.Image
		if image.Model() != "" {
			kind = fault.Weights
		}
		made, any := statement.Dependency(origin.ImagePrefix, image.Reference)
		if any && made != image.Digest {
			faults = append(faults, fault.New(kind, image.Reference, "it is sha256:%s; the provenance says %q", image.Digest, made))
		}
	}
	for _, model := range subject.Models {
		made, any := statement.Dependency(origin.ModelPrefix, model.ID)
		if any && model.Digest != "" && made != model.Digest {
			faults = append(faults, fault.New(fault.Weights, model.ID, "its digest is %s; the provenance says %q", model.Digest, made))
		}
	}
	return faults
}
