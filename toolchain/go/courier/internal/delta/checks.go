// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"toolchain/courier/internal/files"
)

func (a *application) checkPayload(file *os.File, path string) error {
	begin, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	expected := a.header.Payload
	a.payload = io.NewSectionReader(file, begin, expected.Size)
	progress := files.NewProgress(a.ctx, a.output, "checking the delta", expected.Size)
	defer progress.End()
	digest, size, err := files.Digest(progress.Reader(a.payload))
	if err != nil {
		return err
	}
	about, err := file.Stat()
	if err != nil {
		return err
	}
	if size != expected.Size || digest != expected.SHA256 || about.Size() != begin+size {
		return files.Fail(files.Damaged, "%s is damaged: after its header it has %d bytes with SHA-256 %s, expected are %d with %s; copy it again",
			path, about.Size()-begin, digest, expected.Size, expected.SHA256)
	}
	return nil
}

// checkOld compares the old files that are needed with their digests.
func (a *application) checkOld(place string) error {
	about, err := os.Stat(place)
	if err != nil {
		return files.Fail(files.Missing, "the old one cannot be read: %v", err)
	}
	if about.IsDir() != a.header.Folder {
		kind := map[bool]string{true: "folder", false: "file"}
		return files.Fail(files.WrongOld, "%s is a %s, but the delta is of a %s", place, kind[about.IsDir()], kind[a.header.Folder])
	}
	needed := a.needed()
	var sum int64
	for number, known := range a.header.Old {
		if needed[number] {
			sum += known.Size
		}
	}
	progress := files.NewProgress(a.ctx, a.output, "checking the old", sum)
	defer progress.End()
	var wrong []string
	for number, known := range a.header.Old {
		a.places = append(a.places, place)
		if a.header.Folder {
			a.places[number] = filepath.Join(place, filepath.FromSlash(known.Path))
		}
		if !needed[number] {
			continue
		}
		problem, err := compare(a.places[number], known, progress)
		if err != nil {
			return err
		}
		if problem != "" {
			wrong = append(wrong, "  "+problem)
		}
	}
	if len(wrong) > 0 {
		shown := wrong[:min(len(wrong), 10)]
		return files.Fail(files.WrongOld, "%s is not what the delta was made from:\n%s\n%d of %d files differ; name the release that the delta says",
			place, strings.Join(shown, "\n"), len(wrong), len(a.header.Old))
	}
	return nil
}

// compare says in what a file differs from what is known of it, or nothing.
func compare(place string, known Known, progress *files.Progress) (string, error) {
	about, err := os.Stat(place)
	switch {
	case err != nil:
		return fmt.Sprintf("%s: %v", known.Path, errors.Unwrap(err)), nil
	case !about.Mode().IsRegular():
		return known.Path + ": it is no file", nil
	case about.Size() != known.Size:
		return fmt.Sprintf("%s: %d bytes, expected are %d", known.Path, about.Size(), known.Size), nil
	}
	digest, _, err := files.DigestOf(place, progress)
	if err == nil && digest != known.SHA256 {
		return fmt.Sprintf("%s: SHA-256 %s, expected is %s", known.Path, digest, known.SHA256), nil
	}
	return "", err
}

func (a *application) needed() map[int]bool {
	needed := map[int]bool{}
	for _, target := range a.header.New {
		if target.Same != nil {
			needed[*target.Same] = true
		}
		for _, origin := range target.Origins {
			if !origin.New {
				needed[origin.File] = true
			}
		}
	}
	return needed
}

// checkRoom reads all instructions: they say what must be put aside.
func (a *application) checkRoom(folder, path string) error {
	var sum, most int64
	err := a.each(func(target *Target, part io.ReaderAt) error {
		aside, err := asideOf(target, part)
		if err != nil {
			return files.Fail(files.Malformed, "%s: %s: %v", path, target.Path, err)
		}
		sum, most = sum+target.Size, max(most, aside)
		return a.ctx.Err()
	})
	if err != nil {
		return err
	}
	return files.NeedRoom(folder, sum+most)
}
