// SPDX-License-Identifier: Apache-2.0

package content

import (
	"path"
	"slices"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/oci"
)

const bundleDefinition = "uds-bundle.yaml"

// Titles are the names that the manifest of a package or a bundle gives to its layers, with the files that they are.
// Nothing signs the manifest of a package, and whoever installs it may take a layer that is not among these: such a layer
// is a fault. Of a bundle those without a title are its packages.
func Titles(place string, layers []oci.Descriptor) (titles map[string]string, faults []*fault.Fault) {
	titles = map[string]string{}
	bundle := slices.ContainsFunc(layers, func(layer oci.Descriptor) bool {
		return layer.Annotations[oci.Title] == bundleDefinition
	})
	for _, layer := range layers {
		title := layer.Annotations[oci.Title]
		switch {
		case title == "" && bundle:
		case title == "":
			faults = append(faults, fault.New(fault.Contents, place, "its layer %q has no title, so nothing lists it", layer.Digest))
		case titles[title] != "":
			faults = append(faults, fault.New(fault.Contents, place, "it has two layers with the title %q", title))
		case layer.Hex() == "":
			faults = append(faults, fault.New(fault.Corrupt, place, "%q has the digest %q, which is no SHA-256", title, layer.Digest))
		default:
			titles[title] = path.Join(blobs, layer.Hex())
		}
	}
	return titles, faults
}
