// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Phases of a run. Clients go on through all of them without a pause; only what ends while measuring is counted.
const (
	warming int32 = iota
	measuring
	ending
)

const (
	pollInterval = 5 * time.Millisecond
	keyVariable  = "GATEWAYBENCH_KEY"
)

// plan is what a run does.
type plan struct {
	url     *url.URL
	key     string
	model   string
	clients int
	stream  bool
	tokens  int
	seconds time.Duration
	warmup  time.Duration
	longest time.Duration
	timeout time.Duration
	pids    []int
}

// runLoad measures one server and prints a result as JSON. A wrong answer ends the run with an error.
func runLoad(ctx context.Context, arguments []string, out io.Writer) error {
	p, err := parsePlan(arguments)
	if err != nil {
		return err
	}
	measured, err := measure(ctx, p)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(measured)
}

func parsePlan(arguments []string) (*plan, error) {
	p := &plan{}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	address := flags.String("url", "", "base `URL` that ends in /v1, such as http://127.0.0.1:8080/v1")
	flags.StringVar(&p.key, "key", "", "bearer key; $"+keyVariable+" where empty; none is sent where that is empty too")
	flags.StringVar(&p.model, "model", "echo", "model that is asked")
	flags.IntVar(&p.clients, "clients", 1, "clients, each with one connection and one request at a time")
	flags.BoolVar(&p.stream, "stream", false, "ask for streamed answers")
	flags.IntVar(&p.tokens, "tokens", 16, "words of the message, which are the tokens of its echo")
	flags.DurationVar(&p.seconds, "time", 5*time.Second, "how long to measure")
	flags.DurationVar(&p.warmup, "warmup", time.Second, "how long to ask before that; at least one answer for each client")
	flags.DurationVar(&p.longest, "longest", 2*time.Minute, "limit of warm-up and measuring, of each, where answers are slow")
	flags.DurationVar(&p.timeout, "timeout", time.Minute, "limit of one answer")
	flags.Func("pid", "process whose CPU time and memory are noted; repeatable", p.addPid)
	if err := parse(flags, arguments); err != nil {
		return nil, err
	}
	if p.key == "" {
		p.key = os.Getenv(keyVariable)
	}
	parsed, err := url.Parse(*address)
	if err != nil || parsed.Scheme != "http" || parsed.Port() == "" {
		return nil, fmt.Errorf("%w: -url is %q, expected http://HOST:PORT/...", errUsage, *address)
	}
	p.url = parsed
	if p.clients < 1 || p.tokens < 1 || p.seconds <= 0 {
		return nil, fmt.Errorf("%w: -clients, -tokens and -time must be more than 0", errUsage)
	}
	return p, nil
}

func (p *plan) addPid(text string) error {
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil || pid < 1 {
		return errors.New("expected a process id")
	}
	p.pids = append(p.pids, pid)
	return nil
}

// request renders what every client sends, headers and all.
func (p *plan) request() ([]byte, error) {
	asked := map[string]any{
		"model":    p.model,
		"messages": []map[string]string{{"role": "user", "content": p.text()}},
	}
	if p.stream {
		asked["stream"] = true
		asked["stream_options"] = map[string]any{"include_usage": true}
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	path := strings.TrimSuffix(p.url.Path, "/") + "/chat/completions"
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, p.url.Host, len(body))
	if p.key != "" {
		fmt.Fprintf(&head, "Authorization: Bearer %s\r\n", p.key)
	}
	return append([]byte(head.String()+"\r\n"), body...), nil
}

// text is the message. It has no character that JSON escapes, so an answer can be compared without decoding it.
func (p *plan) text() string {
	words := make([]string, p.tokens)
	for number := range words {
		words[number] = fmt.Sprintf("word%d", number)
	}
	return strings.Join(words, " ")
}

// session is what the clients of one measurement share.
type session struct {
	plan    *plan
	request []byte
	phase   atomic.Int32
	// warm clients have had an answer; answers are those that ended while measuring.
	warm    atomic.Int64
	answers atomic.Int64
	failed  chan error
}

// measure runs the clients, and returns what they saw.
func measure(ctx context.Context, p *plan) (*result, error) {
	request, err := p.request()
	if err != nil {
		return nil, err
	}
	s := &session{plan: p, request: request, failed: make(chan error, p.clients)}
	clients := make([]*client, p.clients)
	var group sync.WaitGroup
	for number := range clients {
		clients[number] = newClient(s)
		group.Go(clients[number].ask)
	}
	// Where it fails, clients that wait for an answer are left behind: the process ends.
	defer s.phase.Store(ending)
	if err := s.wait(ctx, "warming up", p.warmup, func() bool { return s.warm.Load() >= int64(p.clients) }); err != nil {
		return nil, err
	}
	before, err := probe(p.pids)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	s.phase.Store(measuring)
	// As many answers as clients are one whole round, also where they come in bursts.
	err = s.wait(ctx, "measuring", p.seconds, func() bool { return s.answers.Load() >= int64(p.clients) })
	s.phase.Store(ending)
	elapsed := time.Since(begun)
	if err != nil {
		return nil, err
	}
	after, err := probe(p.pids)
	if err != nil {
		return nil, err
	}
	group.Wait()
	if err := s.firstFailure(); err != nil {
		return nil, err
	}
	return summarize(p, elapsed, clients, before, after), nil
}

// wait lets at least some time pass and goes on until enough is done, but not for ever.
func (s *session) wait(ctx context.Context, what string, least time.Duration, enough func() bool) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			return errors.New("interrupted while " + what)
		case err := <-s.failed:
			return err
		case <-ticker.C:
		}
		passed := time.Since(begun)
		if passed >= least && enough() {
			return nil
		}
		if passed > max(least, s.plan.longest) {
			return fmt.Errorf("%s took over %v: %d of %d clients had an answer, %d answers were counted",
				what, passed.Round(time.Second), s.warm.Load(), s.plan.clients, s.answers.Load())
		}
	}
}

func (s *session) firstFailure() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}
