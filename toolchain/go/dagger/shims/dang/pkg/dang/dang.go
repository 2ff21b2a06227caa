// Package dang stands in for github.com/vito/dang/v2/pkg/dang, the language of
// dagger's Dang v2 SDK, which is not served. It has the names that the SDK
// refers to, and nothing behind them: RunDir and DeclareDir, which come before
// everything else, return ErrUnsupported, and so does the rest; the types carry
// nothing and are not described one by one. Modules in Dang v1 are not affected.
package dang

import (
	"context"
	"errors"

	"github.com/Khan/genqlient/graphql"
	"github.com/vito/dang/v2/pkg/introspection"
)

// ErrUnsupported is the answer to every request to run a program.
var ErrUnsupported = errors.New("the Dang v2 SDK is not part of this engine build: " +
	"set engineVersion in the module's dagger.json to a version older than v0.21.5 " +
	"to use Dang v1, or use an official engine")

type ImportConfig struct {
	Name       string
	Client     graphql.Client
	Schema     *introspection.Schema
	AutoImport bool
}

func ContextWithImportConfigs(ctx context.Context, _ ...ImportConfig) context.Context { return ctx }

func RunDir(context.Context, string, bool) (ValueScope, error)     { return nil, ErrUnsupported }
func DeclareDir(context.Context, string, bool) (ValueScope, error) { return nil, ErrUnsupported }

func EvalNode(context.Context, ValueScope, Node) (Value, error) { return nil, ErrUnsupported }
func EvaluateFormsWithPhases(context.Context, []Node, ValueScope) (Value, error) {
	return nil, ErrUnsupported
}

func CreateOverlayValueScope(object *Object, _ ValueScope) ValueScope { return object }
