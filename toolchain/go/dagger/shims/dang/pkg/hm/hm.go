// Package hm stands in for the type system of Dang v2. It only has the names
// that dagger's Dang v2 SDK refers to; no type of a program is ever computed.
package hm

type (
	Type         interface{ String() string }
	Scheme       struct{ t Type }
	NonNullType  struct{ Type Type }
	FunctionType struct{ arg, ret Type }
)

func (s *Scheme) Type() (t Type, mono bool) { return s.t, true }
func (t NonNullType) String() string        { return t.Type.String() + "!" }
func (*FunctionType) String() string        { return "function" }
func (t *FunctionType) Arg() Type           { return t.arg }
func (t *FunctionType) Ret(bool) Type       { return t.ret }
