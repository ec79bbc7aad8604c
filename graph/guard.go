package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"

	"genba/policy"
	"genba/server/problem"
)

// Bounds of one operation. Objects are the sum of list sizes.
const (
	maxTokens     = 2000
	maxDepth      = 10
	maxAliases    = 30
	maxObjects    = 2000
	maxDirectives = 30
	maxFields     = 2000 // after fragments are opened up
	maxBreadth    = 300  // names in one pair of braces: validating compares each with each
	unpagedLength = 2    // what a list without first is counted as
)

// guard looks at an operation once, before anything runs: is it small enough,
// and may this actor have every field of it. Deny by default: a field that
// neither itself nor its type says @can or @public is refused.
type guard struct {
	policy *policy.Policy
	dev    bool // introspection is allowed and free
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
} = guard{}

func (guard) ExtensionName() string                          { return "Guard" }
func (guard) Validate(schema graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters refuses, before it is parsed, a document that would
// take long to validate.
func (guard) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if tooBroad(p.Query) {
		return present(ctx, problem.New(problem.QueryTooLarge))
	}
	return nil
}

// tooBroad tells whether a document has too many tokens, or names too much in
// one pair of braces. What does not read as GraphQL is the parser's to refuse.
func tooBroad(query string) bool {
	l := lexer.New(&ast.Source{Input: query})
	var named []int // so far, in each pair that is open
	for range maxTokens {
		t, err := l.ReadToken()
		if err != nil || t.Kind == lexer.EOF {
			return false
		}
		inner := len(named) - 1
		switch {
		case t.Kind == lexer.BraceL:
			named = append(named, 0)
		case inner < 0:
		case t.Kind == lexer.BraceR:
			named = named[:inner]
		case t.Kind == lexer.Name, t.Kind == lexer.Spread:
			if named[inner]++; named[inner] > maxBreadth {
				return true
			}
		}
	}
	return true
}

// MutateOperationContext refuses what is too large or not allowed.
func (g guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		if err := c.still(ctx); err != nil {
			return present(ctx, err)
		}
	}
	w := walk{guard: g, actor: actorOf(ctx), variables: op.Variables, refused: visitorOf(ctx).Refused}
	if err := w.selection(op.Operation.SelectionSet, 1, 1); err != nil {
		return present(ctx, err)
	}
	return nil
}

type walk struct {
	guard
	actor                               policy.Actor
	variables                           map[string]any
	aliases, directives, fields, object int
	refused                             error // where it comes from
}

func (w *walk) selection(set ast.SelectionSet, depth, times int) error {
	if depth > maxDepth {
		return problem.New(problem.QueryTooLarge)
	}
	for _, s := range set {
		var err error
		switch s := s.(type) {
		case *ast.Field:
			err = w.field(s, depth, times)
		case *ast.InlineFragment:
			if err = w.conditions(s.Directives); err == nil {
				err = w.selection(s.SelectionSet, depth, times)
			}
		case *ast.FragmentSpread:
			w.fields++ // an empty spread costs, too
			if err = w.conditions(s.Directives); err == nil {
				err = w.selection(s.Definition.SelectionSet, depth, times)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conditions counts directives. Only @skip and @include are served: the executor
// knows @defer, but an answer comes in one piece here.
func (w *walk) conditions(list ast.DirectiveList) error {
	w.directives += len(list)
	for _, d := range list {
		if d.Name != "skip" && d.Name != "include" {
			return problem.New(problem.QueryInvalid)
		}
	}
	return nil
}

func (w *walk) field(f *ast.Field, depth, times int) error {
	w.fields++
	if err := w.conditions(f.Directives); err != nil {
		return err
	}
	if f.Alias != f.Name {
		w.aliases++
	}
	if w.aliases > maxAliases || w.directives > maxDirectives || w.fields > maxFields {
		return problem.New(problem.QueryTooLarge)
	}
	if strings.HasPrefix(f.Name, "__") {
		if f.Name != "__typename" && !w.dev {
			return problem.New(problem.QueryInvalid)
		}
		return nil
	}
	if depth == 1 && w.refused != nil && !(problem.Is(w.refused, problem.TerminalUnknown) && f.Definition.Directives.ForName("unenrolled") != nil) {
		return w.refused
	}
	if err := w.allowed(f); err != nil {
		return err
	}
	times *= w.length(f)
	if listOfObjects(f.Definition.Type) && f.Definition.Arguments.ForName("first") == nil {
		if w.object += times; w.object > maxObjects {
			return problem.New(problem.QueryTooLarge)
		}
	}
	return w.selection(f.SelectionSet, depth+1, times)
}

// length is by how much a field multiplies what stands below it. A connection
// multiplies once, by its first: its edges and nodes are the same rows.
func (w *walk) length(f *ast.Field) int {
	if f.Definition.Arguments.ForName("first") != nil {
		first := defaultPage
		switch v := f.ArgumentMap(w.variables)["first"].(type) {
		case int64:
			first = int(min(v, maxObjects+1))
		case int:
			first = v
		case nil:
		default:
			first = maxPage
		}
		return max(first, 1)
	}
	if listOfObjects(f.Definition.Type) && !strings.HasSuffix(f.ObjectDefinition.Name, "Connection") {
		return unpagedLength
	}
	return 1
}

func listOfObjects(t *ast.Type) bool {
	if t.Elem == nil {
		return false
	}
	switch t.Elem.NamedType {
	case "String", "ID", "Int", "Float", "Boolean":
		return false
	}
	return true
}

// allowed asks the policy for the field and for the type that it stands on.
func (w *walk) allowed(f *ast.Field) error {
	said := false
	for _, list := range []ast.DirectiveList{f.Definition.Directives, f.ObjectDefinition.Directives} {
		if list.ForName("public") != nil {
			said = true
		}
		can := list.ForName("can")
		if can == nil {
			continue
		}
		said = true
		o := policy.Object(can.Arguments.ForName("object").Value.Raw)
		act := policy.Action(can.Arguments.ForName("action").Value.Raw)
		if w.policy.Can(w.actor, w.actor.Agency, o, act) {
			continue
		}
		if w.actor.Kind == policy.Nobody {
			return problem.New(problem.Unauthenticated)
		}
		if w.actor.Role == policy.LockedRole {
			return problem.New(problem.ScreenLocked)
		}
		return problem.New(problem.Forbidden)
	}
	if !said {
		return problem.New(problem.Forbidden)
	}
	return nil
}
