// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/stream"
	"toolchain/courier/internal/trust"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func packed(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	made := &bytes.Buffer{}
	writer := tar.NewWriter(made)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

// key is a signer and what its signatures go back to.
func key(t testing.TB) (*trust.Signer, *trust.Anchor) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, private)
}

func keyOf(t testing.TB, private *ecdsa.PrivateKey) (*trust.Signer, *trust.Anchor) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := trust.ReadKeypair(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := trust.OfKey(private.Public(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return trust.WithKey(pair), anchor
}

// parcel is a package as Zarf lays it out, with one image that holds a model.
func parcel(t testing.TB, signer *trust.Signer, weights []byte) map[string][]byte {
	t.Helper()
	blobs := map[string][]byte{}
	blob := func(mediaType string, data []byte) map[string]any {
		blobs["images/blobs/sha256/"+digest(data)] = data
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest(data), "size": len(data)}
	}
	text := func(value any) []byte {
		made, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	model := text(map[string]any{"id": "tiny", "files": []any{
		map[string]any{"path": "w", "size": len(weights), "sha256": digest(weights)},
	}})
	named := digest([]byte("w\x00" + digest(weights) + "\n"))
	layer := blob("application/vnd.oci.image.layer.v1.tar", packed(t, map[string][]byte{
		"model/manifest.json": model, "model/w": weights,
	}))
	labels := map[string]any{"ai.cowabunga.model.id": "tiny", "ai.cowabunga.model.digest": named}
	config := blob("application/vnd.oci.image.config.v1+json", text(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Labels": labels},
	}))
	reference := "ghcr.io/cowabungaai/models/tiny:sha256-" + named[:12]
	entry := blob("application/vnd.oci.image.manifest.v1+json", text(map[string]any{
		"schemaVersion": 2, "config": config, "layers": []any{layer},
	}))
	entry["annotations"] = map[string]any{"org.opencontainers.image.ref.name": reference}
	bill := strings.NewReplacer("/", "_", ":", "_").Replace(reference) + ".json"
	files := map[string][]byte{
		"images/index.json": text(map[string]any{"schemaVersion": 2, "manifests": []any{entry}}),
		"images/oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`),
		"sboms.tar": packed(t, map[string][]byte{bill: text(map[string]any{
			"artifacts": []any{}, "source": map[string]any{"metadata": map[string]any{"imageID": config["digest"]}},
		})}),
	}
	maps.Copy(files, blobs)
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&sums, "%s %s\n", digest(files[name]), name)
	}
	files["checksums.txt"] = []byte(sums.String())
	files["zarf.yaml"] = fmt.Appendf(nil, `kind: ZarfPackageConfig
metadata: {name: cowabungaai-model, version: 0.1.0, architecture: amd64, aggregateChecksum: %s}
build: {architecture: amd64, signed: true}
components: [{name: model, required: true, images: [%s]}]
`, digest(files["checksums.txt"]), reference)
	signed, err := signer.Data(context.Background(), files["zarf.yaml"])
	if err != nil {
		t.Fatal(err)
	}
	files["zarf.bundle.sig"] = signed
	return files
}

func check(t testing.TB, anchor *trust.Anchor, name string, archive []byte) []*fault.Fault {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	work := &job{anchor: anchor, reader: &content.Reader{Count: func(int64) error { return nil }}}
	result, err := work.run(context.Background(), path)
	if err != nil {
		t.Fatalf("an error that is no fault: %v", err)
	}
	return result.Faults()
}

const archiveName = "zarf-package-cowabungaai-model-amd64-0.1.0.tar.zst"

func TestAPackageWithoutProvenanceLacksThatAlone(t *testing.T) {
	signer, anchor := key(t)
	faults := check(t, anchor, archiveName, packed(t, parcel(t, signer, []byte("weights"))))
	if len(faults) != 1 || faults[0].Kind != fault.NoOrigin {
		t.Error(faults)
	}
}

func TestNoChangedByteOfWhatIsUnpackedPassesWithoutProvenanceEither(t *testing.T) {
	signer, anchor := key(t)
	files := parcel(t, signer, []byte("weights"))
	for name, data := range files {
		for _, place := range []int{0, len(data) / 2, len(data) - 1} {
			changed := maps.Clone(files)
			changed[name] = bytes.Clone(data)
			changed[name][place] ^= 1
			found := fault.First(check(t, anchor, archiveName, packed(t, changed)))
			// The bundle of a signature may change in what is not signed, such as its hint; all else may not.
			if found.Kind == fault.NoOrigin && name != "zarf.bundle.sig" {
				t.Errorf("byte %d of %s: %v", place, name, found)
			}
		}
	}
}

func TestAMissingTargetIsMisuse(t *testing.T) {
	_, anchor := key(t)
	work := &job{anchor: anchor, reader: &content.Reader{}}
	_, err := work.run(t.Context(), filepath.Join(t.TempDir(), "nothing"))
	told, ok := err.(*exit.Error)
	if !ok || told.Code != exit.Usage {
		t.Error(err)
	}
}

func TestInterruptedWorkIsNoFault(t *testing.T) {
	signer, anchor := key(t)
	path := filepath.Join(t.TempDir(), archiveName)
	if err := os.WriteFile(path, packed(t, parcel(t, signer, []byte("weights"))), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	work := &job{anchor: anchor, reader: &content.Reader{Count: func(int64) error { return nil }}}
	if _, err := work.run(ctx, path); err == nil || fault.As(err) != nil {
		t.Error(err)
	}
}

// signedFiles are an archive's files, less the signature, whose bundle may change in what is not signed.
func signedFiles(t testing.TB, archive []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := stream.Tar(bytes.NewReader(archive), "test", func(entry stream.Entry, content io.Reader) error {
		text, err := io.ReadAll(content)
		found[entry.Name] = string(text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	delete(found, "zarf.bundle.sig")
	return found
}

// FuzzArchive changes archives in any way: one that differs in what it holds must lack more than its provenance, and none
// may stop the program.
func FuzzArchive(f *testing.F) {
	// Each process of the fuzzer comes here, and all must know the archives of one by the same key.
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32))
	if err != nil {
		f.Fatal(err)
	}
	signer, anchor := keyOf(f, private)
	whole := packed(f, parcel(f, signer, []byte("weights")))
	made := signedFiles(f, whole)
	f.Add(whole, uint(0), byte(0))
	f.Add(whole, uint(600), byte(1))
	// Keys that nobody misses: what tells of the first is the signature alone, and of the second the checksums alone.
	f.Add(whole, uint(bytes.Index(whole, []byte("required: true"))), byte(1))
	f.Add(whole, uint(bytes.Index(whole, []byte(`artifacts":`))), byte(1))
	f.Add(packed(f, map[string][]byte{"index.json": []byte(`{"manifests":[{}]}`), "oci-layout": []byte("{}")}), uint(0), byte(0))
	f.Add(packed(f, map[string][]byte{"zarf.yaml": []byte("kind: ZarfPackageConfig\nbuild: {architecture: a}\n")}), uint(0), byte(0))
	f.Fuzz(func(t *testing.T, archive []byte, place uint, bits byte) {
		changed := bytes.Clone(archive)
		if len(changed) > 0 {
			changed[place%uint(len(changed))] ^= bits
		}
		first := fault.First(check(t, anchor, archiveName, changed))
		switch {
		case first == nil:
			t.Error("it passes without provenance")
		case first.Kind == fault.NoOrigin && !maps.Equal(signedFiles(t, changed), made):
			t.Error("it lacks provenance alone, though it holds other files than were signed")
		}
	})
}
