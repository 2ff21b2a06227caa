// SPDX-License-Identifier: Apache-2.0

package media

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
)

// SplitCommand is `courier split`.
func SplitCommand() *cobra.Command {
	var size, output string
	var asJSON bool
	command := &cobra.Command{
		Use:   "split FILE|FOLDER --size SIZE --output DIR",
		Short: "Split a file or a release folder over media",
		Long: `Split a file or a release folder over media: DIR/medium-01, DIR/medium-02 and so on, each to be copied to one medium.

Every medium holds its parts, a manifest of the whole set, sums for "sha256sum --check" and a README.txt that says how the
set becomes whole again, with this program or with cat.

SIZE is of one medium: dvd, bd, or a number such as 4.7GB or 700MiB; fat32 makes one medium with files below 4 GiB.

Exit codes: 0 done, 1 failed, 2 usage, 5 disk full, 40 something cannot be read, 44 DIR is there already, 130 interrupted.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			capacity, err := ParseSize(size)
			if err != nil {
				return exit.Misuse("--size: %v", err)
			}
			manifest, err := Split(command.Context(), arguments[0], capacity, output, os.Stderr)
			if err != nil {
				return files.Told(err)
			}
			if asJSON {
				return files.PrintJSON(command.OutOrStdout(), manifest)
			}
			for number := 1; number <= manifest.Media; number++ {
				about, err := sizeOf(medium(output, number, manifest.Media))
				if err != nil {
					return files.Told(err)
				}
				fmt.Fprintf(command.OutOrStdout(), "%s  %s\n", medium(output, number, manifest.Media), files.Bytes(about))
			}
			return nil
		},
	}
	command.Flags().StringVarP(&size, "size", "s", "", "what one medium holds")
	command.Flags().StringVarP(&output, "output", "o", "", "folder for the media; it must not be there yet")
	command.Flags().BoolVar(&asJSON, "json", false, "print the manifest as JSON")
	_ = command.MarkFlagRequired("size")
	_ = command.MarkFlagRequired("output")
	return command
}

// JoinCommand is `courier join`.
func JoinCommand() *cobra.Command {
	var output string
	var collect, asJSON bool
	command := &cobra.Command{
		Use:   "join MEDIUM... --output FILE|FOLDER",
		Short: "Put split media together again, and check them",
		Long: `Put split media together again. MEDIUM are folders of media, or parts, in any order; manifest.json of one of them must be
among what is named. Every part is checked before, and the whole after: only then has the output its name.

With --collect what is there is taken and kept beside the output, so that one drive is enough: run it for each medium.
A run that was interrupted is gone on with.

Exit codes: 0 done, 1 failed, 2 usage, 5 disk full, 40 parts are missing, 41 a part is damaged, 42 the manifest makes no
sense, 44 the output is there already, 130 interrupted.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			joined, err := Join(command.Context(), arguments, output, collect, os.Stderr)
			if asJSON && joined != nil {
				if err := files.PrintJSON(command.OutOrStdout(), joined); err != nil {
					return files.Told(err)
				}
			}
			if err != nil {
				return files.Told(err)
			}
			if !asJSON {
				fmt.Fprintf(command.OutOrStdout(), "%s: %s of %d parts, each with the expected SHA-256\n",
					joined.Path, files.Bytes(joined.Size), joined.Total)
			}
			return nil
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "", "where the file or folder goes; nothing is overwritten")
	command.Flags().BoolVar(&collect, "collect", false, "take what is there, although parts are missing")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	_ = command.MarkFlagRequired("output")
	return command
}
