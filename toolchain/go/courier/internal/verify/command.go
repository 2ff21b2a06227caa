// SPDX-License-Identifier: Apache-2.0

// Package verify checks, without a network, that what has arrived is what was made.
package verify

import (
	"github.com/spf13/cobra"

	"toolchain/courier/internal/exit"
)

// Command is `courier verify`.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "verify PATH",
		Short: "Check signature, checksums, provenance, SBOMs, weights and name",
		Args:  cobra.ExactArgs(1),
		RunE:  func(*cobra.Command, []string) error { return exit.Failure("verify is not there yet") },
	}
}
