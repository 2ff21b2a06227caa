// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
)

// chatRequest is the part of a chat request that an echo needs. Texts stay as they are in JSON: nothing is decoded that
// would be encoded again.
type chatRequest struct {
	Model    json.RawMessage `json:"model"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// lastUserText appends the text of the last user message, escaped as in JSON and without quotes.
func (r *chatRequest) lastUserText(text []byte) ([]byte, error) {
	if len(r.Model) == 0 || r.Model[0] != '"' {
		return nil, errors.New("model: expected a name")
	}
	for number := len(r.Messages) - 1; number >= 0; number-- {
		if r.Messages[number].Role == "user" {
			return appendText(text, r.Messages[number].Content)
		}
	}
	return nil, errors.New("messages: none has the role user, so there is nothing to echo")
}

// words counts the words of all messages.
func (r *chatRequest) words() int {
	total := 0
	for _, message := range r.Messages {
		total += bytes.Count(message.Content, []byte{' '}) + 1
	}
	return total
}

// appendText appends the text of a message's content: a string, or parts.
func appendText(text []byte, content json.RawMessage) ([]byte, error) {
	if len(content) >= 2 && content[0] == '"' {
		return append(text, content[1:len(content)-1]...), nil
	}
	var parts []struct {
		Text json.RawMessage `json:"text"`
	}
	if err := json.Unmarshal(content, &parts); err != nil {
		return nil, errors.New("messages: the content is neither a text nor a list of parts")
	}
	for _, part := range parts {
		if len(part.Text) >= 2 && part.Text[0] == '"' {
			text = append(text, part.Text[1:len(part.Text)-1]...)
		}
	}
	return text, nil
}

// split appends the words of a text, each with the space before it; joined they are the text again. An escape of JSON
// holds no space, so none is cut.
func split(tokens [][]byte, text []byte) [][]byte {
	for len(text) > 0 {
		end := bytes.IndexByte(text[1:], ' ') + 1
		if end == 0 {
			end = len(text)
		}
		tokens = append(tokens, text[:end])
		text = text[end:]
	}
	return tokens
}
