package dang

import (
	"context"

	"github.com/vito/dang/v2/pkg/hm"
)

const (
	PrivateVisibility Visibility = iota
	PublicVisibility
)

const (
	EnumKind Kind = iota + 1
	ScalarKind
	InterfaceKind
)

const BindingOriginLocal OriginKind = 0

var StringType = &Type{Named: "String"}

type (
	Visibility int
	Kind       int
	OriginKind int
	Origin     struct{ Kind OriginKind }

	Keyed[T any] struct {
		Key   string
		Value T
	}
	Record     []Keyed[Node]
	ListType   struct{ hm.Type }
	MapType    struct{ hm.Type }
	RecordType struct {
		Fields     []Keyed[*hm.Scheme]
		DocStrings map[string]string
		Directives []Keyed[[]*DirectiveApplication]
	}
	Type struct {
		Named string
		Kind  Kind
	}
	TypeScope interface {
		hm.Type
		Name() string
		SchemeOf(name string) (*hm.Scheme, bool)
		NamedTypes() map[string]TypeScope
		LocalTypeOrigin(name string) (Origin, bool)
		LocalValueOrigin(name string) (Origin, bool)
	}
)

func (*RecordType) String() string { return "arguments" }
func (t *Type) String() string     { return t.Named }
func (t *Type) Name() string       { return t.Named }

// No program is read, so a type has no members, documentation or directives.

func (*Type) SchemeOf(string) (*hm.Scheme, bool)           { return nil, false }
func (*Type) LocalSchemeOf(string) (*hm.Scheme, bool)      { return nil, false }
func (*Type) NamedTypes() map[string]TypeScope             { return nil }
func (*Type) LocalTypeOrigin(string) (Origin, bool)        { return Origin{}, false }
func (*Type) LocalValueOrigin(string) (Origin, bool)       { return Origin{}, false }
func (*Type) Bindings(Visibility) map[string]*hm.Scheme    { return nil }
func (*Type) GetDocString(string) (string, bool)           { return "", false }
func (*Type) GetTypeDocString() string                     { return "" }
func (*Type) GetDirectives(string) []*DirectiveApplication { return nil }

type (
	Node interface {
		Eval(ctx context.Context, scope ValueScope) (Value, error)
	}
	form      struct{}
	ValueNode struct {
		form
		Val Value
	}
	Symbol struct {
		form
		Name string
	}
	Select struct {
		form
		Receiver Node
		Field    *Symbol
	}
	FunCall struct {
		form
		Fun  Node
		Args Record
	}
	FieldDecl struct {
		form
		Name       *Symbol
		Visibility Visibility
	}
	DirectiveApplication struct {
		Name string
		Args Record
	}
)

func (form) Eval(context.Context, ValueScope) (Value, error) { return nil, ErrUnsupported }
