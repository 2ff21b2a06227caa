// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/images"
	"toolchain/courier/internal/oci"
)

var digest = strings.Repeat("ab", 32)

type member struct{ name, text string }

func packed(t *testing.T, members ...member) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer := tar.NewWriter(made)
	for _, one := range members {
		header := &tar.Header{Name: one.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(one.text))}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(one.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

// read makes an archive with an image of these layers, and reads its packages.
func read(t *testing.T, labels map[string]string, layers ...[]byte) ([]Package, error) {
	t.Helper()
	image := &images.Image{Labels: labels}
	var blobs []member
	for _, layer := range layers {
		sum := sha256.Sum256(layer)
		hex := hex.EncodeToString(sum[:])
		blobs = append(blobs, member{"images/blobs/sha256/" + hex, string(layer)})
		image.Layers = append(image.Layers, oci.Descriptor{Digest: "sha256:" + hex, Size: int64(len(layer))})
	}
	path := filepath.Join(t.TempDir(), "package.tar")
	if err := os.WriteFile(path, packed(t, blobs...), 0o600); err != nil {
		t.Fatal(err)
	}
	reader := &content.Reader{Count: func(int64) error { return nil }}
	contents, err := reader.Archive(context.Background(), path, "package")
	if err != nil {
		t.Fatal(err)
	}
	// The same image twice, as in a bundle of services that stand on the same layers.
	return Read(context.Background(), contents, []*images.Image{image, image})
}

func TestPackagesOfAllLayersAreFoundOnce(t *testing.T) {
	zlib := "Package: zlib1g\nVersion: 1:1.3+1-1\nArchitecture: amd64\nDescription: compression\n SHA256: of nothing\nSHA256: " + digest + "\n"
	libc := "Package: libc6\nSHA256: " + digest + "\nVersion: 2.41-12\nArchitecture: amd64"
	found, err := read(t, nil,
		packed(t, member{records + "zlib1g", zlib}, member{records + "zlib1g.md5sums", "Package: no"}, member{`etc/systemd-\x2d.slice`, libc}),
		packed(t, member{records + "libc6", libc}),
	)
	expected := []Package{{"libc6", "2.41-12", "amd64", digest}, {"zlib1g", "1:1.3+1-1", "amd64", digest}}
	if err != nil || !slices.Equal(found, expected) {
		t.Fatalf("got %v, %v", found, err)
	}
}

func TestCompilersOfALayerAreFoundAsWell(t *testing.T) {
	gcc := "Package: gcc-14\nVersion: 14.2.0-19\nArchitecture: amd64\nSHA256: " + digest
	zlib := "Package: zlib1g\nArchitecture: amd64\nVersion: 1:1.3+1-1\nSHA256: " + digest
	layer := packed(t, member{compilers, gcc + "\n\n" + zlib + "\n\n"}, member{records + "zlib1g", zlib}, member{compilers + "/gcc", gcc})
	found, err := read(t, nil, layer)
	expected := []Package{{"gcc-14", "14.2.0-19", "amd64", digest}, {"zlib1g", "1:1.3+1-1", "amd64", digest}}
	if err != nil || !slices.Equal(found, expected) {
		t.Fatalf("got %v, %v", found, err)
	}
}

func TestWhatOthersMadeAndWeightsHaveNone(t *testing.T) {
	layer := packed(t, member{records + "zlib1g", "Package: zlib1g\nVersion: 1\n"})
	if found, err := read(t, nil, layer); err != nil || len(found) != 0 {
		t.Fatalf("a record without a digest: got %v, %v", found, err)
	}
	layer = packed(t, member{records + "zlib1g", "Package: zlib1g\nVersion: 1\nSHA256: " + digest + "\n"})
	if found, err := read(t, map[string]string{images.ModelID: "tiny"}, layer); err != nil || len(found) != 0 {
		t.Fatalf("an image of weights: got %v, %v", found, err)
	}
}

func TestARecordThatIsNoneIsTold(t *testing.T) {
	for _, text := range []string{
		"Package: zlib1g\nVersion: 1\nSHA256: abc\n",
		"Version: 1\nSHA256: " + digest + "\n",
		"Package: zlib1g\nSHA256: " + digest + "\n",
	} {
		for _, place := range []string{records + "zlib1g", compilers} {
			_, err := read(t, nil, packed(t, member{place, text}))
			if told := fault.As(err); told == nil || told.Place != place {
				t.Errorf("%s: %q: got %v", place, text, err)
			}
		}
	}
}
