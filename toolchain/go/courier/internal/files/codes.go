// SPDX-License-Identifier: Apache-2.0

// Package files is what the commands on media share: exit codes, room on disk, names that may be trusted, progress.
package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"toolchain/courier/internal/exit"
)

// Codes of split, join, diff and apply, beside those that all commands share. DiskFull is also the launcher's.
const (
	DiskFull  = 5
	Missing   = 40
	Damaged   = 41
	Malformed = 42
	WrongOld  = 43
	Exists    = 44
)

// Fail is an error with a code.
func Fail(code int, format string, values ...any) error {
	return &exit.Error{Code: code, Message: fmt.Sprintf(format, values...)}
}

// Told turns any error into one with a code: those without have code Failed, for they are no misuse.
func Told(err error) error {
	var told *exit.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return exit.Failure("%v", err)
}

// PrintJSON prints a result for programs.
func PrintJSON(target io.Writer, result any) error {
	encoder := json.NewEncoder(target)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}
