// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/origin"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) int {
	var told *exit.Error
	if errors.As(err, &told) {
		return told.Code
	}
	return -1
}

func save(t *testing.T, path string, content []byte) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, content, 0o644))
	return path
}

type member struct {
	name    string
	content []byte
}

func plain(t *testing.T, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, one := range members {
		must(t, writer.WriteHeader(&tar.Header{Name: one.name, Mode: 0o644, Size: int64(len(one.content))}))
		_, err := writer.Write(one.content)
		must(t, err)
	}
	must(t, writer.Close())
	return out.Bytes()
}

func packed(t *testing.T, members ...member) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	must(t, err)
	return encoder.EncodeAll(plain(t, members...), nil)
}

func jsonOf(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

func describe(content []byte) descriptor {
	sum := sha256.Sum256(content)
	return descriptor{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content))}
}

// zarf makes a package's members as Zarf does: an image of one layer, a bill of materials, a description.
func zarf(t *testing.T, version, layer, library string) []member {
	t.Helper()
	settings := jsonOf(map[string]any{"config": map[string]any{"Labels": map[string]string{
		"ai.cowabunga.model.id": "tiny", "ai.cowabunga.model.digest": "sha256:" + strings.Repeat(version[:1], 64),
	}}})
	of := jsonOf(manifest{Config: describe(settings), Layers: []descriptor{describe([]byte(layer)), describe([]byte("base"))}})
	entry := describe(of)
	reference := "ghcr.io/cowabungaai/app:" + version
	entry.Annotations = map[string]string{"org.opencontainers.image.base.name": reference}
	bill := jsonOf(map[string]any{
		"artifacts": []map[string]string{{"name": "lib", "version": library, "type": "python"}, {"name": "libc", "version": "2", "type": "deb"}},
		"source":    map[string]any{"metadata": map[string]string{"userInput": reference}},
	})
	var members []member
	for _, content := range [][]byte{settings, of, []byte(layer), []byte("base")} {
		members = append(members, member{imageBlobs + hexOf(describe(content).Digest), content})
	}
	return append(members,
		member{imageIndex, jsonOf(manifest{Manifests: []descriptor{entry}})},
		member{sbomsTar, plain(t, member{"./app.json", bill}, member{"viewer.html", []byte("<html>")})},
		member{zarfYAML, fmt.Appendf(nil, "metadata: {name: app, version: %q, architecture: amd64}\n", version)})
}

// uds makes a bundle's members of one package's, as UDS does: what describes it comes first.
func uds(t *testing.T, members []member) []member {
	t.Helper()
	var of manifest
	for _, one := range members {
		layer := describe(one.content)
		layer.Annotations = map[string]string{titleKey: one.name}
		of.Layers = append(of.Layers, layer)
	}
	text := jsonOf(of)
	entry := describe(text)
	entry.MediaType = "application/vnd.zarf.layer.v1.blob"
	about := describe([]byte("kind: UDSBundle\n"))
	about.Annotations = map[string]string{titleKey: "uds-bundle.yaml"}
	root := jsonOf(manifest{Layers: []descriptor{entry, about}})
	out := []member{{"index.json", jsonOf(manifest{Manifests: []descriptor{describe(root)}})}}
	for _, content := range [][]byte{root, text} {
		out = append(out, member{"blobs/sha256/" + hexOf(describe(content).Digest), content})
	}
	for _, one := range members {
		out = append(out, member{"blobs/sha256/" + hexOf(describe(one.content).Digest), one.content})
	}
	return out
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, expected is %+v", what, got, want)
	}
}

