// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	maxLevel = int(zstd.SpeedBestCompression)
	// probed is how much of a file, unpacked, is packed again to find its level, in bytes.
	probed = 8 << 20
	// settled is how many packed bytes of that must be the same; the end differs, for the probe ends there.
	settled = 1 << 20
)

// isPacked tells a compressed tar archive by its name, as Zarf and UDS do.
func isPacked(path string) bool {
	return strings.HasSuffix(path, ".tar.zst") || strings.HasSuffix(path, ".tzst")
}

// unpack reads what a zstd stream holds.
func unpack(source io.Reader) (io.ReadCloser, error) {
	decoder, err := zstd.NewReader(source, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return decoder.IOReadCloser(), nil
}

// pack packs as Zarf and UDS do, which leave all to the library's defaults but, for other tools, the level. The bytes do
// not depend on how many cores there are.
func pack(target io.Writer, level int) (io.WriteCloser, error) {
	return zstd.NewWriter(target, zstd.WithEncoderLevel(zstd.EncoderLevel(level)))
}

// levelsOf finds the levels with which packing a file's content again begins as the file does.
func levelsOf(file *os.File) (found []int, err error) {
	decoder, err := zstd.NewReader(file, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	content, err := io.ReadAll(io.LimitReader(decoder, probed))
	if err != nil {
		return nil, nil //nolint:nilerr // what cannot be unpacked is taken as it is
	}
	front := make([]byte, probed+probed/8)
	count, err := file.ReadAt(front, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for _, level := range []int{int(zstd.SpeedDefault), int(zstd.SpeedFastest), int(zstd.SpeedBetterCompression), maxLevel} {
		var again bytes.Buffer
		encoder, err := pack(&again, level)
		if err != nil {
			return nil, err
		}
		if _, err := encoder.Write(content); err != nil {
			return nil, err
		}
		if err := encoder.Close(); err != nil {
			return nil, err
		}
		same := again.Len()
		if len(content) == probed {
			same = min(again.Len()/2, settled)
		}
		if same <= count && bytes.Equal(again.Bytes()[:same], front[:same]) {
			found = append(found, level)
		}
	}
	return found, nil
}
