package graph_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/gorm"

	"genba/graph"
	"genba/policy"
	"genba/server/database/dbtest"
)

// hostile is one document that asks for too much or for what is not there.
type hostile struct {
	name, query string
	variables   map[string]any
	operation   string
}

// repeat joins n texts.
func repeat(n int, text func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = text(i)
	}
	return strings.Join(parts, " ")
}

// nest puts n openings around a core.
func nest(n int, open, core, closing string) string {
	return strings.Repeat(open, n) + core + strings.Repeat(closing, n)
}

// hostiles is a set of documents of every known kind.
func hostiles() (all []hostile) {
	add := func(name, query string, variables map[string]any) {
		all = append(all, hostile{name: name, query: query, variables: variables})
	}
	for i := range 20 {
		add("aliases of a root field", "{ "+repeat(graph.MaxAliases+1+i*4, func(i int) string { return fmt.Sprintf("a%d: me { kind }", i) })+" }", nil)
		add("aliases of a leaf", "{ me { "+repeat(graph.MaxAliases+1+i*20, func(i int) string { return fmt.Sprintf("a%d: kind", i) })+" } }", nil)
		add("aliases in a fragment that is used twice", "{ me { ...f } x: me { ...f } } fragment f on Me { "+repeat(16+i, func(i int) string { return fmt.Sprintf("a%d: kind", i) })+" }", nil)
		add("depth", "{ cases(first: 1) { nodes { "+nest(graph.MaxDepth+i, "sessions { case { ", "id", " } }")+" } } }", nil)
		add("depth by fragments", "{ cases(first: 1) { nodes { ...f0 } } } "+repeat(12+i, func(n int) string {
			return fmt.Sprintf("fragment f%d on Case { sessions { case { ...f%d } } }", n, n+1)
		})+fmt.Sprintf(" fragment f%d on Case { id }", 12+i), nil)
		add("a circle of fragments", "{ me { ...f0 } } "+repeat(i+1, func(n int) string {
			return fmt.Sprintf("fragment f%d on Me { kind ...f%d }", n, (n+1)%(i+1))
		}), nil)
		add("a circle of fragments through fields", "{ cases(first: 1) { nodes { ...f0 } } } "+repeat(i+1, func(n int) string {
			return fmt.Sprintf("fragment f%d on Case { sessions { case { ...f%d } } }", n, (n+1)%(i+1))
		}), nil)
		add("fragments that double", "{ me { ...f0 } } "+repeat(11+i, func(n int) string {
			return fmt.Sprintf("fragment f%d on Me { ...f%d ...f%d }", n, n+1, n+1)
		})+fmt.Sprintf(" fragment f%d on Me { kind }", 11+i), nil)
		add("fragments that double through fields", "{ cases(first: 1) { nodes { ...f0 } } } "+repeat(11+i, func(n int) string {
			return fmt.Sprintf("fragment f%d on Case { a: sessions { case { ...f%d } } b: sessions { case { ...f%d } } }", n, n+1, n+1)
		})+fmt.Sprintf(" fragment f%d on Case { id }", 11+i), nil)
		add("directives on fields", "{ me { "+repeat(graph.MaxDirectives+1+i*5, func(int) string { return "kind @include(if: true)" })+" } }", nil)
		add("directives on fragments", "{ me { "+repeat(graph.MaxDirectives+1+i*5, func(int) string { return "... @skip(if: false) { kind }" })+" } }", nil)
		add("one field with many directives", "{ me { kind "+strings.Repeat("@include(if: true) ", 2+i*20)+"} }", nil)
		add("unknown directives", "{ me { kind "+strings.Repeat("@nothing ", 1+i*20)+"} }", nil)
		add("breadth", "{ me { "+strings.Repeat("kind ", graph.MaxBreadth+1+i*80)+"} }", nil)
		add("breadth by inline fragments", "{ me { "+strings.Repeat("... { kind } ", graph.MaxBreadth+1+i*5)+"} }", nil)
		add("too many tokens", "{ me { "+strings.Repeat("kind ", 2000+i*200)+"} }", nil)
		add("a page without end", fmt.Sprintf("{ cases(first: %d) { nodes { id } } }", 2001+i*100_000_000), nil)
		add("a page without end that asks for nothing", fmt.Sprintf("{ cases(first: %d) { pageInfo { hasNextPage } } }", graph.MaxPage+1+i*100_000_000), nil)
		add("a page without end in a variable", "query($n: Int) { cases(first: $n) { nodes { id } } }", map[string]any{"n": 2001 + i*100_000_000})
		add("lists in lists", fmt.Sprintf("{ cases(first: %d) { nodes { media(first: 100) { nodes { id } } } } }", 20+i*4), nil)
		add("two paths to many", fmt.Sprintf("{ cases(first: 100) { nodes { timeline(first: %d) { edges { node { hash } } nodes { hash } } } } }", 10+i), nil)
		add("unused variables", "query("+repeat(1+i*20, func(i int) string { return fmt.Sprintf("$v%d: Int = 1", i) })+") { me { kind } }", nil)
		add("a deep list as an enum", "{ mediaFiles(filter: { kind: "+nest(i+1, "[", "PHOTO", "]")+" }) { nodes { id } } }", nil)
		add("a deep list in a document", "query { mediaFiles(filter: { caseID: "+nest(10+i*40, "[", "", "]")+" }) { nodes { id } } }", nil)
		add("a deep object in a document", "query { mediaFiles(filter: "+nest(10+i*20, "{ caseID: ", "1", " }")+") { nodes { id } } }", nil)
		deep := any("PHOTO")
		for range 10 + i*100 {
			deep = []any{deep}
		}
		add("a deep list in a variable", "query($f: MediaFilter) { mediaFiles(filter: $f) { nodes { id } } }", map[string]any{"f": map[string]any{"kind": deep}})
		add("a long id", "query($id: ID!) { case(id: $id) { id } }", map[string]any{"id": strings.Repeat("a", 1000+i*3000)})
		add("a long cursor", "query($c: String) { cases(after: $c) { nodes { id } } }", map[string]any{"c": strings.Repeat("a", 1000+i*3000)})
		add("operations of one name", repeat(2+i, func(int) string { return "query A { me { kind } }" }), nil)
		add("many operations without a choice", repeat(2+i, func(i int) string { return fmt.Sprintf("query A%d { me { kind } }", i) }), nil)
	}
	for _, introspection := range []string{
		"{ __schema { types { name } } }", "{ a: __schema { types { name } } }", "{ __type(name: \"Case\") { name } }",
		"{ me { kind } __schema { queryType { name } } }", "{ ...f } fragment f on Query { __schema { types { name } } }", "{ ... { __schema { types { name } } } }",
		"query Introspection { __schema { types { fields { type { ofType { ofType { ofType { name } } } } } } } }",
		"mutation { __schema { types { name } } }", "subscription { __schema { types { name } } }", "{ __schema @include(if: false) { types { name } } }",
		"{ __type(name: \"Query\") { fields { name description } } }", "{ cases { nodes { __schema { types { name } } } } }",
	} {
		add("introspection", introspection, nil)
	}
	for _, broken := range []string{
		"{", "}", "{ me { kind }", "query", "query (", "{ me(", "\x00", "\ufeff", "#", "# only a comment", "{ me { kind } } }", "fragment f on Me { kind }",
		"{ me { ...nothing } }", "{ ...f } fragment f on Me { kind }", "type Query { x: Int }", "extend type Query { x: Int }", "schema { query: Query }", "{ me { kind } } type X { a: Int }",
		"query A { me { kind } } { me { kind } }", "subscription { caseBoardChanged { cursor } sessionChanged(id: 1) { cursor } }", "query($x: Nothing) { me { kind } }", "query($x: Case) { me { kind } }",
		"query($x: Int!, $x: Int!) { me { kind } }", "{ me { kind: agency { id } kind } }", "{ case(id: 1, id: 2) { id } }", "{ case { id } }", "{ case(id: null) { id } }",
		"{ me { ... @defer { kind } } }", "{ me { ...f @defer } } fragment f on Me { kind }", "{ cases { nodes @stream { id } } }", `{ link(secret: """` + strings.Repeat("\n", 3000) + `") { language } }`,
		"{ me { kind } } " + strings.Repeat("fragment f on Me { kind } ", 20), "mutation { openCase(input: { class: NOTHING }) { case { id } } }", "mutation { openCase(input: { nothing: 1 }) { case { id } } }",
	} {
		add("broken", broken, nil)
	}
	for _, number := range []string{"2147483648", "-2147483649", "9223372036854775808", "99999999999999999999", "1" + strings.Repeat("0", 400)} {
		add("a number that is too large", "{ cases(first: "+number+") { pageInfo { hasNextPage } } }", nil)
		add("a number that is too large", "query($n: Int = "+number+") { cases(first: $n) { pageInfo { hasNextPage } } }", nil)
		add("a number that is too large, in a variable", "query($n: Int) { cases(first: $n) { pageInfo { hasNextPage } } }", map[string]any{"n": json.Number(number)})
	}
	for _, bad := range []any{"x", 1.5, true, []any{1, 2}, map[string]any{"a": 1}, json.Number("1e400"), json.Number("1e3")} {
		add("a number that is none", "query($n: Int) { cases(first: $n) { pageInfo { hasNextPage } } }", map[string]any{"n": bad})
		add("a time that is none", "query($t: Time) { cases(filter: { openedSince: $t }) { pageInfo { hasNextPage } } }", map[string]any{"t": bad})
		add("an enum that is none", "query($c: CaseClass) { cases(filter: { class: $c }) { pageInfo { hasNextPage } } }", map[string]any{"c": bad})
		add("an input that is none", "query($f: CaseFilter) { cases(filter: $f) { pageInfo { hasNextPage } } }", map[string]any{"f": bad})
		add("a size that is none", "mutation($n: Int64!) { takeSnapshot(input: { sessionID: \"x\", size: $n }) { id } }", map[string]any{"n": bad})
	}
	for _, size := range []string{"9223372036854775808", "1" + strings.Repeat("0", 400), "1.5", "\"1\"", "PHOTO", "true", "[1, 2]"} {
		add("a size that is none", "mutation { takeSnapshot(input: { sessionID: \"x\", size: "+size+" }) { id } }", nil)
		add("a time that is none", "{ cases(filter: { openedSince: "+size+" }) { pageInfo { hasNextPage } } }", nil)
	}
	all = append(all, hostile{name: "an operation that is not there", query: "query A { me { kind } }", operation: "B"})
	return all
}

