// SPDX-License-Identifier: Apache-2.0

package delta

// places is how many places of the same piece are remembered: a bundle and the packages that it is made of share theirs.
const places = 8

// place is where a piece lies: the origin's number in the index, and the offset in it.
type place struct {
	offset int64
	origin int32
	// next is another place of the same piece, counted from 1.
	next uint32
}

// index finds pieces by their content in all origins.
type index struct {
	origins []Origin
	first   map[name]uint32
	places  []place
}

func newIndex() *index { return &index{first: map[name]uint32{}} }

// origin gives a new origin its number.
func (x *index) origin(origin Origin) int32 {
	x.origins = append(x.origins, origin)
	return int32(len(x.origins) - 1) //nolint:gosec // at most maxFiles, each in two forms
}

// add remembers a piece.
func (x *index) add(piece name, origin int32, offset int64) {
	head := x.first[piece]
	count := 0
	for at := head; at != 0; at = x.places[at-1].next {
		if count++; count >= places {
			return
		}
	}
	x.places = append(x.places, place{offset, origin, head})
	x.first[piece] = uint32(len(x.places)) //nolint:gosec // 2^32 pieces are 100 TB
}

// search is where the copies of one new file have come from so far.
type search struct {
	index *index
	// main is the origin that is likely the file's older self; -1 where there is none.
	main int32
	last instruction
	tags map[int32]uint8
	ends map[int32]int64
	used []Origin
}

func (x *index) search(main int32) *search {
	return &search{index: x, main: main, tags: map[int32]uint8{}, ends: map[int32]int64{}}
}

// find is the best place of a piece: going on where the last copy ended, then ahead in the same origin, so that applying
// reads each origin once from its beginning to its end.
func (s *search) find(piece name, length int64) (instruction, bool) {
	best, score := place{}, 0
	for at := s.index.first[piece]; at != 0; at = s.index.places[at-1].next {
		candidate := s.index.places[at-1]
		if rated := s.rate(candidate); rated > score || rated == score && score > 0 && candidate.offset < best.offset {
			best, score = candidate, rated
		}
	}
	if score == 0 {
		return instruction{}, false
	}
	tag, known := s.tags[best.origin]
	if !known {
		s.used = append(s.used, s.index.origins[best.origin])
		tag = uint8(len(s.used)) //nolint:gosec // at most maxOrigins
		s.tags[best.origin] = tag
	}
	s.last = instruction{tag, length, best.offset}
	s.ends[best.origin] = s.last.end()
	return s.last, true
}

func (s *search) rate(candidate place) int {
	tag, known := s.tags[candidate.origin]
	ahead := candidate.offset >= s.ends[candidate.origin]
	switch {
	case !known && len(s.used) >= maxOrigins:
		return 0
	case known && tag == s.last.tag && candidate.offset == s.last.end():
		return 6
	case candidate.origin == s.main && ahead:
		return 5
	case candidate.origin == s.main:
		return 4
	case known && ahead:
		return 3
	case known:
		return 2
	default:
		return 1
	}
}
