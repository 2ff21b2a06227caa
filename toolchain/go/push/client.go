// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sys/unix"
)

// Registry is a registry and the credentials for it.
type Registry struct {
	Name string `json:"name"`
	Host string `json:"host"`
	// PlainHTTP is for registries in a network of our own; to all others nothing goes without TLS.
	PlainHTTP bool   `json:"plain_http"`
	Username  string `json:"username"`
	// PasswordFile holds the password or token; without it nobody is logged in.
	PasswordFile string `json:"password_file"`
}

// longestWait bounds what a registry may ask for by Retry-After.
const longestWait = time.Minute

// answerTime is how long a registry may take to answer after a blob was sent; the largest of them are hashed before it does.
const answerTime = 5 * time.Minute

// errPermanent marks what another attempt would not mend.
var errPermanent = errors.New("is not asked: of http and https this registry has the other one")

type client struct {
	registry Registry
	auth     authn.Authenticator
	backoff  remote.Backoff
	network  http.RoundTripper
	patience time.Duration
	// sent is which repository has a blob: v1.Hash to name.Repository.
	sent sync.Map
}

func newClient(registry Registry, attempts int, firstWait float64, patience time.Duration) (*client, error) {
	auth := authn.Anonymous
	if registry.PasswordFile != "" {
		password, err := os.ReadFile(registry.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", registry.Name, err)
		}
		auth = authn.FromConfig(authn.AuthConfig{
			Username: registry.Username,
			Password: strings.TrimSpace(string(password)),
		})
	}
	// The connection to a peer that is gone is closed, although nobody has said so: another attempt gets a new one.
	control := func(_, _ string, connection syscall.RawConn) error {
		var failure error
		err := connection.Control(func(descriptor uintptr) {
			failure = unix.SetsockoptInt(int(descriptor), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds()))
		})
		return errors.Join(err, failure)
	}
	network := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: patience, KeepAlive: 30 * time.Second, Control: control}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	if !registry.PlainHTTP {
		network.Proxy = http.ProxyFromEnvironment
	}
	// No Cap: the library ends all attempts where it is reached.
	backoff := remote.Backoff{
		Duration: time.Duration(firstWait * float64(time.Second)),
		Factor:   2,
		Jitter:   0.5,
		Steps:    attempts,
	}
	return &client{registry: registry, auth: auth, backoff: backoff, network: network, patience: patience}, nil
}

// Resolve gives the registry's credentials, for whatever part of it.
func (c *client) Resolve(authn.Resource) (authn.Authenticator, error) { return c.auth, nil }

func (c *client) repository(path string) (name.Repository, error) {
	options := []name.Option{name.StrictValidation}
	if c.registry.PlainHTTP {
		options = append(options, name.Insecure)
	}
	return name.NewRepository(c.registry.Host+"/"+path, options...)
}

func (c *client) metered(meter *meter) http.RoundTripper {
	return &meteredTransport{inner: c.network, meter: meter, plainHTTP: c.registry.PlainHTTP, patience: c.patience}
}

// check begins an upload and gives it up: some registries grant tokens to those who may not write.
func (c *client) check(ctx context.Context, path string) error {
	repository, err := c.repository(path)
	if err != nil {
		return c.wrap(path, err)
	}
	patient := transport.NewRetry(c.metered(&meter{}),
		transport.WithRetryBackoff(c.backoff), transport.WithRetryPredicate(temporary), transport.WithRetryStatusCodes(passing...))
	if err := remote.CheckPushPermission(repository.Tag("check"), c, &boundTransport{patient, ctx}); err != nil {
		return c.wrap(path, err)
	}
	return ctx.Err()
}

func (c *client) wrap(path string, err error) error {
	where := fmt.Sprintf("registry %s: %s/%s", c.registry.Name, c.registry.Host, path)
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		if c.auth == authn.Anonymous {
			return fmt.Errorf("%s: it lets nobody write without credentials: %w", where, err)
		}
		return fmt.Errorf("%s: it refuses the credentials of user %q: %w", where, c.registry.Username, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// passing are the answers that another attempt may mend.
var passing = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, 499, 520, 521, 522, 523, 524,
}

// temporary tells failures that another attempt may mend: busy or broken servers, and broken connections.
func temporary(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errPermanent) || errors.Is(err, os.ErrNotExist) {
		return false
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		for _, diagnostic := range answer.Errors {
			// An upload that a restarted registry forgot begins anew.
			if diagnostic.Code == transport.BlobUploadUnknownErrorCode || diagnostic.Code == transport.BlobUploadInvalidErrorCode {
				return true
			}
		}
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests ||
			answer.StatusCode == http.StatusRequestTimeout || answer.StatusCode == 499
	}
	var unknownHost *net.DNSError
	if errors.As(err, &unknownHost) && unknownHost.IsNotFound {
		return false
	}
	var untrusted *tls.CertificateVerificationError
	return !errors.As(err, &untrusted)
}
