// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/fault"
)

const (
	subject = "release@example.com"
	issuer  = "https://issuer.example"
)

// written writes a file of a test; its path.
func written(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicKey writes the public key of a pair of which nothing is signed.
func publicKey(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "cosign.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// trustedRoot writes a trusted root that believes nobody.
func trustedRoot(t *testing.T) string {
	t.Helper()
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "trusted_root.json", text)
}

func TestWhoMustHaveSignedIsAKeyOrAnIdentityAndAllOfIt(t *testing.T) {
	signer, _ := key(t)
	archive := written(t, archiveName, packed(t, parcel(t, signer, []byte("weights"))))
	public := []string{"--key", publicKey(t)}
	who, vouches := []string{"--certificate-identity", subject}, []string{"--certificate-oidc-issuer", issuer}
	trusted := []string{"--trusted-root", trustedRoot(t)}
	const (
		either = "expected --key FILE, or --certificate-identity with --certificate-oidc-issuer and --trusted-root"
		all    = "expected all of --certificate-identity, --certificate-oidc-issuer and --trusted-root"
	)
	for name, one := range map[string]struct {
		options [][]string
		code    int
		told    string
	}{
		"nothing":                  {nil, exit.Usage, either},
		"a trusted root alone":     {[][]string{trusted}, exit.Usage, all},
		"a key and a trusted root": {[][]string{public, trusted}, exit.Usage, either},
		"a key and all of it":      {[][]string{public, who, vouches, trusted}, exit.Usage, either},
		"a key and an identity":    {[][]string{public, who}, exit.Usage, either},
		"a key and an issuer":      {[][]string{public, vouches}, exit.Usage, either},
		"an identity alone":        {[][]string{who}, exit.Usage, all},
		"an issuer alone":          {[][]string{vouches}, exit.Usage, all},
		"no identity":              {[][]string{vouches, trusted}, exit.Usage, all},
		"no issuer":                {[][]string{who, trusted}, exit.Usage, all},
		"no trusted root":          {[][]string{who, vouches}, exit.Usage, all},
		"no such trusted root":     {[][]string{who, vouches, {"--trusted-root", "absent"}}, exit.Usage, "--trusted-root: "},
		"a trusted root of no use": {[][]string{who, vouches, {"--trusted-root", public[1]}}, exit.Usage, "--trusted-root: "},
		"no such key":              {[][]string{{"--key", "absent"}}, exit.Usage, "--key: "},
		// Both are well: what is told is of the package, which somebody else signed.
		"a key":       {[][]string{public}, fault.OtherKey.Code, "expected key " + public[1]},
		"an identity": {[][]string{who, vouches, trusted}, fault.OtherKey.Code, "expected " + subject + " as " + issuer + " knows it"},
	} {
		t.Run(name, func(t *testing.T) {
			command := Command()
			command.SilenceUsage, command.SilenceErrors = true, true
			arguments := []string{archive}
			for _, option := range one.options {
				arguments = append(arguments, option...)
			}
			command.SetArgs(arguments)
			var ended *exit.Error
			if err := command.Execute(); !errors.As(err, &ended) || ended.Code != one.code || !strings.Contains(ended.Message, one.told) {
				t.Errorf("expected %d and %q, got %v", one.code, one.told, err)
			}
		})
	}
}
