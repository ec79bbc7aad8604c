package graph_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"genba/graph"
	"genba/policy"
	"genba/server/journal"
)

// definitions are the schema's own types, without GraphQL's.
func definitions() []*ast.Definition {
	var own []*ast.Definition
	for name, d := range schema.Types {
		if !d.BuiltIn && !strings.HasPrefix(name, "__") {
			own = append(own, d)
		}
	}
	slices.SortFunc(own, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	return own
}

var roots = []*ast.Definition{schema.Query, schema.Mutation, schema.Subscription}

func isRoot(d *ast.Definition) bool { return slices.Contains(roots, d) }

// rootFields are the fields that a request may begin with.
func rootFields(d *ast.Definition) ast.FieldList {
	return slices.DeleteFunc(slices.Clone(d.Fields), func(f *ast.FieldDefinition) bool { return strings.HasPrefix(f.Name, "__") })
}

func says(list ast.DirectiveList) bool {
	return list.ForName("can") != nil || list.ForName("public") != nil
}

func TestEveryRootFieldSaysWhoMayAsk(t *testing.T) {
	for _, root := range roots {
		for _, f := range rootFields(root) {
			require.True(t, says(f.Directives), "%s.%s", root.Name, f.Name)
		}
	}
}

func TestEveryObjectTypeSaysWhoMaySeeIt(t *testing.T) {
	for _, d := range definitions() {
		if d.Kind == ast.Object && !isRoot(d) {
			require.True(t, says(d.Directives), d.Name)
		}
		require.NotContains(t, []ast.DefinitionKind{ast.Interface, ast.Union}, d.Kind, "%s: the guard knows objects only", d.Name)
	}
}

// sensitive are names of fields that hold a number, a position, a secret, a
// file's name or free text.
var sensitive = regexp.MustCompile(`^(number|groups|e164|email|emailReason|notes|place|need|lateReason|latitude|longitude|altitude|code|token|url|pass|nonce|secret|payload|name|outcome|purpose|lateReason|what)$`)

// harmless are fields of such a name that hold nothing of the kind, and secrets
// that are the very answer to who just proved that they may have them: the type
// or the root field has decided.
var harmless = map[string]bool{
	"Case.number":                 true, // the agency's serial
	"JournalEntry.number":         true, // the place in the chain
	"AgencyName.code":             true, // public
	"OwnTerminal.number":          true, // what stands on the label in front of who asks
	"OpenLinkPayload.nonce":       true, // a challenge, to whoever holds the link
	"EnterCodePayload.pass":       true, // to whoever entered the code
	"UploadPayload.url":           true, // a constant path
	"UploadPayload.token":         true, // to whoever begins the upload
	"PublishPayload.url":          true,
	"PublishPayload.token":        true,
	"StaffChallengePayload.nonce": true, // a challenge that only the phone's own key answers
	"StaffOfficer.name":           true, // to whoever proved that the phone is theirs
	"Viewing.purpose":             true, // one of a list
	"Delivery.purpose":            true,
	"WatchPayload.url":            true, // the path only; the token beside it carries its own
}

func TestEveryFieldThatTellsOfPeopleCarriesItsOwnRight(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range definitions() {
		if d.Kind != ast.Object || isRoot(d) {
			continue
		}
		for _, f := range d.Fields {
			name := d.Name + "." + f.Name
			if !sensitive.MatchString(f.Name) || schema.Types[f.Type.Name()].Kind == ast.Object && f.Directives.ForName("can") != nil {
				continue
			}
			if harmless[name] {
				seen[name] = true
				continue
			}
			require.NotNil(t, f.Directives.ForName("can"), name)
		}
	}
	require.Len(t, seen, len(harmless), "an exception names a field that is gone")
}

func TestEveryDefinitionIsDescribed(t *testing.T) {
	for _, d := range definitions() {
		require.NotEmpty(t, d.Description, d.Name)
	}
	for _, root := range roots {
		for _, f := range rootFields(root) {
			require.NotEmpty(t, f.Description, "%s.%s", root.Name, f.Name)
		}
	}
	for _, name := range []string{"can", "public"} {
		require.NotEmpty(t, schema.Directives[name].Description, name)
	}
}

func TestEveryConnectionHasEdgesNodesAndPage(t *testing.T) {
	found := 0
	for _, d := range definitions() {
		if !strings.HasSuffix(d.Name, "Connection") {
			continue
		}
		found++
		thing := strings.TrimSuffix(d.Name, "Connection")
		edge := schema.Types[thing+"Edge"]
		require.NotNil(t, edge, d.Name)
		require.Equal(t, "["+edge.Name+"!]!", d.Fields.ForName("edges").Type.String(), d.Name)
		require.Equal(t, "PageInfo!", d.Fields.ForName("pageInfo").Type.String(), d.Name)
		require.Equal(t, "String!", edge.Fields.ForName("cursor").Type.String(), d.Name)
		require.Equal(t, "["+edge.Fields.ForName("node").Type.String()+"]!", d.Fields.ForName("nodes").Type.String(), d.Name)
	}
	require.GreaterOrEqual(t, found, 7)
	for _, d := range definitions() {
		for _, f := range d.Fields {
			if f.Type.Elem == nil && strings.HasSuffix(f.Type.Name(), "Connection") {
				require.Equal(t, "Int", f.Arguments.ForName("first").Type.String(), "%s.%s", d.Name, f.Name)
				require.Equal(t, "50", f.Arguments.ForName("first").DefaultValue.Raw, "%s.%s", d.Name, f.Name)
				require.Equal(t, "String", f.Arguments.ForName("after").Type.String(), "%s.%s", d.Name, f.Name)
			}
		}
	}
}

func TestEveryMutationTakesOneInputAndAnswersAPayload(t *testing.T) {
	for _, f := range rootFields(schema.Mutation) {
		require.True(t, strings.HasSuffix(f.Type.Name(), "Payload") && f.Type.NonNull, f.Name)
		if len(f.Arguments) > 0 {
			require.Len(t, f.Arguments, 1, f.Name)
			require.Equal(t, strings.ToUpper(f.Name[:1])+f.Name[1:]+"Input!", f.Arguments.ForName("input").Type.String(), f.Name)
		}
	}
}

func enumOf[T ~string](values []T) []string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	slices.Sort(names)
	return names
}

