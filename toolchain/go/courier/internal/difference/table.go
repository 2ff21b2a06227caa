// SPDX-License-Identifier: Apache-2.0

package difference

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"toolchain/courier/internal/files"
)

// shown is how many lines of one sort people get; --json has all.
const shown = 40

// Show prints a report for people.
func (r *Report) Show(target io.Writer) error {
	table := tabwriter.NewWriter(target, 0, 0, 2, ' ', 0)
	row := func(columns ...string) {
		for number := range columns {
			columns[number] = printable(columns[number])
		}
		fmt.Fprintln(table, strings.Join(columns, "\t"))
	}
	row(fmt.Sprintf("%s: %s, %s", r.Old.Kind, r.Old.Path, files.Bytes(r.Old.Size)))
	row(fmt.Sprintf("against it: %s, %s (%s)", r.New.Path, files.Bytes(r.New.Size), signed(r.New.Size-r.Old.Size)))
	section := func(title string, count int, line func(number int) []string) {
		if count == 0 {
			return
		}
		row("")
		row(title)
		for number := range min(count, shown) {
			row(append([]string{" "}, line(number)...)...)
		}
		if count > shown {
			row(fmt.Sprintf("  and %d more; --json has all", count-shown))
		}
	}
	section("Packages", len(r.Packages), func(number int) []string {
		one := r.Packages[number]
		return []string{one.Name, arrow(one.Old, one.New)}
	})
	section("Images", len(r.Images), func(number int) []string {
		one := r.Images[number]
		return append([]string{one.Name}, imageLine(one.Old, one.New)...)
	})
	section("Models", len(r.Models), func(number int) []string {
		one := r.Models[number]
		return []string{one.Name, arrow(digestOf(one.Old), digestOf(one.New))}
	})
	section("Software in images", len(r.Components), func(number int) []string {
		one := r.Components[number]
		return []string{one.Image, one.Sort, one.Name, arrow(one.Old, one.New)}
	})
	finding := func(list []Finding) func(int) []string {
		return func(number int) []string {
			one := list[number]
			return []string{one.Severity, one.ID, one.Service, one.Package, one.Installed}
		}
	}
	section("Vulnerabilities that are fixed", len(r.Findings.Fixed), finding(r.Findings.Fixed))
	section("Vulnerabilities that are new", len(r.Findings.New), finding(r.Findings.New))
	section("Files", len(r.Files), func(number int) []string {
		one := r.Files[number]
		if one.Old == one.New {
			return []string{one.Path, "changed, " + sizeOf(one.New) + " as before"}
		}
		return []string{one.Path, arrow(sizeOf(one.Old), sizeOf(one.New))}
	})
	section("Content that is new", len(r.Blobs.New), func(number int) []string {
		one := r.Blobs.New[number]
		return []string{digestOf(one.Digest), files.Bytes(one.Size), one.Of}
	})
	row("")
	row(fmt.Sprintf("Content: %s new, %s in %d blobs as before, %s gone",
		files.Bytes(r.Blobs.NewSize), files.Bytes(r.Blobs.SharedSize), r.Blobs.Shared, files.Bytes(r.Blobs.GoneSize)))
	if r.Findings.Compared {
		row(fmt.Sprintf("Vulnerabilities: %d fixed, %d new, %d as before", len(r.Findings.Fixed), len(r.Findings.New), r.Findings.Stay))
	}
	for _, note := range r.Notes {
		row("Note: " + note)
	}
	return table.Flush()
}

func imageLine(old, next *Image) []string {
	switch {
	case old == nil:
		return []string{"new", tagOf(next), digestOf(next.Digest), files.Bytes(next.Size)}
	case next == nil:
		return []string{"gone", tagOf(old), digestOf(old.Digest), files.Bytes(old.Size)}
	default:
		return []string{arrow(tagOf(old), tagOf(next)), arrow(digestOf(old.Digest), digestOf(next.Digest)), signed(next.Size - old.Size)}
	}
}

func tagOf(image *Image) string {
	return strings.TrimPrefix(strings.TrimPrefix(image.Reference, repository(image.Reference)), ":")
}

// digestOf is as much of a digest as people compare.
func digestOf(digest string) string {
	digest = hexOf(digest)
	return digest[:min(12, len(digest))]
}

func arrow(old, next string) string {
	switch {
	case old == "":
		return "new: " + next
	case next == "":
		return "gone: " + old
	case old == next:
		return old
	default:
		return old + " -> " + next
	}
}

func sizeOf(size int64) string {
	if size < 0 {
		return ""
	}
	return files.Bytes(size)
}

func signed(difference int64) string {
	if difference < 0 {
		return "-" + files.Bytes(-difference)
	}
	return "+" + files.Bytes(difference)
}

// printable keeps what archives say from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
