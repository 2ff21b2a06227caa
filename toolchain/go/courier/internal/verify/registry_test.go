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
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/trust"
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

// beside is another repository of the same registry.
func (h *hosted) beside(repository string) *hosted {
	return &hosted{h.T, h.place[:strings.LastIndex(h.place, "/")+1] + repository}
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

// files stores a package's files as layers.
func (h *hosted) files(files map[string][]byte) []any {
	h.Helper()
	layers := []any{}
	for _, title := range slices.Sorted(maps.Keys(files)) {
		layers = append(layers, h.layer(title, files[title]))
	}
	return layers
}

// publish stores a manifest as Zarf makes them, under a tag; its digest.
func (h *hosted) publish(layers []any, tag string) string {
	h.Helper()
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	config := h.layer("", []byte("{}"))
	config["mediaType"] = "application/vnd.zarf.config.v1+json"
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": config, "layers": layers})
	if err != nil {
		h.Fatal(err)
	}
	h.send(http.MethodPut, "/manifests/"+tag, mediaType, manifest)
	return "sha256:" + digest(manifest)
}

// verify checks what lies in the repository under a tag or digest; its faults.
func (h *hosted) verify(anchor *trust.Anchor, provenance, reference string) []*fault.Fault {
	h.Helper()
	work := &job{
		anchor: anchor, provenance: provenance, where: content.Where{PlainHTTP: true},
		reader: &content.Reader{Count: func(int64) error { return nil }},
	}
	place := strings.NewReplacer("http://", "", "/v2", "").Replace(h.place)
	result, err := work.run(h.Context(), scheme+place+reference)
	if err != nil {
		h.Fatal(err)
	}
	return result.Faults()
}

// attested writes the provenance of a package's files; its path.
func attested(t *testing.T, signer *trust.Signer, files map[string][]byte) string {
	t.Helper()
	statement := fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
		"subject": [{"name": "%s#zarf.yaml", "digest": {"sha256": "%s"}}],
		"predicate": {"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": "y"}}}}`,
		archiveName, digest(files["zarf.yaml"]))
	signed, err := signer.Statement(t.Context(), []byte(statement))
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "provenance", signed)
}

// Zarf takes the first layer of a title. Nothing signs the manifest, so somebody may put others before those that are signed.
func TestNothingIsAddedToAPackageInARegistry(t *testing.T) {
	signer, anchor := key(t)
	files := parcel(t, signer, []byte("weights"))
	provenance := attested(t, signer, files)
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
			h.publish(append(one.first(h), h.files(files)...), "0.1.0")
			faults := h.verify(anchor, provenance, ":0.1.0")
			found := fault.First(faults)
			if one.kind == nil && found != nil {
				t.Fatal(found)
			}
			if one.kind != nil && (found == nil || found.Kind != one.kind || !strings.Contains(found.Error(), one.told)) {
				t.Errorf("%v", faults)
			}
		})
	}
}

// What is signed says its name and its version; somebody may put it where another is looked for.
func TestAReferenceMustNameWhatLiesThere(t *testing.T) {
	signer, anchor := key(t)
	files := parcel(t, signer, []byte("weights"))
	provenance := attested(t, signer, files)
	own := host(t)
	other := own.beside("cowabungaai-other")
	whole := ""
	for place, tags := range map[*hosted][]string{
		own: {"0.1.0", "0.1.0-upstream", "0.1.01", "0.2.0"}, other: {"0.1.0"},
	} {
		for _, tag := range tags {
			whole = place.publish(place.files(files), tag)
		}
	}
	for _, one := range []struct {
		place     *hosted
		reference string
		fits      bool
	}{
		{own, ":0.1.0", true},
		{own, ":0.1.0-upstream", true},
		{own, "@" + whole, true},
		{own, ":0.1.01", false},
		{own, ":0.2.0", false},
		{other, ":0.1.0", false},
		{other, "@" + whole, false},
	} {
		faults := one.place.verify(anchor, provenance, one.reference)
		if one.fits && len(faults) > 0 {
			t.Errorf("%s: %v", one.reference, faults)
		}
		const told = "what lies there calls itself cowabungaai-model 0.1.0"
		if !one.fits && (len(faults) != 1 || faults[0].Kind != fault.Name || faults[0].Text != told) {
			t.Errorf("%s%s: %v", one.place.place, one.reference, faults)
		}
	}
}
