// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"strings"
	"testing"

	"toolchain/courier/internal/fault"
)

func TestWhatAFileSaysDoesNotSteerTheTerminal(t *testing.T) {
	result := &Result{Name: "a\x1b[2J", Kind: "archive"}
	result.Add("name", "", fault.New(fault.Name, "b\nc", "\x9b31m\x07"))
	printed := &bytes.Buffer{}
	result.Print(printed, false)
	if strings.ContainsAny(printed.String(), "\x1b\x07\u009b") || strings.Count(printed.String(), "\n") != 2 {
		t.Errorf("%q", printed.String())
	}
}

func TestColourIsOnlyThereWhereItIsWanted(t *testing.T) {
	result := &Result{Name: "a", Kind: "archive"}
	result.Add("name", "fine")
	for _, colour := range []bool{true, false} {
		printed := &bytes.Buffer{}
		result.Print(printed, colour)
		if strings.Contains(printed.String(), "\x1b[") != colour {
			t.Errorf("%v: %q", colour, printed.String())
		}
	}
}

func TestManyFaultsAreCountedAndAllAreInTheJSON(t *testing.T) {
	result := &Result{Name: "a", Kind: "archive"}
	var faults []*fault.Fault
	for range 10 {
		faults = append(faults, fault.New(fault.Corrupt, "x", "wrong"))
	}
	result.Add("checksums", "", faults...)
	printed := &bytes.Buffer{}
	result.Print(printed, false)
	if !strings.Contains(printed.String(), "and 6 more") {
		t.Error(printed.String())
	}
	checks := result.JSON()["checks"].([]any)
	if told := checks[0].(map[string]any)["faults"].([]any); len(told) != 10 {
		t.Error(len(told))
	}
}

func TestTheFirstCauseDecides(t *testing.T) {
	outer, inner := &Result{}, &Result{}
	outer.Add("checksums", "", fault.New(fault.Changed, "", "a"))
	inner.Add("weights", "", fault.New(fault.Weights, "", "b"))
	outer.Parts = []*Result{inner}
	if first := fault.First(outer.Faults()); first.Kind != fault.Weights {
		t.Error(first)
	}
	codes := map[int]bool{}
	for _, kind := range fault.Kinds() {
		if codes[kind.Code] || kind.Code < 10 || kind.Code > 39 {
			t.Errorf("code %d is taken", kind.Code)
		}
		codes[kind.Code] = true
	}
}