func TestPackagesAndBundlesTellTheSame(t *testing.T) {
	for name, make := range map[string]func(members []member) []member{
		"zarf-package-app-amd64.tar.zst": func(members []member) []member { return members },
		"uds-bundle-app-amd64.tar.zst":   func(members []member) []member { return uds(t, members) },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			old := save(t, filepath.Join(folder, "old", name), packed(t, make(zarf(t, "1.0", "code one", "3"))...))
			next := save(t, filepath.Join(folder, "new", name), packed(t, make(zarf(t, "2.0", "code two!", "4"))...))
			report, err := Compare(context.Background(), old, next, nil)
			must(t, err)
			expect(t, "packages", report.Packages, []Change{{"app amd64", "1.0", "2.0"}})
			expect(t, "models", report.Models, []Change{{"tiny", "sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)}})
			expect(t, "software", report.Components, []ComponentChange{{Component{"app", "python", "lib"}, "3", "4"}})
			if len(report.Images) != 1 || report.Images[0].Name != "ghcr.io/cowabungaai/app amd64" ||
				report.Images[0].New.Reference != "ghcr.io/cowabungaai/app:2.0" || report.Images[0].New.Size != report.Images[0].Old.Size+1 {
				t.Errorf("images: %+v", report.Images)
			}
			layer := hexOf(describe([]byte("code two!")).Digest)
			found := false
			for _, blob := range report.Blobs.New {
				found = found || blob == Blob{layer, 9, "ghcr.io/cowabungaai/app:2.0"}
			}
			if !found || report.Blobs.Shared != 1 || report.Blobs.SharedSize != 4 {
				t.Errorf("blobs: %+v", report.Blobs)
			}
			var text bytes.Buffer
			must(t, report.Show(&text))
			for _, line := range []string{"1.0 -> 2.0", "python  lib  3 -> 4", "Content: "} {
				if !strings.Contains(text.String(), line) {
					t.Errorf("%q is not in\n%s", line, text.String())
				}
			}
			same, err := Compare(context.Background(), old, old, nil)
			must(t, err)
			if len(same.Packages)+len(same.Images)+len(same.Models)+len(same.Components)+len(same.Blobs.New)+len(same.Blobs.Gone) > 0 {
				t.Errorf("a file differs from itself: %+v", same)
			}
		})
	}
}

func releaseFolder(t *testing.T, version, library string, vulnerabilities ...map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	save(t, filepath.Join(folder, "packages/zarf-package-app-amd64-"+version+".tar.zst"), packed(t, zarf(t, version, "code "+version, library)...))
	save(t, filepath.Join(folder, "scan/app/report.json"), jsonOf(map[string]any{"Results": []any{map[string]any{"Vulnerabilities": vulnerabilities}}}))
	save(t, filepath.Join(folder, "sbom/app.cdx.json"), jsonOf(map[string]any{"components": []map[string]string{
		{"name": "lib", "version": library, "purl": "pkg:pypi/lib@" + library}, {"name": "app", "version": "0"},
		{"name": "twice", "version": "1", "purl": "pkg:pypi/twice@1"}, {"name": "twice", "version": "2", "purl": "pkg:pypi/twice@2"},
	}}))
	save(t, filepath.Join(folder, "bundles/uds-bundle-x-amd64-"+version+".tar.zst"), []byte("not read, for there are packages"))
	save(t, filepath.Join(folder, "provenance/zarf-package-app-amd64-"+version+".tar.zst"+origin.Suffix), []byte("{}"))
	return folder
}

func TestReleasesTellVulnerabilitiesSoftwareAndSizes(t *testing.T) {
	cve := func(id, installed, severity string) map[string]string {
		return map[string]string{"VulnerabilityID": id, "PkgName": "lib", "InstalledVersion": installed, "Severity": severity}
	}
	old := releaseFolder(t, "1.0", "3", cve("CVE-1", "3", "LOW"), cve("CVE-2", "3", "HIGH"))
	next := releaseFolder(t, "2.0", "4", cve("CVE-1", "4", "LOW"), cve("CVE-4", "4", "MEDIUM"), cve("CVE-3", "4", "CRITICAL"))
	report, err := Compare(context.Background(), old, next, nil)
	must(t, err)
	expect(t, "vulnerabilities", report.Findings, Findings{
		Compared: true, Stay: 1,
		Fixed: []Finding{{"CVE-2", "app", "lib", "HIGH", "3"}},
		New:   []Finding{{"CVE-3", "app", "lib", "CRITICAL", "4"}, {"CVE-4", "app", "lib", "MEDIUM", "4"}},
	})
	expect(t, "software", report.Components, []ComponentChange{{Component{"app", "pypi", "lib"}, "3", "4"}})
	for _, file := range report.Files {
		if file.Path == "packages/zarf-package-app-amd64-2.0.tar.zst" && file.OldPath != "packages/zarf-package-app-amd64-1.0.tar.zst" {
			t.Errorf("%+v", file)
		}
	}
	must(t, os.RemoveAll(filepath.Join(next, "scan")))
	report, err = Compare(context.Background(), old, next, nil)
	must(t, err)
	if report.Findings.Compared || len(report.Notes) != 1 {
		t.Errorf("without a scan: %+v, %v", report.Findings, report.Notes)
	}
}

func TestWhatCannotBeComparedIsTold(t *testing.T) {
	folder := t.TempDir()
	good := save(t, filepath.Join(folder, "zarf-package-a.tar.zst"), packed(t, zarf(t, "1.0", "x", "3")...))
	bundle := save(t, filepath.Join(folder, "uds-bundle-a.tar.zst"), packed(t, uds(t, zarf(t, "1.0", "x", "3"))...))
	whole, err := os.ReadFile(good)
	must(t, err)
	for name, want := range map[string]struct {
		place string
		code  int
	}{
		"another kind": {bundle, 2},
		"missing":      {filepath.Join(folder, "none"), files.Missing},
		"any file":     {save(t, filepath.Join(folder, "x.txt"), nil), 2},
		"empty folder": {t.TempDir(), 2},
		"cut off":      {save(t, filepath.Join(t.TempDir(), "zarf-package-b.tar.zst"), whole[:len(whole)/2]), files.Damaged},
		"no archive":   {save(t, filepath.Join(t.TempDir(), "zarf-package-b.tar.zst"), []byte("hello")), files.Damaged},
		"no package":   {save(t, filepath.Join(t.TempDir(), "zarf-package-b.tar.zst"), packed(t, member{"a", nil})), files.Malformed},
		"no bundle":    {save(t, filepath.Join(t.TempDir(), "uds-bundle-b.tar.zst"), packed(t, member{"a", nil})), files.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Compare(context.Background(), good, want.place, nil); code(err) != want.code {
				t.Errorf("code %d, expected %d: %v", code(err), want.code, err)
			}
		})
	}
}

