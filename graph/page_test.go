package graph_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/graph"
	"genba/policy"
	"genba/server/cases"
	"genba/server/database/dbtest"
	"genba/server/identity"
)

// listing is one list of the API.
type listing struct {
	who   func(h *house) *visitor
	query string // with $first, $after and $sort, the connection being the first field
	path  []string
	key   string
	sorts []string
}

func listings(session, caseID string) map[string]listing {
	sorted := func(field, sort, node string) string {
		return `query($first: Int, $after: String, $sort: ` + sort + `) { ` + field + `(first: $first, after: $after, sort: $sort) { ` + page(node) + ` } }`
	}
	under := func(parent, id, field, args, node string) string {
		return `query($first: Int, $after: String` + map[bool]string{true: ", $sort: " + args}[args != ""] + `) { ` + parent + `(id: "` + id + `") { ` + field + `(first: $first, after: $after` + map[bool]string{true: ", sort: $sort"}[args != ""] + `) { ` + page(node) + ` } } }`
	}
	media, record := []string{"ACQUIRED_NEWEST", "ACQUIRED_OLDEST", "DUE_FIRST"}, []string{"NEWEST", "OLDEST"}
	return map[string]listing{
		"cases":             {(*house).supervisor, sorted("cases", "CaseSort", "id"), []string{"cases"}, "id", []string{"CHANGED_NEWEST", "OPENED_NEWEST", "OPENED_OLDEST"}},
		"sessions":          {(*house).supervisor, sorted("sessions", "SessionSort", "id"), []string{"sessions"}, "id", []string{"REQUESTED_NEWEST", "REQUESTED_OLDEST"}},
		"media":             {(*house).supervisor, sorted("mediaFiles", "MediaSort", "id"), []string{"mediaFiles"}, "id", media},
		"journal":           {(*house).manager, sorted("journal", "JournalSort", "number"), []string{"journal"}, "number", record},
		"users":             {(*house).supervisor, `query($first: Int, $after: String) { users(first: $first, after: $after) { ` + page("id") + ` } }`, []string{"users"}, "id", []string{""}},
		"a case's media":    {(*house).supervisor, under("case", caseID, "media", "MediaSort", "id"), []string{"case", "media"}, "id", media},
		"a case's record":   {(*house).supervisor, under("case", caseID, "timeline", "JournalSort", "number"), []string{"case", "timeline"}, "number", record},
		"a session's fixes": {(*house).supervisor, under("session", session, "positions", "", "id"), []string{"session", "positions"}, "id", []string{""}},
		"a session's views": {(*house).supervisor, under("session", session, "viewings", "", "id"), []string{"session", "viewings"}, "id", []string{""}},
		"a session's files": {(*house).supervisor, under("session", session, "media", "MediaSort", "id"), []string{"session", "media"}, "id", media},
		"its record":        {(*house).supervisor, under("session", session, "timeline", "JournalSort", "number"), []string{"session", "timeline"}, "number", record},
	}
}

func page(node string) string {
	return "edges { cursor node { " + node + " } } nodes { " + node + " } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
}

// crowd fills every list: some rows share their time.
func (h *house) crowd() (session, caseID string) {
	h.t.Helper()
	d := h.dispatcher()
	session, phone := h.report1(d)
	caseID = h.must(d, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
	for i := range 12 {
		h.report(phone, float64(i))
	}
	for i := range 11 {
		k, err := h.cases.Open(h.ctx(), d.actor, cases.NewCase{})
		require.NoError(h.t, err)
		h.requestVideo(d, k.ID)
		if i < 8 {
			h.upload(phone)
			h.beginUpload(phone, 1000)
			h.mustInput(d, "watch", "WatchInput", "token", map[string]any{"sessionID": session})
		}
		if i%3 == 0 { // the others stand at one instant
			dbtest.ClockOf(h.db).Advance(1e9)
		}
	}
	for i := range 2 {
		_, err := h.people.Register(h.ctx(), policy.SystemActor(), h.own.ID, identity.NewUser{UserName: fmt.Sprint("user", i), DisplayName: "x", Role: policy.Dispatcher, Password: password, PasswordReason: "test"})
		require.NoError(h.t, err)
	}
	h.manager()
	h.supervisor()
	return session, caseID
}

func keys(a answer, key string, path ...string) []string {
	list, _ := a.at(path...).([]any)
	found := make([]string, len(list))
	for i, node := range list {
		object := node.(map[string]any)
		if inner, ok := object["node"].(map[string]any); ok {
			object = inner
		}
		found[i] = fmt.Sprint(object[key])
	}
	return found
}

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		session, caseID := h.crowd()
		all := listings(session, caseID)
		t.Run("page after page is the whole list", func(t *testing.T) { pagesAreTheWholeList(t, h, all) })
		t.Run("two orders are each other's reverse", func(t *testing.T) { ordersAreReverse(t, h, all) })
		t.Run("a bad page is refused", func(t *testing.T) { badPagesAreRefused(t, h, all, session) })
	})
}

