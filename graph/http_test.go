package graph_test

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	plainJSON    = "application/json"
	responseJSON = "application/graphql-response+json"
)

// raw sends a request as it is, as nobody.
func raw(h *house, method, accept, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(h.t.Context(), method, "/graphql", strings.NewReader(body))
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	return w
}

// The items of GraphQL over HTTP that say MUST and SHOULD, and those MAYs that
// are ours.
func TestGraphQLOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, secret := h.newSession(h.dispatcher())
		link := `{"query":"query Q($s: String!) { link(secret: $s) { language } }","variables":{"s":"` + secret + `"}}`
		for _, c := range []struct {
			name, accept, body string
			status             int
			kind               string
			data               bool // the answer has a data entry
			errors             bool
		}{
			{"plain JSON is answered in kind", plainJSON, `{"query":"{ __typename }"}`, 200, plainJSON, true, false},
			{"the newer type is answered in kind", responseJSON, `{"query":"{ __typename }"}`, 200, responseJSON, true, false},
			{"anything is answered with plain JSON", "*/*", `{"query":"{ __typename }"}`, 200, plainJSON, true, false},
			{"no Accept is answered with plain JSON", "", `{"query":"{ __typename }"}`, 200, plainJSON, true, false},
			{"the first of a list is taken", responseJSON + "; charset=utf-8, " + plainJSON + "; charset=utf-8", `{"query":"{ __typename }"}`, 200, responseJSON, true, false},
			{"what is unknown is passed over", "text/html, " + responseJSON + ";q=0.9", `{"query":"{ __typename }"}`, 200, responseJSON, true, false},
			{"null for what may be left out is taken", responseJSON, `{"query":"{ __typename }","operationName":null,"variables":null,"extensions":null}`, 200, responseJSON, true, false},
			{"operationName chooses", responseJSON, `{"query":"query A { __typename } query B { me { kind } }","operationName":"A"}`, 200, responseJSON, true, false},
			{"variables are a map", responseJSON, link, 200, responseJSON, true, false},
			{"variables are a map for plain JSON, too", plainJSON, link, 200, plainJSON, true, false},
			{"extensions are a map", plainJSON, `{"query":"{ __typename }","extensions":{"a":{"b":[1]}}}`, 200, plainJSON, true, false},
			{"unknown members are passed over", plainJSON, `{"query":"{ __typename }","doc_id":"1"}`, 200, plainJSON, true, false},

			{"a document that does not parse", plainJSON, `{"query":"{"}`, 200, plainJSON, false, true},
			{"a document that does not parse, newer", responseJSON, `{"query":"{"}`, 400, responseJSON, false, true},
			{"a document that is not valid", plainJSON, `{"query":"{ nothing }"}`, 200, plainJSON, false, true},
			{"a document that is not valid, newer", responseJSON, `{"query":"{ nothing }"}`, 400, responseJSON, false, true},
			{"a variable of the wrong type", plainJSON, `{"query":"query($s: String!) { link(secret: $s) { language } }","variables":{"s":[1]}}`, 200, plainJSON, false, true},
			{"a variable of the wrong type, newer", responseJSON, `{"query":"query($s: String!) { link(secret: $s) { language } }","variables":{"s":[1]}}`, 400, responseJSON, false, true},
			{"a variable that is missing, newer", responseJSON, `{"query":"query($s: String!) { link(secret: $s) { language } }"}`, 400, responseJSON, false, true},
			{"an operation that is not there, newer", responseJSON, `{"query":"query A { __typename }","operationName":"B"}`, 400, responseJSON, false, true},
			{"no choice among operations, newer", responseJSON, `{"query":"query A { __typename } query B { __typename }"}`, 400, responseJSON, false, true},
			{"only a fragment, newer", responseJSON, `{"query":"fragment F on Query { __typename }"}`, 400, responseJSON, false, true},
			{"what needs a sign-in", plainJSON, `{"query":"{ cases { nodes { id } } }"}`, 200, plainJSON, false, true},
			{"what needs a sign-in, newer", responseJSON, `{"query":"{ cases { nodes { id } } }"}`, 401, responseJSON, false, true},
			{"a subscription without a stream, newer", responseJSON, `{"query":"subscription { ownSessionChanged { id } }"}`, 401, responseJSON, false, true},
			{"an error of a field is an answer", plainJSON, `{"query":"{ link(secret: \"x\") { language } }"}`, 200, plainJSON, true, true},
			{"an error of a field is an answer, newer", responseJSON, `{"query":"{ link(secret: \"x\") { language } }"}`, 200, responseJSON, true, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/json; charset=UTF-8"} {
					w := raw(h, http.MethodPost, c.accept, contentType, c.body)
					require.Equal(t, c.status, w.Code, w.Body)
					kind, parameters, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
					require.NoError(t, err)
					require.Equal(t, c.kind, kind)
					require.Equal(t, "utf-8", parameters["charset"])
					require.True(t, utf8.Valid(w.Body.Bytes()))
					var members map[string]json.RawMessage
					require.NoError(t, json.Unmarshal(w.Body.Bytes(), &members), w.Body)
					require.Equal(t, c.data, members["data"] != nil, w.Body)
					require.Equal(t, c.errors, members["errors"] != nil, w.Body)
					require.Len(t, members, map[bool]int{true: 2, false: 1}[c.data && c.errors], "nothing but data and errors")
				}
			})
		}
	})
}

func TestWhatIsNoGraphQLRequestIsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.dispatcher()
		const ok = `{"query":"{ __typename }"}`
		for _, c := range []struct {
			name, method, contentType, body string
			status                          int
			reason                          string
		}{
			{"GET", http.MethodGet, "", "", 405, "METHOD_NOT_ALLOWED"},
			{"GET with a body", http.MethodGet, plainJSON, ok, 405, "METHOD_NOT_ALLOWED"},
			{"HEAD", http.MethodHead, "", "", 405, "METHOD_NOT_ALLOWED"},
			{"OPTIONS", http.MethodOptions, "", "", 405, "METHOD_NOT_ALLOWED"},
			{"PUT", http.MethodPut, plainJSON, ok, 405, "METHOD_NOT_ALLOWED"},
			{"DELETE", http.MethodDelete, plainJSON, ok, 405, "METHOD_NOT_ALLOWED"},
			{"no content type", http.MethodPost, "", ok, 415, "UNSUPPORTED_TYPE"},
			{"text", http.MethodPost, "text/plain", ok, 415, "UNSUPPORTED_TYPE"},
			{"GraphQL as such", http.MethodPost, "application/graphql", "{ __typename }", 415, "UNSUPPORTED_TYPE"},
			{"a form", http.MethodPost, "application/x-www-form-urlencoded", "query=%7B__typename%7D", 415, "UNSUPPORTED_TYPE"},
			{"a multipart form", http.MethodPost, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + ok + "\r\n--x--", 415, "UNSUPPORTED_TYPE"},
			{"a mixed multipart", http.MethodPost, "multipart/mixed; boundary=x", ok, 415, "UNSUPPORTED_TYPE"},
			{"another charset", http.MethodPost, "application/json; charset=utf-16", ok, 415, "UNSUPPORTED_TYPE"},
			{"a type that cannot be read", http.MethodPost, "application/json; charset", ok, 415, "UNSUPPORTED_TYPE"},
			{"no body", http.MethodPost, plainJSON, "", 400, "QUERY_INVALID"},
			{"null", http.MethodPost, plainJSON, "null", 400, "QUERY_INVALID"},
			{"a string", http.MethodPost, plainJSON, `"{ __typename }"`, 400, "QUERY_INVALID"},
			{"a number", http.MethodPost, plainJSON, "1", 400, "QUERY_INVALID"},
			{"broken JSON", http.MethodPost, plainJSON, `{"query":"{ __typename }"`, 400, "QUERY_INVALID"},
			{"two requests in a row", http.MethodPost, plainJSON, ok + ok, 400, "QUERY_INVALID"},
			{"a batch", http.MethodPost, plainJSON, "[" + ok + "]", 400, "QUERY_INVALID"},
			{"a batch of two", http.MethodPost, plainJSON, "[" + ok + "," + ok + "]", 400, "QUERY_INVALID"},
			{"an empty batch", http.MethodPost, plainJSON, "[]", 400, "QUERY_INVALID"},
			{"no query", http.MethodPost, plainJSON, "{}", 400, "QUERY_INVALID"},
			{"an empty query", http.MethodPost, plainJSON, `{"query":""}`, 400, "QUERY_INVALID"},
			{"query is null", http.MethodPost, plainJSON, `{"query":null}`, 400, "QUERY_INVALID"},
			{"query is an object", http.MethodPost, plainJSON, `{"query":{}}`, 400, "QUERY_INVALID"},
			{"query is a number", http.MethodPost, plainJSON, `{"query":0}`, 400, "QUERY_INVALID"},
			{"query is a boolean", http.MethodPost, plainJSON, `{"query":true}`, 400, "QUERY_INVALID"},
			{"query is an array", http.MethodPost, plainJSON, `{"query":["{ __typename }"]}`, 400, "QUERY_INVALID"},
			{"operationName is an object", http.MethodPost, plainJSON, `{"query":"{ __typename }","operationName":{}}`, 400, "QUERY_INVALID"},
			{"operationName is a number", http.MethodPost, plainJSON, `{"query":"{ __typename }","operationName":0}`, 400, "QUERY_INVALID"},
			{"operationName is an array", http.MethodPost, plainJSON, `{"query":"{ __typename }","operationName":[]}`, 400, "QUERY_INVALID"},
			{"variables are a string", http.MethodPost, plainJSON, `{"query":"{ __typename }","variables":"{}"}`, 400, "QUERY_INVALID"},
			{"variables are a number", http.MethodPost, plainJSON, `{"query":"{ __typename }","variables":0}`, 400, "QUERY_INVALID"},
			{"variables are an array", http.MethodPost, plainJSON, `{"query":"{ __typename }","variables":[]}`, 400, "QUERY_INVALID"},
			{"extensions are a string", http.MethodPost, plainJSON, `{"query":"{ __typename }","extensions":"{}"}`, 400, "QUERY_INVALID"},
			{"extensions are an array", http.MethodPost, plainJSON, `{"query":"{ __typename }","extensions":[]}`, 400, "QUERY_INVALID"},
			{"a persisted query", http.MethodPost, plainJSON, `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"7f56e67dd21ab3f30d1ff8b7bed08893f0a0db86449836189b361dd1e56ddb4b"}}}`, 400, "QUERY_INVALID"},
			{"more than 64 KiB", http.MethodPost, plainJSON, `{"query":"{ __typename }","variables":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`, 413, "TOO_LARGE"},
		} {
			t.Run(c.name, func(t *testing.T) {
				for _, accept := range []string{plainJSON, responseJSON, "text/event-stream"} {
					before := h.statements.Load()
					w := raw(h, c.method, accept, c.contentType, c.body)
					require.Equal(t, c.status, w.Code, w.Body)
					require.Equal(t, c.status == 405, w.Header().Get("Allow") == http.MethodPost)
					var a answer
					require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
					require.Equal(t, c.reason, a.Reason)
					require.Equal(t, before, h.statements.Load(), "nothing ran")
				}
			})
		}
	})
}

func TestAnswerIsNotEncodedTwice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := h.dispatcher()
		const odd = `<b>&"\` + "\u2028\u0000"
		a := h.input(v, "openCase", "OpenCaseInput", "case { place }", map[string]any{"place": `<b>&"\` + "\u2028"})
		require.Equal(t, `<b>&"\`+"\u2028", a.text("openCase", "case", "place"))
		require.False(t, bytes.Contains(a.body, []byte(`\\u2028`)))
		require.Equal(t, "BAD_INPUT", h.input(v, "openCase", "OpenCaseInput", "case { place }", map[string]any{"place": odd}).reason())
	})
}
