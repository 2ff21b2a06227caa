// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// meter counts what went over the network.
type meter struct{ sent, requests, failed atomic.Int64 }

// meteredTransport counts, keeps to TLS where it must, gives up a silent registry, and waits as long as a busy one asks for.
type meteredTransport struct {
	inner     http.RoundTripper
	meter     *meter
	plainHTTP bool
	patience  time.Duration
}

// errSilent is told where no byte moves.
var errSilent = errors.New("timed out: the registry neither takes nor says anything")

func (t *meteredTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	// The library asks both ways where it deems an address private: the wrong one is answered here.
	if plain := request.URL.Scheme == "http"; plain != t.plainHTTP {
		return nil, fmt.Errorf("%s://%s %w", request.URL.Scheme, request.URL.Host, errPermanent)
	}
	t.meter.requests.Add(1)
	response, err := t.answered(request)
	if err != nil {
		t.meter.failed.Add(1)
		return nil, err
	}
	if slices.Contains(passing, response.StatusCode) {
		t.meter.failed.Add(1)
		if wait := retryAfter(response.Header.Get("Retry-After"), time.Now()); wait > 0 {
			select {
			case <-time.After(wait):
			case <-request.Context().Done():
				response.Body.Close()
				return nil, request.Context().Err()
			}
		}
	}
	return response, nil
}

// answered waits for an answer, and ends a request of which no byte moves for as long as patience. Once a blob or a
// manifest is sent, the registry has answerTime to store it. TCP alone would not tell: under HTTP/2 the system
// acknowledges what the registry does not take.
func (t *meteredTransport) answered(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	var answered atomic.Bool
	timer := time.AfterFunc(t.patience, func() {
		// An answer may come before all is sent; then what is read of it counts.
		if !answered.Load() {
			cancel()
		}
	})
	defer timer.Stop()
	storing := t.patience
	if request.Method == http.MethodPatch || request.Method == http.MethodPut {
		storing = answerTime
	}
	sent := func(httptrace.WroteRequestInfo) { timer.Reset(storing) }
	watched := request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: sent}))
	if request.Body != nil && request.Body != http.NoBody {
		watched.Body = &sentBody{request.Body, t, timer}
	}
	if request.GetBody != nil {
		watched.GetBody = func() (io.ReadCloser, error) {
			body, err := request.GetBody()
			return &sentBody{body, t, timer}, err
		}
	}
	response, err := t.inner.RoundTrip(watched)
	answered.Store(true)
	if err != nil {
		if ended := request.Context().Err(); ended != nil {
			// The cause, which the error may be, can be another blob's failure: that would be met with another attempt.
			err = ended
		} else if ctx.Err() != nil {
			err = errSilent
		}
		cancel()
		return nil, err
	}
	response.Body = &answerBody{response.Body, t.patience, cancel}
	return response, nil
}

// retryAfter reads a Retry-After header, seconds or a date as in RFC 9110, section 10.2.3; 0 where it says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	return max(0, min(wait, longestWait))
}

// sentBody counts what is sent; each read of it begins the wait anew.
type sentBody struct {
	io.ReadCloser
	transport *meteredTransport
	timer     *time.Timer
}

func (b *sentBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	b.transport.meter.sent.Add(int64(count))
	b.timer.Reset(b.transport.patience)
	return count, err
}

// answerBody ends a request whose answer breaks off. Only reads are timed, not what its reader does between them.
type answerBody struct {
	io.ReadCloser
	patience time.Duration
	cancel   context.CancelFunc
}

func (b *answerBody) Read(into []byte) (int, error) {
	timer := time.AfterFunc(b.patience, b.cancel)
	count, err := b.ReadCloser.Read(into)
	if !timer.Stop() && err != nil && err != io.EOF {
		err = errSilent
	}
	return count, err
}

func (b *answerBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// boundTransport ends requests with its context: those of the library's check have none of ours.
type boundTransport struct {
	inner http.RoundTripper
	ctx   context.Context
}

func (t *boundTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.inner.RoundTrip(request.WithContext(t.ctx))
}
