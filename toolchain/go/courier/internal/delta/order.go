// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"cmp"
	"slices"
	"sort"
)

// inOrder tells which instructions copy from an origin in one pass from its beginning to its end. Of those of an origin
// it is the heaviest increasing subsequence, found by a Fenwick tree of the ends; literals are in order by nature.
func inOrder(instructions []instruction, origins int) []bool {
	flags := make([]bool, len(instructions))
	of := make([][]int, origins+1)
	for number, one := range instructions {
		flags[number] = one.tag == literal
		of[one.tag] = append(of[one.tag], number)
	}
	for _, numbers := range of[1:] {
		markHeaviest(instructions, numbers, flags)
	}
	return flags
}

func markHeaviest(instructions []instruction, numbers []int, flags []bool) {
	monotone := true
	for at := 1; at < len(numbers); at++ {
		monotone = monotone && instructions[numbers[at]].offset >= instructions[numbers[at-1]].end()
	}
	if monotone {
		for _, number := range numbers {
			flags[number] = true
		}
		return
	}
	ends := make([]int64, len(numbers))
	for at, number := range numbers {
		ends[at] = instructions[number].end()
	}
	slices.Sort(ends)
	weights := make([]int64, len(numbers))
	before := make([]int, len(numbers))
	// tree[i] is the heaviest of the chains that end in its range of ends, counted from 1; 0 is none.
	tree := make([]int, len(ends)+1)
	best := 0
	for at, number := range numbers {
		one := instructions[number]
		before[at] = -1
		for rank := sort.Search(len(ends), func(i int) bool { return ends[i] > one.offset }); rank > 0; rank &= rank - 1 {
			if chain := tree[rank] - 1; chain >= 0 && weights[chain] > weights[at] {
				weights[at], before[at] = weights[chain], chain
			}
		}
		weights[at] += one.length
		if weights[at] > weights[best] {
			best = at
		}
		rank := sort.Search(len(ends), func(i int) bool { return ends[i] >= one.end() }) + 1
		for ; rank < len(tree); rank += rank & -rank {
			if tree[rank] == 0 || weights[tree[rank]-1] < weights[at] {
				tree[rank] = at + 1
			}
		}
	}
	for at := best; at >= 0; at = before[at] {
		flags[numbers[at]] = true
	}
}

// stretch is a part of an origin, from an offset to before another.
type stretch struct {
	from, to int64
}

// outOfOrder is what of unpacked origins must be kept aside, for each tag: sorted, without overlaps.
func outOfOrder(instructions []instruction, flags []bool, origins []Origin) map[uint8][]stretch {
	found := map[uint8][]stretch{}
	for number, one := range instructions {
		if !flags[number] && origins[one.tag-1].Unpacked {
			found[one.tag] = append(found[one.tag], stretch{one.offset, one.end()})
		}
	}
	for tag, stretches := range found {
		slices.SortFunc(stretches, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
		merged := stretches[:1]
		for _, next := range stretches[1:] {
			if last := &merged[len(merged)-1]; next.from <= last.to {
				last.to = max(last.to, next.to)
			} else {
				merged = append(merged, next)
			}
		}
		found[tag] = merged
	}
	return found
}

// length is how many bytes stretches have in all.
func length(stretches map[uint8][]stretch) int64 {
	var total int64
	for _, list := range stretches {
		for _, one := range list {
			total += one.to - one.from
		}
	}
	return total
}