var stable = []string{"QUERY_INVALID", "QUERY_TOO_LARGE", "BAD_INPUT", "BAD_ID", "BAD_CURSOR", "TOO_LARGE"}

// Every hostile document is refused with a stable reason before anything is
// read, with little work and memory.
func TestHostileDocumentsAreRefusedUnread(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	v := *h.dispatcher()
	v.token = ""
	var read atomic.Int64
	restore := h.onStatement(func(q *gorm.DB) {
		if !strings.HasPrefix(q.Statement.Table, "journal_") { // the refusal itself is written down
			read.Add(1)
		}
	})
	defer restore()
	set := hostiles()
	require.Greater(t, len(set), 400)
	reasons := map[string]int{}
	start := time.Now()
	for _, d := range set {
		body := bodyOf(d.query, d.variables)
		if d.operation != "" {
			body = []byte(`{"query":"` + d.query + `","operationName":"` + d.operation + `"}`)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a := h.serve(h.api, h.request(&v, body))
		runtime.ReadMemStats(&after)
		short := d.query[:min(200, len(d.query))]
		if !slices.Contains(stable, a.reason()) {
			t.Errorf("%s: %s: %v: %s", d.name, short, d.variables, a.body)
			continue
		}
		require.Contains(t, stable, a.reason(), "%s: %s: %s", d.name, short, a.body)
		require.Contains(t, []string{"", "null", `{"case":null}`}, string(a.Data), "%s: %s", d.name, short)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "%s: %s", d.name, short)
		require.Zero(t, read.Load(), "%s: %s", d.name, short)
		reasons[a.reason()]++
	}
	require.Less(t, time.Since(start), time.Duration(len(set))*50*time.Millisecond)
	require.Len(t, reasons, 5, "each bound was reached: %v", reasons)
}

