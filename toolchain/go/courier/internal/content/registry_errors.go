// SPDX-License-Identifier: Apache-2.0

package content

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// whole ends a blob that is not what its digest says like one that is, so that it is told of as a fault, with all others:
// the library fails at the end of such a blob.
type whole struct {
	source io.Reader
	ended  bool
}

func (w *whole) Read(buffer []byte) (int, error) {
	count, err := w.source.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) && mismatch(err) {
		return count, io.EOF
	}
	return count, err
}

// mismatch tells that what a registry sent is not what was asked for. The library's error has no name outside of it.
func mismatch(err error) bool {
	return strings.Contains(err.Error(), "error verifying") || strings.Contains(err.Error(), "does not match requested digest")
}

func absent(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}
