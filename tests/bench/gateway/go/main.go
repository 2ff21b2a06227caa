// SPDX-License-Identifier: Apache-2.0

// Gatewaybench measures HTTP gateways for OpenAI's API: an echo server to stand behind them, and a load generator.
//
// Both use the standard library alone, so that nothing has to be fetched to measure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const commands = `usage: gatewaybench echo|load [flags]
  echo  serves OpenAI's chat API on the loopback and answers with the last user message
  load  asks a server from many clients at once and prints what it measured as JSON
Each prints its flags with -h. Exit status: 0 done, 1 failed or an answer was wrong, 2 wrong usage.`

// errUsage marks a mistake in the flags, which ends with status 2.
var errUsage = errors.New("usage")

func main() {
	// The first signal ends politely; a second one ends at once, as the context lets go of it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("%w\n%s", errUsage, commands)
	}
	switch name, rest := arguments[0], arguments[1:]; name {
	case "echo":
		return runEcho(ctx, rest, os.Stdout)
	case "load":
		return runLoad(ctx, rest, os.Stdout)
	case "help", "-h", "-help", "--help":
		fmt.Println(commands)
		return nil
	default:
		return fmt.Errorf("%w: no command %q\n%s", errUsage, name, commands)
	}
}

// parse reads flags and refuses what is left over.
func parse(flags *flag.FlagSet, arguments []string) error {
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %v", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: %q is no flag of %s; -h lists them", errUsage, flags.Arg(0), flags.Name())
	}
	return nil
}
