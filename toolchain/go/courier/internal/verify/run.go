// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/origin"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/stream"
	"toolchain/courier/internal/trust"
)

const (
	scheme = "oci://"
	// maxBundle is the largest sigstore bundle that is read, in bytes.
	maxBundle = 16 << 20
)

// job is one run of verify.
type job struct {
	anchor     *trust.Anchor
	provenance string
	where      content.Where
	reader     *content.Reader
}

func (j *job) run(ctx context.Context, target string) (*report.Result, error) {
	if reference, remote := strings.CutPrefix(target, scheme); remote {
		return j.registry(ctx, reference)
	}
	about, err := os.Stat(target)
	if err != nil {
		return nil, exit.Misuse("%s cannot be read: %v", target, errors.Unwrap(err))
	}
	if !about.IsDir() {
		return j.file(ctx, target)
	}
	folder, err := stream.OpenFolder(target)
	if broken := fault.As(err); broken != nil {
		result := &report.Result{Name: target, Kind: "folder"}
		result.Add("folder", "", broken)
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names := map[string]bool{}
	for _, entry := range folder.Entries {
		names[entry.Name] = true
	}
	if names["zarf.yaml"] || names["index.json"] && names["oci-layout"] {
		return j.folder(ctx, target, folder)
	}
	return j.release(ctx, target, folder)
}

// file checks a package or a bundle in a file.
func (j *job) file(ctx context.Context, path string) (*report.Result, error) {
	result, _, err := j.archive(ctx, path)
	return result, err
}

func (j *job) archive(ctx context.Context, path string) (*report.Result, *Subject, error) {
	result, subject, err := Archive(ctx, j.reader, path, j.anchor)
	if err != nil {
		return nil, nil, err
	}
	name := filepath.Base(path)
	if subject.Archive != "" {
		result.Add("file name", subject.Archive, named(name, subject.Archive)...)
	}
	signed, err := j.signed(path)
	if err != nil {
		return nil, nil, err
	}
	j.vouched(result, subject, signed, name, name)
	return result, subject, nil
}

// vouched adds what the provenance says to a result; of a bundle it is the signature, too. Name is that of the file, where
// there is one, and shown is what messages call it.
func (j *job) vouched(result *report.Result, subject *Subject, signed []byte, name, shown string) {
	detail, faults := provenance(subject, j.anchor, signed, name)
	if subject.Bundle {
		result.Add("signature", "by "+j.anchor.String()+", through its provenance", j.bundleSignature(shown, signed)...)
	}
	result.Add("provenance", detail, faults...)
}

// bundleSignature tells of a bundle that nobody signed, or another: the UDS CLI keeps no signature in what it makes.
func (j *job) bundleSignature(name string, signed []byte) []*fault.Fault {
	if signed == nil {
		return []*fault.Fault{fault.New(fault.Unsigned, name, "it has no signature: its provenance, which is missing, signs a bundle")}
	}
	if _, err := j.anchor.Statement(signed); err != nil {
		return []*fault.Fault{trust.FaultOf(err, name, "its provenance")}
	}
	return nil
}

func named(have, expected string) []*fault.Fault {
	if have == expected {
		return nil
	}
	return []*fault.Fault{fault.New(fault.Name, have, "by what it says of itself its name is %s", expected)}
}

func (j *job) folder(ctx context.Context, path string, folder *stream.Folder) (*report.Result, error) {
	contents, err := j.reader.Folder(ctx, folder, filepath.Base(path))
	if broken := fault.As(err); broken != nil {
		result := &report.Result{Name: path, Kind: "folder"}
		result.Add("folder", "", broken)
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	result, subject, err := Contents(ctx, contents, j.anchor)
	if err != nil {
		return nil, err
	}
	signed, err := j.signed(filepath.Join(filepath.Dir(filepath.Clean(path)), subject.Archive))
	if err != nil {
		return nil, err
	}
	j.vouched(result, subject, signed, "", path)
	return result, nil
}

func (j *job) registry(ctx context.Context, reference string) (*report.Result, error) {
	j.where.Reference = reference
	remote, err := j.reader.Registry(ctx, j.where)
	if broken := fault.As(err); broken != nil {
		result := &report.Result{Name: reference, Kind: "in a registry"}
		result.Add("registry", "", broken)
		return result, nil
	}
	if err != nil {
		return nil, exit.Failure("%v", err)
	}
	contents := remote.Contents
	if remote.Titles["zarf.yaml"] != "" {
		contents = contents.Under(reference, remote.Titles)
	}
	result, subject, err := Contents(ctx, contents, j.anchor)
	if err != nil {
		return nil, err
	}
	if subject.Archive != "" {
		result.Add("reference", reference, referred(reference, subject)...)
	}
	signed, err := j.signed("")
	if err != nil {
		return nil, err
	}
	j.vouched(result, subject, signed, "", reference)
	return result, nil
}

// referred compares a reference with what lies there; a digest says nothing of names.
func referred(reference string, subject *Subject) []*fault.Fault {
	last := reference[strings.LastIndex(reference, "/")+1:]
	last, _, _ = strings.Cut(last, "@")
	repository, tag, tagged := strings.Cut(last, ":")
	fits := tag == subject.Version || strings.HasPrefix(tag, subject.Version+"-")
	if repository != subject.Name || tagged && !fits {
		return []*fault.Fault{fault.New(fault.Name, reference, "what lies there calls itself %s %s", subject.Name, subject.Version)}
	}
	return nil
}

// signed is the provenance that belongs to a file; nil where there is none.
func (j *job) signed(path string) ([]byte, error) {
	place := j.provenance
	if place == "" && path != "" {
		found, err := origin.Find(path)
		if err != nil {
			return nil, err
		}
		place = found
	}
	if place == "" {
		return nil, nil
	}
	file, err := os.Open(place)
	if err != nil {
		return nil, exit.Misuse("--provenance: %v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBundle+1))
	if err == nil && len(text) > maxBundle {
		err = exit.Misuse("%s is larger than %d bytes, which no provenance is", place, maxBundle)
	}
	return text, err
}
