// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// StatementType is the payload type of in-toto statements.
const StatementType = "application/vnd.in-toto+json"

// Keyless says where a certificate and the proof of its time come from, instead of a key that someone keeps.
type Keyless struct {
	// Token is an OpenID Connect token with the audience that the certificate authority asks for.
	Token string
	// Fulcio is the certificate authority's address.
	Fulcio string
	// Rekor is the transparency log's address; none is written to where it is empty.
	Rekor string
	// Timestamp is the address of a timestamp authority; none is asked where it is empty.
	Timestamp string
}

// Signer makes sigstore bundles, with a key or with a certificate that is asked for anew each time.
type Signer struct {
	pair    sign.Keypair
	options sign.BundleOptions
}

// WithKey is a signer with a key.
func WithKey(pair *Keypair) *Signer { return &Signer{pair: pair} }

// WithoutKey is a signer with a key that lives as long as this program, and a certificate for it.
func WithoutKey(keyless Keyless) (*Signer, error) {
	if keyless.Rekor == "" && keyless.Timestamp == "" {
		return nil, fmt.Errorf("a certificate lives for minutes: expected a transparency log or a timestamp authority" +
			" that proves when it was used")
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	signer := &Signer{pair: pair}
	signer.options.CertificateProvider = sign.NewFulcio(&sign.FulcioOptions{BaseURL: keyless.Fulcio, Retries: 2})
	signer.options.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: keyless.Token}
	if keyless.Rekor != "" {
		log := sign.NewRekor(&sign.RekorOptions{BaseURL: keyless.Rekor, Retries: 2})
		signer.options.TransparencyLogs = []sign.Transparency{log}
	}
	if keyless.Timestamp != "" {
		clock := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: keyless.Timestamp, Retries: 2})
		signer.options.TimestampAuthorities = []*sign.TimestampAuthority{clock}
	}
	return signer, nil
}

// Data signs bytes; the result is a sigstore bundle as JSON, as `cosign verify-blob --bundle` takes it.
func (s *Signer) Data(ctx context.Context, data []byte) ([]byte, error) {
	return s.bundle(ctx, &sign.PlainData{Data: data})
}

// Statement signs an in-toto statement in a DSSE envelope; the result is a sigstore bundle as JSON.
func (s *Signer) Statement(ctx context.Context, statement []byte) ([]byte, error) {
	return s.bundle(ctx, &sign.DSSEData{Data: statement, PayloadType: StatementType})
}

func (s *Signer) bundle(ctx context.Context, content sign.Content) ([]byte, error) {
	options := s.options
	options.Context = ctx
	made, err := sign.Bundle(content, s.pair, options)
	if err != nil {
		return nil, fmt.Errorf("signing failed: %w", err)
	}
	return protojson.Marshal(made)
}
