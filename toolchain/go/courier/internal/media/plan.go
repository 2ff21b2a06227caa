// SPDX-License-Identifier: Apache-2.0

package media

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"toolchain/courier/internal/files"
)

// piece is a part of a file, before it is known by name.
type piece struct {
	medium int
	size   int64
}

// plan packs files over as few media as it can. What lies at the folder's top and the courier itself, which joins the
// rest, come first; then the largest. A file is cut only where no medium holds it, or where it is larger than a file
// may be.
func plan(list []files.File, capacity Capacity, reserve int64) ([][]piece, int, error) {
	room := capacity.Medium - reserve
	if room < cluster {
		return nil, 0, fmt.Errorf("a medium of %s has no room beside its own manifest", files.Bytes(capacity.Medium))
	}
	order := make([]int, len(list))
	for number := range list {
		order[number] = number
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(rank(list[a]), rank(list[b])), cmp.Compare(list[b].Size, list[a].Size))
	})
	var free []int64
	pieces := make([][]piece, len(list))
	for _, number := range order {
		left := list[number].Size
		if left <= capacity.Part && inClusters(left) <= room {
			medium := slices.IndexFunc(free, func(one int64) bool { return one >= inClusters(left) })
			if medium < 0 {
				free = append(free, room)
				medium = len(free) - 1
			}
			free[medium] -= inClusters(left)
			pieces[number] = []piece{{medium + 1, left}}
			continue
		}
		for medium := 0; left > 0; medium++ {
			if medium == len(free) {
				free = append(free, room)
			}
			// A crumb of a medium is left to the small files.
			for left > 0 && (free[medium] >= room/10 || free[medium] >= inClusters(left)) && free[medium] >= cluster {
				size := min(left, capacity.Part, free[medium]/cluster*cluster)
				pieces[number] = append(pieces[number], piece{medium + 1, size})
				free[medium] -= inClusters(size)
				left -= size
			}
		}
	}
	return pieces, max(1, len(free)), nil
}

// rank says what comes first on the media.
func rank(file files.File) int {
	if strings.HasPrefix(file.Path, "tools/courier") || !strings.Contains(file.Path, "/") {
		return 0
	}
	return 1
}
