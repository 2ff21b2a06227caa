// SPDX-License-Identifier: Apache-2.0

// Package report holds what was checked and what was found, and prints it for people and for programs.
package report

import (
	"fmt"
	"io"
	"strings"

	"toolchain/courier/internal/fault"
)

// Check is one question that was asked of something.
type Check struct {
	Name   string
	Detail string
	Faults []*fault.Fault
}

// Result is what is known of a package, a bundle or a release after it was checked.
type Result struct {
	Name   string
	Kind   string
	Checks []Check
	Parts  []*Result
}

// Add records a check.
func (r *Result) Add(name, detail string, faults ...*fault.Fault) {
	r.Checks = append(r.Checks, Check{name, detail, faults})
}

// Faults are all that were found, in parts too.
func (r *Result) Faults() []*fault.Fault {
	var all []*fault.Fault
	for _, check := range r.Checks {
		all = append(all, check.Faults...)
	}
	for _, part := range r.Parts {
		all = append(all, part.Faults()...)
	}
	return all
}

// JSON is the result as programs read it.
func (r *Result) JSON() map[string]any {
	checks := []any{}
	for _, check := range r.Checks {
		faults := []any{}
		for _, one := range check.Faults {
			faults = append(faults, map[string]any{
				"kind": one.Kind.Name, "code": one.Kind.Code, "place": one.Place, "text": one.Text,
			})
		}
		checks = append(checks, map[string]any{
			"check": check.Name, "passed": len(check.Faults) == 0, "detail": check.Detail, "faults": faults,
		})
	}
	parts := []any{}
	for _, part := range r.Parts {
		parts = append(parts, part.JSON())
	}
	return map[string]any{"name": r.Name, "kind": r.Kind, "checks": checks, "parts": parts}
}

const (
	green = "\x1b[32m"
	red   = "\x1b[31m"
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
	// shown is how many faults of one check a person sees; programs get all.
	shown = 4
)

// Print writes a short table.
func (r *Result) Print(target io.Writer, colour bool) { r.print(target, colour, "") }

func (r *Result) print(target io.Writer, colour bool, indent string) {
	paint := func(code, text string) string {
		if !colour {
			return text
		}
		return code + text + plain
	}
	fmt.Fprintf(target, "%s%s  %s\n", indent, paint(bold, visible(r.Name)), r.Kind)
	width := 0
	for _, check := range r.Checks {
		width = max(width, len(check.Name))
	}
	for _, check := range r.Checks {
		mark := paint(green, "✓")
		if len(check.Faults) > 0 {
			mark = paint(red, "✗")
		}
		detail := visible(check.Detail)
		if len(check.Faults) > 0 {
			detail = visible(check.Faults[0].Error())
		}
		fmt.Fprintf(target, "%s  %s %-*s  %s\n", indent, mark, width, check.Name, detail)
		for number, one := range check.Faults {
			if number == shown {
				fmt.Fprintf(target, "%s    %-*s  … and %d more; --json tells all\n", indent, width, "", len(check.Faults)-shown)
				break
			}
			if number > 0 {
				fmt.Fprintf(target, "%s    %-*s  %s\n", indent, width, "", visible(one.Error()))
			}
		}
	}
	for _, part := range r.Parts {
		part.print(target, colour, indent+"  ")
	}
}

// visible keeps what an untrusted file says from steering the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, text)
}
