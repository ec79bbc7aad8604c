package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/server/cases"
	"genba/server/database/dbtest"
)

// hostileTexts are what an injection is made of.
var hostileTexts = []string{
	"'; DROP TABLE cases; --", `" OR 1=1 --`, "') OR ('1'='1", "1; SELECT pg_sleep(10)", "x' UNION SELECT password_hash FROM users --", "$1", "?", ":name", "@p1", "$$", `\'; --`,
	"%", "_", `\`, `%\`, `%_\`, `\%`, "[a-z]%", "\x00", "a\x00b", "\u202egnp.exe", "\u2066x\u2069", "\ufeff", "\ufffd", "\u2028", "\r\nSet-Cookie: a=b", "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://x}",
	"../../etc/passwd", "|id", "`id`", "🚓👮‍♀️", "ﾃｽﾄ ①", strings.Repeat("あ", 1365), strings.Repeat("x", 4096), strings.Repeat("'", 4096), strings.Repeat("%", 4096), "",
}

// texts are the paths of every text and id in a root field's arguments.
func texts(f *ast.FieldDefinition) (paths []string) {
	var walk func(t *ast.Type, path string)
	walk = func(t *ast.Type, path string) {
		switch d := schema.Types[t.Name()]; {
		case t.Name() == "String", t.Name() == "ID", t.Name() == "Cursor", t.Name() == "Date", t.Name() == "Time":
			paths = append(paths, path)
		case d.Kind == ast.InputObject:
			for _, f := range d.Fields {
				walk(f.Type, path+"."+f.Name)
			}
		}
	}
	for _, a := range f.Arguments {
		walk(a.Type, a.Name)
	}
	return paths
}

// In every text argument of every field, on both engines: a refusal with a
// stable reason or the literal reading, never an error of the database.
func TestHostileTextsAreTakenLiterally(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine := h.furnish(h.own)
		h.manager()
		before := h.must(h.supervisor(), `{ cases { nodes { id place notes } } users { nodes { userName } } }`, nil).body
		tried := 0
		for _, v := range []*visitor{h.manager(), h.supervisor(), mine.caller, nobody} {
			who := *v
			who.token = ""
			if v == nobody {
				who = *nobody
			}
			for _, root := range roots[:2] {
				for _, f := range rootFields(root) {
					rights := rightsOf(f.Directives, schema.Types[f.Type.Name()].Directives)
					if !has(h.policy, v.actor, rights) || len(rights) == 0 && v != nobody || changes[f.Name] {
						continue
					}
					for _, slot := range texts(f) {
						for _, text := range hostileTexts {
							query, variables := operation(root, f, tree(h.policy, v.actor, f.Type, 1), func(path string, t *ast.Type) any {
								switch {
								case path == slot:
									return text
								case path == "input.secret", path == "secret":
									return mine.caller.secret
								case t.Name() == "ID" && t.NonNull:
									return mine.fitting(f.Name, path)
								}
								return nil
							})
							a := h.do(&who, query, variables)
							require.NotEqual(t, "INTERNAL", a.reason(), "%s %s %.40q: %s", f.Name, slot, text, a.body)
							require.NotContains(t, string(a.body), "password_hash", f.Name)
							require.NotContains(t, string(a.body), "$argon2id$", f.Name)
							tried++
						}
						dbtest.ClockOf(h.db).Advance(2 * 60e9) // what was wrong before no longer counts
					}
				}
			}
		}
		require.Greater(t, tried, 1000)
		after := h.must(&visitor{actor: h.supervisor().actor}, `{ cases { nodes { id place notes } } users { nodes { userName } } }`, nil).body
		require.Equal(t, string(before), string(after))
	})
}

// changes are mutations whose text is kept as it is: a test of its own says so.
var changes = map[string]bool{
	"openCase": true, "updateCase": true, "requestVideo": true, "beginUpload": true, "closeContactTask": true, "join": true,
	"whisper": true, "writeDutyNote": true, "shareSession": true,
	"stopReport": true, "changeDestination": true, "allowSends": true, "setCallerCode": true,
}

func TestHostileTextsComeBackAsTheyWent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := h.supervisor()
		keep := func(text string, limit int) bool {
			return !strings.ContainsRune(text, 0) && len([]rune(text)) <= limit
		}
		for _, text := range hostileTexts {
			a := h.input(v, "openCase", "OpenCaseInput", "case { id municipality place notes }", map[string]any{"notes": text})
			if !keep(text, 10_000) {
				require.Equal(t, "BAD_INPUT", a.reason(), "%q", text)
				continue
			}
			require.Equal(t, text, a.text("openCase", "case", "notes"))
			id := a.text("openCase", "case", "id")
			a = h.input(v, "updateCase", "UpdateCaseInput", "case { place municipality }", map[string]any{"caseID": id, "place": text})
			if !keep(text, 1000) {
				require.Equal(t, "BAD_INPUT", a.reason(), "%q", text)
				continue
			}
			require.Equal(t, text, a.text("updateCase", "case", "place"))
			a = h.input(v, "requestVideo", "RequestVideoInput", "session { id need }", map[string]any{"caseID": id, "asked": "PHOTO", "need": "x" + text, "number": "09012345678", "checks": allChecks})
			if keep(text, 499) {
				require.Equal(t, strings.TrimSpace("x"+text), a.text("requestVideo", "session", "need"))
			} else {
				require.Equal(t, "BAD_INPUT", a.reason())
			}
			for _, slot := range []string{"number", "notifiedNumber", "email", "emailReason", "lateReason", "language"} {
				in := map[string]any{"caseID": id, "asked": "PHOTO", "need": "x", "number": "09012345678", "checks": allChecks}
				in[slot] = text
				a := h.input(v, "requestVideo", "RequestVideoInput", "session { id lateReason email }", in)
				require.NotEqual(t, "INTERNAL", a.reason(), "%s %q: %s", slot, text, a.body)
			}
		}
		_, secret := h.newSession(v)
		for _, text := range hostileTexts {
			for _, slot := range []string{"secret", "pass", "version", "language", "publicKey", "system", "browser"} {
				in, _ := h.joinInput(secret)
				in[slot] = text
				a := h.input(nobody, "join", "JoinInput", "session { id }", in)
				require.NotEqual(t, "INTERNAL", a.reason(), "%s %q: %s", slot, text, a.body)
			}
		}
		_, secret = h.newSession(v)
		phone := h.join(secret)
		for _, text := range hostileTexts {
			a := h.input(phone, "beginUpload", "BeginUploadInput", "id", map[string]any{"kind": "PHOTO", "capture": "NOW", "size": 100, "name": text})
			require.Empty(t, a.Errors, "%q: %s", text, a.body)
			a = h.must(v, `query($id: ID!) { mediaFile(id: $id) { name } }`, map[string]any{"id": a.text("beginUpload", "id")})
			require.NotContains(t, a.text("mediaFile", "name"), "/", "%q", text)
		}
	})
}

// A search finds what holds the very text, and nothing else.
func TestSearchReadsLiterally(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := h.supervisor()
		places := []string{"100%", "100", "a_b", "aXb", `c\d`, "cd", "O'Brien", "OBrien", "%_\\", "ＡＢＣ", "abc", "ABC"}
		for _, place := range places {
			_, err := h.cases.Open(h.ctx(), v.actor, cases.NewCase{Place: place})
			require.NoError(t, err)
		}
		for search, expected := range map[string][]string{
			"100%": {"100%"}, "100": {"100%", "100"}, "a_b": {"a_b"}, "_": {"a_b", `%_\`}, "%": {"100%", `%_\`}, `\`: {`c\d`, `%_\`}, "'": {"O'Brien"},
			"o'b": {"O'Brien"}, "abc": {"abc", "ABC"}, "' OR '1'='1": {}, "'; DROP TABLE cases; --": {},
		} {
			a := h.must(v, `query($t: String) { cases(first: 100, sort: OPENED_OLDEST, filter: { text: $t }) { nodes { place } } }`, map[string]any{"t": search})
			found := []string{}
			for _, node := range a.at("cases", "nodes").([]any) {
				found = append(found, node.(map[string]any)["place"].(string))
			}
			require.ElementsMatch(t, expected, found, search)
		}
	})
}

// Bytes that are no UTF-8, and halves of surrogate pairs, are no fault of ours.
func TestBrokenTextIsNoFault(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := h.supervisor()
		const query = `{"query":"mutation($in: OpenCaseInput!) { openCase(input: $in) { case { place } } }","variables":{"in":{"place":"%s"}}}`
		for _, text := range []string{`\ud800`, `\udc00`, `\ud800\ud800`, `\udfff\ud83d`, "\xff", "\xc0\xaf", "\xed\xa0\x80", "a\xfeb"} {
			a := h.serve(h.api, h.request(v, fmt.Appendf(nil, query, text)))
			require.NotEqual(t, "INTERNAL", a.reason(), "%q: %s", text, a.body)
			require.True(t, json.Valid(a.body))
		}
		a := h.serve(h.api, h.request(v, []byte("{\"query\":\"mutation { openCase(input: { place: \\\"\xff\\\" }) { case { place } } }\"}")))
		require.NotEqual(t, "INTERNAL", a.reason(), "%s", a.body)
		a = h.serve(h.api, h.request(v, []byte(`{"query":"mutation { openCase(input: { place: \"\\ud800\" }) { case { place } } }"}`)))
		require.NotEqual(t, "INTERNAL", a.reason(), "%s", a.body)
	})
}
