// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The kernel counts CPU time for user space in hundredths of a second on every architecture (USER_HZ, proc(5)).
const tick = 10 * time.Millisecond

// reading is what the kernel says of a process at one moment.
type reading struct {
	pid      int
	cpu      time.Duration
	resident int64
	peak     int64
}

func probe(pids []int) ([]reading, error) {
	readings := make([]reading, len(pids))
	for number, pid := range pids {
		found, err := read(pid)
		if err != nil {
			return nil, fmt.Errorf("process %d cannot be observed, it may have ended: %w", pid, err)
		}
		readings[number] = found
	}
	return readings, nil
}

func read(pid int) (reading, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return reading{}, err
	}
	// The second field, the name, is in brackets and may itself hold spaces and brackets.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 11, 12 // Fields 14 and 15 of proc_pid_stat(5), counted behind the name.
	if len(fields) <= system {
		return reading{}, fmt.Errorf("its stat file has %d fields", len(fields))
	}
	ticks := int64(0)
	for _, field := range []string{fields[user], fields[system]} {
		number, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return reading{}, err
		}
		ticks += number
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return reading{}, err
	}
	found := reading{pid: pid, cpu: time.Duration(ticks) * tick}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var kilobytes int64
		switch name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscan(value, &kilobytes); err != nil {
				return reading{}, fmt.Errorf("%s: %w", name, err)
			}
			if name == "VmRSS" {
				found.resident = kilobytes << 10
			} else {
				found.peak = kilobytes << 10
			}
		}
	}
	return found, nil
}
