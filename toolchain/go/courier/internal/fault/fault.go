// SPDX-License-Identifier: Apache-2.0

// Package fault names what can be wrong with what has arrived. Each kind has an exit code of its own.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is one way in which something is not what it should be.
type Kind struct {
	Code    int
	Name    string
	Meaning string
}

// All kinds. The order is that in which causes come before their consequences: where several are found, the first decides
// the exit code.
var (
	Unsafe     = &Kind{22, "unsafe", "an archive that would write elsewhere, or that unpacks to far more than it is"}
	Truncated  = &Kind{11, "truncated", "the file ends too early"}
	Unreadable = &Kind{10, "unreadable", "neither a Zarf package, nor a UDS bundle, nor a release folder"}
	Weights    = &Kind{17, "weights", "a model's files are not those that its manifest, its label or the provenance name"}
	Image      = &Kind{16, "image", "an image is another one than the package was made with"}
	Corrupt    = &Kind{12, "corrupt", "bytes differ from their digest, such as one flipped bit"}
	Name       = &Kind{18, "name", "a package under the name, version or architecture of another"}
	Unsigned   = &Kind{13, "unsigned", "there is no signature"}
	OtherKey   = &Kind{14, "other-key", "signed by another key or identity"}
	NoSBOM     = &Kind{19, "no-sbom", "an image without a bill of materials, or with that of another image"}
	Changed    = &Kind{15, "changed", "changed after it was signed"}
	Contents   = &Kind{23, "contents", "a file or blob is missing, or one is there that nothing lists"}
	NoOrigin   = &Kind{20, "no-provenance", "there is no provenance"}
	Origin     = &Kind{21, "provenance", "the provenance is not about this file"}
)

// Kinds lists all, by what decides first.
func Kinds() []*Kind {
	return []*Kind{
		Unsafe, Truncated, Unreadable, Weights, Image, Corrupt, Name, Unsigned, OtherKey, NoSBOM, Changed, Contents, NoOrigin,
		Origin,
	}
}

// Fault is something wrong in one place.
type Fault struct {
	Kind  *Kind
	Place string
	Text  string
}

// Error is a line for people.
func (f *Fault) Error() string {
	if f.Place == "" {
		return f.Text
	}
	return f.Place + ": " + f.Text
}

// New is a fault; place is a file, a blob or an image.
func New(kind *Kind, place, format string, values ...any) *Fault {
	return &Fault{Kind: kind, Place: place, Text: fmt.Sprintf(format, values...)}
}

// As is the fault that an error is or wraps; nil where it is something else.
func As(err error) *Fault {
	var found *Fault
	if errors.As(err, &found) {
		return found
	}
	return nil
}

// First is the fault that decides the exit code; nil where there is none.
func First(faults []*Fault) *Fault {
	order := Kinds()
	var first *Fault
	for _, one := range faults {
		if first == nil || slices.Index(order, one.Kind) < slices.Index(order, first.Kind) {
			first = one
		}
	}
	return first
}
