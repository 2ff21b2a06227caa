// SPDX-License-Identifier: Apache-2.0

// Package origin reads provenance: in-toto statements with SLSA's predicate.
package origin

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"toolchain/courier/internal/fault"
)

// Types of SLSA provenance, version 1.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	// Suffix follows the name of the file that a provenance is about.
	Suffix = ".provenance.sigstore.json"
)

// Names of dependencies begin with these, before an image's reference or a model's id.
const (
	ImagePrefix = "image:"
	ModelPrefix = "model:"
)

// Resource is a thing with a digest.
type Resource struct {
	Name        string            `json:"name"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// Statement says what was made, and of what.
type Statement struct {
	Type          string     `json:"_type"`
	Subject       []Resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     struct {
		BuildDefinition struct {
			BuildType    string     `json:"buildType"`
			Dependencies []Resource `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	} `json:"predicate"`
}

// Parse reads a statement.
func Parse(text []byte, place string) (*Statement, error) {
	statement := &Statement{}
	if err := json.Unmarshal(text, statement); err != nil {
		return nil, fault.New(fault.Origin, place, "it is no in-toto statement: %v", err)
	}
	if statement.Type != StatementType || statement.PredicateType != PredicateType {
		return nil, fault.New(fault.Origin, place, "expected a statement %s with predicate %s, got %q with %q", StatementType,
			PredicateType, statement.Type, statement.PredicateType)
	}
	if statement.Predicate.BuildDefinition.BuildType == "" || statement.Predicate.RunDetails.Builder.ID == "" {
		return nil, fault.New(fault.Origin, place, "it names no buildType or no builder")
	}
	return statement, nil
}

// Find is the path of the provenance of a file: beside it, or in the folder provenance beside it or above.
func Find(file string) (string, error) {
	folder, name := filepath.Split(filepath.Clean(file))
	for _, place := range []string{"../provenance", ".", "provenance"} {
		path := filepath.Join(folder, place, name+Suffix)
		about, err := os.Lstat(path)
		if err == nil && about.Mode().IsRegular() {
			return path, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", err
		}
	}
	return "", nil
}

// Check compares a statement with a file: its name, digest and size in bytes, and whether it could be read to its end.
func (s *Statement) Check(name, digest string, size int64, whole bool) *fault.Fault {
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] != digest {
			continue
		}
		if subject.Name != name {
			return fault.New(fault.Name, name, "its provenance knows these bytes as %q", subject.Name)
		}
		return nil
	}
	for _, subject := range s.Subject {
		if subject.Name != name {
			continue
		}
		if made, err := strconv.ParseInt(subject.Annotations["size"], 10, 64); err == nil && size < made && !whole {
			return fault.New(fault.Truncated, name, "it has %d bytes of the %d that were made", size, made)
		}
		return fault.New(fault.Origin, name, "its SHA-256 is %s; its provenance says %s", digest, subject.Digest["sha256"])
	}
	var names []string
	for _, subject := range s.Subject {
		names = append(names, subject.Name)
	}
	return fault.New(fault.Name, name, "its provenance is about %s", strings.Join(names, ", "))
}

// CheckRoot compares a statement with the file that a package or bundle stands on, where there is no archive: in a folder
// or a registry. The statement names it after the archive, such as <package>.tar.zst#zarf.yaml.
func (s *Statement) CheckRoot(archive, root, digest string) *fault.Fault {
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] != digest {
			continue
		}
		if subject.Name != archive+"#"+root {
			return fault.New(fault.Name, archive, "its provenance knows this %s as %q", root, subject.Name)
		}
		return nil
	}
	return fault.New(fault.Origin, archive, "its %s has SHA-256 %s, which the provenance does not name", root, digest)
}

// Dependency is the digest of an input by its name; empty where the statement does not have it. The second result tells
// whether it has any with that prefix.
func (s *Statement) Dependency(prefix, name string) (digest string, any bool) {
	for _, one := range s.Predicate.BuildDefinition.Dependencies {
		if one.Name == prefix+name {
			return one.Digest["sha256"], true
		}
		any = any || strings.HasPrefix(one.Name, prefix)
	}
	return "", any
}
