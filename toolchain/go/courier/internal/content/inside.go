// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/json"
	"io"
	"strings"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/stream"
)

// Bounds on what is read of a bill of materials, sizes in bytes: the decoder keeps a token, and a state for each level of
// nesting. Syft's have some ten levels.
const (
	maxBill  = 128 << 20
	maxToken = 16 << 20
	maxDepth = 100
	// maxImageID is longer than any digest.
	maxImageID = 200
)

// mayHoldBills tells where Zarf's archive of bills of materials may lie: in a package by its name, in a bundle and in a
// registry as a blob, of which the name says nothing.
func mayHoldBills(name string) bool { return name == "sboms.tar" || strings.HasPrefix(name, blobs+"/") }

// inside lists the bills of materials in an archive; what is no archive after all has none. That there are too many, in all
// files together, is an error.
func (r *Reader) inside(plain io.Reader, place string) (found []Inner, many error) {
	broken := stream.Entries(plain, place, true, func(entry stream.Entry, content io.Reader) error {
		if !strings.HasSuffix(entry.Name, ".json") || strings.Contains(entry.Name, "/") {
			return nil
		}
		if !r.within(&r.bills, 1, MaxBills) {
			many = fault.New(fault.Unsafe, place, "there are more than %d bills of materials", MaxBills)
			return many
		}
		inner := Inner{Name: entry.Name}
		if entry.Size <= maxBill {
			inner.ImageID = imageID(content)
		}
		found = append(found, inner)
		return nil
	})
	if broken != nil {
		return nil, many
	}
	return found, nil
}

// imageID reads `source.metadata.imageID` of a bill of materials in Syft's own format, which Zarf makes; empty where
// there is none. What comes before it is passed over, not kept.
func imageID(content io.Reader) string {
	source := &io.LimitedReader{R: content}
	b := &bill{source: source, decoder: json.NewDecoder(source)}
	if !b.enter("source") || !b.enter("metadata") || !b.enter("imageID") {
		return ""
	}
	token, _ := b.token()
	id, _ := token.(string)
	if len(id) > maxImageID {
		return ""
	}
	return strings.Clone(id)
}

// bill is a bill of materials that is read token by token.
type bill struct {
	source  *io.LimitedReader
	decoder *json.Decoder
}

// token is the next one, where it is not too large.
func (b *bill) token() (json.Token, error) {
	b.source.N = maxToken
	return b.decoder.Token()
}

// enter goes into the object that comes next, up to the value of a key.
func (b *bill) enter(key string) bool {
	if token, err := b.token(); err != nil || token != json.Delim('{') {
		return false
	}
	for b.decoder.More() {
		token, err := b.token()
		if err != nil {
			return false
		}
		if token == key {
			return true
		}
		if !b.skip() {
			return false
		}
	}
	return false
}

// skip passes over one value.
func (b *bill) skip() bool {
	for depth := 0; depth <= maxDepth; {
		token, err := b.token()
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
	return false
}
