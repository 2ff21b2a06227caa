// SPDX-License-Identifier: Apache-2.0

// Package content knows what is in an archive, a folder or a registry: of each file its size and digest, and the text of
// those that are small. Large files are read again where more must be known of them.
package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime"
	"sync"
	"unicode/utf8"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/stream"
)

// Bounds on what is kept in memory, of all files together where the name is a plural. Sizes in bytes.
const (
	MaxDocument  = 4 << 20
	MaxDocuments = 256 << 20
	MaxBills     = 50_000
	sniffed      = 512
)

// File is a file, or a blob.
type File struct {
	Name   string
	Size   int64
	Digest string
	// Text is the content of what looks like text and is small; nil of anything else.
	Text []byte
	// Inside lists the bills of materials in the archive that has them.
	Inside []Inner
}

// Inner is a bill of materials in an archive in an archive.
type Inner struct {
	Name string
	// ImageID is the digest of the configuration of the image that it is of; empty of anything else.
	ImageID string
}

// Contents are files by name.
type Contents struct {
	// Place is what messages call them.
	Place string
	Files map[string]*File
	// Digest and Size are of the archive itself; empty where there is none.
	Digest string
	Size   int64
	again  func(ctx context.Context, wanted map[string]bool, visit stream.Visit) error
}

// Text is the content of a small file; nil where it is missing, large or no text.
func (c *Contents) Text(name string) []byte {
	if file := c.Files[name]; file != nil {
		return file.Text
	}
	return nil
}

// Again reads some files once more. That they are still the same is checked.
func (c *Contents) Again(ctx context.Context, wanted map[string]bool, visit stream.Visit) error {
	return c.again(ctx, wanted, func(entry stream.Entry, content io.Reader) error {
		hasher := stream.NewHasher()
		err := visit(entry, io.TeeReader(content, hasher))
		if err == nil {
			_, err = io.Copy(hasher, content)
		}
		digest, _ := hasher.Sum()
		if err == nil && digest != c.Files[entry.Name].Digest {
			err = fault.New(fault.Corrupt, entry.Name, "it changes while it is read")
		}
		return err
	})
}

// Under is what some files are called elsewhere: the result holds them by those names.
func (c *Contents) Under(place string, names map[string]string) *Contents {
	view := &Contents{Place: place, Files: map[string]*File{}}
	back := map[string][]string{}
	for name, original := range names {
		if file := c.Files[original]; file != nil {
			view.Files[name] = &File{name, file.Size, file.Digest, file.Text, file.Inside}
			back[original] = append(back[original], name)
		}
	}
	view.again = func(ctx context.Context, wanted map[string]bool, visit stream.Visit) error {
		originals := map[string]bool{}
		for name := range wanted {
			originals[names[name]] = true
		}
		return c.again(ctx, originals, func(entry stream.Entry, content io.Reader) error {
			for _, name := range back[entry.Name] {
				if wanted[name] {
					return visit(stream.Entry{Name: name, Size: entry.Size}, content)
				}
			}
			return nil
		})
	}
	return view
}

// Reader reads contents and counts the bytes.
type Reader struct {
	// Count is called with bytes that were read; an error ends the work.
	Count func(int64) error
	kept  int64
	bills int64
	lock  sync.Mutex
}

// Archive reads a tar archive, compressed or not.
func (r *Reader) Archive(ctx context.Context, path, place string) (*Contents, error) {
	contents := &Contents{Place: place, Files: map[string]*File{}}
	contents.again = func(ctx context.Context, wanted map[string]bool, visit stream.Visit) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return stream.Tar(&counted{stoppable{ctx, file}, r.Count}, place, func(entry stream.Entry, content io.Reader) error {
			if !wanted[entry.Name] {
				return nil
			}
			return visit(entry, content)
		})
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	whole := stream.NewHasher()
	source := io.TeeReader(&counted{stoppable{ctx, file}, r.Count}, whole)
	err = stream.Tar(source, place, func(entry stream.Entry, content io.Reader) error {
		// A little of the source may unpack to much, which takes its time.
		read, err := r.file(entry, &stoppable{ctx, content})
		if err == nil {
			contents.Files[entry.Name] = read
		}
		return err
	})
	// The digest is of all the file, also where it could not be unpacked, or where something follows its end.
	if _, after := io.Copy(io.Discard, source); err == nil {
		err = after
	}
	contents.Digest, contents.Size = whole.Sum()
	return contents, err
}

