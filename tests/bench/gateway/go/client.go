// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// client asks one request after the other over one connection. The library reads the answers; the request is written as
// it is, because an http.Client costs more than the servers that are measured.
type client struct {
	session *session
	text    []byte
	quoted  []byte
	conn    net.Conn
	reader  *bufio.Reader
	lines   *bufio.Reader
	body    bytes.Buffer
	samples samples
	// reconnects after the server closed the connection behind an answer, which it may.
	reconnects int
	checked    bool
}

// samples are exact: every answer and every gap that was counted.
type samples struct {
	latency []time.Duration
	first   []time.Duration
	gap     []time.Duration
	events  int
}

// asked is the request that http.ReadResponse wants to know of.
var asked = &http.Request{Method: http.MethodPost}

func newClient(s *session) *client {
	text := s.plan.text()
	return &client{session: s, text: []byte(text), quoted: []byte(`"` + text + `"`), lines: bufio.NewReaderSize(nil, 16<<10)}
}

// ask goes on until the run ends; a failure is reported to it and ends the client.
func (c *client) ask() {
	defer func() {
		if c.conn != nil {
			_ = c.conn.Close() // Nothing is owed to the server any more.
		}
	}()
	for warm := false; c.session.phase.Load() != ending; warm = true {
		if err := c.once(); err != nil {
			c.session.failed <- fmt.Errorf("answer of %s: %w", c.session.plan.url.Host, err)
			return
		}
		if !warm {
			c.session.warm.Add(1)
		}
	}
}

func (c *client) once() error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.session.plan.url.Host)
		if err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	}
	seen := answer{begun: time.Now(), gaps: len(c.samples.gap)}
	if err := c.conn.SetDeadline(seen.begun.Add(c.session.plan.timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.session.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, asked)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("status %d: %s", response.StatusCode, said)
	}
	if c.session.plan.stream {
		err = c.readStream(response.Body, &seen)
	} else {
		err = c.readWhole(response.Body)
	}
	if err != nil {
		return err
	}
	c.count(&seen)
	if response.Close {
		c.reconnects++
		err = c.conn.Close()
		c.conn = nil
	}
	return err
}

// answer is when the parts of one came; its gaps are the client's samples from that number on.
type answer struct {
	begun, first, last time.Time
	gaps               int
	events             int
}

// count keeps an answer that ended while measuring, and forgets its gaps otherwise.
func (c *client) count(seen *answer) {
	now := time.Now()
	if c.session.phase.Load() != measuring {
		c.samples.gap = c.samples.gap[:seen.gaps]
		return
	}
	c.samples.latency = append(c.samples.latency, now.Sub(seen.begun))
	c.samples.events += seen.events
	if c.session.plan.stream {
		c.samples.first = append(c.samples.first, seen.first.Sub(seen.begun))
	}
	c.session.answers.Add(1)
}

// readWhole checks an answer in one piece: the echo is in it and it is complete. The first is decoded too.
func (c *client) readWhole(body io.Reader) error {
	c.body.Reset()
	if _, err := c.body.ReadFrom(body); err != nil {
		return err
	}
	said := c.body.Bytes()
	if !bytes.Contains(said, c.quoted) || !bytes.HasSuffix(bytes.TrimSpace(said), []byte{'}'}) {
		return fmt.Errorf("the message is not echoed: %.300s", said)
	}
	if c.checked {
		return nil
	}
	var decoded struct {
		Object  string `json:"object"`
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
		Usage struct {
			CompletionTokens int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(said, &decoded); err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	if len(decoded.Choices) != 1 || decoded.Choices[0].Message.Content != string(c.text) ||
		decoded.Choices[0].FinishReason != "stop" || decoded.Usage.CompletionTokens != c.session.plan.tokens {
		return fmt.Errorf("it is no complete chat completion: %.300s", said)
	}
	c.checked = true
	return nil
}

var (
	dataField    = []byte("data: ")
	contentField = []byte(`"content":`)
	stopReason   = []byte(`"stop"`)
	done         = []byte("[DONE]")
)

// readStream checks a streamed answer: its pieces joined are the message, and it ends as it must.
func (c *client) readStream(body io.Reader, seen *answer) error {
	c.lines.Reset(body)
	c.body.Reset()
	finished, ended := false, false
	for {
		line, err := c.lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		data, found := bytes.CutPrefix(line, dataField)
		switch {
		case !found:
			continue // An empty line between events, or a comment.
		case ended:
			return fmt.Errorf("something follows [DONE]: %.300s", line)
		case bytes.HasPrefix(data, done):
			ended = true
		default:
			if piece := content(data); len(piece) > 0 {
				c.body.Write(piece)
				c.arrived(seen)
			}
			finished = finished || bytes.Contains(data, stopReason)
		}
	}
	if !bytes.Equal(c.body.Bytes(), c.text) || !finished || !ended {
		return fmt.Errorf("the stream is not complete (finish reason %t, [DONE] %t, %d tokens): %.300s",
			finished, ended, seen.events, c.body.Bytes())
	}
	return nil
}

// arrived notes the time of a piece of text.
func (c *client) arrived(seen *answer) {
	now := time.Now()
	if seen.events++; seen.events == 1 {
		seen.first = now
	} else {
		c.samples.gap = append(c.samples.gap, now.Sub(seen.last))
	}
	seen.last = now
}

// content is the text of an event as it stands in JSON, empty where there is none. The load's messages hold nothing that
// JSON escapes, so a quote ends it.
func content(data []byte) []byte {
	_, rest, found := bytes.Cut(data, contentField)
	if !found {
		return nil
	}
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) == 0 || rest[0] != '"' {
		return nil
	}
	text, _, _ := bytes.Cut(rest[1:], []byte{'"'})
	return text
}
