// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// moreThanBuffered is more than the system holds of what nobody reads.
const moreThanBuffered = 30_000_000

// protocols are what registries speak: whether it is HTTP/2.
var protocols = map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true}

// serve runs a registry with TLS, and gives a way to it with such patience. Handlers have the test's context: by HTTP/1.1
// their own does not end with the connection while there is a body to read.
func serve(t *testing.T, http2 bool, patience time.Duration, handler http.HandlerFunc) (string, *http.Client, *meter) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		handler(writer, request.WithContext(t.Context()))
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	made, err := newClient(Registry{Name: "r", Host: server.Listener.Addr().String()}, 1, 0.01, patience)
	if err != nil {
		t.Fatal(err)
	}
	network := made.network.(*http.Transport)
	network.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	counted := &meter{}
	return server.URL, &http.Client{Transport: made.metered(counted)}, counted
}

// exchange makes a request and reads all of its answer; one that hangs is ended long after any patience.
func exchange(t *testing.T, client *http.Client, method, url string, body []byte) (string, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.Proto, string(answer), err
}

func TestASilentRegistryIsGivenUp(t *testing.T) {
	silent := func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }
	cases := map[string]struct {
		method  string
		body    []byte
		handler http.HandlerFunc
	}{
		"takes nothing of an upload": {http.MethodPatch, make([]byte, moreThanBuffered), silent},
		"does not answer":            {http.MethodGet, nil, silent},
		"breaks off in its answer": {http.MethodGet, nil, func(writer http.ResponseWriter, request *http.Request) {
			_, _ = io.WriteString(writer, `{"token":`)
			writer.(http.Flusher).Flush()
			<-request.Context().Done()
		}},
	}
	for protocol, http2 := range protocols {
		for name, one := range cases {
			t.Run(protocol+" "+name, func(t *testing.T) {
				t.Parallel()
				url, client, _ := serve(t, http2, 300*time.Millisecond, one.handler)
				_, _, err := exchange(t, client, one.method, url, one.body)
				// On a busy machine the system may notice first that a peer of HTTP/1.1 takes nothing.
				if !errors.Is(err, errSilent) && !errors.Is(err, syscall.ETIMEDOUT) {
					t.Fatalf("expected that it is given up as silent, got %v", err)
				}
			})
		}
	}
}

func TestASlowRegistryIsNotSilent(t *testing.T) {
	const patience, pause = time.Second, 150 * time.Millisecond
	for protocol, http2 := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			url, client, counted := serve(t, http2, patience, func(writer http.ResponseWriter, request *http.Request) {
				for {
					if _, err := io.CopyN(io.Discard, request.Body, moreThanBuffered/10); err != nil {
						break
					}
					time.Sleep(pause)
				}
				// What was sent is being stored.
				time.Sleep(patience * 3 / 2)
				for range 10 {
					_, _ = io.WriteString(writer, "x")
					writer.(http.Flusher).Flush()
					time.Sleep(pause)
				}
			})
			spoken, answer, err := exchange(t, client, http.MethodPatch, url, make([]byte, moreThanBuffered))
			if err != nil || answer != strings.Repeat("x", 10) || spoken != protocol {
				t.Fatalf("expected ten letters by %s, got %q by %s, %v", protocol, answer, spoken, err)
			}
			if counted.sent.Load() != moreThanBuffered {
				t.Fatalf("expected that %d bytes are counted, got %d", moreThanBuffered, counted.sent.Load())
			}
		})
	}
}

// again sends a body once more, as http.Transport does where a connection breaks.
type again struct{}

func (again) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := request.GetBody()
	if err != nil {
		return nil, err
	}
	for _, sent := range []io.Reader{request.Body, body} {
		if _, err := io.Copy(io.Discard, sent); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestWhatIsSentOnceMoreCountsToo(t *testing.T) {
	counted := &meter{}
	client := &http.Client{Transport: &meteredTransport{again{}, counted, false, time.Minute}}
	if _, _, err := exchange(t, client, http.MethodPatch, "https://registry.example.com", []byte("blob")); err != nil {
		t.Fatal(err)
	}
	if counted.sent.Load() != 8 {
		t.Fatalf("expected that 8 bytes are counted, got %d", counted.sent.Load())
	}
}

// busy refuses, with a reason, and asks for so many seconds.
func busy(seconds string, reason string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Retry-After", seconds)
		writer.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(writer, reason)
	}
}

func TestARefusalIsReadAfterALongerWaitThanPatience(t *testing.T) {
	// What had come already could be read of a request that was ended, too.
	reason := strings.Repeat("x", moreThanBuffered)
	for protocol, http2 := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			url, client, _ := serve(t, http2, time.Second, busy("3", reason))
			if _, answer, err := exchange(t, client, http.MethodGet, url, nil); err != nil || answer != reason {
				t.Fatalf("expected %d bytes, got %d, %v", len(reason), len(answer), err)
			}
		})
	}
}

func TestARequestThatWasEndedIsNotMadeAgain(t *testing.T) {
	for protocol, http2 := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			url, client, _ := serve(t, http2, time.Minute, func(_ http.ResponseWriter, request *http.Request) {
				// As a group of uploads does where one of them fails.
				cancel(&transport.Error{StatusCode: http.StatusServiceUnavailable})
				<-request.Context().Done()
			})
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Do(request); err == nil || temporary(err) {
				t.Fatalf("expected an error that is final, got %v", err)
			}
		})
	}
}