// Folder reads a folder, as many files at once as there are cores.
func (r *Reader) Folder(ctx context.Context, folder *stream.Folder, place string) (*Contents, error) {
	contents := &Contents{Place: place, Files: map[string]*File{}}
	each := func(ctx context.Context, atOnce int, wanted func(string) bool, visit stream.Visit) error {
		return folder.Each(ctx, atOnce, wanted, func(entry stream.Entry, content io.Reader) error {
			return visit(entry, &counted{stoppable{ctx, content}, r.Count})
		})
	}
	contents.again = func(ctx context.Context, wanted map[string]bool, visit stream.Visit) error {
		return each(ctx, 1, func(name string) bool { return wanted[name] }, visit)
	}
	var lock sync.Mutex
	err := each(ctx, runtime.NumCPU(), nil, func(entry stream.Entry, content io.Reader) error {
		read, err := r.file(entry, content)
		if err != nil {
			return err
		}
		lock.Lock()
		defer lock.Unlock()
		contents.Files[entry.Name] = read
		return nil
	})
	return contents, err
}

// file reads one file: its digest, its text, what is inside.
func (r *Reader) file(entry stream.Entry, content io.Reader) (*File, error) {
	file := &File{Name: entry.Name}
	head := make([]byte, sniffed)
	count, err := io.ReadFull(content, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:count]
	content = io.MultiReader(bytes.NewReader(head), content)
	if entry.Size <= MaxDocument && looksLikeText(head) {
		return r.document(file, content)
	}
	hasher := stream.NewHasher()
	var many error
	if count == sniffed && string(head[257:262]) == "ustar" && mayHoldBills(entry.Name) {
		file.Inside, many = r.inside(io.TeeReader(content, hasher), entry.Name)
	}
	_, err = io.CopyBuffer(hasher, onlyReader{content}, make([]byte, files.Buffer))
	file.Digest, file.Size = hasher.Sum()
	if many != nil {
		return nil, many
	}
	return file, err
}

func (r *Reader) document(file *File, content io.Reader) (*File, error) {
	text, err := io.ReadAll(io.LimitReader(content, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if !r.within(&r.kept, int64(len(text)), MaxDocuments) || len(text) > MaxDocument {
		return nil, fault.New(fault.Unsafe, file.Name, "there is more text than %d MiB", MaxDocuments>>20)
	}
	sum := sha256.Sum256(text)
	file.Text, file.Size, file.Digest = text, int64(len(text)), hex.EncodeToString(sum[:])
	return file, nil
}

// within adds to what is kept of all files, and tells whether that is still as little as it must be.
func (r *Reader) within(kept *int64, more, most int64) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	*kept += more
	return *kept <= most
}

func looksLikeText(head []byte) bool {
	for cut := 0; cut < utf8.UTFMax && len(head) == sniffed && !utf8.Valid(head); cut++ {
		head = head[:len(head)-1]
	}
	return utf8.Valid(head) && !bytes.ContainsRune(head, 0)
}

// onlyReader hides WriteTo, which would go round the buffer.
type onlyReader struct{ io.Reader }

// stoppable fails where the work is interrupted.
type stoppable struct {
	ctx    context.Context
	source io.Reader
}

func (s *stoppable) Read(buffer []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.source.Read(buffer)
}

type counted struct {
	stoppable
	count func(int64) error
}

func (c *counted) Read(buffer []byte) (int, error) {
	count, err := c.stoppable.Read(buffer)
	if stop := c.count(int64(count)); stop != nil {
		return count, stop
	}
	return count, err
}
