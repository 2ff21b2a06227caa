// Package tuist stands in for github.com/vito/tuist, the library under the
// interactive terminal view, which is not served.
//
// What works: components render themselves and their children to lines, which
// is all that the final report (`--progress=report`) needs. What does not: the
// live view, its keys, its text input, its overlays. Whatever would start them
// prints one line that names the views which work, and ends the program with
// status 1 (see Unavailable). The plain, dots and logs views never come here.
package tuist

import (
	"fmt"
	"io"
	"os"
)

// exit is a variable so that tests can see the call.
var exit = os.Exit

// Unavailable says what to do instead and ends the program.
func Unavailable() {
	fmt.Fprintln(os.Stderr, "this build of dagger has no interactive view: "+
		"use --progress=plain, dots or logs, or set DAGGER_PROGRESS=plain")
	exit(1)
}

// Terminal is where a view would be shown.
type Terminal struct{}

// NewStdTerminal returns the terminal of the process.
func NewStdTerminal() Terminal { return Terminal{} }

// TUI holds the top-level components.
type TUI struct {
	Container
}

// New returns a view without components.
func New(Terminal) *TUI { return &TUI{} }

// Start would show the view.
func (*TUI) Start() { Unavailable() }

// Stop would end the view.
func (*TUI) Stop() {}

// Dispatch would run a function on the view's own goroutine. There is none, and
// nothing that Start has not ended calls it.
func (*TUI) Dispatch(fn func()) { fn() }

// Exec would hand the terminal to a function for a while.
func (*TUI) Exec(func(in io.Reader, out, errOut io.Writer) error) error {
	Unavailable()
	return nil
}

// RenderLines renders every component at the default width.
func (t *TUI) RenderLines() []string {
	return renderLines(Context{Width: defaultWidth, Height: defaultHeight}, &t.Container)
}

// SetDebugWriter, SetFocus, SetShowHardwareCursor and RequestRender only matter
// to a live view.
func (*TUI) SetDebugWriter(io.Writer)   {}
func (*TUI) SetFocus(Component)         {}
func (*TUI) SetShowHardwareCursor(bool) {}
func (*TUI) RequestRender(bool)         {}

// ShowOverlay would draw a component over the others.
func (*TUI) ShowOverlay(Component, *OverlayOptions) *OverlayHandle { return &OverlayHandle{} }
