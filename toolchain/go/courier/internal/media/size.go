// SPDX-License-Identifier: Apache-2.0

// Package media splits a file or a release folder over media, and joins it again.
package media

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Bounds of media, in bytes.
const (
	// fat32 is the largest file of FAT32, and of ISO 9660 with one extent, which is what DVDs usually have.
	fat32 = 1<<32 - 1
	// A DVD+R holds less than a DVD-R; a single-layer BD-R. Something of each is kept for the file system.
	dvd    = 4_700_372_992
	bd     = 25_025_314_816
	system = 32 << 20
	// cluster is what a file's size is rounded up to.
	cluster  = 4096
	smallest = 64 << 10
)

// Capacity is what a medium holds, and how large a file on it may be.
type Capacity struct {
	Medium int64
	Part   int64
}

var sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgt])(i?)b?|b?)$`)

// powers are of the unit's base, 1000 or, with an i, 1024.
var powers = map[string]float64{"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

// ParseSize reads the size of media: dvd, bd, fat32, or a number with a unit such as 4.7GB or 700MiB.
func ParseSize(text string) (Capacity, error) {
	switch strings.ToLower(text) {
	case "dvd":
		return Capacity{dvd - system, fat32}, nil
	case "bd":
		return Capacity{bd - system, fat32}, nil
	case "fat32":
		return Capacity{math.MaxInt64, fat32}, nil
	}
	found := sizePattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
	if found == nil {
		return Capacity{}, fmt.Errorf("%q is no size; expected dvd, bd, fat32, or such as 4.7GB or 700MiB", text)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return Capacity{}, err
	}
	base := 1000.0
	if found[3] != "" {
		base = 1024
	}
	value *= math.Pow(base, powers[found[2]])
	if value < smallest || value > math.MaxInt64/2 {
		return Capacity{}, fmt.Errorf("%q is no size of a medium; expected are 64KiB or more", text)
	}
	return Capacity{int64(value), int64(value)}, nil
}

// inClusters is the room that a file takes.
func inClusters(size int64) int64 { return (size + cluster - 1) / cluster * cluster }
