// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	response, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(said)
}

func TestTheLastUserMessageIsEchoed(t *testing.T) {
	for name, content := range map[string]string{
		"text":    `"say \"ü\" to\nme"`,
		"parts":   `[{"type":"text","text":"say \"ü\" "},{"type":"text","text":"to\nme"}]`,
		"escapes": `"say \"\u00fc\" to\u000ame"`,
	} {
		t.Run(name, func(t *testing.T) {
			_, said := post(t, serve(t, (&echo{}).handler()), `{"model":"m\"1","messages":[{"role":"user","content":"no"},
				{"role":"user","content":`+content+`},{"role":"assistant","content":"nor this"}]}`)
			var decoded struct {
				Model   string
				Choices []struct{ Message struct{ Content string } }
				Usage   map[string]int
			}
			if err := json.Unmarshal([]byte(said), &decoded); err != nil {
				t.Fatalf("%v in %s", err, said)
			}
			if got := decoded.Choices[0].Message.Content; got != "say \"ü\" to\nme" || decoded.Model != `m"1` {
				t.Errorf("got %q of model %q", got, decoded.Model)
			}
			if decoded.Usage["completion_tokens"] != 3 || decoded.Usage["total_tokens"] != decoded.Usage["prompt_tokens"]+3 {
				t.Errorf("got usage %v", decoded.Usage)
			}
		})
	}
}

// events are the data fields of a stream.
func events(t *testing.T, said string) []string {
	t.Helper()
	var found []string
	for _, event := range strings.Split(strings.TrimSuffix(said, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			t.Fatalf("no event: %q", event)
		}
		if data != "[DONE]" && !json.Valid([]byte(data)) {
			t.Fatalf("no JSON: %q", data)
		}
		found = append(found, data)
	}
	return found
}

func TestAStreamHasOneEventForEachTokenThenItsEnd(t *testing.T) {
	for name, one := range map[string]struct {
		tokens  int
		options string
		text    string
		usage   bool
	}{
		"words":   {0, "", "a b c", false},
		"usage":   {0, `,"stream_options":{"include_usage":true}`, "a b c", true},
		"more":    {5, "", "a b ca b", false},
		"fewer":   {2, `,"stream_options":{"include_usage":false}`, "a b", false},
		"nothing": {7, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := "a b c"
			if one.text == "" {
				asked = ""
			}
			_, said := post(t, serve(t, (&echo{tokens: one.tokens}).handler()),
				`{"model":"m","stream":true,"messages":[{"role":"user","content":"`+asked+`"}]`+one.options+`}`)
			found := events(t, said)
			text, usages, finished := "", 0, 0
			for _, event := range found[:len(found)-1] {
				text += string(content([]byte(event)))
				usages += strings.Count(event, `"usage"`)
				finished += strings.Count(event, `"finish_reason":"stop"`)
			}
			if text != one.text || finished != 1 || (usages == 1) != one.usage || found[len(found)-1] != "[DONE]" {
				t.Errorf("got %q, %d ends, %d usages, last %q", text, finished, usages, found[len(found)-1])
			}
		})
	}
}

func TestEachTokenIsSentAtOnce(t *testing.T) {
	flushes := &flushCounter{header: http.Header{}}
	request := httptest.NewRequest(http.MethodPost, "/v1/chat/completions",
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"a b c"}]}`))
	(&echo{}).handler().ServeHTTP(flushes, request)
	if flushes.flushes != 3 {
		t.Errorf("flushed %d times for 3 tokens", flushes.flushes)
	}
}

type flushCounter struct {
	header  http.Header
	flushes int
}

func (f *flushCounter) Header() http.Header            { return f.header }
func (f *flushCounter) WriteHeader(int)                {}
func (f *flushCounter) Write(data []byte) (int, error) { return len(data), nil }
func (f *flushCounter) Flush()                         { f.flushes++ }

func TestWhatIsNoChatRequestIsRefused(t *testing.T) {
	url := serve(t, (&echo{}).handler())
	for _, body := range []string{
		`no json`,
		`{"messages":[{"role":"user","content":"x"}]}`,
		`{"model":"m","messages":[]}`,
		`{"model":"m","messages":[{"role":"user","content":7}]}`,
	} {
		if status, said := post(t, url, body); status != 400 || !strings.Contains(said, `"invalid_request_error"`) {
			t.Errorf("%s: %d %s", body, status, said)
		}
	}
}

func TestTheServerSaysItsPortAndEndsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runEcho(ctx, []string{"-model", "mine"}, writer) }()
	var said struct{ Port int }
	if err := json.NewDecoder(reader).Decode(&said); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(said.Port) + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	listed, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || !bytes.Contains(listed, []byte(`"id":"mine"`)) {
		t.Errorf("got %s, %v", listed, err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}
