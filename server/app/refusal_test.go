package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/identity"
	"genba/server/problem"
)

// without are headers that lack some.
func without(header []string, names ...string) []string {
	var kept []string
	for i := 0; i+1 < len(header); i += 2 {
		drop := false
		for _, n := range names {
			drop = drop || header[i] == n
		}
		if !drop {
			kept = append(kept, header[i], header[i+1])
		}
	}
	return kept
}

func TestForeignPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.signIn(policy.Dispatcher)
	r := h.reported(v)
	c := r.answered()
	b := c.begin(photo(t, 50), "")
	body := operation(openCase, vars{"in": vars{"place": "foreign"}})
	foreign := [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", strings.Replace(h.URL(), "http", "https", 1)},
		{"Origin", h.URL() + ".evil.example"},
		{"Origin", strings.ToUpper(h.URL())},
		{"Origin", h.URL(), "Sec-Fetch-Site", "cross-site"},
		{"Origin", h.URL(), "Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "cross-site"},
	}
	own := without(v.headers(), "Origin")
	t.Run("an operation with a cookie is refused", func(t *testing.T) {
		h := h.in(t)
		for _, f := range append(foreign, nil) {
			a := h.must(http.MethodPost, "/graphql", body, append(f, own...)...)
			require.Equal(t, http.StatusForbidden, a.status, f)
			require.Equal(t, "ORIGIN_REFUSED", a.reason(), f)
		}
	})
	t.Run("an operation without a cookie is refused, too", func(t *testing.T) {
		h := h.in(t)
		for _, f := range foreign {
			a := h.must(http.MethodPost, "/graphql", operation(`{link(secret:"x"){asked}}`, nil), append(f, without(own, "Cookie")...)...)
			require.Equal(t, "ORIGIN_REFUSED", a.reason(), f)
		}
	})
	t.Run("a WebSocket is refused", func(t *testing.T) {
		for _, f := range append(foreign, nil) {
			header := http.Header{"Cookie": {v.cookie}}
			for i := 0; i+1 < len(f); i += 2 {
				header.Set(f[i], f[i+1])
			}
			_, res, err := websocket.Dial(t.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/graphql",
				&websocket.DialOptions{HTTPClient: h.http, HTTPHeader: header, Subprotocols: []string{"graphql-transport-ws"}})
			require.Error(t, err, f)
			require.Equal(t, http.StatusForbidden, res.StatusCode, f)
			require.NoError(t, res.Body.Close())
		}
	})
	t.Run("tus, WHIP, WHEP and media are refused though the bearer is right", func(t *testing.T) {
		h := h.in(t)
		for _, f := range foreign {
			for _, call := range []struct{ method, path, token string }{
				{http.MethodPost, b.URL, b.Token},
				{http.MethodPost, "/whip/" + r.id, c.in(t).token(publish)},
				{http.MethodPost, "/whep/" + r.id, r.watch(v).Token},
				{http.MethodGet, "/media/" + b.ID, "x"},
				{http.MethodPatch, "/files/" + b.ID, b.Token},
				{http.MethodDelete, "/whip/" + r.id + "/x", "x"},
			} {
				a := h.must(call.method, call.path, []byte("v=0"), append([]string{"Authorization", "Bearer " + call.token, "Tus-Resumable", "1.0.0"}, f...)...)
				require.Equal(t, "ORIGIN_REFUSED", a.reason(), "%s %s %v", call.method, call.path, f)
			}
		}
	})
	t.Run("a cookie alone opens no byte transport", func(t *testing.T) {
		h := h.in(t)
		for _, path := range []string{"/files/", "/whip/" + r.id, "/whep/" + r.id} {
			a := h.must(http.MethodPost, path, []byte("v=0"), "Origin", h.URL(), "Cookie", c.cookie+"; "+v.cookie, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Content-Type", "application/sdp")
			require.Equal(t, http.StatusUnauthorized, a.status, path)
		}
	})
	t.Run("one page's cookie is not another's", func(t *testing.T) {
		swapped := *v
		swapped.house, swapped.page = h.in(t), "caller"
		require.Equal(t, "UNAUTHENTICATED", swapped.refused(openCase, vars{"in": vars{}}))
		swapped.page = "staff"
		require.Equal(t, "UNAUTHENTICATED", swapped.refused(openCase, vars{"in": vars{}}))
	})
	t.Run("nothing of it happened", func(t *testing.T) {
		require.NotContains(t, string(v.in(t).graphql(`{cases{nodes{place}}}`, nil).Data), "foreign")
	})
	t.Run("no answer lets another origin read", func(t *testing.T) {
		h := h.in(t)
		for _, path := range []string{"/v", "/console", "/staff/", "/graphql", "/healthz", "/files/", "/media/x", "/whip/x"} {
			for _, method := range []string{http.MethodGet, http.MethodOptions, http.MethodPost} {
				a := h.must(method, path, nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
				for name := range a.header {
					require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s %s %s", method, path, name)
				}
				require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
				require.NotEmpty(t, a.header.Get("Content-Security-Policy"))
			}
		}
	})
	r.end()
}

// token asks for a bearer.
func (v *visitor) token(document string) string {
	v.t.Helper()
	return ask[map[string]bearer](v, document, nil)["publish"].Token
}

func TestShapes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.signIn(policy.Dispatcher)
	plain := without(v.headers(), "Content-Type")
	query := `{"query":"{me{kind}}"}`
	big := `{"query":"{me{kind}}","variables":{"x":"` + strings.Repeat("a", 64<<10) + `"}}`
	for name, c := range map[string]struct {
		method, kind, body, reason string
		status                     int
	}{
		"an array of operations":    {"POST", "application/json", "[" + query + "," + query + "]", "QUERY_INVALID", 400},
		"an array of one":           {"POST", "application/json", "[" + query + "]", "QUERY_INVALID", 400},
		"null":                      {"POST", "application/json", "null", "QUERY_INVALID", 400},
		"nothing":                   {"POST", "application/json", "", "QUERY_INVALID", 400},
		"broken JSON":               {"POST", "application/json", `{"query":`, "QUERY_INVALID", 400},
		"no document":               {"POST", "application/json", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`, "QUERY_INVALID", 400},
		"a form":                    {"POST", "application/x-www-form-urlencoded", "query=%7Bme%7Bkind%7D%7D", "UNSUPPORTED_TYPE", 415},
		"a multipart operation":     {"POST", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + query + "\r\n--x--\r\n", "UNSUPPORTED_TYPE", 415},
		"plain text":                {"POST", "text/plain", query, "UNSUPPORTED_TYPE", 415},
		"a bare document":           {"POST", "application/graphql", "{me{kind}}", "UNSUPPORTED_TYPE", 415},
		"another charset":           {"POST", "application/json; charset=utf-16", query, "UNSUPPORTED_TYPE", 415},
		"a GET":                     {"GET", "application/json", "", "METHOD_NOT_ALLOWED", 405},
		"a PUT":                     {"PUT", "application/json", query, "METHOD_NOT_ALLOWED", 405},
		"a body of 64 KiB and more": {"POST", "application/json", big, "TOO_LARGE", 413},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			h := h.in(t)
			path := "/graphql"
			if c.method == "GET" {
				path += "?query=%7Bme%7Bkind%7D%7D"
			}
			a := h.must(c.method, path, []byte(c.body), append([]string{"Content-Type", c.kind}, plain...)...)
			require.Equal(t, c.reason, a.reason(), string(a.body))
			require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
			require.Equal(t, "no-store", a.header.Get("Cache-Control"))
			require.NotContains(t, string(a.body), "DISPATCHER")
		})
	}
	aliases := strings.Builder{}
	for i := range 40 {
		fmt.Fprintf(&aliases, "a%d: me{kind} ", i)
	}
	for name, c := range map[string]struct{ document, reason string }{
		"two operations":        {`query a{me{kind}} query b{me{kind}}`, "QUERY_INVALID"},
		"a field that is not":   {`{casse{nodes{id}}}`, "QUERY_INVALID"},
		"a mutation that is no": {`mutation{openCas{case{id}}}`, "QUERY_INVALID"},
		"forty aliases":         {"{" + aliases.String() + "}", "QUERY_TOO_LARGE"},
		"forty directives":      {`{me{` + strings.Repeat("kind @include(if: true) ", 40) + `}}`, "QUERY_TOO_LARGE"},
		"a deep query":          {`{cases{nodes{sessions{case{sessions{case{sessions{case{sessions{case{sessions{id}}}}}}}}}}}}`, "QUERY_TOO_LARGE"},
		"a wide query":          {`{cases(first:100){nodes{media(first:100){nodes{id}}}}}`, "QUERY_TOO_LARGE"},
		"a cycle of fragments":  {`{...f} fragment f on Query{...g} fragment g on Query{...f}`, "QUERY_INVALID"},
		"three thousand tokens": {"{" + strings.Repeat("me{kind} ", 1000) + "}", "QUERY_TOO_LARGE"},
		"introspection":         {`{__schema{types{name}}}`, "QUERY_INVALID"},
		"introspection of one":  {`{__type(name:"Case"){fields{name}}}`, "QUERY_INVALID"},
	} {
		t.Run(name+" is refused, and names nothing", func(t *testing.T) {
			v := v.in(t)
			require.Equal(t, c.reason, v.refused(c.document, nil))
			a := v.graphql(c.document, nil)
			said, err := json.Marshal(a.Errors)
			require.NoError(t, err)
			for _, name := range []string{"cases", "openCase", "Query", "sessions", "did you mean", ".go", "SELECT"} {
				require.NotContains(t, string(said), name)
			}
		})
	}
	t.Run("a failure inside says nothing of it, and the next request is answered", func(t *testing.T) {
		h, v := h.in(t), v.in(t)
		_, err := h.DB.SQL().ExecContext(t.Context(), "ALTER TABLE cases RENAME TO hidden_cases")
		require.NoError(t, err)
		a := v.graphql(`{cases{nodes{id}}}`, nil)
		require.Len(t, a.Errors, 1)
		require.Equal(t, "INTERNAL", a.Errors[0].Extensions.Code)
		require.Equal(t, problem.New(problem.Internal).Text("en"), a.Errors[0].Message)
		require.Contains(t, said.String(), a.Errors[0].Extensions.ID, "the operator finds the cause by the id")
		_, err = h.DB.SQL().ExecContext(t.Context(), "ALTER TABLE hidden_cases RENAME TO cases")
		require.NoError(t, err)
		require.Empty(t, v.graphql(`{cases{nodes{id}}}`, nil).Errors)
	})
}

func TestRefusalsSpeakBothLanguages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.signIn(policy.Dispatcher)
	manager := h.signIn(policy.Manager)
	for document, reason := range map[string]problem.Reason{
		`{case(id:"nonsense"){id}}`:                      problem.BadID,
		`{cases(after:"nonsense"){nodes{id}}}`:           problem.BadCursor,
		`{journal{nodes{number}}}`:                       problem.Forbidden,
		`{nothing}`:                                      problem.QueryInvalid,
		`{link(secret:"0000000000000000000000"){asked}}`: problem.LinkUnusable,
		`mutation{publish{url}}`:                         problem.Forbidden,
		`mutation{endSession(input:{sessionID:"x",reason:DONE}){session{id}}}`: problem.BadID,
	} {
		for _, language := range []string{"ja", "en"} {
			t.Run(string(reason)+" in "+language, func(t *testing.T) {
				v := v.in(t)
				v.language = language
				a := v.graphql(document, nil)
				require.Len(t, a.Errors, 1)
				p := problem.New(reason)
				require.Equal(t, string(reason), a.Errors[0].Extensions.Reason)
				require.Equal(t, string(p.Code()), a.Errors[0].Extensions.Code)
				require.Equal(t, p.Text(language), a.Errors[0].Message)
			})
		}
	}
	for path, reason := range map[string]problem.Reason{"/nowhere": problem.NotFound, "/graphql": problem.MethodNotAllowed, "/media/x": problem.GrantInvalid, "/files/x": problem.MethodNotAllowed, "/whip/x": problem.MethodNotAllowed} {
		for _, language := range []string{"ja", "en"} {
			t.Run(path+" in "+language, func(t *testing.T) {
				a := h.in(t).must(http.MethodGet, path, nil, "Accept-Language", language+",*;q=0.1")
				var p struct {
					Title, Code, Reason, ID string
					Status                  int
				}
				require.NoError(t, json.Unmarshal(a.body, &p), string(a.body))
				want := problem.New(reason)
				require.Equal(t, string(reason), p.Reason)
				require.Equal(t, string(want.Code()), p.Code)
				require.Equal(t, want.Text(language), p.Title)
				require.Equal(t, want.Status(), a.status)
				require.Equal(t, a.status, p.Status)
				require.NotEmpty(t, p.ID)
			})
		}
	}
	t.Run("a line speaks the language it was opened with", func(t *testing.T) {
		manager := manager.in(t)
		for _, language := range []string{"ja", "en"} {
			manager.language = language
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			var got []graphqlAnswer
			_ = overSocket(ctx, manager, operation(boardChanged, nil), func(a graphqlAnswer) { got = append(got, a); cancel() }) // ends cancelled
			cancel()
			require.Len(t, got, 1)
			require.Equal(t, problem.New(problem.Forbidden).Text(language), got[0].Errors[0].Message)
		}
	})
}

func TestOtherAgencies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.signIn(policy.Dispatcher)
	r := h.reported(theirs)
	c := r.answered()
	file := c.upload(photo(t, 80), "").ID
	other, err := h.People.CreateAgency(t.Context(), identity.NewAgency{Code: "aomori", NameJa: "青森県警察", NameEn: "Aomori Prefectural Police"})
	require.NoError(t, err)
	people := map[policy.Role]*visitor{}
	for _, role := range []policy.Role{policy.Manager, policy.Supervisor, policy.Dispatcher} {
		name := strings.ToLower(string(role))
		_, err := h.People.Register(t.Context(), policy.SystemActor(), other.ID, identity.NewUser{UserName: name, DisplayName: name, Role: role, Password: "a long password", PasswordReason: "test"})
		require.NoError(t, err)
		people[role] = h.signInAs("aomori", name, "a long password")
	}
	someID := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	for _, c := range []struct {
		name, document string
		variables      func(id string) vars
		id             string
	}{
		{"case", `query($id: ID!){case(id:$id){id number}}`, func(id string) vars { return vars{"id": id} }, r.caseID},
		{"session", `query($id: ID!){session(id:$id){id number{e164} link{proof{ja}}}}`, func(id string) vars { return vars{"id": id} }, r.id},
		{"mediaFile", `query($id: ID!){mediaFile(id:$id){id sha256 name}}`, func(id string) vars { return vars{"id": id} }, file},
		{"sessions of a case", `query($id: ID!){sessions(filter:{caseID:$id}){nodes{id}}}`, func(id string) vars { return vars{"id": id} }, r.caseID},
		{"media of a session", `query($id: ID!){mediaFiles(filter:{sessionID:$id}){nodes{id}}}`, func(id string) vars { return vars{"id": id} }, r.id},
		{"journal of a case", `query($id: ID!){journal(filter:{caseID:$id}){nodes{number}}}`, func(id string) vars { return vars{"id": id} }, r.caseID},
		{"updateCase", `mutation($in: UpdateCaseInput!){updateCase(input:$in){case{id}}}`, func(id string) vars { return vars{"in": vars{"caseID": id, "notes": "x"}} }, r.caseID},
		{"markDispatched", `mutation($in: MarkDispatchedInput!){markDispatched(input:$in){case{id}}}`, func(id string) vars { return vars{"in": vars{"caseID": id}} }, r.caseID},
		{"requestVideo", requestVideo, func(id string) vars {
			return vars{"in": vars{"caseID": id, "asked": "LIVE", "need": "x", "checks": allChecks, "number": testNumber}}
		}, r.caseID},
		{"confirmSend", confirmSend, func(id string) vars {
			return vars{"in": vars{"sessionID": id, "lastFour": lastFour, "idempotencyKey": "x"}}
		}, r.id},
		{"askMode", `mutation($in: AskModeInput!){askMode(input:$in){session{id}}}`, func(id string) vars { return vars{"in": vars{"sessionID": id, "mode": "PHOTO"}} }, r.id},
		{"revokeLink", revokeLink, func(id string) vars { return vars{"in": vars{"sessionID": id}} }, r.id},
		{"reportMisdirected", `mutation($in: ReportMisdirectedInput!){reportMisdirected(input:$in){session{id}}}`, func(id string) vars { return vars{"in": vars{"sessionID": id}} }, r.id},
		{"endSession", endSession, func(id string) vars { return vars{"in": vars{"sessionID": id, "reason": "DONE"}} }, r.id},
		{"reportFirstFrame", `mutation($in: ReportFirstFrameInput!){reportFirstFrame(input:$in){session{id}}}`, func(id string) vars { return vars{"in": vars{"sessionID": id}} }, r.id},
		{"watch", watch, func(id string) vars { return vars{"in": vars{"sessionID": id}} }, r.id},
		{"openMedia", openMedia, func(id string) vars { return vars{"in": vars{"mediaFileID": id}} }, file},
		{"takeSnapshot", `mutation($in: TakeSnapshotInput!){takeSnapshot(input:$in){id}}`, func(id string) vars { return vars{"in": vars{"sessionID": id, "size": 10}} }, r.id},
		{"admitPhone", admitPhone, func(id string) vars { return vars{"in": vars{"phoneID": id, "admit": true}} }, c.phone},
	} {
		for role, v := range people {
			t.Run(c.name+" for another agency's "+string(role)+" answers as for what is not there", func(t *testing.T) {
				v := v.in(t)
				there, nowhere := v.graphql(c.document, c.variables(c.id)), v.graphql(c.document, c.variables(uuid.NewString()))
				require.Equal(t, someID.ReplaceAllString(string(nowhere.Data), ""), someID.ReplaceAllString(string(there.Data), ""))
				require.Equal(t, len(nowhere.Errors), len(there.Errors))
				for i := range there.Errors {
					a, b := there.Errors[i], nowhere.Errors[i]
					a.Extensions.ID, b.Extensions.ID = "", ""
					require.Equal(t, b, a)
				}
				require.NotContains(t, string(there.Data), c.id)
			})
		}
	}
	t.Run("lists and subscriptions hold nothing of it", func(t *testing.T) {
		v := people[policy.Supervisor].in(t)
		for _, list := range []string{"cases", "sessions", "mediaFiles"} {
			require.JSONEq(t, `{"`+list+`":{"nodes":[]}}`, string(v.graphql(`{`+list+`{nodes{id}}}`, nil).Data))
		}
		for _, by := range []transport{overSocket, overEvents} {
			require.Equal(t, "NOT_FOUND", v.onlyRefusal(t, by, sessionChanged, vars{"id": r.id}))
		}
		f := v.follow(overSocket, boardChanged, nil, ask[struct{ Cases struct{ Cursor string } }](v, `{cases{cursor}}`, nil).Cases.Cursor, 0)
		defer f.interrupt()
		theirs := theirs.in(t)
		ask[struct{}](theirs, `mutation($in: UpdateCaseInput!){updateCase(input:$in){case{id}}}`, vars{"in": vars{"caseID": r.caseID, "notes": "x"}})
		before := place(t, f.cursor)
		ask[struct{}](v, openCase, vars{"in": vars{"place": "青森"}})
		eventually(t, func() string {
			if got, _ := f.seen(); len(got) == 0 {
				return "the own agency's entry has not come"
			}
			return ""
		})
		got, _ := f.seen()
		require.Equal(t, []int64{before + 1}, got)
	})
	t.Run("all of it is as it was", func(t *testing.T) {
		r := *r
		r.house, r.dispatcher = h.in(t), theirs.in(t)
		s := r.session("state link{state} phones{state}")
		require.Equal(t, "CONNECTED", s.State)
		require.Equal(t, "LIVE", s.Link.State)
		require.Equal(t, "BOUND", s.Phones[0].State)
	})
	r.end()
}

func TestBearers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	r, elsewhere := h.reported(dispatcher), h.reported(dispatcher)
	c := r.answered()
	data := photo(t, 80)
	done := c.upload(data, "")
	second := c.upload(data, "")
	var url, secondURL string
	for id, to := range map[string]*string{done.ID: &url, second.ID: &secondURL} {
		eventually(t, func() string {
			for _, m := range r.kept(2) {
				if m.ID == id && m.Preview != "READY" {
					return m.Preview
				}
			}
			return ""
		})
		*to = dispatcher.open(id)
	}
	_, grant, _ := strings.Cut(url, "?grant=")
	b := c.begin(data, "")
	tokens := map[string]string{
		"upload": b.Token, "publish": c.publish().Token, "watch": r.watch(dispatcher).Token, "grant": grant,
		"nonsense": "nonsense", "nothing": "", "cookie": strings.TrimPrefix(c.cookie, "__Host-caller="), "longer": b.Token + "A", "swapped": c.publish().Token[:20] + b.Token[20:],
	}
	calls := map[string]func(h *house, token string) answer{
		"upload": func(h *house, token string) answer {
			a, _ := h.tus(http.MethodPost, b.URL, token, nil, "Upload-Length", fmt.Sprint(len(data)))
			return a
		},
		"publish": func(h *house, token string) answer {
			return h.must(http.MethodPost, "/whip/"+r.id, []byte("v=0"), "Authorization", "Bearer "+token, "Content-Type", "application/sdp")
		},
		"watch": func(h *house, token string) answer {
			return h.must(http.MethodPost, "/whep/"+r.id, []byte("v=0"), "Authorization", "Bearer "+token, "Content-Type", "application/sdp")
		},
		"grant": func(h *house, token string) answer {
			return h.must(http.MethodGet, "/media/"+done.ID+"?grant="+token, nil)
		},
	}
	for use, call := range calls {
		for kind, token := range tokens {
			if kind == use {
				continue
			}
			t.Run(kind+" is no bearer for "+use, func(t *testing.T) {
				a := call(h.in(t), token)
				require.Contains(t, []string{"BEARER_INVALID", "GRANT_INVALID", "UNAUTHENTICATED"}, a.reason())
				require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, a.status)
			})
		}
	}
	t.Run("a bearer is for its own session and file", func(t *testing.T) {
		h := h.in(t)
		for _, path := range []string{"/whip/" + elsewhere.id, "/whep/" + elsewhere.id} {
			for _, token := range tokens {
				a := h.must(http.MethodPost, path, []byte("v=0"), "Authorization", "Bearer "+token, "Content-Type", "application/sdp")
				require.Equal(t, http.StatusUnauthorized, a.status)
			}
		}
		a, err := h.tus(http.MethodHead, "/files/"+done.ID, b.Token, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.Equal(t, "GRANT_INVALID", h.must(http.MethodGet, "/media/"+second.ID+"?grant="+grant, nil).reason())
	})
	t.Run("originals are never served", func(t *testing.T) {
		h := h.in(t)
		a, err := h.tus(http.MethodGet, "/files/"+done.ID, done.Token, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, a.status)
		require.NotEqual(t, hash(data), hash(h.must(http.MethodGet, url, nil).body))
	})
	t.Run("right bearers are taken", func(t *testing.T) {
		h := h.in(t)
		h.create(b, len(data))
		require.Equal(t, http.StatusOK, h.must(http.MethodGet, url, nil).status)
		require.Equal(t, "SDP_REFUSED", calls["publish"](h, tokens["publish"]).reason())
		require.Equal(t, "SDP_REFUSED", calls["watch"](h, tokens["watch"]).reason())
	})
	t.Run("signing out ends its grants", func(t *testing.T) {
		h := h.in(t)
		leaving := h.signIn(policy.Supervisor)
		url := leaving.open(done.ID)
		require.Equal(t, http.StatusOK, h.must(http.MethodGet, url, nil).status)
		ask[struct{}](leaving, `mutation{signOut{done}}`, nil)
		require.Empty(t, leaving.cookie)
		require.Equal(t, "GRANT_INVALID", h.must(http.MethodGet, url, nil).reason())
	})
	t.Run("time ends bearers after five minutes and grants after ten", func(t *testing.T) {
		h := h.in(t)
		h.clock.advance(5*time.Minute + time.Second)
		for _, use := range []string{"upload", "publish", "watch"} {
			require.Equal(t, "BEARER_INVALID", calls[use](h, tokens[use]).reason(), use)
		}
		require.Equal(t, http.StatusOK, h.must(http.MethodGet, secondURL, nil).status)
		h.clock.advance(5 * time.Minute)
		require.Equal(t, "GRANT_INVALID", h.must(http.MethodGet, url, nil).reason())
		require.Equal(t, "GRANT_INVALID", h.must(http.MethodGet, secondURL, nil).reason())
	})
	r.end()
	elsewhere.end()
}

func TestGuessesAndFloods(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)

	t.Run("every link that cannot be used answers alike", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		ended, revoked, expired := h.reported(dispatcher), h.reported(dispatcher), h.reported(dispatcher)
		ended.end()
		ask[struct{}](dispatcher, revokeLink, vars{"in": vars{"sessionID": revoked.id}})
		replaced := h.reported(dispatcher)
		old := replaced.secret
		replaced.secret = replaced.confirm("again")
		h.clock.advance(10*time.Minute + time.Second)
		require.NoError(t, h.DueWork(t.Context()))
		require.Equal(t, "EXPIRED", expired.session("state").State)
		stranger := h.visitor("caller")
		var first string
		for _, secret := range []string{"0123456789012345678901", ended.secret, revoked.secret, expired.secret, old, "short", strings.Repeat("x", 1000)} {
			for _, document := range []string{openLink, join} {
				in := vars{"secret": secret}
				if document == join {
					in = expired.caller().joining()
					in["secret"] = secret
				}
				a := stranger.graphql(document, vars{"in": in})
				require.Len(t, a.Errors, 1)
				a.Errors[0].Extensions.ID = ""
				said := fmt.Sprintf("%s %+v", a.Data, a.Errors[0])
				if first == "" {
					first = said
					require.Contains(t, said, "LINK_UNUSABLE")
				}
				require.Equal(t, first, said)
			}
		}
	})
	t.Run("the twenty-first guess of a minute waits, a right secret does not", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		h.clock.advance(2 * time.Minute)
		stranger := h.visitor("caller")
		reasons := map[string]int{}
		for i := range 25 {
			reasons[stranger.refused(openLink, vars{"in": vars{"secret": fmt.Sprintf("%022d", i)}})]++
		}
		require.Equal(t, map[string]int{"LINK_UNUSABLE": 20, "RATE_LIMITED": 5}, reasons)
		r := h.reported(dispatcher)
		r.answered().upload(photo(t, 50), "")
		r.end()
	})
	t.Run("five wrong passwords make a user wait, and the right one is taken a minute later", func(t *testing.T) {
		h := h.in(t)
		stranger := h.visitor("console")
		in := vars{"userName": "manager", "password": "wrong password"}
		for range 5 {
			require.Equal(t, "SIGN_IN_FAILED", stranger.refused(signIn, vars{"in": in}))
		}
		require.Equal(t, "SIGN_IN_FAILED", stranger.refused(signIn, vars{"in": vars{"userName": "nobody", "password": "wrong password"}}))
		require.Equal(t, "RATE_LIMITED", stranger.refused(signIn, vars{"in": in}))
		h.clock.advance(time.Minute + time.Second)
		h.signIn(policy.Manager)
	})
	t.Run("the fourth message to a number in ten minutes is refused", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		r.confirm("b")
		r.confirm("c")
		require.Equal(t, "TOO_MANY_SENDS", dispatcher.refused(confirmSend, vars{"in": vars{"sessionID": r.id, "lastFour": lastFour, "idempotencyKey": "d"}}))
		require.Equal(t, "LIVE", r.session("link{state}").Link.State, "the link before lives on")
		r.end()
	})
	t.Run("the ninth connection and the twenty-first subscription are refused", func(t *testing.T) {
		v := h.in(t).signIn(policy.Supervisor)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var lines []*websocket.Conn
		for range 8 {
			c, err := v.socket(ctx)
			require.NoError(t, err)
			lines = append(lines, c)
			defer c.CloseNow()
		}
		_, err := v.socket(ctx)
		require.Equal(t, websocket.StatusCode(4429), websocket.CloseStatus(err), "%v", err)
		for i := range 21 {
			require.NoError(t, wsjson.Write(ctx, lines[0], message{ID: fmt.Sprint(i), Type: "subscribe", Payload: operation(boardChanged, nil)}))
		}
		var refused message
		for refused.Type != "error" && refused.Type != "next" {
			require.NoError(t, wsjson.Read(ctx, lines[0], &refused))
		}
		require.Contains(t, string(refused.Payload), "TOO_MANY_SUBSCRIPTIONS")
		require.NoError(t, lines[1].Write(ctx, websocket.MessageText, []byte(`{"type":"`+strings.Repeat("x", 70<<10)+`"}`)))
		_, _, err = lines[1].Read(ctx)
		require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err), "%v", err)
		require.NoError(t, lines[7].Close(websocket.StatusNormalClosure, ""))
		eventually(t, func() string {
			c, err := v.socket(ctx)
			if err != nil {
				return err.Error()
			}
			_ = c.CloseNow()
			return ""
		})
	})
	t.Run("one publisher a report", func(t *testing.T) {
		h, dispatcher := h.in(t), dispatcher.in(t)
		r := h.reported(dispatcher)
		first := r.answered()
		x := first.film(film{mime: webrtc.MimeTypeVP8}, footage(t, webrtc.MimeTypeVP8, "320x240", 400))
		x.hasSent(t, 10)
		second := r.caller()
		second.agree()
		eventually(t, func() string {
			if r.session("state").State != "CONNECTED" {
				return "not connected"
			}
			return ""
		})
		var waiting string
		for _, p := range r.session("phones{id state}").Phones {
			if p.State != "BOUND" {
				waiting = p.ID
			}
		}
		ask[struct{}](dispatcher, admitPhone, vars{"in": vars{"phoneID": waiting, "admit": true}})
		_, a, err := h.newCamera(second.publish(), film{mime: webrtc.MimeTypeVP8})
		require.NoError(t, err)
		require.Equal(t, "PUBLISHER_PRESENT", a.reason(), string(a.body))
		r.end()
	})
}

func TestHostileText(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		h := open(t, c, &clock{})
		v := h.signIn(policy.Dispatcher)
		for _, text := range []string{`'; DROP TABLE cases; --`, `" OR "1"="1`, `%_\`, `{{7*7}}`, `<script>alert(1)</script>`, "\u202ertl\u200b", `\u0000`, "a\r\nSet-Cookie: x=y", `$1 ? :name @p1`, strings.Repeat("警", 1000)} {
			k := ask[struct {
				OpenCase struct {
					Case struct{ ID, Place, Notes string }
				}
			}](v, `mutation($in: OpenCaseInput!){openCase(input:$in){case{id place notes}}}`, vars{"in": vars{"place": text, "notes": text}}).OpenCase.Case
			require.Equal(t, text, k.Place)
			require.Equal(t, text, k.Notes)
			if len([]rune(text)) > 100 {
				continue
			}
			found := ask[struct{ Cases struct{ Nodes []node } }](v, `query($t: String){cases(filter:{text:$t}){nodes{id}}}`, vars{"t": text}).Cases.Nodes
			require.Equal(t, []node{{k.ID}}, found, "%q finds itself alone", text)
		}
		for _, document := range []string{`query($t: ID!){case(id:$t){id}}`, `query($t: ID!){session(id:$t){id}}`, `query($t: ID!){mediaFile(id:$t){id}}`} {
			a := v.graphql(document, vars{"t": `' OR 1=1 --`})
			require.Len(t, a.Errors, 1)
			require.Equal(t, "BAD_ID", a.Errors[0].Extensions.Reason)
		}
		require.Equal(t, "BAD_INPUT", v.refused(openCase, vars{"in": vars{"place": "a\x00b"}}))
		require.Equal(t, "BAD_INPUT", v.refused(openCase, vars{"in": vars{"place": strings.Repeat("a", 1001)}}))
	})
}
