// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/debian"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/stream"
	"toolchain/courier/internal/verify"
)

// checksums writes checksums.txt of a folder, as sha256sum does: sorted, and without itself and its signature.
func checksums() *cobra.Command {
	return &cobra.Command{
		Use:   "checksums FOLDER",
		Short: "Write FOLDER/checksums.txt over all files of a folder",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			folder, err := stream.OpenFolder(arguments[0])
			if err != nil {
				return exit.Failure("%v", err)
			}
			defer folder.Close()
			var lines []string
			var lock sync.Mutex
			wanted := func(name string) bool { return name != verify.Checksums && name != verify.ChecksumsSeal }
			err = folder.Each(command.Context(), runtime.NumCPU(), wanted, func(entry stream.Entry, data io.Reader) error {
				digest, _, err := files.Digest(data)
				lock.Lock()
				defer lock.Unlock()
				lines = append(lines, fmt.Sprintf("%s  %s\n", digest, entry.Name))
				return err
			})
			if err != nil {
				return exit.Failure("%v", err)
			}
			slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64:], b[64:]) })
			text := []byte(strings.Join(lines, ""))
			if err := os.WriteFile(filepath.Join(arguments[0], verify.Checksums), text, 0o644); err != nil {
				return exit.Failure("%v", err)
			}
			return nil
		},
	}
}

// Description is what a provenance says of a package or a bundle.
type Description struct {
	Name   string  `json:"name"`
	SHA256 string  `json:"sha256"`
	Size   int64   `json:"size"`
	Root   Digest  `json:"root"`
	Images []Named `json:"images"`
	Models []Named `json:"models"`
	// Bases are images that the images stand on, as these say themselves.
	Bases  []Named          `json:"bases"`
	Debian []debian.Package `json:"debian"`
}

// Digest is a file's.
type Digest struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Named is an image by its reference, or a model by its id.
type Named Digest

// describe prints what a package or bundle is, once it is known to be whole: nothing else should be signed.
func describe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe FILE",
		Short: "Print digests of a package or bundle, its images and models as JSON, once it is known to be whole",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			progress := files.NewProgress(command.Context(), os.Stderr, "reading "+filepath.Base(arguments[0]), 0)
			result, subject, err := verify.Archive(command.Context(), verify.Reader(progress), arguments[0], nil)
			progress.End()
			if err != nil {
				return files.Told(err)
			}
			if first := fault.First(result.Faults()); first != nil {
				return &exit.Error{Code: first.Kind.Code, Message: fmt.Sprintf("%s: %v", first.Kind.Name, first)}
			}
			if name := filepath.Base(arguments[0]); name != subject.Archive {
				return &exit.Error{Code: fault.Name.Code, Message: fmt.Sprintf("%s: its name should be %s", name, subject.Archive)}
			}
			made := description(subject)
			for _, one := range subject.Packages {
				found, err := one.Debian(command.Context())
				if err != nil {
					return files.Told(err)
				}
				for _, one := range found {
					made.Debian = with(made.Debian, one)
				}
			}
			return files.PrintJSON(os.Stdout, made)
		},
	}
}

func description(subject *verify.Subject) Description {
	made := Description{
		Name: subject.Archive, SHA256: subject.Contents.Digest, Size: subject.Contents.Size,
		Root: Digest{subject.Root, subject.RootDigest}, Images: []Named{}, Models: []Named{},
		Bases: []Named{}, Debian: []debian.Package{},
	}
	for _, image := range subject.Images() {
		if !image.InIndex {
			made.Images = with(made.Images, Named{image.Reference, image.Digest})
		}
		if digest, named := strings.CutPrefix(image.Labels[images.BaseDigest], "sha256:"); named {
			made.Bases = with(made.Bases, Named{image.Labels[images.BaseName], digest})
		}
	}
	for _, model := range subject.Models() {
		made.Models = with(made.Models, Named{model.ID, model.Digest})
	}
	return made
}

// with is a list that has something, once.
func with[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}
