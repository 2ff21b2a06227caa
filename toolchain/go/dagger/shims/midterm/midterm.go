// Package midterm stands in for a later, unserved commit of
// github.com/vito/midterm. It passes everything to the served v0.2.3 and adds
// the search methods that the interactive view calls. Searching finds nothing:
// only that view searches, and this build has none (see shims/tuist).
package midterm

import base "github.com/vito/midterm-base"

// Reset is the format that clears all others.
var Reset = base.Reset

// Match is one place where a search found its text.
type Match struct {
	Row, Col int
}

// Terminal is the served terminal with search methods.
type Terminal struct {
	*base.Terminal
	SearchMatches []Match
}

// NewAutoResizingTerminal returns a terminal that grows with its content.
func NewAutoResizingTerminal() *Terminal {
	return &Terminal{Terminal: base.NewAutoResizingTerminal()}
}

// Search returns the number of matches, which is always zero.
func (*Terminal) Search(string) int { return 0 }

// SearchClear forgets the last search.
func (*Terminal) SearchClear() {}

// SearchSetCurrent returns the row and column of a match: there is none.
func (*Terminal) SearchSetCurrent(int) (row, col int) { return -1, -1 }

// SearchMatchRows returns the rows that match, which are none.
func (*Terminal) SearchMatchRows() []int { return nil }