func valuesOf(name string) []string {
	var names []string
	for _, v := range schema.Types[name].EnumValues {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return names
}

func TestEnumsAreTheRoomsOwn(t *testing.T) {
	require.Equal(t, enumOf(journal.Types), valuesOf("JournalType"))
	require.Equal(t, enumOf(policy.Objects), valuesOf("PolicyObject"))
	require.Equal(t, enumOf(policy.Actions), valuesOf("PolicyAction"))
	require.Equal(t, enumOf([]policy.Role{policy.Manager, policy.Supervisor, policy.Dispatcher, policy.OperatorRole}), valuesOf("Role"))
	require.Equal(t, enumOf([]policy.Kind{policy.User, policy.Caller, policy.StaffPhone, policy.Analyst, policy.Service, policy.Operator, policy.System, policy.Nobody}), valuesOf("ActorKind"))
}

// smallSchema is one where a field forgot to say who may have it.
var smallSchema = gqlparser.MustLoadSchema(&ast.Source{Input: `
	directive @can(object: String!, action: String!) on OBJECT | FIELD_DEFINITION
	directive @public on OBJECT | FIELD_DEFINITION
	type Query { open: Int! @public silent: Int! guarded: Int! @can(object: "CASE", action: "READ") thing: Thing @public quiet: Quiet @public }
	type Thing @public { a: Int! secret: Int! @can(object: "NUMBER", action: "READ") }
	type Quiet { a: Int! }
`})

func TestGuard(t *testing.T) {
	p, err := policy.New()
	require.NoError(t, err)
	dispatcher := policy.Actor{Kind: policy.User, ID: "1", Agency: "a", Role: policy.Dispatcher, Desk: policy.Tablet}
	manager := policy.Actor{Kind: policy.User, ID: "2", Agency: "a", Role: policy.Manager, Desk: policy.Admin}
	for _, c := range []struct {
		name, query string
		actor       policy.Actor
		code        string
	}{
		{"a public field is given to anybody", `{ open }`, policy.Actor{Kind: policy.Nobody}, ""},
		{"a field that says nothing is refused", `{ silent }`, dispatcher, "FORBIDDEN"},
		{"a field of a type that says nothing is refused", `{ quiet { a } }`, dispatcher, "FORBIDDEN"},
		{"a right that the actor has opens", `{ guarded }`, dispatcher, ""},
		{"a right that the actor lacks closes", `{ guarded }`, manager, "FORBIDDEN"},
		{"nobody is told to sign in", `{ guarded }`, policy.Actor{Kind: policy.Nobody}, "UNAUTHENTICATED"},
		{"a field's own right counts beside its type's", `{ thing { a secret } }`, manager, "FORBIDDEN"},
		{"one forbidden field refuses the whole", `{ open thing { a } guarded }`, manager, "FORBIDDEN"},
		{"an alias hides nothing", `{ open: guarded }`, manager, "FORBIDDEN"},
		{"a fragment hides nothing", `{ ...f } fragment f on Query { guarded }`, manager, "FORBIDDEN"},
		{"an inline fragment hides nothing", `{ ... { ... on Query { guarded } } }`, manager, "FORBIDDEN"},
		{"a condition hides nothing", `{ open guarded @skip(if: true) }`, manager, "FORBIDDEN"},
		{"an actor without an agency has no right", `{ guarded }`, policy.Actor{Kind: policy.User, Role: policy.Dispatcher, Desk: policy.Tablet}, "FORBIDDEN"},
		{"an actor without a terminal has no right", `{ guarded }`, policy.Actor{Kind: policy.User, ID: "1", Agency: "a", Role: policy.Dispatcher}, "FORBIDDEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, errs := gqlparser.LoadQueryWithRules(smallSchema, c.query, rules.NewDefaultRules())
			require.Empty(t, errs)
			ctx := graph.WithVisitor(t.Context(), graph.Visitor{Actor: c.actor, Language: "en"})
			err := graph.Guard(ctx, p, &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0]})
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.Equal(t, c.code, errorCode(err))
		})
	}
}

// errorCode is an error's extensions.code.
func errorCode(err error) string {
	var g *gqlerror.Error
	if !errors.As(err, &g) {
		return ""
	}
	return fmt.Sprint(g.Extensions["code"])
}
