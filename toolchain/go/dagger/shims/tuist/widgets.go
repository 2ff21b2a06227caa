package tuist

import (
	"time"

	uv "github.com/charmbracelet/ultraviolet"
)

// KeyPress is a key that was pressed.
type KeyPress = uv.KeyPressEvent

// MouseEvent is what the mouse did, and where.
type MouseEvent struct {
	uv.MouseEvent
	Row, Col int
}

// Spinner marks what is running. Without a live view it does not turn.
type Spinner struct {
	Compo
	Epoch time.Time
}

// NewSpinner returns a spinner.
func NewSpinner() *Spinner { return &Spinner{} }

// Render draws one still mark.
func (*Spinner) Render(ctx Context) { ctx.Line("◐") }

// TextInput would be a line to type in.
type TextInput struct {
	Compo
	Prompt         string
	OnSubmit       func(Context, string) bool
	KeyInterceptor func(Context, KeyPress) bool
}

// NewTextInput ends the program: there is no view to type in.
func NewTextInput(string) *TextInput {
	Unavailable()
	return &TextInput{}
}

// Render draws nothing, and the text is always empty.
func (*TextInput) Render(Context)  {}
func (*TextInput) Value() string   { return "" }
func (*TextInput) SetValue(string) {}
func (*TextInput) InsertRune(rune) {}

// Completion is one proposal for the text input.
type Completion struct {
	Label, Detail string
}

// CompletionResult is a list of proposals and the place they would be put.
type CompletionResult struct {
	Items       []Completion
	ReplaceFrom int
}

// CompletionMenu would show proposals below the text input.
type CompletionMenu struct{ Compo }

// NewCompletionMenu returns a menu that shows nothing.
func NewCompletionMenu(*TextInput, func(string, int) CompletionResult) *CompletionMenu {
	return &CompletionMenu{}
}

// HandleKeyPress takes no key.
func (*CompletionMenu) HandleKeyPress(Context, KeyPress) bool { return false }

// Anchor is the corner that an overlay would be fixed to.
type Anchor int

// AnchorTopRight is the upper right corner.
const AnchorTopRight Anchor = 0

// Size is a number of columns or rows.
type Size int

// SizeAbs returns a size in columns or rows.
func SizeAbs(n int) Size { return Size(n) }

// OverlayMargin is the room left beside an overlay.
type OverlayMargin struct{ Right int }

// OverlayOptions say where an overlay would be.
type OverlayOptions struct {
	Width  Size
	Anchor Anchor
	Margin OverlayMargin
}

// OverlayHandle is an overlay that is not shown.
type OverlayHandle struct{}

// Remove does nothing.
func (*OverlayHandle) Remove() {}
