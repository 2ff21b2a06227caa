// SPDX-License-Identifier: Apache-2.0

package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"toolchain/courier/internal/files"
)

// Split writes a file or folder as a set of media, one folder for each: medium-01, medium-02, ...
//
// Raises an exit error where the source cannot be read, a medium is too small, the output is there, or the disk is full.
func Split(ctx context.Context, place string, capacity Capacity, output string, told *os.File) (manifest *Manifest, err error) {
	if err := files.NeedAbsent(output); err != nil {
		return nil, err
	}
	list, folder, err := files.List(place)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(place)
	if err != nil {
		return nil, err
	}
	if manifest, err = layOut(list, folder, filepath.Base(absolute), capacity); err != nil {
		return nil, err
	}
	parent, err := files.Parent(output)
	if err != nil {
		return nil, err
	}
	each, err := overhead(manifest)
	if err != nil {
		return nil, err
	}
	if err := files.NeedRoom(parent, manifest.Size+int64(manifest.Media)*each); err != nil {
		return nil, err
	}
	staged, err := os.MkdirTemp(parent, ".courier-split-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(files.Explain(err), os.RemoveAll(staged)) }()
	progress := files.NewProgress(ctx, told, "splitting", manifest.Size)
	defer progress.End()
	for number := range manifest.Files {
		if err := writeParts(&manifest.Files[number], list[number], staged, manifest.Media, progress); err != nil {
			return nil, err
		}
	}
	if err := describe(manifest, staged, capacity); err != nil {
		return nil, err
	}
	if err := files.NeedAbsent(output); err != nil {
		return nil, err
	}
	return manifest, errors.Join(os.Chmod(staged, 0o755), os.Rename(staged, output))
}

// layOut plans the media. What describes them takes room too, and more of it the more there are.
func layOut(list []files.File, folder bool, name string, capacity Capacity) (*Manifest, error) {
	if len(list) == 0 {
		return nil, files.Fail(2, "%s holds no files", name)
	}
	reserve := int64(0)
	for {
		pieces, media, err := plan(list, capacity, reserve)
		if err != nil {
			return nil, files.Fail(2, "%v; name a larger --size", err)
		}
		manifest := &Manifest{Format: format, Version: version, Name: name, Folder: folder, Media: media}
		for number, file := range list {
			whole := Whole{Path: file.Path, Size: file.Size, SHA256: noDigest, Executable: file.Executable, Parts: []Part{}}
			for at, one := range pieces[number] {
				path := manifest.partPath(file.Path, at+1, len(pieces[number]))
				whole.Parts = append(whole.Parts, Part{path, one.medium, one.size, noDigest})
			}
			manifest.Files = append(manifest.Files, whole)
			manifest.Size += file.Size
		}
		if err := manifest.check(); err != nil {
			return nil, files.Fail(2, "%s: %v; name a larger --size", name, err)
		}
		needed, err := overhead(manifest)
		if err != nil {
			return nil, err
		}
		if needed <= reserve {
			return manifest, nil
		}
		reserve = needed
	}
}

// noDigest stands for digests that are not known yet: it is as long.
var noDigest = strings.Repeat("0", 2*sha256.Size)

// overhead is the room that the description takes on a medium: manifest, sums and README.
func overhead(manifest *Manifest) (int64, error) {
	text, err := manifest.encode()
	if err != nil {
		return 0, err
	}
	folders := map[string]bool{}
	most := int64(0)
	for medium := 1; medium <= manifest.Media; medium++ {
		parts, wholes := manifest.sums(medium)
		most = max(most, inClusters(int64(len(parts)))+inClusters(int64(len(wholes))))
	}
	for _, whole := range manifest.Files {
		folders[filepath.Dir(whole.Path)] = true
	}
	about, err := readme(manifest, manifest.Media)
	if err != nil {
		return 0, err
	}
	return inClusters(int64(len(text))) + most + inClusters(int64(len(about))) + int64(1+len(folders))*cluster, nil
}

// medium is a medium's folder; numbers sort.
func medium(staged string, number, count int) string {
	return filepath.Join(staged, fmt.Sprintf("medium-%0*d", max(2, len(fmt.Sprint(count))), number))
}

// writeParts writes the parts of one file, and notes their digests and that of the whole.
func writeParts(whole *Whole, file files.File, staged string, media int, progress *files.Progress) error {
	source, err := os.Open(file.Place)
	if err != nil {
		return err
	}
	defer source.Close()
	sum := sha256.New()
	for number := range whole.Parts {
		part := &whole.Parts[number]
		place := filepath.Join(medium(staged, part.Medium, media), filepath.FromSlash(part.Path))
		if err := writePart(part, source, place, sum, whole.Executable && len(whole.Parts) == 1, progress); err != nil {
			return fmt.Errorf("%s: %w", file.Place, err)
		}
	}
	if count, err := io.Copy(io.Discard, io.LimitReader(source, 1)); err != nil || count > 0 {
		return errors.Join(err, fmt.Errorf("%s grew while it was read; run it again when nobody writes to it", file.Place))
	}
	whole.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func writePart(part *Part, source io.Reader, place string, all hash.Hash, executable bool, progress *files.Progress) (err error) {
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	target, err := os.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	sum := sha256.New()
	source = progress.Reader(io.LimitReader(source, part.Size))
	count, err := io.CopyBuffer(io.MultiWriter(target, sum, all), source, make([]byte, files.Buffer))
	if err == nil && count != part.Size {
		err = errors.New("it shrank while it was read; run it again when nobody writes to it")
	}
	part.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return errors.Join(err, target.Sync())
}

// describe puts manifest, sums and README on every medium.
func describe(manifest *Manifest, staged string, capacity Capacity) error {
	text, err := manifest.encode()
	if err != nil {
		return err
	}
	for number := 1; number <= manifest.Media; number++ {
		folder := medium(staged, number, manifest.Media)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		parts, wholes := manifest.sums(number)
		readme, err := readme(manifest, number)
		if err != nil {
			return err
		}
		for name, content := range map[string]string{
			manifestName: string(text), partSums: parts, wholeSums: wholes, readmeName: readme,
		} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil { //nolint:gosec // for all to read
				return err
			}
		}
		if size, err := sizeOf(folder); err != nil || size > capacity.Medium {
			return errors.Join(err, fmt.Errorf("medium %d has %d bytes of %d; this is an error of courier", number, size, capacity.Medium))
		}
	}
	return nil
}

func sizeOf(folder string) (int64, error) {
	list, _, err := files.List(folder)
	var sum int64
	for _, file := range list {
		sum += inClusters(file.Size)
	}
	return sum, err
}
