// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
)

const layerType = "application/vnd.zarf.layer.v1.blob"

// hosted is a registry into which anything can be put.
type hosted struct {
	*testing.T
	place string
}

func host(t *testing.T) *hosted {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return &hosted{t, server.URL + "/v2/cowabungaai-model"}
}

func (h *hosted) send(method, path, mediaType string, data []byte) {
	h.Helper()
	request, err := http.NewRequestWithContext(h.Context(), method, h.place+path, bytes.NewReader(data))
	if err != nil {
		h.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		h.Fatal(answer.Status)
	}
}

// layer stores a blob; without a title where that is empty.
func (h *hosted) layer(title string, data []byte) map[string]any {
	h.Helper()
	h.send(http.MethodPost, "/blobs/uploads/?digest=sha256:"+digest(data), "application/octet-stream", data)
	made := map[string]any{"mediaType": layerType, "digest": "sha256:" + digest(data), "size": len(data)}
	if title != "" {
		made["annotations"] = map[string]any{"org.opencontainers.image.title": title}
	}
	return made
}

// publish stores a manifest as Zarf makes them.
func (h *hosted) publish(layers []any) {
	h.Helper()
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	config := h.layer("", []byte("{}"))
	config["mediaType"] = "application/vnd.zarf.config.v1+json"
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": config, "layers": layers})
	if err != nil {
		h.Fatal(err)
	}
	h.send(http.MethodPut, "/manifests/0.1.0", mediaType, manifest)
}

// Zarf takes the first layer of a title. Nothing signs the manifest, so somebody may put others before those that are signed.
func TestNothingIsAddedToAPackageInARegistry(t *testing.T) {
	signer, anchor := key(t)
	files := parcel(t, signer, []byte("weights"))
	statement := fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
		"subject": [{"name": "%s#zarf.yaml", "digest": {"sha256": "%s"}}],
		"predicate": {"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": "y"}}}}`,
		archiveName, digest(files["zarf.yaml"]))
	signed, err := signer.Statement(t.Context(), []byte(statement))
	if err != nil {
		t.Fatal(err)
	}
	provenance := filepath.Join(t.TempDir(), "provenance")
	if err := os.WriteFile(provenance, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		first func(*hosted) []any
		kind  *fault.Kind
		told  string
	}{
		"nothing": {func(*hosted) []any { return nil }, nil, ""},
		"definition and checksums": {func(h *hosted) []any {
			return []any{h.layer("zarf.yaml", []byte("kind: ZarfPackageConfig")), h.layer("checksums.txt", []byte("other"))}
		}, fault.Contents, "two layers with the title"},
		"the same twice": {func(h *hosted) []any {
			return []any{h.layer("zarf.yaml", files["zarf.yaml"])}
		}, fault.Contents, `two layers with the title "zarf.yaml"`},
		"without a title": {func(h *hosted) []any {
			return []any{h.layer("", []byte("more"))}
		}, fault.Contents, "has no title"},
		"that nothing lists": {func(h *hosted) []any {
			return []any{h.layer("components/more.tar", []byte("more"))}
		}, fault.Contents, "checksums.txt does not list it"},
		"by another digest": {func(h *hosted) []any {
			made := h.layer("components/more.tar", []byte("more"))
			made["digest"] = "sha512:" + strings.Repeat("0", 128)
			return []any{made}
		}, fault.Corrupt, "no SHA-256"},
		"a bundle's definition": {func(h *hosted) []any {
			return []any{h.layer("uds-bundle.yaml", []byte("kind: UDSBundle")), h.layer("", []byte(`{"layers": []}`))}
		}, fault.Contents, "checksums.txt does not list it"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host(t)
			layers := one.first(h)
			for _, title := range slices.Sorted(maps.Keys(files)) {
				layers = append(layers, h.layer(title, files[title]))
			}
			h.publish(layers)
			work := &job{
				anchor: anchor, provenance: provenance, where: content.Where{PlainHTTP: true},
				reader: &content.Reader{Count: func(int64) error { return nil }},
			}
			reference := strings.NewReplacer("http://", "", "/v2", "").Replace(h.place) + ":0.1.0"
			result, err := work.run(t.Context(), scheme+reference)
			if err != nil {
				t.Fatal(err)
			}
			found := fault.First(result.Faults())
			if one.kind == nil && found != nil {
				t.Fatal(found)
			}
			if one.kind != nil && (found == nil || found.Kind != one.kind || !strings.Contains(found.Error(), one.told)) {
				t.Errorf("%v", result.Faults())
			}
		})
	}
}
