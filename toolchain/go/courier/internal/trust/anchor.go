// SPDX-License-Identifier: Apache-2.0

// Package trust makes and checks signatures: sigstore bundles over bytes and over in-toto statements, by a key or by a
// certificate, and the bare signatures that came before bundles.
package trust

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// What can be wrong with a signature.
var (
	ErrMalformed = errors.New("the signature is not readable")
	ErrOtherKey  = errors.New("signed by another key")
	ErrChanged   = errors.New("changed after it was signed")
)

// Anchor is what signatures must go back to: a public key, or an identity in certificates of a known authority.
type Anchor struct {
	key      crypto.PublicKey
	hint     string
	verifier *verify.Verifier
	policy   verify.PolicyOption
	told     string
}

// String says who must have signed.
func (a *Anchor) String() string { return a.told }

// ReadKey is the anchor of a public key in a PEM file.
func ReadKey(path string) (*Anchor, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no public key in a PEM file: %w", path, err)
	}
	return OfKey(key, path)
}

// OfKey is the anchor of a public key; name is what messages call it.
func OfKey(key crypto.PublicKey, name string) (*Anchor, error) {
	if err := supported(key); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	hint, err := hintOf(key)
	if err != nil {
		return nil, err
	}
	checker, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("%s: keys of this kind are not supported: %w", name, err)
	}
	expiring := root.NewExpiringKey(checker, time.Time{}, time.Time{})
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return expiring, nil })
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps())
	if err != nil {
		return nil, err
	}
	return &Anchor{key: key, hint: hint, verifier: verifier, policy: verify.WithKey(), told: "key " + name}, nil
}

// Identity names who signs without a key: the subject and the issuer of the certificate.
type Identity struct {
	Subject string
	Issuer  string
}

// OfIdentity is the anchor of an identity; the trusted root says which certificate authorities, logs and clocks are
// believed. Nothing is asked for over a network.
func OfIdentity(identity Identity, trusted root.TrustedMaterial) (*Anchor, error) {
	matcher, err := verify.NewShortCertificateIdentity(identity.Issuer, "", identity.Subject, "")
	if err != nil {
		return nil, err
	}
	options := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	verifier, err := verify.NewVerifier(trusted, options...)
	if err != nil {
		return nil, err
	}
	told := fmt.Sprintf("%s as %s knows it", identity.Subject, identity.Issuer)
	return &Anchor{verifier: verifier, policy: verify.WithCertificateIdentity(matcher), told: told}, nil
}

// Data checks a sigstore bundle over bytes.
func (a *Anchor) Data(signed, data []byte) error {
	entity, err := parse(signed)
	if err != nil {
		return err
	}
	if entity.GetMessageSignature() == nil {
		return fmt.Errorf("%w: it signs no file", ErrMalformed)
	}
	_, err = a.verifier.Verify(entity, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(data)), a.policy))
	return a.explain(entity, err)
}

// Statement checks a sigstore bundle over an in-toto statement, and returns the statement as it was signed.
func (a *Anchor) Statement(signed []byte) ([]byte, error) {
	entity, err := parse(signed)
	if err != nil {
		return nil, err
	}
	envelope := entity.GetDsseEnvelope()
	if envelope == nil || envelope.GetPayloadType() != StatementType {
		return nil, fmt.Errorf("%w: it holds no in-toto statement", ErrMalformed)
	}
	// Whether the statement is about the file at hand is for its reader to tell, with a message that says which it is.
	_, err = a.verifier.Verify(entity, verify.NewPolicy(verify.WithoutArtifactUnsafe(), a.policy))
	if err := a.explain(entity, err); err != nil {
		return nil, err
	}
	return envelope.GetPayload(), nil
}

// Bare checks a signature in base64, the form before bundles. It does not say whose it is: another key's cannot be told
// from one over other bytes.
func (a *Anchor) Bare(signed, data []byte) error {
	if a.key == nil {
		return fmt.Errorf("%w: it has no certificate, so it names nobody", ErrMalformed)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signed)))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	checker, err := signature.LoadDefaultVerifier(a.key)
	if err != nil {
		return err
	}
	if err := checker.VerifySignature(bytes.NewReader(raw), bytes.NewReader(data)); err != nil {
		return fmt.Errorf("%w, or %w", ErrOtherKey, ErrChanged)
	}
	return nil
}

func parse(signed []byte) (*bundle.Bundle, error) {
	entity := &bundle.Bundle{}
	if err := entity.UnmarshalJSON(signed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return entity, nil
}

// explain tells a signature by someone else from one over other bytes. A bundle names its key, which is a hint and no
// proof: where it names the anchor's, the bytes must be what has changed.
func (a *Anchor) explain(entity *bundle.Bundle, failure error) error {
	if failure == nil {
		return nil
	}
	content, err := entity.VerificationContent()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	named := content.PublicKey()
	switch {
	case a.key == nil && named != nil, a.key != nil && named == nil:
		return fmt.Errorf("%w: expected %s", ErrOtherKey, a.told)
	case a.key != nil && named.Hint() != a.hint:
		return fmt.Errorf("%w: expected %s", ErrOtherKey, a.told)
	case a.key != nil:
		return ErrChanged
	}
	// The library checks time, certificate and identity before the signature, and gives only its own text to tell them by.
	if strings.Contains(failure.Error(), "failed to verify signature") {
		return ErrChanged
	}
	return fmt.Errorf("%w: expected %s: %w", ErrOtherKey, a.told, failure)
}
