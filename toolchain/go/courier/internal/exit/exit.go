// SPDX-License-Identifier: Apache-2.0

// Package exit says with which code the program ends, and why.
package exit

import "fmt"

// Codes that all commands share. Those from 10 on belong to verify, see package fault.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2
	Interrupted = 130
)

// Error ends the program with a code. Where the message is empty, the command has already told all.
type Error struct {
	Code    int
	Message string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Failure is an error with code Failed.
func Failure(format string, values ...any) *Error {
	return &Error{Code: Failed, Message: fmt.Sprintf(format, values...)}
}

// Misuse is an error with code Usage.
func Misuse(format string, values ...any) *Error {
	return &Error{Code: Usage, Message: fmt.Sprintf(format, values...)}
}
