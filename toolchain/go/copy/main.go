// SPDX-License-Identifier: Apache-2.0

// Copy puts a model's weights out of its image where a service reads them, and checks every byte of them.
//
// It is the only program in the images of models, and needs nothing else in them.
package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

const usage = `usage: /copy FROM TARGET    copy a model, unless TARGET holds it already
       /copy --check FROM   only check it

FROM holds manifest.json and the files that it names, each with its size and SHA-256. TARGET is a folder for this model
alone: other files in it are removed. Beside it are a lock, and files until they are complete.
Exit codes: 0 all files are there and as named, 1 they are not, 2 wrong arguments.
`

func run(arguments []string, out io.Writer) error {
	checking := arguments[0] == "--check"
	from, to := arguments[0], arguments[1]
	if checking {
		from = to
	}
	model, err := readManifest(from)
	if err != nil {
		return err
	}
	begun := time.Now()
	size := float64(model.size()) / 1e6
	if checking {
		if err := check(from, model, out); err != nil {
			return err
		}
		fmt.Fprintf(out, "checked %s: %d files, %.1f MB, in %.1f s\n", model.ID, len(model.Files), size, time.Since(begun).Seconds())
		return nil
	}
	copied, err := place(from, to, model, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is at %s: %d files, %.1f MB, of which %.1f were copied, in %.1f s; licence %s\n",
		model.ID, to, len(model.Files), size, float64(copied)/1e6, time.Since(begun).Seconds(), model.Licence)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "copy:", err)
		os.Exit(1)
	}
}
