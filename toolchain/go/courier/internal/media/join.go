// SPDX-License-Identifier: Apache-2.0

package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"toolchain/courier/internal/files"
)

// Joined is what was made, for people and programs.
type Joined struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	// Parts were taken in this run, of Total; Whole tells whether nothing is missing.
	Parts   int      `json:"parts"`
	Total   int      `json:"total"`
	Whole   bool     `json:"whole"`
	Missing []string `json:"missing"`
}

// task is a part that is still to be taken.
type task struct {
	whole  *Whole
	part   *Part
	offset int64
	place  string
}

// Join puts a set of media together. Parts that are good are kept beside the output, under a name of their own, until
// nothing is missing and every file has its SHA-256: then the output gets its name. An interrupted run is gone on with.
//
// With collect, what is there is taken, and what is missing is told; without, nothing is done unless all is there.
//
// Raises an exit error: Missing, Damaged, Malformed, Exists, or DiskFull.
func Join(ctx context.Context, offers []string, output string, collect bool, told *os.File) (joined *Joined, err error) {
	found, err := search(offers)
	if err != nil {
		return nil, err
	}
	manifest := found.manifest
	if about, err := os.Stat(output); err == nil && about.IsDir() && !manifest.Folder {
		output = filepath.Join(output, manifest.Name)
	}
	if err := files.NeedAbsent(output); err != nil {
		return nil, err
	}
	parent, err := files.Parent(output)
	if err != nil {
		return nil, err
	}
	kept, err := openStage(parent, filepath.Base(output), found.digest)
	if err != nil {
		return nil, err
	}
	defer func() { err = files.Explain(errors.Join(err, kept.close())) }()
	joined = &Joined{Path: output, Size: manifest.Size, Missing: []string{}}
	tasks, missing := plans(found, kept, joined)
	if len(missing) > 0 && !collect {
		return nil, errors.Join(lacking(manifest, missing, "name those media too, or take one medium after the other with --collect"), kept.dropEmpty())
	}
	if err := kept.needRoom(parent, manifest, tasks); err != nil {
		return nil, errors.Join(err, kept.dropEmpty())
	}
	if err := check(ctx, tasks, found, told); err != nil {
		return nil, errors.Join(err, kept.dropEmpty())
	}
	if err := take(ctx, tasks, kept, told); err != nil {
		return nil, err
	}
	joined.Parts = len(tasks)
	if len(missing) > 0 {
		for _, one := range missing {
			joined.Missing = append(joined.Missing, one.part.Path)
		}
		return joined, lacking(manifest, missing, "what was there is kept; do the same with the next of these media")
	}
	if err := kept.finish(ctx, manifest, output, told); err != nil {
		return nil, err
	}
	joined.Whole = true
	return joined, nil
}

// plans tells what is still to be taken, and what of that is not there.
func plans(found *offered, kept *stage, joined *Joined) (tasks, missing []task) {
	for number := range found.manifest.Files {
		whole := &found.manifest.Files[number]
		var offset int64
		for at := range whole.Parts {
			part := &whole.Parts[at]
			one := task{whole: whole, part: part, offset: offset}
			offset += part.Size
			joined.Total++
			if kept.has(part) {
				continue
			}
			if places := found.of(part); len(places) > 0 {
				one.place = places[0]
				tasks = append(tasks, one)
			} else {
				missing = append(missing, task{whole: whole, part: part, place: found.why(part)})
			}
		}
	}
	return tasks, missing
}

// lacking names the media that are missing, some of their parts, and what to do.
func lacking(manifest *Manifest, missing []task, advice string) error {
	var media []int
	var lines []string
	for _, one := range missing {
		media = append(media, one.part.Medium)
		if len(lines) < 10 {
			lines = append(lines, fmt.Sprintf("  medium %d: %s%s", one.part.Medium, one.part.Path, one.place))
		}
	}
	if more := len(missing) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return files.Fail(files.Missing, "%d parts of %s are missing, of medium %s of %d:\n%s\n%s",
		len(missing), manifest.Name, numbers(media), manifest.Media, strings.Join(lines, "\n"), advice)
}

// numbers are those of media, sorted, each once.
func numbers(media []int) string {
	return strings.Trim(fmt.Sprint(slices.Compact(slices.Sorted(slices.Values(media)))), "[]")
}

// check compares every part with its digest before anything is written; another copy stands in for a damaged one.
func check(ctx context.Context, tasks []task, found *offered, told *os.File) error {
	var sum int64
	for _, one := range tasks {
		sum += one.part.Size
	}
	progress := files.NewProgress(ctx, told, "checking parts", sum)
	defer progress.End()
	var wrong []string
	for number := range tasks {
		one := &tasks[number]
		var reasons []string
		for _, place := range found.of(one.part) {
			digest, _, err := files.DigestOf(place, progress)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil && digest == one.part.SHA256 {
				one.place, reasons = place, nil
				break
			}
			reason := fmt.Sprintf("  medium %d: %s: SHA-256 %s, expected is %s", one.part.Medium, place, digest, one.part.SHA256)
			if err != nil {
				reason = fmt.Sprintf("  medium %d: %v", one.part.Medium, err)
			}
			reasons = append(reasons, reason)
		}
		wrong = append(wrong, reasons...)
	}
	if len(wrong) > 0 {
		return files.Fail(files.Damaged, "damaged:\n%s\ncopy them again, or take them from another copy of the medium",
			strings.Join(wrong[:min(10, len(wrong))], "\n"))
	}
	return nil
}

// take copies parts to their places.
func take(ctx context.Context, tasks []task, kept *stage, told *os.File) error {
	var sum int64
	for _, one := range tasks {
		sum += one.part.Size
	}
	progress := files.NewProgress(ctx, told, "joining", sum)
	defer progress.End()
	for _, one := range tasks {
		if err := takeOne(one, kept, progress); err != nil {
			return fmt.Errorf("%s: %w", one.place, err)
		}
	}
	return nil
}

func takeOne(one task, kept *stage, progress *files.Progress) (err error) {
	source, err := os.Open(one.place)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := kept.open(one.whole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	writer := io.NewOffsetWriter(target, one.offset)
	digest, size, err := files.Digest(io.TeeReader(progress.Reader(io.LimitReader(source, one.part.Size)), writer))
	if err != nil {
		return err
	}
	if size != one.part.Size || digest != one.part.SHA256 {
		return files.Fail(files.Damaged, "%s was read once more and was different: the medium or its drive is failing", one.place)
	}
	if err := target.Sync(); err != nil {
		return err
	}
	return kept.note(one.part)
}
