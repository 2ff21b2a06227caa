package tuist

import "strings"

// The size that components are told when no terminal is measured.
const (
	defaultWidth  = 100
	defaultHeight = 24
)

// Component is anything that renders itself to lines.
type Component interface {
	Render(ctx Context)
	// Update marks the component as changed.
	Update()
}

// Interfaces that a live view would call.
type (
	Interactive interface {
		HandleKeyPress(Context, KeyPress) bool
	}
	Mounter      interface{ OnMount(Context) }
	Dismounter   interface{ OnDismount() }
	Focusable    interface{ SetFocused(Context, bool) }
	Hoverable    interface{ SetHovered(Context, bool) }
	MouseEnabled interface {
		HandleMouse(Context, MouseEvent) bool
	}
)

// Context carries the room that a component has, and collects its lines.
type Context struct {
	Width, Height int
	lines         *[]string
}

// Line adds a line.
func (c Context) Line(line string) { c.Lines(line) }

// Lines adds lines.
func (c Context) Lines(lines ...string) {
	if c.lines != nil {
		*c.lines = append(*c.lines, lines...)
	}
}

// Resize returns the context with another size.
func (c Context) Resize(width, height int) Context {
	c.Width, c.Height = width, height
	return c
}

// ScreenHeight returns the number of rows of the screen.
func (c Context) ScreenHeight() int { return defaultHeight }

// SetFocus would move the focus.
func (Context) SetFocus(Component) {}

// Result is what rendering a child gave.
type Result struct{ Lines []string }

// Compo is embedded in every component. It keeps no state: nothing is cached, so
// nothing needs to be marked as changed.
type Compo struct{}

// Update does nothing.
func (*Compo) Update() {}

// RenderChild renders a child into the caller's lines.
func (*Compo) RenderChild(ctx Context, child Component) { child.Render(ctx) }

// RenderChildResult renders a child into lines of its own.
func (*Compo) RenderChildResult(ctx Context, child Component) Result {
	return Result{Lines: renderLines(ctx, child)}
}

// RenderChildInline renders a child as part of a line.
func (*Compo) RenderChildInline(ctx Context, child Component) string {
	return strings.Join(renderLines(ctx, child), " ")
}

func renderLines(ctx Context, c Component) []string {
	var lines []string
	ctx.lines = &lines
	c.Render(ctx)
	return lines
}

// Container renders its children one below the other.
type Container struct {
	Compo
	Children []Component
}

// AddChild appends a child.
func (c *Container) AddChild(child Component) { c.Children = append(c.Children, child) }

// RemoveChild removes a child if it is there.
func (c *Container) RemoveChild(child Component) {
	for i, have := range c.Children {
		if have == child {
			c.Children = append(c.Children[:i:i], c.Children[i+1:]...)
			return
		}
	}
}

// Render renders the children in order.
func (c *Container) Render(ctx Context) {
	for _, child := range c.Children {
		child.Render(ctx)
	}
}