func TestWhatArchivesSaySteersNoTerminal(t *testing.T) {
	folder := t.TempDir()
	members := zarf(t, "1.0", "x", "3\x1b[2J")
	old := save(t, filepath.Join(folder, "old/zarf-package-a.tar.zst"), packed(t, zarf(t, "1.0", "x", "3")...))
	next := save(t, filepath.Join(folder, "new/zarf-package-a.tar.zst"), packed(t, members...))
	report, err := Compare(context.Background(), old, next, nil)
	must(t, err)
	var text bytes.Buffer
	must(t, report.Show(&text))
	if strings.ContainsRune(text.String(), '\x1b') || !strings.Contains(text.String(), "3?[2J") {
		t.Errorf("%q", text.String())
	}
}

func TestAFileWithOtherContentAndTheSameSizeIsAChange(t *testing.T) {
	old, next := releaseFolder(t, "1.0", "3"), releaseFolder(t, "1.0", "3")
	save(t, filepath.Join(old, "tools/courier"), []byte("AAAA"))
	save(t, filepath.Join(next, "tools/courier"), []byte("BBBB"))
	want := []FileChange{{Path: "tools/courier", Old: 4, New: 4}}
	report, err := Compare(context.Background(), old, next, nil)
	must(t, err)
	expect(t, "files", report.Files, want)
	var text bytes.Buffer
	must(t, report.Show(&text))
	if !strings.Contains(text.String(), "changed, 4 B as before") {
		t.Error(text.String())
	}
	// What is listed is not read again.
	for folder, digest := range map[string]string{old: "a", next: "b"} {
		save(t, filepath.Join(folder, "checksums.txt"), []byte(strings.Repeat(digest, 64)+"  tools/courier\n"))
	}
	report, err = Compare(context.Background(), old, next, nil)
	must(t, err)
	if len(report.Files) != 2 || report.Files[1] != want[0] {
		t.Errorf("%+v", report.Files)
	}
}

func TestAPackageThatIsNotCompressedIsReadAsWell(t *testing.T) {
	folder := t.TempDir()
	old := save(t, filepath.Join(folder, "zarf-package-a-1.tar"), plain(t, zarf(t, "1.0", "x", "3")...))
	next := save(t, filepath.Join(folder, "zarf-package-a-2.tar.zst"), packed(t, zarf(t, "2.0", "y", "4")...))
	report, err := Compare(context.Background(), old, next, nil)
	must(t, err)
	if len(report.Packages) != 1 || len(report.Images) != 1 {
		t.Errorf("%+v", report)
	}
}

func TestASparseFileIsRefused(t *testing.T) {
	var made bytes.Buffer
	writer := tar.NewWriter(&made)
	// archive/tar writes no sparse files: names of the same length become those of one.
	records := map[string]string{"GNU_sparse.map": "0,5", "GNU_sparse.numblocks": "1", "GNU_sparse.size": "5000000000000"}
	must(t, writer.WriteHeader(&tar.Header{Name: "zarf.yaml", Mode: 0o644, Size: 5, PAXRecords: records}))
	_, err := writer.Write([]byte("hello"))
	must(t, err)
	must(t, writer.Close())
	archive := bytes.ReplaceAll(made.Bytes(), []byte("GNU_sparse."), []byte("GNU.sparse."))
	place := save(t, filepath.Join(t.TempDir(), "zarf-package-a.tar"), archive)
	if _, err := Compare(context.Background(), place, place, nil); code(err) == -1 || !strings.Contains(fmt.Sprint(err), "sparse") {
		t.Error(err)
	}
}
