// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/delta"
	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
)

// Command is `courier diff`.
func Command() *cobra.Command {
	var output, differential string
	var asJSON bool
	command := &cobra.Command{
		Use:   "diff OLD NEW [--differential DELTA]",
		Short: "Tell what changed between two releases, or make a delta of them",
		Long: `Tell what changed between two release folders, UDS bundles or Zarf packages: packages, images, models, software in images,
vulnerabilities, content and sizes. What archives say of themselves is taken as it is; "courier verify" checks it.

With --differential, make instead the file that "courier apply" turns OLD into NEW with: it holds only what OLD lacks. It is
proved by making NEW once before it gets its name. OLD and NEW may be any two files, or any two folders.

Exit codes: 0 done, 1 failed, 2 usage, 5 disk full, 40 something cannot be read, 41 an archive is damaged, 42 it makes no
sense, 44 the output is there already, 130 interrupted.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			if differential != "" {
				if output != "" {
					return exit.Misuse("--output is of the report: with --differential there is none")
				}
				return files.Told(differentiate(command, arguments, differential, asJSON))
			}
			return files.Told(tell(command, arguments, output, asJSON))
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "write the report into this file instead")
	command.Flags().StringVarP(&differential, "differential", "d", "", "make a delta, with this name")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	return command
}

func tell(command *cobra.Command, arguments []string, output string, asJSON bool) (err error) {
	target := command.OutOrStdout()
	if output != "" {
		if err := files.NeedAbsent(output); err != nil {
			return err
		}
	}
	report, err := Compare(command.Context(), arguments[0], arguments[1], os.Stderr)
	if err != nil {
		return err
	}
	if output != "" {
		file, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // for all to read
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		target = io.Writer(file)
	}
	if asJSON {
		return files.PrintJSON(target, report)
	}
	return report.Show(target)
}

func differentiate(command *cobra.Command, arguments []string, path string, asJSON bool) error {
	summary, err := delta.Create(command.Context(), arguments[0], arguments[1], path, os.Stderr)
	if err != nil {
		return err
	}
	if asJSON {
		return files.PrintJSON(command.OutOrStdout(), summary)
	}
	fmt.Fprintf(command.OutOrStdout(), "%s: %s, of %s in %d files (%d as before, %d packed again); proved\n",
		summary.Path, files.Bytes(summary.Size), files.Bytes(summary.NewSize), summary.Files, summary.Same, summary.Repacked)
	for _, name := range summary.AsIs {
		fmt.Fprintf(command.ErrOrStderr(), "courier: %s was packed by an encoder that is not known here: it was compared packed, which finds less\n", name)
	}
	return nil
}
