// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// laidOut is an image in an OCI layout.
func laidOut(t *testing.T) Image {
	t.Helper()
	folder, err := layout.Write(t.TempDir(), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	made, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.AppendImage(made); err != nil {
		t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Image{Name: "api", Layout: string(folder), Digest: digest.String()}
}

func TestATagThatNamesAnotherImageAfterwardsIsToldAndCountsForNothing(t *testing.T) {
	image := laidOut(t)
	other := "sha256:" + strings.Repeat("0", 64)
	kept := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodHead || !strings.HasSuffix(request.URL.Path, "/manifests/moved") {
			kept.ServeHTTP(writer, request)
			return
		}
		// Somebody else has moved it meanwhile.
		writer.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		writer.Header().Set("Content-Length", "100")
		writer.Header().Set("Docker-Content-Digest", other)
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	made, err := newClient(Registry{Name: "r", Host: host, PlainHTTP: true}, 1, 0.01, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	outcome := &Outcome{}
	place := Place{Registry: "r", Repository: "team/api", Tags: []string{"0.1.0", "moved", "later"}}
	err = made.push(t.Context(), &meter{}, image, place, outcome)
	told := fmt.Sprintf("registry r: %s/team/api: tag moved names %s there, not %s", host, other, image.Digest)
	if err == nil || err.Error() != told {
		t.Errorf("expected %q, got %v", told, err)
	}
	if !slices.Equal(outcome.Tags, []string{"0.1.0"}) {
		t.Errorf("expected the one tag before it, got %v", outcome.Tags)
	}
}
