// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	chunk        = 1 << 20
	tellInterval = 5 * time.Second
)

// progress tells how far a copy or check is, not more often than a log wants it.
type progress struct {
	out         io.Writer
	what        string
	done, total int64
	told        time.Time
}

func (p *progress) Write(data []byte) (int, error) {
	p.done += int64(len(data))
	if time.Since(p.told) >= tellInterval {
		p.told = time.Now()
		fmt.Fprintf(p.out, "%s: %.1f of %.1f GB\n", p.what, float64(p.done)/1e9, float64(p.total)/1e9)
	}
	return len(data), nil
}

// same tells whether a file has the size and digest that the manifest says.
func same(path string, wanted file, told *progress) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() != wanted.Size {
		return false, nil
	}
	opened, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	hash := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(hash, told), opened, make([]byte, chunk)); err != nil {
		return false, err
	}
	return hex.EncodeToString(hash.Sum(nil)) == wanted.SHA256, nil
}

// check refuses a folder that does not hold what its manifest says.
func check(folder string, model *manifest, out io.Writer) error {
	told := &progress{out: out, what: "checked " + model.ID, total: model.size(), told: time.Now()}
	for _, one := range model.Files {
		fine, err := same(filepath.Join(folder, one.Path), one, told)
		if err != nil {
			return err
		}
		if !fine {
			return fmt.Errorf("%s is not the file that %s names: expected %d bytes with the SHA-256 %s",
				filepath.Join(folder, one.Path), manifestName, one.Size, one.SHA256)
		}
	}
	return nil
}

// unlisted finds what a folder holds beside its model, as files of another one: services refuse such a folder.
func unlisted(folder string, model *manifest) (found []string, err error) {
	files, folders := map[string]bool{manifestName: true}, map[string]bool{".": true}
	for _, one := range model.Files {
		files[one.Path] = true
		for parent := filepath.Dir(one.Path); parent != "."; parent = filepath.Dir(parent) {
			folders[parent] = true
		}
	}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && folders[name] || !entry.IsDir() && files[name] {
			return nil
		}
		found = append(found, path)
		if entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return found, err
}

// complete tells whether a folder holds a model, and nothing else.
func complete(folder string, model *manifest, out io.Writer) bool {
	there, err := readManifest(folder)
	if err != nil || !bytes.Equal(there.raw, model.raw) {
		return false
	}
	others, err := unlisted(folder, model)
	return err == nil && len(others) == 0 && check(folder, model, out) == nil
}

// place copies a model; a file gets its name only once its bytes are those of the manifest, and the manifest comes last.
func place(from, to string, model *manifest, out io.Writer) (copied int64, err error) {
	if complete(to, model, out) {
		return 0, nil
	}
	unlock, err := lock(to, out)
	if err != nil {
		return 0, err
	}
	defer unlock()
	// Files must not be replaced by equal ones: on network file systems that takes them from pods which read them.
	if complete(to, model, out) {
		return 0, nil
	}
	if err := removeOthers(to, model); err != nil {
		return 0, err
	}
	parts := beside(to, "parts")
	// What a copy left that was killed takes room.
	if err := os.RemoveAll(parts); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(parts)) }()
	told := &progress{out: out, what: "copied " + model.ID, total: model.size(), told: time.Now()}
	for _, one := range model.Files {
		target := filepath.Join(to, one.Path)
		fine, err := same(target, one, told)
		if err != nil {
			return copied, err
		}
		if fine {
			continue
		}
		if err := placeFile(filepath.Join(from, one.Path), target, parts, one, told); err != nil {
			return copied, err
		}
		copied += one.Size
	}
	target := filepath.Join(to, manifestName)
	return copied, writeChecked(target, parts, bytes.NewReader(model.raw), func(int64) error { return nil })
}

// removeOthers removes what does not belong to a model from its folder, which it makes if it is not there.
func removeOthers(folder string, model *manifest) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	others, err := unlisted(folder, model)
	for _, other := range others {
		err = errors.Join(err, os.RemoveAll(other))
	}
	return err
}

func placeFile(source, target, parts string, wanted file, told *progress) error {
	opened, err := os.Open(source)
	if err != nil {
		return err
	}
	defer opened.Close()
	hash := sha256.New()
	// One byte more than wanted is enough to know that a file is too large.
	limited := io.LimitReader(opened, wanted.Size+1)
	refuse := func(read int64) error {
		if found := hex.EncodeToString(hash.Sum(nil)); read != wanted.Size || found != wanted.SHA256 {
			return fmt.Errorf("%s is not the file that %s names: expected %d bytes with the SHA-256 %s, found %d with %s",
				source, manifestName, wanted.Size, wanted.SHA256, read, found)
		}
		return nil
	}
	return writeChecked(target, parts, io.TeeReader(limited, io.MultiWriter(hash, told)), refuse)
}

// writeChecked writes a file in the folder parts, and gives it its name if nothing speaks against it.
func writeChecked(target, parts string, content io.Reader, refuse func(written int64) error) error {
	for _, folder := range []string{parts, filepath.Dir(target)} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	// Where locks do not hold, a name of its own still keeps two copies from writing into one file.
	part := filepath.Join(parts, rand.Text())
	written, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	count, err := io.CopyBuffer(written, content, make([]byte, chunk))
	if err = errors.Join(err, written.Sync(), written.Close()); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	if err := refuse(count); err != nil {
		return err
	}
	return os.Rename(part, target)
}
