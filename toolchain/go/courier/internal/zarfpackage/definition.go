// SPDX-License-Identifier: Apache-2.0

// Package zarfpackage checks Zarf packages.
package zarfpackage

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"toolchain/courier/internal/content"
)

// Files of a package.
const (
	definitionName = "zarf.yaml"
	checksumsName  = "checksums.txt"
	bundleName     = "zarf.bundle.sig"
	bareName       = "zarf.yaml.sig"
	sbomsName      = "sboms.tar"
	imagesFolder   = "images/"
)

// definition is what of a zarf.yaml is needed.
type definition struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name              string `yaml:"name"`
		Version           string `yaml:"version"`
		Architecture      string `yaml:"architecture"`
		Uncompressed      bool   `yaml:"uncompressed"`
		AggregateChecksum string `yaml:"aggregateChecksum"`
	} `yaml:"metadata"`
	Build struct {
		Architecture        string   `yaml:"architecture"`
		Flavor              string   `yaml:"flavor"`
		Differential        bool     `yaml:"differential"`
		DifferentialVersion string   `yaml:"differentialPackageVersion"`
		ProvenanceFiles     []string `yaml:"provenanceFiles"`
	} `yaml:"build"`
	Components []component `yaml:"components"`
}

type component struct {
	Name          string   `yaml:"name"`
	Required      *bool    `yaml:"required"`
	Images        []string `yaml:"images"`
	ImageArchives []struct {
		Images []string `yaml:"images"`
	} `yaml:"imageArchives"`
}

func parse(contents *content.Contents) (*definition, error) {
	text := contents.Text(definitionName)
	if text == nil {
		return nil, errors.New("it has no zarf.yaml")
	}
	made := &definition{}
	if err := yaml.Unmarshal(text, made); err != nil {
		return nil, fmt.Errorf("its zarf.yaml is not readable: %w", err)
	}
	if made.Kind != "ZarfPackageConfig" && made.Kind != "ZarfInitConfig" || made.Build.Architecture == "" {
		return nil, fmt.Errorf("its zarf.yaml is not that of a package that was created: kind %q, architecture %q", made.Kind,
			made.Build.Architecture)
	}
	return made, nil
}

// archive is the name that Zarf gives to the package's file.
func (d *definition) archive() string {
	parts := []string{"zarf-package", d.Metadata.Name, d.Build.Architecture}
	if d.Kind == "ZarfInitConfig" {
		parts = []string{"zarf-init", d.Build.Architecture}
	}
	if d.Build.Differential {
		parts = append(parts, d.Build.DifferentialVersion, "differential", d.Metadata.Version)
	} else if d.Metadata.Version != "" {
		parts = append(parts, d.Metadata.Version)
	}
	if d.Build.Flavor != "" {
		parts = append(parts, d.Build.Flavor)
	}
	ending := ".tar.zst"
	if d.Metadata.Uncompressed {
		ending = ".tar"
	}
	return strings.Join(parts, "-") + ending
}

// references lists the images of the components that are there, and those of components that were left out.
func (d *definition) references(left func(component) bool) (there, out map[string]bool) {
	there, out = map[string]bool{}, map[string]bool{}
	for _, one := range d.Components {
		target := there
		if left(one) {
			target = out
		}
		for _, reference := range one.Images {
			target[normal(reference)] = true
		}
		for _, archive := range one.ImageArchives {
			for _, reference := range archive.Images {
				target[normal(reference)] = true
			}
		}
	}
	return there, out
}
