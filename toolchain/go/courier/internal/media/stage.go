// SPDX-License-Identifier: Apache-2.0

package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"toolchain/courier/internal/files"
)

// stage is where a set becomes whole: a folder beside the output, with a journal of the parts that are in place. It is
// this program's own; what is in it is still checked as a whole at the end.
type stage struct {
	folder  string
	digest  string
	journal *os.File
	done    map[string]bool
	fresh   bool
}

// openStage makes the stage of an output, or goes on with one of the same set.
func openStage(parent, name, digest string) (*stage, error) {
	folder := filepath.Join(parent, "."+name+".joining")
	s := &stage{folder: folder, digest: digest, done: map[string]bool{}}
	if err := os.MkdirAll(filepath.Join(folder, "new"), 0o755); err != nil {
		return nil, err
	}
	journal, err := os.OpenFile(filepath.Join(folder, "journal"), os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // for all to read
	if err != nil {
		return nil, err
	}
	s.journal = journal
	if err := syscall.Flock(int(journal.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(files.Fail(files.Exists, "%s: another courier joins into it", folder), journal.Close())
	}
	text, err := io.ReadAll(journal)
	if err != nil {
		return nil, errors.Join(err, journal.Close())
	}
	lines := strings.Split(string(text), "\n")
	// A line that was cut off by a crash is not taken; nor is what follows it.
	lines = lines[:len(lines)-1]
	if s.fresh = len(lines) == 0; s.fresh {
		_, err := journal.WriteAt([]byte(digest+"\n"), 0)
		return s, err
	}
	if lines[0] != digest {
		return nil, errors.Join(files.Fail(files.Exists, "%s holds parts of another set of media; remove it, or join to another place", folder), journal.Close())
	}
	for _, line := range lines[1:] {
		s.done[line] = true
	}
	return s, journal.Truncate(int64(len(strings.Join(lines, "\n")) + 1))
}

// mark identifies a part in the journal.
func mark(part *Part) string { return part.SHA256 + " " + part.Path }

func (s *stage) has(part *Part) bool { return s.done[mark(part)] }

func (s *stage) note(part *Part) error {
	if _, err := s.journal.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	s.done[mark(part)], s.fresh = true, false
	_, err := s.journal.WriteString(mark(part) + "\n")
	return errors.Join(err, s.journal.Sync())
}

func (s *stage) place(whole *Whole) string {
	return filepath.Join(s.folder, "new", filepath.FromSlash(whole.Path))
}

// open is a whole file that parts are written into.
func (s *stage) open(whole *Whole) (*os.File, error) {
	place := s.place(whole)
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return nil, err
	}
	mode := os.FileMode(0o644)
	if whole.Executable {
		mode = 0o755
	}
	return os.OpenFile(place, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, mode)
}

// needRoom counts only what is not in place yet.
func (s *stage) needRoom(parent string, manifest *Manifest, tasks []task) error {
	var need int64
	for _, one := range tasks {
		need += one.part.Size
	}
	return files.NeedRoom(parent, need+int64(len(manifest.Files))*cluster)
}

// finish checks every file and gives the output its name. Files that are wrong are forgotten, to be taken again.
func (s *stage) finish(ctx context.Context, manifest *Manifest, output string, told *os.File) error {
	progress := files.NewProgress(ctx, told, "checking the whole", manifest.Size)
	defer progress.End()
	var wrong []*Whole
	var lines []string
	for number := range manifest.Files {
		whole := &manifest.Files[number]
		file, err := s.open(whole)
		if err != nil {
			return err
		}
		digest, size, err := files.Digest(progress.Reader(file))
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		if size != whole.Size || digest != whole.SHA256 {
			wrong = append(wrong, whole)
			lines = append(lines, fmt.Sprintf("  %s: %d bytes with SHA-256 %s, expected are %d with %s",
				whole.Path, size, digest, whole.Size, whole.SHA256))
		}
	}
	if len(wrong) > 0 {
		return errors.Join(files.Fail(files.Damaged,
			"parts were good, but what they were put together to is not: the disk or the manifest is wrong:\n%s\njoin again with medium %s; all else is kept",
			strings.Join(lines[:min(10, len(lines))], "\n"), mediaOf(wrong)), s.forget(wrong))
	}
	if err := files.NeedAbsent(output); err != nil {
		return err
	}
	from := filepath.Join(s.folder, "new")
	if !manifest.Folder {
		from = s.place(&manifest.Files[0])
	}
	if err := os.Rename(from, output); err != nil {
		return fmt.Errorf("%s cannot get its name: %w", output, err)
	}
	return os.RemoveAll(s.folder)
}

// forget takes files out of the stage, and their parts out of the journal.
func (s *stage) forget(wrong []*Whole) error {
	for _, whole := range wrong {
		for number := range whole.Parts {
			delete(s.done, mark(&whole.Parts[number]))
		}
		if err := os.Remove(s.place(whole)); err != nil {
			return err
		}
	}
	text := s.digest + "\n"
	for _, line := range slices.Sorted(maps.Keys(s.done)) {
		text += line + "\n"
	}
	if err := s.journal.Truncate(0); err != nil {
		return err
	}
	_, err := s.journal.WriteAt([]byte(text), 0)
	return errors.Join(err, s.journal.Sync())
}

// mediaOf are the numbers of the media that files lie on.
func mediaOf(wholes []*Whole) string {
	var media []int
	for _, whole := range wholes {
		for _, part := range whole.Parts {
			media = append(media, part.Medium)
		}
	}
	return numbers(media)
}

// dropEmpty removes a stage that nothing was written into.
func (s *stage) dropEmpty() error {
	if !s.fresh {
		return nil
	}
	return os.RemoveAll(s.folder)
}

func (s *stage) close() error { return s.journal.Close() }
