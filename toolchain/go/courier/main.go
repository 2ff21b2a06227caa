// SPDX-License-Identifier: Apache-2.0

// Command courier is what an operator needs besides zarf and uds: it verifies what arrives, and handles it on media.
// It is static, opens no connection but to a registry that it is asked to read, and has no configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/delta"
	"toolchain/courier/internal/difference"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/media"
	"toolchain/courier/internal/seal"
	"toolchain/courier/internal/verify"
)

// version is set when it is compiled; see build.json.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an end; a second one ends the program also where it waits for something.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs one command line and returns the program's exit code.
func run(ctx context.Context, arguments []string) int {
	root := &cobra.Command{
		Use:           "courier",
		Short:         "Verifies, splits, joins and compares what CowabungaAI ships",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(media.SplitCommand(), media.JoinCommand(), difference.Command(), delta.Command())
	root.AddCommand(verify.Command())
	root.AddCommand(seal.Commands()...)
	root.SetArgs(arguments)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exit.Done
	}
	if ctx.Err() != nil {
		return exit.Interrupted
	}
	var failure *exit.Error
	if !errors.As(err, &failure) {
		failure = &exit.Error{Code: exit.Usage, Message: err.Error() + "\nTry --help."}
	}
	if failure.Message != "" {
		fmt.Fprintln(os.Stderr, "courier:", failure.Message)
	}
	return failure.Code
}
