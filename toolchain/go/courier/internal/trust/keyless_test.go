// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

const (
	subject = "release@example.com"
	issuer  = "https://issuer.example"
)

// issuerExtension is where Fulcio writes who vouches for the subject.
var issuerExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}

// authority stands in for sigstore's services on the loopback: it gives certificates, and says what time it is.
type authority struct {
	t           *testing.T
	root        *x509.Certificate
	authority   *x509.Certificate
	authorityBy *ecdsa.PrivateKey
	clock       *x509.Certificate
	between     *x509.Certificate
	clockBy     *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) (*authority, *httptest.Server) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	made := &authority{t: t}
	top, topBy, err := ca.GenerateRootCa()
	must(err)
	made.root = top
	made.authority, made.authorityBy, err = ca.GenerateFulcioIntermediate(top, topBy)
	must(err)
	var betweenBy *ecdsa.PrivateKey
	made.between, betweenBy, err = ca.GenerateTSAIntermediate(top, topBy)
	must(err)
	made.clockBy, err = ecdsa.GenerateKey(betweenBy.Curve, rand.Reader)
	must(err)
	made.clock, err = ca.GenerateTSALeafCert(time.Now(), made.clockBy, made.between, betweenBy)
	must(err)
	routes := http.NewServeMux()
	routes.HandleFunc("POST /api/v2/signingCert", made.certificate)
	routes.HandleFunc("POST /timestamp", made.timestamp)
	server := httptest.NewServer(routes)
	t.Cleanup(server.Close)
	return made, server
}

func (a *authority) certificate(answer http.ResponseWriter, request *http.Request) {
	asked := struct {
		PublicKeyRequest struct {
			PublicKey struct{ Content string }
		}
	}{}
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
		a.t.Error(err)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(asked.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		a.t.Error(err)
	}
	vouched, err := asn1.MarshalWithParams(issuer, "utf8")
	if err != nil {
		a.t.Error(err)
	}
	made := &x509.Certificate{
		SerialNumber: big.NewInt(7), EmailAddresses: []string{subject}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: issuerExtension, Value: vouched}},
	}
	der, err := x509.CreateCertificate(rand.Reader, made, a.authority, key, a.authorityBy)
	if err != nil {
		a.t.Error(err)
	}
	chain := []string{}
	for _, one := range [][]byte{der, a.authority.Raw, a.root.Raw} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one})))
	}
	told := map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}}
	if err := json.NewEncoder(answer).Encode(told); err != nil {
		a.t.Error(err)
	}
}

func (a *authority) timestamp(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		a.t.Error(err)
	}
	asked, err := timestamp.ParseRequest(body)
	if err != nil {
		a.t.Error(err)
	}
	made := timestamp.Timestamp{
		HashAlgorithm: asked.HashAlgorithm, HashedMessage: asked.HashedMessage, Time: time.Now(), Nonce: asked.Nonce,
		Policy: asn1.ObjectIdentifier{1, 2, 3, 4, 1}, AddTSACertificate: asked.Certificates,
	}
	signed, err := made.CreateResponseWithOpts(a.clock, a.clockBy, crypto.SHA256)
	if err != nil {
		a.t.Error(err)
	}
	answer.WriteHeader(http.StatusCreated)
	if _, err := answer.Write(signed); err != nil {
		a.t.Error(err)
	}
}

// trusted is what an operator is given: who may give certificates, and whose clock is believed.
func (a *authority) trusted() root.TrustedMaterial {
	long := time.Now().Add(-time.Hour)
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: a.root, Intermediates: []*x509.Certificate{a.authority}, ValidityPeriodStart: long,
		}}, nil,
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: a.root, Intermediates: []*x509.Certificate{a.between}, Leaf: a.clock, ValidityPeriodStart: long,
		}}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return made
}

func token() string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return part(`{"alg":"none"}`) + "." + part(`{"email":"`+subject+`","email_verified":true,"iss":"`+issuer+`"}`) + "." + part("x")
}

func TestWithoutAKeyTheIdentityIsWhatCounts(t *testing.T) {
	services, server := newAuthority(t)
	signer, err := WithoutKey(Keyless{Token: token(), Fulcio: server.URL, Timestamp: server.URL + "/timestamp"})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Data(t.Context(), []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	attested, err := signer.Statement(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := OfIdentity(Identity{Subject: subject, Issuer: issuer}, services.trusted())
	if err != nil {
		t.Fatal(err)
	}
	if err := anchor.Data(signed, []byte("data")); err != nil {
		t.Error(err)
	}
	if text, err := anchor.Statement(attested); err != nil || string(text) != string(statement) {
		t.Errorf("%s: %v", text, err)
	}
	if err := anchor.Data(signed, []byte("other")); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	for _, other := range []Identity{{"else@example.com", issuer}, {subject, "https://else.example"}} {
		stranger, err := OfIdentity(other, services.trusted())
		if err != nil {
			t.Fatal(err)
		}
		if err := stranger.Data(signed, []byte("data")); !errors.Is(err, ErrOtherKey) {
			t.Errorf("%v: %v", other, err)
		}
	}
	unknown, _ := newAuthority(t)
	elsewhere, err := OfIdentity(Identity{Subject: subject, Issuer: issuer}, unknown.trusted())
	if err != nil {
		t.Fatal(err)
	}
	if elsewhere.Data(signed, []byte("data")) == nil {
		t.Error("a certificate of an unknown authority passes")
	}
	key := anchorOf(t, pairs(t)["p256"])
	if err := key.Data(signed, []byte("data")); !errors.Is(err, ErrOtherKey) {
		t.Error(err)
	}
}

func TestWithoutAKeySomethingMustProveTheTime(t *testing.T) {
	if _, err := WithoutKey(Keyless{Token: token(), Fulcio: "http://localhost"}); err == nil {
		t.Error("a certificate that nobody knows to have been valid")
	}
}
