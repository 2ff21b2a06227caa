// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/content"
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
		Short: "Print as JSON what a whole package or bundle is made of, by digest: images, what they stand on, models",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			progress := files.NewProgress(command.Context(), os.Stderr, "reading "+filepath.Base(arguments[0]), 0)
			made, err := description(command.Context(), verify.Reader(progress), arguments[0])
			progress.End()
			if err != nil {
				return verify.Told(err)
			}
			return files.PrintJSON(os.Stdout, made)
		},
	}
}

func description(ctx context.Context, reader *content.Reader, file string) (*Description, error) {
	result, subject, err := verify.Archive(ctx, reader, file, nil)
	if err != nil {
		return nil, err
	}
	if first := fault.First(result.Faults()); first != nil {
		return nil, first
	}
	if name := filepath.Base(file); name != subject.Archive {
		return nil, fault.New(fault.Name, name, "its name should be %s", subject.Archive)
	}
	made := &Description{
		Name: subject.Archive, SHA256: subject.Contents.Digest, Size: subject.Contents.Size,
		Root: Digest{subject.Root, subject.RootDigest}, Images: []Named{}, Models: []Named{}, Bases: []Named{},
	}
	for _, image := range subject.Images {
		if !image.InIndex {
			made.Images = with(made.Images, Named{image.Reference, image.Digest})
		}
		digest, said := image.Labels[images.BaseDigest]
		if !said {
			continue
		}
		base := Named{image.Labels[images.BaseName], strings.TrimPrefix(digest, "sha256:")}
		if base.Name == "" || files.CheckDigest(base.SHA256) != nil {
			return nil, fault.New(fault.Image, image.Reference, "its labels say that it stands on %q, of digest %q", base.Name, digest)
		}
		made.Bases = with(made.Bases, base)
	}
	for _, model := range subject.Models {
		made.Models = with(made.Models, Named{model.ID, model.Digest})
	}
	made.Debian, err = debian.Read(ctx, subject.Contents, subject.Images)
	return made, err
}

// with is a list that has something, once.
func with[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}
