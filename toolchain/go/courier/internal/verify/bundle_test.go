// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/trust"
)

const bundleName = "uds-bundle-cowabungaai-dev-amd64-0.1.0.tar.zst"

// extra is a layer that is added to the manifest of a bundle, or of the package in it.
type extra struct {
	inner bool
	title string
	data  string
}

// bundled is a bundle of one package, as UDS lays it out.
func bundled(t testing.TB, signer *trust.Signer, change func(map[string][]byte), more ...extra) map[string][]byte {
	t.Helper()
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	blob := func(title, mediaType string, data []byte) map[string]any {
		files["blobs/sha256/"+digest(data)] = data
		made := map[string]any{"mediaType": mediaType, "digest": "sha256:" + digest(data), "size": len(data)}
		if title != "" {
			made["annotations"] = map[string]any{"org.opencontainers.image.title": title}
		}
		return made
	}
	text := func(value any) []byte {
		made, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	const layer, manifest = "application/vnd.zarf.layer.v1.blob", "application/vnd.oci.image.manifest.v1+json"
	parts := []any{}
	inside := parcel(t, signer, []byte("weights"))
	if change != nil {
		change(inside)
	}
	for name, data := range inside {
		parts = append(parts, blob(name, layer, data))
	}
	added := []any{}
	for _, one := range more {
		if made := blob(one.title, layer, []byte(one.data)); one.inner {
			parts = append(parts, made)
		} else {
			added = append(added, made)
		}
	}
	config := blob("", "application/vnd.zarf.config.v1+json", []byte("{}"))
	inner := blob("", manifest, text(map[string]any{"schemaVersion": 2, "config": config, "layers": parts}))
	definition := fmt.Appendf(nil, `kind: UDSBundle
metadata: {name: cowabungaai-dev, version: 0.1.0, architecture: amd64}
packages: [{name: cowabungaai-model, path: packages, ref: "0.1.0@%s"}]
`, inner["digest"])
	layers := append([]any{inner, blob("uds-bundle.yaml", layer, definition)}, added...)
	root := blob("", manifest, text(map[string]any{"schemaVersion": 2, "config": config, "layers": layers}))
	files["index.json"] = text(map[string]any{"schemaVersion": 2, "manifests": []any{root}})
	return files
}

func TestABundleWithoutProvenanceIsNotSigned(t *testing.T) {
	signer, anchor := key(t)
	faults := check(t, anchor, bundleName, packed(t, bundled(t, signer, nil)))
	if len(faults) != 2 || fault.First(faults).Kind != fault.Unsigned {
		t.Error(faults)
	}
}

func TestWhatIsWrongInABundleIsTold(t *testing.T) {
	signer, anchor := key(t)
	stranger, _ := key(t)
	whole := bundled(t, signer, nil)
	blobOf := func(files map[string][]byte, text string) string {
		for name, data := range files {
			if strings.HasPrefix(name, "blobs/") && bytes.HasPrefix(data, []byte(text)) {
				return name
			}
		}
		t.Fatalf("no blob begins with %q", text)
		return ""
	}
	with := func(change func(map[string][]byte)) map[string][]byte {
		files := maps.Clone(whole)
		change(files)
		return files
	}
	for name, one := range map[string]struct {
		files map[string][]byte
		kind  *fault.Kind
		told  string
	}{
		"flipped bit": {with(func(files map[string][]byte) {
			place := blobOf(files, "kind: ZarfPackageConfig")
			files[place] = bytes.Replace(files[place], []byte("required"), []byte("requireD"), 1)
		}), fault.Corrupt, "its SHA-256 is"},
		"missing blob": {with(func(files map[string][]byte) { delete(files, blobOf(files, "model/")) }), fault.Unsigned, "missing"},
		"more":         {with(func(files map[string][]byte) { files["blobs/sha256/x"] = nil }), fault.Corrupt, "its SHA-256 is"},
		"more files":   {with(func(files map[string][]byte) { files["x"] = nil }), fault.Unsigned, "nothing in the bundle"},
		"no manifest":  {with(func(files map[string][]byte) { files["index.json"] = []byte("{}") }), fault.Unreadable, "index.json"},
		"another's":    {bundled(t, stranger, nil), fault.Unsigned, "another key"},
		"nobody's": {bundled(t, signer, func(files map[string][]byte) { delete(files, "zarf.bundle.sig") }), fault.Unsigned,
			"expected one by"},
		"two definitions": {bundled(t, signer, nil, extra{true, "zarf.yaml", "kind: other"}), fault.Unsigned,
			`contents cowabungaai-model: it has two layers with the title "zarf.yaml"`},
		"no title": {bundled(t, signer, nil, extra{true, "", "more"}), fault.Unsigned, "has no title"},
		// Its blob is the manifest's configuration, too, so that something refers to it.
		"two definitions of the bundle": {bundled(t, signer, nil, extra{false, "uds-bundle.yaml", "{}"}), fault.Unsigned,
			`two layers with the title "uds-bundle.yaml"`},
		"no bills": {bundled(t, signer, func(files map[string][]byte) { delete(files, "sboms.tar") }), fault.Unsigned, "no-sbom"},
	} {
		faults := check(t, anchor, bundleName, packed(t, one.files))
		var told []string
		for _, found := range faults {
			told = append(told, found.Kind.Name+" "+found.Error())
		}
		if first := fault.First(faults); first.Kind != one.kind || !strings.Contains(strings.Join(told, "\n"), one.told) {
			t.Errorf("%s: %s", name, strings.Join(told, "\n"))
		}
	}
}

func TestABundleUnderAnotherNameIsTold(t *testing.T) {
	signer, anchor := key(t)
	faults := check(t, anchor, strings.Replace(bundleName, "dev", "latest", 1), packed(t, bundled(t, signer, nil)))
	if fault.First(faults).Kind != fault.Name {
		t.Error(faults)
	}
}
