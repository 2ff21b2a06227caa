// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

var statement = []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"aa"}}],` +
	`"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`)

// pairs has one key of each kind that people use.
func pairs(t *testing.T) map[string]*Keypair {
	t.Helper()
	made := map[string]*Keypair{}
	add := func(name string, signer crypto.Signer, err error) {
		if err != nil {
			t.Fatal(err)
		}
		pair, err := keypairOf(signer)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = pair
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, key, err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa", key, err)
	return made
}

func anchorOf(t *testing.T, pair *Keypair) *Anchor {
	t.Helper()
	anchor, err := OfKey(pair.GetPublicKey(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return anchor
}

func TestSignaturesOfEveryKindOfKeyAreAcceptedAndTellWhatIsWrong(t *testing.T) {
	all := pairs(t)
	stranger := anchorOf(t, pairs(t)["p256"])
	for name, pair := range all {
		t.Run(name, func(t *testing.T) {
			anchor := anchorOf(t, pair)
			signed, err := WithKey(pair).Data(t.Context(), []byte("data"))
			if err != nil {
				t.Fatal(err)
			}
			if err := anchor.Data(signed, []byte("data")); err != nil {
				t.Error(err)
			}
			if err := anchor.Data(signed, []byte("Data")); !errors.Is(err, ErrChanged) {
				t.Errorf("other data: %v", err)
			}
			if err := stranger.Data(signed, []byte("data")); !errors.Is(err, ErrOtherKey) {
				t.Errorf("another key: %v", err)
			}
			attested, err := WithKey(pair).Statement(t.Context(), statement)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := anchor.Statement(attested); err != nil || string(text) != string(statement) {
				t.Errorf("statement: %s %v", text, err)
			}
			if _, err := stranger.Statement(attested); !errors.Is(err, ErrOtherKey) {
				t.Errorf("statement of another key: %v", err)
			}
			if err := anchor.Data(attested, statement); !errors.Is(err, ErrMalformed) {
				t.Errorf("a statement is no signature of a file: %v", err)
			}
			if _, err := anchor.Statement(signed); !errors.Is(err, ErrMalformed) {
				t.Errorf("a file's signature holds no statement: %v", err)
			}
		})
	}
}

func TestNoFlippedBitOfASignaturePasses(t *testing.T) {
	pair := pairs(t)["p256"]
	anchor := anchorOf(t, pair)
	signed, err := WithKey(pair).Statement(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	for place := range signed {
		changed := append([]byte{}, signed...)
		changed[place] ^= 1
		text, err := anchor.Statement(changed)
		// Some bits say nothing that is signed, such as a hint or space; then what was signed is still the same.
		if err == nil && string(text) != string(statement) {
			t.Errorf("bit %d: %s passes", place, text)
		}
	}
}

func TestBareSignatures(t *testing.T) {
	pair := pairs(t)["p256"]
	raw, _, err := pair.SignData(t.Context(), []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	signed := []byte(base64.StdEncoding.EncodeToString(raw) + "\n")
	anchor := anchorOf(t, pair)
	if err := anchor.Bare(signed, []byte("data")); err != nil {
		t.Error(err)
	}
	if err := anchor.Bare(signed, []byte("Data")); !errors.Is(err, ErrChanged) || !errors.Is(err, ErrOtherKey) {
		t.Errorf("nobody can tell which: %v", err)
	}
	if err := anchor.Bare([]byte("?"), []byte("data")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestKeysOfCosignAreReadWithTheirPasswordAlone(t *testing.T) {
	private, public, err := Generate([]byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeypair(private, []byte("other")); err == nil {
		t.Error("another password opens the key")
	}
	pair, err := ReadKeypair(private, []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cosign.pub")
	if err := os.WriteFile(path, public, 0o600); err != nil {
		t.Fatal(err)
	}
	anchor, err := ReadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := WithKey(pair).Data(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := anchor.Data(signed, nil); err != nil {
		t.Error(err)
	}
	if text, err := pair.GetPublicKeyPem(); err != nil || text != string(public) {
		t.Error("the public key is another one", err)
	}
}

func TestPlainKeysAreReadAndOthersRefused(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeypair(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil); err != nil {
		t.Error(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{nil, []byte("text"), public, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"})} {
		if _, err := ReadKeypair(text, nil); err == nil {
			t.Errorf("%s passes for a private key", text)
		}
	}
}

func TestKeysOfOtherKindsAreRefused(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keypairOf(private); err == nil {
		t.Error("it signs")
	}
	if _, err := OfKey(public, "test"); err == nil {
		t.Error("it verifies")
	}
}

func FuzzBundles(f *testing.F) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	kept, err := keypairOf(pair)
	if err != nil {
		f.Fatal(err)
	}
	anchor, err := OfKey(pair.Public(), "test")
	if err != nil {
		f.Fatal(err)
	}
	for _, make := range []func(context.Context, []byte) ([]byte, error){WithKey(kept).Data, WithKey(kept).Statement} {
		signed, err := make(context.Background(), statement)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signed)
	}
	f.Fuzz(func(t *testing.T, signed []byte) {
		if err := anchor.Data(signed, []byte("never signed")); err == nil {
			t.Error("what was never signed passes")
		}
		if text, err := anchor.Statement(signed); err == nil && string(text) != string(statement) {
			t.Errorf("%s was never signed", text)
		}
	})
}
