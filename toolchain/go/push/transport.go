// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// meter counts what went over the network.
type meter struct{ sent, requests, failed atomic.Int64 }

// meteredTransport counts, keeps to TLS where it must, and waits as long as a busy registry asks for.
type meteredTransport struct {
	inner     http.RoundTripper
	meter     *meter
	plainHTTP bool
	patience  time.Duration
}

// errSilent is told where a registry does not answer.
var errSilent = errors.New("timed out waiting for an answer")

func (t *meteredTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	// The library asks both ways where it deems an address private: the wrong one is answered here.
	if plain := request.URL.Scheme == "http"; plain != t.plainHTTP {
		return nil, fmt.Errorf("%s://%s %w", request.URL.Scheme, request.URL.Host, errPermanent)
	}
	t.meter.requests.Add(1)
	if request.Body != nil && request.Body != http.NoBody {
		counted := request.Clone(request.Context())
		counted.Body = &countedBody{request.Body, t.meter}
		request = counted
	}
	response, err := t.answered(request)
	if err != nil {
		t.meter.failed.Add(1)
		return response, err
	}
	if slices.Contains(passing, response.StatusCode) {
		t.meter.failed.Add(1)
		if wait := retryAfter(response.Header.Get("Retry-After"), time.Now()); wait > 0 {
			select {
			case <-time.After(wait):
			case <-request.Context().Done():
			}
		}
	}
	return response, nil
}

// answered waits for an answer: while a blob is stored as long as answerTime, after the blob; else as long as patience.
func (t *meteredTransport) answered(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPatch || request.Method == http.MethodPut {
		return t.inner.RoundTrip(request)
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	timer := time.AfterFunc(t.patience, func() { cancel(errSilent) })
	defer timer.Stop()
	response, err := t.inner.RoundTrip(request.WithContext(ctx))
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	return response, err
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

type countedBody struct {
	io.ReadCloser
	meter *meter
}

func (b *countedBody) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	b.meter.sent.Add(int64(count))
	return count, err
}
