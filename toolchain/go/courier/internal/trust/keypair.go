// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Types of PEM blocks with a private key encrypted as cosign does it: scrypt and NaCl's secretbox.
const (
	sigstorePEM = "ENCRYPTED SIGSTORE PRIVATE KEY"
	cosignPEM   = "ENCRYPTED COSIGN PRIVATE KEY"
)

// Keypair signs. It is what sigstore-go asks for, over a private key that lies in a file.
type Keypair struct {
	private crypto.Signer
	details signature.AlgorithmDetails
	hint    string
}

// Generate makes a key pair as `zarf tools gen-key` does, without asking: ECDSA on P-256, encrypted with the password.
func Generate(password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := encrypted.Encrypt(plain, password)
	if err != nil {
		return nil, nil, err
	}
	public, err = cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: sigstorePEM, Bytes: sealed}), public, nil
}

// ReadKeypair opens a private key: one of cosign's, or a plain PKCS#8 one.
func ReadKeypair(text, password []byte) (*Keypair, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the private key is no PEM file; `courier keygen` or `zarf tools gen-key` makes one")
	}
	plain := block.Bytes
	switch block.Type {
	case sigstorePEM, cosignPEM:
		opened, err := encrypted.Decrypt(block.Bytes, password)
		if err != nil {
			return nil, fmt.Errorf("the private key cannot be opened with this password: %w", err)
		}
		plain = opened
	case "PRIVATE KEY":
	default:
		return nil, fmt.Errorf("expected a PEM block %q or %q, got %q", sigstorePEM, "PRIVATE KEY", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("the private key is no PKCS#8 key: %w", err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", parsed)
	}
	return keypairOf(signer)
}

func keypairOf(signer crypto.Signer) (*Keypair, error) {
	if err := supported(signer.Public()); err != nil {
		return nil, err
	}
	details, err := signature.GetDefaultAlgorithmDetails(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("keys of this kind are not supported: %w", err)
	}
	hint, err := hintOf(signer.Public())
	if err != nil {
		return nil, err
	}
	return &Keypair{private: signer, details: details, hint: hint}, nil
}

// supported refuses Ed25519: sigstore's tools do not agree on which of its two forms signs a file.
func supported(key crypto.PublicKey) error {
	switch key.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
		return nil
	}
	return fmt.Errorf("expected a key for ECDSA or RSA, got %T", key)
}

// hintOf names a public key as cosign does in its bundles.
func hintOf(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// GetHashAlgorithm is the hash that is signed.
func (k *Keypair) GetHashAlgorithm() common.HashAlgorithm { return k.details.GetProtoHashType() }

// GetSigningAlgorithm is the algorithm's name in sigstore's registry.
func (k *Keypair) GetSigningAlgorithm() common.PublicKeyDetails {
	return k.details.GetSignatureAlgorithm()
}

// GetHint names the public key.
func (k *Keypair) GetHint() []byte { return []byte(k.hint) }

// GetKeyAlgorithm is the key's family, as Fulcio wants it.
func (k *Keypair) GetKeyAlgorithm() string {
	switch k.private.Public().(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	}
	return ""
}

// GetPublicKey is the public key.
func (k *Keypair) GetPublicKey() crypto.PublicKey { return k.private.Public() }

// GetPublicKeyPem is the public key as a PEM file.
func (k *Keypair) GetPublicKeyPem() (string, error) {
	text, err := cryptoutils.MarshalPublicKeyToPEM(k.private.Public())
	return string(text), err
}

// SignData signs data, and returns the signature and what was signed: a digest, where the algorithm signs one.
func (k *Keypair) SignData(_ context.Context, data []byte) ([]byte, []byte, error) {
	hash := k.details.GetHashType()
	signed := data
	if hash != crypto.Hash(0) {
		hasher := hash.New()
		hasher.Write(data)
		signed = hasher.Sum(nil)
	}
	made, err := k.private.Sign(rand.Reader, signed, hash)
	return made, signed, err
}
