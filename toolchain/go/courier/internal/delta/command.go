// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/files"
)

// Command is `courier apply`.
func Command() *cobra.Command {
	var output string
	var asJSON bool
	command := &cobra.Command{
		Use:   "apply OLD DELTA --output NEW",
		Short: "Make the new file or release folder from the old one and a delta",
		Long: `Make the new file or release folder from the old one and a delta of "courier diff OLD NEW --differential DELTA".

The result has the same bytes as the new one; its SHA-256 is checked before it gets its name. A delta says what comes
out, not who made it: check the result with "courier verify".

Exit codes: 0 done, 1 failed, 2 usage, 5 disk full, 40 something cannot be read, 41 the delta is damaged, 42 it makes no
sense, 43 OLD is not what it was made from, 44 the output is there already, 130 interrupted.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			applied, err := Apply(command.Context(), arguments[0], arguments[1], output, os.Stderr)
			if err != nil {
				return files.Told(err)
			}
			if asJSON {
				return files.PrintJSON(command.OutOrStdout(), applied)
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: %s in %d files, with the expected SHA-256\n",
				applied.Path, files.Bytes(applied.Size), applied.Files)
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "where the new file or folder goes; nothing is overwritten")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	_ = command.MarkFlagRequired("output")
	return command
}
