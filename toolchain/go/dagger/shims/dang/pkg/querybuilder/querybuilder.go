// Package querybuilder stands in for Dang v2's GraphQL queries. None is sent.
package querybuilder

type Selection struct{}

func Query() *Selection { return &Selection{} }

func (s *Selection) Select(string) *Selection         { return s }
func (s *Selection) Arg(string, any) *Selection       { return s }
func (s *Selection) InlineFragment(string) *Selection { return s }
