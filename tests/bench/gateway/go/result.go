// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"
)

// result is what a run measured; all times are in seconds and all sizes in bytes.
type result struct {
	Clients       int     `json:"clients"`
	Stream        bool    `json:"stream"`
	Tokens        int     `json:"tokens"`
	Seconds       float64 `json:"seconds"`
	Requests      int     `json:"requests"`
	Rate          float64 `json:"requests_per_second"`
	Latency       spread  `json:"latency"`
	FirstToken    *spread `json:"first_token"`
	Gap           *spread `json:"gap"`
	EventsPerText float64 `json:"events_per_answer"`
	Reconnects    int     `json:"reconnects"`
	Processes     []usage `json:"processes"`
}

// spread describes samples; quantiles are exact.
type spread struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

// usage is what one process used while it was measured.
type usage struct {
	Pid        int     `json:"pid"`
	CPUSeconds float64 `json:"cpu_seconds"`
	// Resident memory when measuring ended, and the most that the process ever had.
	Resident     int64 `json:"rss_bytes"`
	ResidentPeak int64 `json:"rss_peak_bytes"`
}

func summarize(p *plan, elapsed time.Duration, clients []*client, before, after []reading) *result {
	var latency, first, gap []time.Duration
	events, reconnects := 0, 0
	for _, c := range clients {
		latency = append(latency, c.samples.latency...)
		first = append(first, c.samples.first...)
		gap = append(gap, c.samples.gap...)
		events += c.samples.events
		reconnects += c.reconnects
	}
	found := &result{
		Clients:    p.clients,
		Stream:     p.stream,
		Tokens:     p.tokens,
		Seconds:    elapsed.Seconds(),
		Requests:   len(latency),
		Rate:       float64(len(latency)) / elapsed.Seconds(),
		Latency:    describe(latency),
		Reconnects: reconnects,
		Processes:  make([]usage, len(after)),
	}
	if p.stream {
		found.FirstToken = new(describe(first))
		found.Gap = new(describe(gap))
		found.EventsPerText = float64(events) / float64(len(latency))
	}
	for number, reading := range after {
		found.Processes[number] = usage{
			Pid:          reading.pid,
			CPUSeconds:   (reading.cpu - before[number].cpu).Seconds(),
			Resident:     reading.resident,
			ResidentPeak: reading.peak,
		}
	}
	return found
}

// describe sorts the samples. A quantile is the smallest sample that at least that part of them does not exceed.
func describe(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	at := func(part float64) float64 {
		return all[max(0, ceil(part*float64(len(all)))-1)].Seconds()
	}
	var sum time.Duration
	for _, one := range all {
		sum += one
	}
	return spread{at(0.5), at(0.9), at(0.99), all[len(all)-1].Seconds(), sum.Seconds() / float64(len(all))}
}

func ceil(number float64) int {
	// Products such as 0.99*100 lie a hair above the whole number that they stand for.
	whole := int(number)
	if number-float64(whole) > 1e-9 {
		return whole + 1
	}
	return whole
}
