package tuist

import (
	"slices"
	"testing"
)

// label is a component of one line.
type label struct {
	Compo
	text string
}

func (l *label) Render(ctx Context) { ctx.Line(l.text) }

func TestRenderLinesRendersChildrenInOrder(t *testing.T) {
	view := New(NewStdTerminal())
	gone := &label{text: "gone"}
	for _, child := range []Component{&label{text: "first"}, gone, &label{text: "last"}} {
		view.AddChild(child)
	}
	view.RemoveChild(gone)

	want := []string{"first", "last"}
	if got := view.RenderLines(); !slices.Equal(got, want) {
		t.Errorf("RenderLines() = %q, want %q", got, want)
	}
}

func TestWhatNeedsALiveViewEndsTheProgram(t *testing.T) {
	for name, call := range map[string]func(){
		"Start":        New(NewStdTerminal()).Start,
		"Exec":         func() { _ = New(NewStdTerminal()).Exec(nil) },
		"NewTextInput": func() { NewTextInput("") },
	} {
		status := 0
		exit = func(code int) { status = code }
		call()
		if status != 1 {
			t.Errorf("%s ended the program with status %d, want 1", name, status)
		}
	}
}
