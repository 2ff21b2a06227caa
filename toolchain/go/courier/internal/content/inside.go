// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/json"
	"io"
	"strings"

	"toolchain/courier/internal/stream"
)

// maxBill is the largest bill of materials that is read, in bytes: a token of it may lie in memory.
const maxBill = 128 << 20

// inside lists an archive as far as it can be read; what is no archive after all has nothing inside.
func inside(plain io.Reader, place string) []Inner {
	var found []Inner
	err := stream.Entries(plain, place, true, func(entry stream.Entry, content io.Reader) error {
		inner := Inner{Name: entry.Name, Size: entry.Size}
		if strings.HasSuffix(entry.Name, ".json") && !strings.Contains(entry.Name, "/") && entry.Size <= maxBill {
			inner.ImageID = imageID(json.NewDecoder(content))
		}
		found = append(found, inner)
		return nil
	})
	if err != nil {
		return nil
	}
	return found
}

// imageID reads `source.metadata.imageID` of a bill of materials in Syft's own format, which Zarf makes; empty where
// there is none. What comes before it is passed over, not kept.
func imageID(decoder *json.Decoder) string {
	if !enter(decoder, "source") || !enter(decoder, "metadata") || !enter(decoder, "imageID") {
		return ""
	}
	token, err := decoder.Token()
	if err != nil {
		return ""
	}
	id, _ := token.(string)
	return id
}

// enter goes into the object that comes next, up to the value of a key.
func enter(decoder *json.Decoder, key string) bool {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return false
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if token == key {
			return true
		}
		if !skip(decoder) {
			return false
		}
	}
	return false
}

// skip passes over one value.
func skip(decoder *json.Decoder) bool {
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return true
		}
	}
}
