// SPDX-License-Identifier: Apache-2.0

// Package verify checks, without a network, that what has arrived is what was made.
package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"toolchain/courier/internal/content"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/trust"
)

const long = `Checks a Zarf package or a UDS bundle (a file or a folder), a release folder, or oci://REFERENCE in a registry:
signature, checksums of every blob, provenance, a bill of materials for each image, models' weights, and name.
It opens no connection but to that registry, writes nothing, and keeps to bounded memory, however large the file.

The provenance is looked for beside the file and in a folder named provenance beside it or above it.
`

type settings struct {
	key         string
	identity    trust.Identity
	trustedRoot string
	provenance  string
	asJSON      bool
	where       content.Where
}

// Command is `courier verify`.
func Command() *cobra.Command {
	chosen := &settings{}
	command := &cobra.Command{
		Use:   "verify PATH|oci://REFERENCE --key cosign.pub",
		Short: "Check signature, checksums, provenance, SBOMs, weights and name",
		Long:  long + "\n" + codes(),
		Args:  cobra.ExactArgs(1),
		RunE:  func(command *cobra.Command, arguments []string) error { return chosen.run(command, arguments[0]) },
	}
	flags := command.Flags()
	flags.StringVar(&chosen.key, "key", "", "public key that must have signed, a PEM file")
	flags.StringVar(&chosen.identity.Subject, "certificate-identity", "", "or who must have signed without a key")
	flags.StringVar(&chosen.identity.Issuer, "certificate-oidc-issuer", "", "and who vouches for that")
	flags.StringVar(&chosen.trustedRoot, "trusted-root", "", "sigstore's trusted_root.json with the authorities to believe")
	flags.StringVar(&chosen.provenance, "provenance", "", "the provenance, where it lies elsewhere")
	flags.BoolVar(&chosen.asJSON, "json", false, "print JSON instead of a table")
	flags.BoolVar(&chosen.where.PlainHTTP, "plain-http", false, "speak to the registry without TLS")
	flags.StringVar(&chosen.where.Architecture, "architecture", "", "of what is in the registry, where there are several")
	return command
}

// codes is the table of exit codes.
func codes() string {
	lines := []string{
		"Exit codes; where several things are wrong, the one that comes first below decides:",
		"    0  all is as it was made",
		"    1  it could not be checked: a disk, a registry",
		"    2  wrong usage, or no such file",
	}
	for _, kind := range fault.Kinds() {
		lines = append(lines, fmt.Sprintf("  %3d  %s: %s", kind.Code, kind.Name, kind.Meaning))
	}
	return strings.Join(append(lines, "  130  interrupted"), "\n")
}

func (s *settings) anchor() (*trust.Anchor, error) {
	byKey, byIdentity := s.key != "", s.identity.Subject != "" || s.identity.Issuer != "" || s.trustedRoot != ""
	switch {
	case byKey == byIdentity:
		return nil, exit.Misuse("expected --key FILE, or --certificate-identity with --certificate-oidc-issuer and --trusted-root")
	case byKey:
		anchor, err := trust.ReadKey(s.key)
		if err != nil {
			return nil, exit.Misuse("--key: %v", err)
		}
		return anchor, nil
	case s.identity.Subject == "" || s.identity.Issuer == "" || s.trustedRoot == "":
		return nil, exit.Misuse("expected all of --certificate-identity, --certificate-oidc-issuer and --trusted-root")
	}
	trusted, err := root.NewTrustedRootFromPath(s.trustedRoot)
	if err != nil {
		return nil, exit.Misuse("--trusted-root: %v", err)
	}
	return trust.OfIdentity(s.identity, trusted)
}

func (s *settings) run(command *cobra.Command, target string) error {
	anchor, err := s.anchor()
	if err != nil {
		return err
	}
	progress := files.NewProgress(command.Context(), os.Stderr, "verifying "+filepath.Base(target), 0)
	work := &job{anchor: anchor, provenance: s.provenance, where: s.where, reader: Reader(progress)}
	result, err := work.run(command.Context(), target)
	progress.End()
	if err != nil {
		return Told(err)
	}
	first := fault.First(result.Faults())
	if s.asJSON {
		if err := files.PrintJSON(os.Stdout, summary(result, first)); err != nil {
			return exit.Failure("%v", err)
		}
	} else {
		result.Print(os.Stdout, colour())
		if first == nil {
			fmt.Println("verified: nothing is wrong")
		}
	}
	if first != nil {
		return Told(first)
	}
	return nil
}

// Reader reads contents and tells how far it is.
func Reader(progress *files.Progress) *content.Reader {
	var lock sync.Mutex
	return &content.Reader{Count: func(count int64) error {
		lock.Lock()
		defer lock.Unlock()
		return progress.Add(count)
	}}
}

// Told is how a command ends with an error: a fault with the code of its kind, anything else as files.Told says.
func Told(err error) error {
	if broken := fault.As(err); broken != nil {
		return &exit.Error{Code: broken.Kind.Code, Message: fmt.Sprintf("%s: %v", broken.Kind.Name, broken)}
	}
	return files.Told(err)
}

func summary(result *report.Result, first *fault.Fault) map[string]any {
	made := result.JSON()
	made["passed"], made["code"], made["reason"] = first == nil, exit.Done, ""
	if first != nil {
		made["code"], made["reason"] = first.Kind.Code, first.Error()
	}
	return made
}

// colour tells whether people see the output on a terminal, and want colours.
func colour() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stdout.Fd()))
}
