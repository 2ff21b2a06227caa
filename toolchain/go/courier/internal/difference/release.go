// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"toolchain/courier/internal/files"
)

const (
	checksums = "checksums.txt"
	// maxChecksums bounds that file, in bytes: some 200,000 lines.
	maxChecksums = 32 << 20
)

// readRelease reads packages, bills of materials and scans of a release folder. Bundles are made of the packages: where
// there are packages, they are not read once more.
func (a *Artifact) readRelease(list []files.File, progress *files.Progress) error {
	known := false
	own := slices.ContainsFunc(list, func(file files.File) bool { return isPackage(file.Path) })
	bills := slices.ContainsFunc(list, func(file files.File) bool { return isBill(file.Path) })
	listed, err := readChecksums(list)
	if err != nil {
		return err
	}
	for _, file := range list {
		digest, found := listed[file.Path]
		if !found {
			if digest, _, err = files.DigestOf(file.Place, progress); err != nil {
				return err
			}
		}
		a.Files[file.Path] = State{file.Size, digest}
		switch {
		case isPackage(file.Path):
			err = a.readPackage(file.Place, progress)
		case isArchive(file.Path, "uds-bundle-") && !own:
			err = a.readBundle(file.Place, progress)
		case isScan(file.Path):
			err = a.readScan(file)
		default:
			continue
		}
		known = true
		if err != nil {
			return err
		}
	}
	if !known {
		return files.Fail(2, "%s is no release folder: it holds no packages, bundles or scans", a.Path)
	}
	if bills {
		// The release's own bills are of the same images, and by another program than Zarf's.
		clear(a.Components)
		for _, file := range list {
			if isBill(file.Path) {
				if err := a.readBill(file); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readChecksums gives the digests that a release's checksums.txt lists, by path; nothing where it has none. Whether they
// are true is what verify tells.
func readChecksums(list []files.File) (map[string]string, error) {
	at := slices.IndexFunc(list, func(file files.File) bool { return file.Path == checksums })
	if at < 0 {
		return nil, nil
	}
	if list[at].Size > maxChecksums {
		return nil, files.Fail(files.Malformed, "%s has more than %d bytes", list[at].Place, maxChecksums)
	}
	text, err := os.ReadFile(list[at].Place)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if digest, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); found {
			listed[name] = digest
		}
	}
	return listed, nil
}

func isPackage(name string) bool { return isArchive(name, "zarf-package-") }

// isArchive tells a package or a bundle from its provenance, whose name begins likewise.
func isArchive(name, prefix string) bool {
	return strings.HasPrefix(path.Base(name), prefix) && files.IsArchive(name)
}

func isBill(name string) bool {
	return strings.HasPrefix(name, "sbom/") && strings.HasSuffix(name, ".cdx.json")
}

func isScan(name string) bool {
	return strings.HasPrefix(name, "scan/") && path.Base(name) == "report.json"
}

// readScan reads a report of Trivy.
func (a *Artifact) readScan(file files.File) error {
	var report struct {
		Results []struct {
			Vulnerabilities []struct {
				ID        string `json:"VulnerabilityID"`
				Package   string `json:"PkgName"`
				Installed string `json:"InstalledVersion"`
				Severity  string `json:"Severity"`
			} `json:"Vulnerabilities"`
		} `json:"Results"`
	}
	if err := readJSON(file, &report); err != nil {
		return err
	}
	if a.Findings == nil {
		a.Findings = map[Finding]bool{}
	}
	service := path.Base(path.Dir(file.Path))
	for _, result := range report.Results {
		for _, one := range result.Vulnerabilities {
			a.Findings[Finding{one.ID, service, one.Package, one.Severity, one.Installed}] = true
		}
	}
	return nil
}

// readBill reads a bill of materials in CycloneDX form.
func (a *Artifact) readBill(file files.File) error {
	var bill struct {
		Components []struct {
			Type    string `json:"type"`
			Name    string `json:"name"`
			Version string `json:"version"`
			PURL    string `json:"purl"`
		} `json:"components"`
	}
	if err := readJSON(file, &bill); err != nil {
		return err
	}
	a.Bills++
	image := strings.TrimSuffix(path.Base(file.Path), ".cdx.json")
	for _, one := range bill.Components {
		// pkg:deb/debian/libc6@2.41: the sort stands before the first slash.
		sort, _, found := strings.Cut(strings.TrimPrefix(one.PURL, "pkg:"), "/")
		if found {
			a.component(Component{image, sort, one.Name}, one.Version)
		}
	}
	return nil
}

func readJSON(file files.File, into any) error {
	opened, err := os.Open(file.Place)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := json.NewDecoder(io.LimitReader(opened, maxSBOM)).Decode(into); err != nil {
		return files.Fail(files.Malformed, "%s cannot be read: %v", file.Place, err)
	}
	return nil
}

// readSBOMs reads the bills of materials that Zarf lets Syft make, one for each image.
func (a *Artifact) readSBOMs(source io.Reader) error {
	return members(source, func(name string, size int64, content io.Reader) error {
		if !strings.HasSuffix(name, ".json") {
			return nil
		}
		if size > maxSBOM {
			return fmt.Errorf("%s has more than %d bytes", name, maxSBOM)
		}
		var bill struct {
			Artifacts []struct {
				Name    string `json:"name"`
				Version string `json:"version"`
				Type    string `json:"type"`
			} `json:"artifacts"`
			Source struct {
				Metadata struct {
					UserInput string `json:"userInput"`
				} `json:"metadata"`
				Name string `json:"name"`
			} `json:"source"`
		}
		if err := json.NewDecoder(content).Decode(&bill); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s/%s: %w", sbomsTar, name, err)
		}
		a.Bills++
		image := bill.Source.Metadata.UserInput
		if image == "" {
			image = strings.TrimSuffix(name, ".json")
		}
		for _, one := range bill.Artifacts {
			a.component(Component{short(image), one.Type, one.Name}, one.Version)
		}
		return nil
	})
}

// component notes one version of a component; there may be several side by side.
func (a *Artifact) component(component Component, version string) {
	versions := strings.Split(a.Components[component], ", ")
	if versions[0] == "" {
		versions = nil
	}
	if !slices.Contains(versions, version) {
		versions = append(versions, version)
		slices.Sort(versions)
		a.Components[component] = strings.Join(versions, ", ")
	}
}
