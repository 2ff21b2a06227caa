// SPDX-License-Identifier: Apache-2.0

package udsbundle

const (
	definitionName = "uds-bundle.yaml"
	bareName       = "uds-bundle.yaml.sig"
	indexName      = "index.json"
	layoutName     = "oci-layout"
	blobsFolder    = "blobs/sha256/"
	maxPackages    = 1000
)

type definition struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name         string `yaml:"name"`
		Version      string `yaml:"version"`
		Architecture string `yaml:"architecture"`
	} `yaml:"metadata"`
	Build struct {
		Architecture string `yaml:"architecture"`
	} `yaml:"build"`
	Packages []packaged `yaml:"packages"`
}

type packaged struct {
	Name     string   `yaml:"name"`
	Ref      string   `yaml:"ref"`
	Optional []string `yaml:"optionalComponents"`
}
