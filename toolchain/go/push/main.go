// SPDX-License-Identifier: Apache-2.0

// Command push sends images out of OCI layouts to any number of registries: first it asks every registry whether the
// credentials may write, then it sends blobs, then manifests by digest, and moves tags last.
//
// It reads a request as JSON on standard input and writes what happened as JSON on standard output. It ends with 0 where
// all was done, 1 where something failed, and 2 where the request makes no sense. Credentials come as files.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Request is what to send, and where.
type Request struct {
	Registries []Registry `json:"registries"`
	Images     []Image    `json:"images"`
	// AtOnce is how many images are sent side by side, counted once for each registry.
	AtOnce int `json:"at_once"`
	// Attempts is how often a request is made before its failure is told; waits between them double.
	Attempts int `json:"attempts"`
	// FirstWait is how long to wait before the second attempt, in seconds.
	FirstWait float64 `json:"first_wait"`
	// Patience is how long a registry may not answer, or take nothing of what is sent, in seconds.
	Patience float64 `json:"patience"`
}

// Image is one image in an OCI layout, and the places that it goes to.
type Image struct {
	Name   string  `json:"name"`
	Layout string  `json:"layout"`
	Digest string  `json:"digest"`
	Places []Place `json:"places"`
}

// Place is a repository in a registry, and the tags that the image gets there.
type Place struct {
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags"`
}

// Outcome is what happened to an image in one place: bytes that were sent, requests that were made, those of them that
// failed and were made again or given up. Error is empty where all went well.
type Outcome struct {
	Image      string   `json:"image"`
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Digest     string   `json:"digest"`
	Tags       []string `json:"tags"`
	BytesSent  int64    `json:"bytes_sent"`
	Requests   int64    `json:"requests"`
	Failed     int64    `json:"failed"`
	Seconds    float64  `json:"seconds"`
	Error      string   `json:"error"`
}

// Answer is all that happened. Refused holds a line for each registry that does not let these credentials write; then
// nothing was sent to any.
type Answer struct {
	Refused  []string   `json:"refused"`
	Outcomes []*Outcome `json:"outcomes"`
}

func main() {
	checkOnly := flag.Bool("check", false, "ask whether the credentials may write, and send nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an end; a second one ends the program also where it waits for something.
	context.AfterFunc(ctx, stop)
	answer, err := run(ctx, *checkOnly)
	if err != nil {
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(1)
	}
	if failed(answer) {
		os.Exit(1)
	}
}

func failed(answer *Answer) bool {
	for _, outcome := range answer.Outcomes {
		if outcome.Error != "" {
			return true
		}
	}
	return len(answer.Refused) > 0
}

func run(ctx context.Context, checkOnly bool) (*Answer, error) {
	var request Request
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("the request is not as expected: %w", err)
	}
	if request.AtOnce < 1 || request.Attempts < 1 || request.FirstWait <= 0 || request.Patience <= 0 {
		return nil, errors.New("at_once and attempts must be 1 or more, first_wait and patience more than 0")
	}
	patience := time.Duration(request.Patience * float64(time.Second))
	clients := map[string]*client{}
	for _, registry := range request.Registries {
		made, err := newClient(registry, request.Attempts, request.FirstWait, patience)
		if err != nil {
			return nil, err
		}
		clients[registry.Name] = made
	}
	for _, image := range request.Images {
		for _, place := range image.Places {
			if clients[place.Registry] == nil {
				return nil, fmt.Errorf("image %s: no registry is named %q", image.Name, place.Registry)
			}
		}
	}
	answer := &Answer{Refused: checkAll(ctx, &request, clients), Outcomes: []*Outcome{}}
	if checkOnly || len(answer.Refused) > 0 {
		return answer, nil
	}
	answer.Outcomes = pushAll(ctx, &request, clients)
	return answer, nil
}

// checkAll asks side by side for every repository; one line for each registry that refuses.
func checkAll(ctx context.Context, request *Request, clients map[string]*client) []string {
	asked := map[string][]string{}
	for _, image := range request.Images {
		for _, place := range image.Places {
			asked[place.Registry] = append(asked[place.Registry], place.Repository)
		}
	}
	lines := make([]string, len(request.Registries))
	var group errgroup.Group
	group.SetLimit(request.AtOnce)
	for number, registry := range request.Registries {
		group.Go(func() error {
			for _, repository := range asked[registry.Name] {
				if err := clients[registry.Name].check(ctx, repository); err != nil {
					lines[number] = err.Error()
					break
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// pushAll sends every image to each of its places; a failure of one leaves the others alone.
func pushAll(ctx context.Context, request *Request, clients map[string]*client) []*Outcome {
	outcomes := []*Outcome{}
	var group errgroup.Group
	group.SetLimit(request.AtOnce)
	for _, image := range request.Images {
		for _, place := range image.Places {
			outcome := &Outcome{
				Image: image.Name, Registry: place.Registry, Repository: place.Repository, Digest: image.Digest,
				Tags: []string{},
			}
			outcomes = append(outcomes, outcome)
			group.Go(func() error {
				began := time.Now()
				meter := &meter{}
				if err := clients[place.Registry].push(ctx, meter, image, place, outcome); err != nil {
					outcome.Error = err.Error()
				}
				outcome.BytesSent, outcome.Requests = meter.sent.Load(), meter.requests.Load()
				outcome.Failed = meter.failed.Load()
				outcome.Seconds = time.Since(began).Seconds()
				return nil
			})
		}
	}
	_ = group.Wait()
	return outcomes
}
