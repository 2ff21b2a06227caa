// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const asProgram = "PUSH_TEST_AS_PROGRAM"

// TestMain lets the tests' own binary be the program.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// checking starts push -check for a registry, with much patience.
func checking(t *testing.T, server *httptest.Server) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := server.Listener.Addr().String()
	request, err := json.Marshal(Request{
		Registries: []Registry{{Name: "r", Host: host, PlainHTTP: true, Username: "robot", PasswordFile: password}},
		Images:     []Image{{Name: "api", Places: []Place{{Registry: "r", Repository: "team/api"}}}},
		AtOnce:     1, Attempts: 2, FirstWait: 60, Patience: 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	program, printed := exec.CommandContext(t.Context(), os.Args[0], "-check"), &bytes.Buffer{}
	program.Env = append(os.Environ(), asProgram+"=1")
	program.Stdin, program.Stdout, program.Stderr = bytes.NewReader(request), printed, printed
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	return program, printed
}

// interrupted sends signals until the waiting program ends, so many at most, and gives its state.
func interrupted(t *testing.T, program *exec.Cmd, signals int) *os.ProcessState {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	// What it asked for comes back to it, and it begins to wait.
	time.Sleep(300 * time.Millisecond)
	for range signals {
		if err := program.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-ended:
			return program.ProcessState
		case <-time.After(3 * time.Second):
		}
	}
	_ = program.Process.Kill()
	<-ended
	t.Fatalf("expected that %d signals end it", signals)
	return nil
}

func TestASignalEndsAWaitingCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() },
		"broken off": func(writer http.ResponseWriter, request *http.Request) {
			_, _ = io.WriteString(writer, `{"token":`)
			writer.(http.Flusher).Flush()
			<-request.Context().Done()
		},
		"busy": busy("60", ""),
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 9)
			server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
				if request.URL.Path == "/token" {
					asked <- struct{}{}
					token(writer, request)
					return
				}
				writer.Header().Set("WWW-Authenticate", `Bearer realm="http://`+request.Host+`/token",service="registry"`)
				writer.WriteHeader(http.StatusUnauthorized)
			}))
			defer server.Close()
			program, printed := checking(t, server)
			<-asked
			state := interrupted(t, program, 1)
			told := printed.String()
			if state.ExitCode() != 1 || !strings.Contains(told, "canceled") && !strings.Contains(told, "signal received") {
				t.Fatalf("expected status 1 and why it ended, got %s: %s", state, told)
			}
		})
	}
}

func TestASecondSignalEndsWhatDoesNotHeedTheFirst(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 9)
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		writer.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	// The library sleeps between two attempts.
	program, printed := checking(t, server)
	<-asked
	state := interrupted(t, program, 2)
	if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Fatalf("expected that the signal ends it, got %s: %s", state, printed)
	}
}