// What stands just at a bound is answered.
func TestDocumentsAtTheBoundAreAnswered(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	v := h.dispatcher()
	for name, query := range map[string]string{
		"aliases":    "{ " + repeat(graph.MaxAliases, func(i int) string { return fmt.Sprintf("a%d: me { kind }", i) }) + " }",
		"directives": "{ me { " + repeat(graph.MaxDirectives, func(int) string { return "kind @include(if: true)" }) + " } }",
		"depth":      "{ cases(first: 1) { nodes { sessions { case { sessions { case { sessions { case { id } } } } } } } } }",
		"fields":     "{ me { " + strings.Repeat("kind ", graph.MaxBreadth) + "} }",
		"page":       "{ cases(first: 100) { nodes { id } } }",
	} {
		start := time.Now()
		h.must(v, query, nil)
		require.Less(t, time.Since(start), 5*time.Second, name)
	}
}

// A name that is nearly right learns nothing of the real ones.
func TestNearMissNamesLearnNothing(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	random := rand.New(rand.NewPCG(1, 2))
	known := map[string]bool{}
	type place struct{ before, name, after string }
	var places []place
	for _, d := range definitions() {
		known[d.Name] = true
		for _, f := range d.Fields {
			known[f.Name] = true
		}
		for _, e := range d.EnumValues {
			known[e.Name] = true
		}
	}
	for _, w := range ways() {
		query, _ := operation(w.root, w.field, "@", nil)
		before, after, _ := strings.Cut(query, "@")
		if len(w.below) == 0 {
			before, after, _ = strings.Cut(query, w.field.Name)
			places = append(places, place{before, w.field.Name, strings.Replace(after, "@", "{ __typename }", 1)})
			continue
		}
		for _, f := range w.below[:len(w.below)-1] {
			before, after = before+"{ "+f.Name+" ", " }"+after
		}
		places = append(places, place{before + "{ ", w.last().Name, " }" + after})
	}
	word := regexp.MustCompile(`[A-Za-z_]+`)
	plain := regexp.MustCompile(`^(The|query|is|not|valid|errors|message|extensions|code|reason|id|data|null|INVALID|QUERY_INVALID)$`)
	for range 500 {
		p := places[random.IntN(len(places))]
		near := []byte(p.name)
		switch i := random.IntN(len(near)); random.IntN(3) {
		case 0:
			near = slices.Delete(near, i, i+1)
		case 1:
			near = slices.Insert(near, i, byte('a'+random.IntN(26)))
		default:
			near[i] = byte('a' + random.IntN(26))
		}
		if known[string(near)] || len(near) == 0 {
			continue
		}
		a := h.do(nobody, p.before+string(near)+p.after, nil)
		require.Equal(t, "QUERY_INVALID", a.reason(), "%s: %s", near, a.body)
		for _, said := range word.FindAllString(regexp.MustCompile(`"id":"[A-Z0-9]+"`).ReplaceAllString(string(a.body), ""), -1) {
			require.Regexp(t, plain, said, string(a.body))
		}
	}
	for _, query := range []string{
		`{ case(id: "1", nothing: 1) { id } }`, `mutation { openCase(input: { klass: TRAFFIC }) { case { id } } }`, `mutation { openCase(input: { class: TRUCKS }) { case { id } } }`,
		`query($f: CaseFilte) { cases(filter: $f) { nodes { id } } }`, `{ me { ... on Cas { id } } }`, `{ me { ...f } } fragment f on Nothing { id }`, `{ me }`, `{ me { kind { x } } }`,
		`query($n: Int) { case(id: $n) { id } }`,
	} {
		a := h.do(nobody, query, nil)
		require.Equal(t, "QUERY_INVALID", a.reason(), query)
		require.Equal(t, "The query is not valid.", a.Errors[0].Message)
	}
}

