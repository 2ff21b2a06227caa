// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"toolchain/courier/internal/fault"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/report"
	"toolchain/courier/internal/stream"
	"toolchain/courier/internal/trust"
)

// Files of a release folder.
const (
	Checksums     = "checksums.txt"
	ChecksumsSeal = "checksums.txt.sigstore.json"
)

// archived tells packages and bundles from the other files of a release.
func archived(name string) bool {
	folder := path.Dir(name)
	return (folder == "packages" || folder == "bundles") && files.IsArchive(name)
}

// release checks a folder with everything that was released: its checksums, their signature, and each package and bundle.
func (j *job) release(ctx context.Context, place string, folder *stream.Folder) (*report.Result, error) {
	result := &report.Result{Name: place, Kind: "release folder"}
	text, err := small(folder, Checksums)
	if err != nil {
		return nil, err
	}
	if text == nil {
		kind, told := fault.Unreadable, "it holds neither a package, nor a bundle, nor checksums.txt"
		if slices.ContainsFunc(folder.Entries, func(entry stream.Entry) bool { return archived(entry.Name) }) {
			kind, told = fault.Unsigned, "it has no checksums.txt, which everything is signed by"
		}
		result.Add("checksums", "", fault.New(kind, place, "%s", told))
		return result, nil
	}
	seal, err := small(folder, ChecksumsSeal)
	if err != nil {
		return nil, err
	}
	seals := j.sealed(text, seal)
	result.Add("signature", "by "+j.anchor.String(), seals...)
	changed := slices.ContainsFunc(seals, func(one *fault.Fault) bool { return one.Kind == fault.Changed })
	lines, wrong := parseSums(text)
	if wrong != nil && !changed {
		result.Add("checksums", "", wrong)
		return result, nil
	}
	found, broken := map[string]string{}, map[string]bool{}
	var lock sync.Mutex
	err = folder.Each(ctx, runtime.NumCPU(), func(name string) bool { return !archived(name) }, func(entry stream.Entry, data io.Reader) error {
		hasher := stream.NewHasher()
		_, err := io.Copy(hasher, counting(data, j.reader.Count))
		digest, _ := hasher.Sum()
		lock.Lock()
		defer lock.Unlock()
		found[entry.Name] = digest
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, entry := range folder.Entries {
		if !archived(entry.Name) {
			continue
		}
		part, digest, err := j.part(ctx, filepath.Join(place, filepath.FromSlash(entry.Name)))
		if err != nil {
			return nil, err
		}
		found[entry.Name] = digest
		broken[entry.Name] = len(part.Faults()) > 0
		result.Parts = append(result.Parts, part)
	}
	if changed {
		// No file is to blame for what a changed list says of it.
		result.Add("checksums", "", fault.New(fault.Changed, Checksums, "not compared with the files, since it is not what was signed"))
		return result, nil
	}
	result.Add("checksums", counted(lines, found), compareSums(lines, found, broken)...)
	return result, nil
}

func (j *job) part(ctx context.Context, path string) (*report.Result, string, error) {
	inner := *j
	inner.provenance = ""
	result, subject, err := inner.archive(ctx, path)
	if err != nil {
		return nil, "", err
	}
	return result, subject.Contents.Digest, nil
}

func (j *job) sealed(text, seal []byte) []*fault.Fault {
	if seal == nil {
		return []*fault.Fault{fault.New(fault.Unsigned, ChecksumsSeal, "it is missing, so nothing signs %s", Checksums)}
	}
	if err := j.anchor.Data(seal, text); err != nil {
		return []*fault.Fault{trust.FaultOf(err, ChecksumsSeal, Checksums)}
	}
	return nil
}

// small reads a file that fits into memory; nil where it is missing.
func small(folder *stream.Folder, name string) ([]byte, error) {
	if !slices.ContainsFunc(folder.Entries, func(entry stream.Entry) bool { return entry.Name == name }) {
		return nil, nil
	}
	file, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBundle))
	if text == nil {
		text = []byte{}
	}
	return text, err
}

// parseSums reads what sha256sum writes.
func parseSums(text []byte) (map[string]string, *fault.Fault) {
	lines := map[string]string{}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for scanner.Scan() {
		digest, name, found := strings.Cut(scanner.Text(), "  ")
		if !found || files.CheckDigest(digest) != nil || files.CheckName(name) != nil || lines[name] != "" {
			return nil, fault.New(fault.Corrupt, Checksums, "expected a SHA-256, two spaces and a path, each once; got %q", scanner.Text())
		}
		lines[name] = digest
	}
	if err := scanner.Err(); err != nil {
		return nil, fault.New(fault.Corrupt, Checksums, "it is not readable: %v", err)
	}
	return lines, nil
}

// counted says how many files are as listed, since compareSums may be silent about the others.
func counted(lines, found map[string]string) string {
	same := 0
	for name, digest := range lines {
		if found[name] == digest {
			same++
		}
	}
	if same == len(lines) {
		return fmt.Sprintf("%d files", same)
	}
	return fmt.Sprintf("%d of %d files", same, len(lines))
}

// compareSums leaves out what is told of in more detail already, since it is broken in itself.
func compareSums(lines, found map[string]string, broken map[string]bool) (faults []*fault.Fault) {
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		digest, there := found[name]
		switch {
		case !there:
			faults = append(faults, fault.New(fault.Contents, name, "it is missing"))
		case digest != lines[name] && !broken[name]:
			faults = append(faults, fault.New(fault.Corrupt, name, "its SHA-256 is %s; %s says %s", digest, Checksums, lines[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if _, listed := lines[name]; !listed && name != Checksums && name != ChecksumsSeal {
			faults = append(faults, fault.New(fault.Contents, name, "%s does not list it", Checksums))
		}
	}
	return faults
}

type countingReader struct {
	source io.Reader
	count  func(int64) error
}

func counting(source io.Reader, count func(int64) error) io.Reader {
	return &countingReader{source, count}
}

func (c *countingReader) Read(buffer []byte) (int, error) {
	count, err := c.source.Read(buffer)
	if stop := c.count(int64(count)); stop != nil {
		return count, stop
	}
	return count, err
}
