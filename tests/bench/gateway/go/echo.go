// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// A fixed time: answers are the same on every run.
	answerHead = `{"id":"chatcmpl-echo","object":"chat.completion","created":1735689600,"model":`
	chunkHead  = `{"id":"chatcmpl-echo","object":"chat.completion.chunk","created":1735689600,"model":`

	maxRequestBytes = 8 << 20
	stopTimeout     = 5 * time.Second
)

// scratch is the memory of one request, used again by later ones.
type scratch struct {
	body   bytes.Buffer
	text   []byte
	tokens [][]byte
	out    []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// echo answers OpenAI's chat API with the last user message.
type echo struct {
	// tokens in every streamed answer, the message's words again and again; 0 means as many as the message has.
	tokens int
	// model is what /v1/models lists; requests may name any.
	model string
}

// runEcho serves until the context ends. It prints {"port": N} once it listens.
func runEcho(ctx context.Context, arguments []string, out io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	address := flags.String("addr", "127.0.0.1:0", "`host:port` to listen on; port 0 takes a free one")
	tokens := flags.Int("tokens", 0, "tokens of every streamed answer; 0 means the words of the message")
	model := flags.String("model", "echo", "name that /v1/models lists")
	if err := parse(flags, arguments); err != nil {
		return err
	}
	if *tokens < 0 {
		return fmt.Errorf("%w: -tokens is %d, expected 0 or more", errUsage, *tokens)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: (&echo{*tokens, *model}).handler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(out, "{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		limited, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Shutdown(limited); errors.Is(err, context.DeadlineExceeded) {
			return server.Close()
		} else {
			return err
		}
	}
}

func (e *echo) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", e.chat)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"list","data":[{"id":%q,"object":"model","created":1735689600,"owned_by":"echo"}]}`, e.model)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

func (e *echo) chat(w http.ResponseWriter, r *http.Request) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.body.Reset()
	if _, err := s.body.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequestBytes)); err != nil {
		refuse(w, "the body cannot be read: "+err.Error())
		return
	}
	var request chatRequest
	if err := json.Unmarshal(s.body.Bytes(), &request); err != nil {
		refuse(w, "the body is no chat request: "+err.Error())
		return
	}
	text, err := request.lastUserText(s.text[:0])
	if err != nil {
		refuse(w, err.Error())
		return
	}
	s.text = text
	s.tokens = split(s.tokens[:0], text)
	if request.Stream {
		e.stream(w, s, &request)
		return
	}
	s.out = append(append(s.out[:0], answerHead...), request.Model...)
	s.out = append(s.out, `,"choices":[{"index":0,"message":{"role":"assistant","content":"`...)
	s.out = append(s.out, text...)
	s.out = append(s.out, `"},"logprobs":null,"finish_reason":"stop"}],"usage":`...)
	s.out = append(appendUsage(s.out, request.words(), len(s.tokens)), '}')
	w.Header()["Content-Type"] = jsonType
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(s.out))}
	// A client that has gone away is no failure of the server.
	_, _ = w.Write(s.out)
}

// stream sends one event for each token, each at once.
func (e *echo) stream(w http.ResponseWriter, s *scratch, request *chatRequest) {
	w.Header()["Content-Type"] = eventType
	flush := http.NewResponseController(w).Flush
	count := len(s.tokens)
	if e.tokens > 0 && count > 0 {
		count = e.tokens
	}
	head := append(append(s.out[:0], "data: "+chunkHead...), request.Model...)
	head = append(head, `,"choices":[`...)
	// The role waits in the buffer for the first token: it tells a client nothing.
	event := append(head, `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`+"\n\n"...)
	if _, err := w.Write(event); err != nil {
		return
	}
	for number := range count {
		event = append(event[:len(head)], `{"index":0,"delta":{"content":"`...)
		event = append(event, s.tokens[number%len(s.tokens)]...)
		event = append(event, `"},"finish_reason":null}]}`+"\n\n"...)
		_, err := w.Write(event)
		if err == nil {
			err = flush()
		}
		if err != nil {
			return
		}
	}
	event = append(event[:len(head)], `{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"...)
	if request.StreamOptions.IncludeUsage {
		event = append(append(event, event[:len(head)]...), `],"usage":`...)
		event = append(appendUsage(event, request.words(), count), "}\n\n"...)
	}
	event = append(event, "data: [DONE]\n\n"...)
	s.out = event
	_, _ = w.Write(event)
}

// Values of a header, ready to be set: the library would allocate them for every answer.
var (
	jsonType  = []string{"application/json"}
	eventType = []string{"text/event-stream"}
)

func appendUsage(out []byte, prompt, completion int) []byte {
	out = strconv.AppendInt(append(out, `{"prompt_tokens":`...), int64(prompt), 10)
	out = strconv.AppendInt(append(out, `,"completion_tokens":`...), int64(completion), 10)
	out = strconv.AppendInt(append(out, `,"total_tokens":`...), int64(prompt+completion), 10)
	return append(out, '}')
}

// refuse answers with OpenAI's error object.
func refuse(w http.ResponseWriter, message string) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"message": message, "type": "invalid_request_error", "param": nil, "code": nil},
	})
}
