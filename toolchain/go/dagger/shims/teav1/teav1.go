// Package teav1 stands in for github.com/vito/tuist/teav1, which shows forms
// (prompts) inside the interactive terminal view. That view is not part of this
// build: a form that would be shown there ends the program with a clear line.
// The plain, dots and logs views have prompts of their own and do not come here.
package teav1

import (
	tea "github.com/charmbracelet/bubbletea"
	"github.com/vito/tuist"
)

// Wrap is the place of a form in the view.
type Wrap struct{ tuist.Compo }

// New ends the program: there is no view to show the form in.
func New(tea.Model) *Wrap {
	tuist.Unavailable()
	return &Wrap{}
}

// OnQuit would call its argument when the form is done.
func (*Wrap) OnQuit(func()) {}

// Render draws nothing.
func (*Wrap) Render(tuist.Context) {}
