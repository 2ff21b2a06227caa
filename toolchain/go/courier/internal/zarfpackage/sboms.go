// SPDX-License-Identifier: Apache-2.0

package zarfpackage

import (
	"fmt"
	"regexp"
	"strings"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/images"
)

// unusual is what Zarf writes as an underscore in the names of bills of materials.
var unusual = regexp.MustCompile(`[^a-zA-Z0-9.\-]`)

// sboms looks for the bill of materials of each image, and at which image it is of.
func sboms(contents *content.Contents, found []*images.Image) (string, []*fault.Fault) {
	bills := map[string]content.Inner{}
	if file := contents.Files[sbomsName]; file != nil {
		for _, one := range file.Inside {
			bills[one.Name] = one
		}
	}
	var faults []*fault.Fault
	for _, image := range found {
		if image.Config == "" || notAnImage(image) {
			continue
		}
		bill, there := bills[billName(image)]
		switch {
		case !there:
			faults = append(faults, fault.New(fault.NoSBOM, image.Reference, "%s has no %s", sbomsName, billName(image)))
		case bill.ImageID != "sha256:"+image.Config:
			faults = append(faults, fault.New(fault.NoSBOM, image.Reference, "%s is of image %q, not of sha256:%s", bill.Name,
				bill.ImageID, image.Config))
		}
	}
	return fmt.Sprintf("%d of %d images", len(found)-len(faults), len(found)), faults
}

func billName(image *images.Image) string {
	identifier := image.Reference
	if image.InIndex && image.Platform.Architecture != "" {
		identifier += "-" + image.Platform.OS + "-" + image.Platform.Architecture
		if image.Platform.Variant != "" {
			identifier += "-" + image.Platform.Variant
		}
	}
	return unusual.ReplaceAllString(identifier+".json", "_")
}

// notAnImage tells artifacts, such as charts and signatures, from images: they run on nothing.
func notAnImage(image *images.Image) bool {
	return image.Platform.Architecture == "" && image.Platform.OS == "" &&
		!strings.HasPrefix(image.Reference, registry)
}