// pagesAreTheWholeList reads each list in each order, whatever a page's size.
func pagesAreTheWholeList(t *testing.T, h *house, all map[string]listing) {
	t.Helper()
	for name, l := range all {
		for _, sort := range l.sorts {
			t.Run(name+" "+sort, func(t *testing.T) {
				at := func(more ...string) []string { return append(slices.Clone(l.path), more...) }
				ask := func(first int, after any) answer {
					variables := map[string]any{"first": first, "after": after}
					if sort != "" {
						variables["sort"] = sort
					}
					return h.must(l.who(h), l.query, variables)
				}
				whole := ask(100, nil)
				expected := keys(whole, l.key, at("nodes")...)
				require.GreaterOrEqual(t, len(expected), 5)
				require.Len(t, slices.Compact(slices.Sorted(slices.Values(expected))), len(expected))
				require.Equal(t, false, whole.at(at("pageInfo", "hasNextPage")...))
				for _, size := range []int{1, 3, len(expected) - 1, len(expected)} {
					var found []string
					var after any
					for more := true; more; {
						a := ask(size, after)
						nodes := keys(a, l.key, at("nodes")...)
						require.Equal(t, nodes, keys(a, l.key, at("edges")...))
						require.Equal(t, after != nil, a.at(at("pageInfo", "hasPreviousPage")...))
						require.Equal(t, a.text(at("edges", "0", "cursor")...), a.text(at("pageInfo", "startCursor")...))
						require.Equal(t, a.text(at("edges", fmt.Sprint(len(nodes)-1), "cursor")...), a.text(at("pageInfo", "endCursor")...))
						found = append(found, nodes...)
						after = a.text(at("pageInfo", "endCursor")...)
						more = a.at(at("pageInfo", "hasNextPage")...).(bool)
						require.LessOrEqual(t, len(found), len(expected))
					}
					require.Equal(t, expected, found, "pages of %d", size)
					last := ask(size, after)
					require.Empty(t, keys(last, l.key, at("nodes")...), "behind the last")
					require.Nil(t, last.at(at("pageInfo", "endCursor")...))
				}
			})
		}
	}
}

func ordersAreReverse(t *testing.T, h *house, all map[string]listing) {
	t.Helper()
	for name, pair := range map[string][2]string{
		"cases": {"OPENED_NEWEST", "OPENED_OLDEST"}, "sessions": {"REQUESTED_NEWEST", "REQUESTED_OLDEST"},
		"media": {"ACQUIRED_NEWEST", "ACQUIRED_OLDEST"}, "journal": {"NEWEST", "OLDEST"},
	} {
		l := all[name]
		var both [2][]string
		for i, sort := range pair {
			both[i] = keys(h.must(l.who(h), l.query, map[string]any{"first": 100, "sort": sort}), l.key, append(slices.Clone(l.path), "nodes")...)
		}
		slices.Reverse(both[1])
		require.Equal(t, both[0], both[1], name)
	}
}

func badPagesAreRefused(t *testing.T, h *house, all map[string]listing, session string) {
	t.Helper()
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, l := range all {
		for _, first := range []int{0, -1, graph.MaxPage + 1, math.MinInt32, math.MaxInt32} {
			a := h.do(l.who(h), l.query, map[string]any{"first": first})
			require.Contains(t, []string{"BAD_INPUT", "QUERY_TOO_LARGE"}, a.reason(), "%s of %d", name, first)
		}
		for _, after := range []string{
			"x", "!", "ä", "\x00", encode("x"), encode("1"), encode(" "), encode("1 "), encode("1 x"), encode("x " + session), encode("99999999999999999999999 " + session),
			encode("1 " + session + " "), encode(session + "'"), encode("-1"), encode("0"), encode("1.1"), encode("99999999999999999999"), encode("\xff"), encode("1.5.5"), "MQ==", string(make([]byte, 200)),
		} {
			a := h.do(l.who(h), l.query, map[string]any{"first": 5, "after": after})
			if numbered := l.key == "number" || name == "a session's fixes"; numbered && after == encode("1") {
				require.Empty(t, a.Errors, name)
				continue
			}
			require.Equal(t, "BAD_CURSOR", a.reason(), "%s after %q: %s", name, after, a.body)
		}
		for _, far := range []int64{math.MaxInt64, math.MinInt64, math.MaxInt32 + 1} {
			for _, after := range []string{encode(fmt.Sprint(far)), encode(fmt.Sprint(far, " ", session))} {
				a := h.do(l.who(h), l.query, map[string]any{"first": 5, "after": after})
				require.Contains(t, []string{"", "BAD_CURSOR"}, a.reason(), "%s after %d: %s", name, far, a.body)
			}
		}
		a := h.do(l.who(h), l.query, map[string]any{"first": 5, "after": ""})
		require.Empty(t, a.Errors, "nothing is the beginning")
	}
}

// A filter within a case or a session cannot widen it.
func TestFiltersOnlyNarrow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine := h.furnish(h.own)
		session, phone := h.report1(h.dispatcher())
		media := h.upload(phone)
		const query = `query($id: ID!, $f: MediaFilter) { session(id: $id) { media(filter: $f) { nodes { id } } case { media(filter: $f) { nodes { id } } } } }`
		of := func(filter map[string]any) []string {
			return keys(h.must(h.dispatcher(), query, map[string]any{"id": session, "f": filter}), "id", "session", "media", "nodes")
		}
		require.Equal(t, []string{media}, of(nil))
		require.Equal(t, []string{media}, of(map[string]any{"sessionID": session, "kind": "PHOTO", "capture": "NOW", "state": "COMPLETE"}))
		for _, filter := range []map[string]any{{"sessionID": mine.session}, {"caseID": mine.caseID}, {"kind": "VIDEO"}, {"capture": "BEFORE"}, {"state": "RECEIVING"}} {
			require.Empty(t, of(filter))
		}
		ofCase := func(filter map[string]any) []string {
			return keys(h.must(h.dispatcher(), query, map[string]any{"id": session, "f": filter}), "id", "session", "case", "media", "nodes")
		}
		require.Equal(t, []string{media}, ofCase(nil))
		require.Empty(t, ofCase(map[string]any{"caseID": mine.caseID}))
		require.Empty(t, ofCase(map[string]any{"sessionID": mine.session}))
	})
}
