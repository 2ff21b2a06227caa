// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// load runs the load generator for a moment and decodes what it prints.
func load(t *testing.T, url string, arguments ...string) (result, error) {
	t.Helper()
	var out bytes.Buffer
	err := runLoad(t.Context(), append([]string{"-url", url + "/v1", "-time", "50ms", "-warmup", "1ms"}, arguments...), &out)
	var found result
	if err == nil {
		if wrong := json.Unmarshal(out.Bytes(), &found); wrong != nil {
			t.Fatal(wrong)
		}
	}
	return found, err
}

func TestEveryAnswerOfAnEchoIsCounted(t *testing.T) {
	url := serve(t, (&echo{}).handler())
	for _, stream := range []bool{false, true} {
		found, err := load(t, url, fmt.Sprintf("-stream=%t", stream), "-clients", "4", "-tokens", "8", "-pid", fmt.Sprint(os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		if found.Requests < 4 || found.Clients != 4 || found.Stream != stream || found.Seconds < 0.05 {
			t.Errorf("got %+v", found)
		}
		if l := found.Latency; l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.Max {
			t.Errorf("got latency %+v", l)
		}
		if stream && (found.FirstToken.P50 <= 0 || found.FirstToken.P50 > found.Latency.Max || found.EventsPerText != 8) {
			t.Errorf("got %+v, first token %+v", found, found.FirstToken)
		}
		if len(found.Processes) != 1 || found.Processes[0].Resident <= 0 || found.Processes[0].ResidentPeak < found.Processes[0].Resident {
			t.Errorf("got processes %+v", found.Processes)
		}
	}
}

func TestTheKeyAndModelAreSent(t *testing.T) {
	inner := (&echo{}).handler()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	if _, err := load(t, url, "-key", "secret", "-model", "other"); err != nil {
		t.Error(err)
	}
	if _, err := load(t, url); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("got %v", err)
	}
}

// wrong lets the first answer be right, so that what is checked every time is what finds the fault.
func wrong(answer string) http.Handler {
	inner := (&echo{}).handler()
	var answers atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers.Add(1) == 1 {
			inner.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, answer)
	})
}

func TestAWrongAnswerEndsTheRun(t *testing.T) {
	const event = `data: {"choices":[{"delta":{"content":"%s"},"finish_reason":null}]}` + "\n\n"
	const stop = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	const done = "data: [DONE]\n\n"
	whole := fmt.Sprintf(event, "word0") + fmt.Sprintf(event, " word1")
	for name, one := range map[string]struct {
		stream bool
		answer string
	}{
		"another text":       {false, `{"choices":[{"message":{"content":"word0"}}]}`},
		"cut off":            {false, `{"choices":[{"message":{"content":"word0 word1"`},
		"a token is missing": {true, fmt.Sprintf(event, "word0") + stop + done},
		"no finish reason":   {true, whole + done},
		"no end":             {true, whole + stop},
		"more after the end": {true, whole + stop + done + stop},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, serve(t, wrong(one.answer)), "-tokens", "2", fmt.Sprintf("-stream=%t", one.stream))
			if err == nil {
				t.Error("it was taken for right")
			}
		})
	}
	if _, err := load(t, serve(t, wrong(whole+stop+done)), "-tokens", "2", "-stream"); err != nil {
		t.Errorf("a right stream was refused: %v", err)
	}
}

func TestTheFirstAnswerIsReadAsAWhole(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"choices":[{"message":{"content":"word0"},"finish_reason":"length"}]}`)
	}))
	if _, err := load(t, url, "-tokens", "1"); err == nil || !strings.Contains(err.Error(), "no complete chat completion") {
		t.Errorf("got %v", err)
	}
}

func TestMeasuringWaitsForARoundOfAnswersButNotForEver(t *testing.T) {
	inner := (&echo{}).handler()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(150 * time.Millisecond)
		inner.ServeHTTP(w, r)
	}))
	found, err := load(t, url, "-clients", "3")
	if err != nil || found.Requests < 3 {
		t.Errorf("got %+v, %v", found, err)
	}
	if _, err := load(t, url, "-longest", "100ms"); err == nil || !strings.Contains(err.Error(), "took over") {
		t.Errorf("got %v", err)
	}
}

func TestAnInterruptedRunEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	url := serve(t, (&echo{}).handler())
	err := runLoad(ctx, []string{"-url", url + "/v1", "-time", "1h"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestAClosedConnectionIsMadeAnew(t *testing.T) {
	inner := (&echo{}).handler()
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		inner.ServeHTTP(w, r)
	}))
	found, err := load(t, url)
	if err != nil || found.Reconnects < found.Requests {
		t.Errorf("got %d reconnects for %d answers, %v", found.Reconnects, found.Requests, err)
	}
}

func TestQuantilesAreSamples(t *testing.T) {
	all := make([]time.Duration, 100)
	for number := range all {
		all[len(all)-1-number] = time.Duration(number+1) * time.Second
	}
	if got := describe(all); got != (spread{P50: 50, P90: 90, P99: 99, Max: 100, Mean: 50.5}) {
		t.Errorf("got %+v", got)
	}
	if got := describe(all[:1]); got.P50 != 1 || got.P99 != 1 {
		t.Errorf("got %+v", got)
	}
	if got := describe(nil); got != (spread{}) {
		t.Errorf("got %+v", got)
	}
}

func TestCPUTimeIsRead(t *testing.T) {
	before, err := read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); time.Since(begun) < 200*time.Millisecond; {
	}
	after, err := read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.cpu - before.cpu; used < 50*time.Millisecond || used > 10*time.Second {
		t.Errorf("got %v for 200 ms of work", used)
	}
	if _, err := probe([]int{1 << 30}); err == nil {
		t.Error("a process that does not exist was observed")
	}
}

func TestWrongFlagsAreUsage(t *testing.T) {
	for _, arguments := range [][]string{
		{},
		{"nosuch"},
		{"load"},
		{"load", "-url", "https://127.0.0.1:1/v1"},
		{"load", "-url", "http://127.0.0.1:1/v1", "-clients", "0"},
		{"load", "-url", "http://127.0.0.1:1/v1", "-pid", "x"},
		{"load", "-url", "http://127.0.0.1:1/v1", "surplus"},
		{"echo", "-tokens", "-1"},
	} {
		if err := run(t.Context(), arguments); !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v", arguments, err)
		}
	}
}
