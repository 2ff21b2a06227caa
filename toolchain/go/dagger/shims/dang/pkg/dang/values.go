package dang

import (
	"context"

	"github.com/Khan/genqlient/graphql"
	"github.com/vito/dang/v2/pkg/hm"
	"github.com/vito/dang/v2/pkg/introspection"
	"github.com/vito/dang/v2/pkg/querybuilder"
)

type (
	Value      any
	ValueScope interface {
		Lookup(ctx context.Context, name string) (Value, bool, error)
		Bindings(Visibility) []Keyed[Value]
		EnterSelf(*Object)
	}
	NullValue   struct{}
	StringValue struct{ Val string }
	IntValue    struct{ Val int }
	BoolValue   struct{ Val bool }
	EnumValue   struct{ Val string }
	ScalarValue struct {
		Val        string
		ScalarType *Type
	}
	ListValue struct {
		Elements []Value
		ElemType hm.Type
	}
	MapValue struct {
		Keys    []string
		Entries map[string]Value
		ValType hm.Type
	}
	GraphQLFunction struct {
		Field     *introspection.Field
		Schema    *introspection.Schema
		Client    graphql.Client
		TypeScope TypeScope
	}
	GraphQLValue struct {
		Name, TypeName string
		Field          *introspection.Field
		ValType        hm.Type
		Client         graphql.Client
		Schema         *introspection.Schema
		TypeScope      TypeScope
		QueryChain     *querybuilder.Selection
	}
	ConstructorFunction struct {
		ObjectName      string
		ObjectType      *Type
		Closure         ValueScope
		FnType          *hm.FunctionType
		ObjectBodyForms []Node
	}
	Object struct {
		Mod    TypeScope
		Values map[string]Value
	}
)

func (*ConstructorFunction) Call(context.Context, ValueScope, map[string]Value) (Value, error) {
	return nil, ErrUnsupported
}

func NewObject(mod TypeScope) *Object { return &Object{Mod: mod} }

func (*Object) Bind(string, Value, Visibility)     {}
func (*Object) Bindings(Visibility) []Keyed[Value] { return nil }
func (*Object) EnterSelf(*Object)                  {}
func (*Object) Lookup(context.Context, string) (Value, bool, error) {
	return nil, false, ErrUnsupported
}