// Introspection and what is wrong with a document are shown under --dev only.
func TestDevelopersSeeTheSchema(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	dev := h.handler(graph.Options{Dev: true, WriteProblem: writeProblem})
	const introspection = `{ __schema { types { name fields { name type { name ofType { name ofType { name ofType { name } } } } } } } }`
	a := h.serve(dev, h.request(nobody, bodyOf(introspection, nil)))
	require.Empty(t, a.Errors)
	require.Contains(t, string(a.body), "requestVideo")
	a = h.serve(dev, h.request(nobody, bodyOf(`{ nothing }`, nil)))
	require.Equal(t, "QUERY_INVALID", a.reason())
	require.Contains(t, a.Errors[0].Message, "nothing")
	require.Equal(t, "QUERY_INVALID", h.do(nobody, introspection, nil).reason())
	require.Equal(t, "UNAUTHENTICATED", h.serve(dev, h.request(nobody, bodyOf(`{ cases { nodes { id } } }`, nil))).reason(), "rights hold there, too")
}

// Whatever breaks inside, the answer shows nothing of it and the process lives.
func TestNothingInsideIsShown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, secret := h.newSession(h.dispatcher())
		phone, manager, supervisor := h.join(secret), h.manager(), h.supervisor()
		const canary = "SELECT secret FROM users /var/lib/genba"
		for name, breaking := range map[string]func(*gorm.DB){
			"a database error": func(q *gorm.DB) { _ = q.AddError(errors.New(canary)) },
			"a panic":          func(*gorm.DB) { panic(canary) },
			"a nil":            func(q *gorm.DB) { var nothing map[string]func(); nothing["there"]() },
			"an odd panic":     func(*gorm.DB) { panic(fmt.Errorf("%s: %w", canary, http.ErrAbortHandler)) },
		} {
			t.Run(name, func(t *testing.T) {
				restore := h.onStatement(breaking)
				for _, v := range []*visitor{manager, supervisor, phone, nobody} {
					who := *v
					who.token = "" // recognising is not what breaks here
					if v == nobody {
						who = *nobody
					}
					for _, root := range roots[:2] {
						for _, f := range rootFields(root) {
							if !has(h.policy, v.actor, rightsOf(f.Directives, schema.Types[f.Type.Name()].Directives)) {
								continue
							}
							query, variables := operation(root, f, tree(h.policy, v.actor, f.Type, 1), func(path string, t *ast.Type) any {
								switch {
								case path == "secret" || path == "input.secret":
									return secret
								case t.Name() == "ID" && t.NonNull:
									return session
								}
								return nil
							})
							a := h.do(&who, query, variables)
							for _, inside := range []string{canary, "SELECT", "/var", "gorm", "panic", "runtime", "genba", ".go", "goroutine", "nil pointer"} {
								require.NotContains(t, string(a.body), inside, f.Name)
							}
							if a.reason() == "INTERNAL" {
								require.Len(t, a.Errors[0].Extensions["id"], 12)
								require.Equal(t, "Internal error.", a.Errors[0].Message)
							}
						}
					}
				}
				a := h.do(&visitor{actor: h.supervisor().actor}, "{ cases { nodes { id } } }", nil)
				require.Equal(t, "INTERNAL", a.reason())
				restore()
				require.Empty(t, h.must(h.supervisor(), "{ cases { nodes { id } } }", nil).Errors, "and goes on")
			})
		}
	})
}

// The policy decides for the whole operation, before anything is read.
func TestForbiddenOperationsReadNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := *h.manager()
		v.token = ""
		require.Equal(t, policy.Manager, v.actor.Role)
		var read atomic.Int64
		restore := h.onStatement(func(q *gorm.DB) {
			if !strings.HasPrefix(q.Statement.Table, "journal_") {
				read.Add(1)
			}
		})
		defer restore()
		a := h.do(&v, "{ users { nodes { id } } cases { nodes { id } } }", nil)
		require.Equal(t, "FORBIDDEN", a.reason())
		require.Zero(t, read.Load())
	})
}
