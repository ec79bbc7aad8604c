package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
)

var codeShown = regexp.MustCompile(`[0-9A-Z]{5}-[0-9A-Z]{5}`)

const (
	issueCode = `mutation($in: IssueTerminalCodeInput!){issueTerminalCode(input:$in){code}}`
	enrol     = `mutation($in: EnrolTerminalInput!){enrolTerminal(input:$in){terminalID kind}}`
	suspend   = `mutation($in: SuspendTerminalInput!){suspendTerminal(input:$in){terminal{state}}}`
)

// desk is a device with a key of its own, as a program holds one in a file.
type desk struct {
	key *ecdsa.PrivateKey
	id  string // names it instead of showing the key
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &desk{key: k}
}

// proof is a DPoP JWT (RFC 9449).
func (d *desk) proof(t testing.TB, nonce, method, address string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	point, err := d.key.PublicKey.Bytes()
	require.NoError(t, err)
	header := vars{"typ": "dpop+jwt", "alg": "ES256"}
	if d.id != "" {
		header["kid"] = d.id
	} else {
		header["jwk"] = vars{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
	}
	var parts []string
	for _, v := range []any{header, vars{"jti": uuid.NewString(), "htm": method, "htu": address, "iat": 0, "nonce": nonce}} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		parts = append(parts, encode(text))
	}
	text := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

// enrol makes the browser a terminal.
func (v *visitor) enrol(code string) string {
	v.t.Helper()
	return ask[struct{ EnrolTerminal struct{ TerminalID string } }](v, enrol, vars{"in": vars{"code": code}}).EnrolTerminal.TerminalID
}

// seat is a browser on a terminal of that kind, enrolled by the manager.
func (h *house) seat(manager *visitor, kind policy.Desk) (*visitor, string) {
	h.t.Helper()
	code := ask[struct{ IssueTerminalCode struct{ Code string } }](manager, issueCode, vars{"in": vars{"kind": kind, "number": uuid.NewString()}}).IssueTerminalCode.Code
	v := h.visitor("console")
	v.desk = newDesk(h.t)
	return v, v.enrol(code)
}

func (v *visitor) enterAs(role policy.Role) *visitor {
	v.t.Helper()
	for _, u := range v.Demo().Users {
		if u.Role == role {
			return v.enter("", u.UserName, u.Password)
		}
	}
	require.FailNow(v.t, "nobody has the role", role)
	return nil
}

// ear listens to a subscription and counts.
type ear struct {
	mu     sync.Mutex
	count  int
	reason string
}

func (v *visitor) hears(document string) *ear {
	v.t.Helper()
	e := &ear{}
	ctx, cut := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = overSocket(ctx, v, operation(document, nil), func(a graphqlAnswer) { // its end is told by a refusal
			e.mu.Lock()
			defer e.mu.Unlock()
			e.count++
			if len(a.Errors) > 0 {
				e.reason = a.Errors[0].Extensions.Reason
			}
		})
	}()
	v.t.Cleanup(func() { cut(); <-gone })
	return e
}

func (e *ear) answers() int    { e.mu.Lock(); defer e.mu.Unlock(); return e.count }
func (e *ear) refusal() string { e.mu.Lock(); defer e.mu.Unlock(); return e.reason }

// demoDesk is the demonstration's terminal as a program proves it, by the key in
// demo.json.
func (h *house) demoDesk() *visitor {
	h.t.Helper()
	d := h.Demo().Terminal
	block, _ := pem.Decode([]byte(d.PrivateKey))
	require.Equal(h.t, "PRIVATE KEY", block.Type)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(h.t, err)
	v := h.visitor("console")
	v.desk = &desk{key: key.(*ecdsa.PrivateKey), id: d.ID}
	return v
}

// T09 and 第4の6: the console answers on an enrolled terminal and nowhere else,
// whoever asks and whatever they know.
func TestUnenrolledBrowserWithRightCredentialIsRefused(t *testing.T) {
	t.Parallel()
	h := openWith(t, config(t, ""), &clock{}, &postbox{}, app.WithStrictTerminals())
	manager := h.demoDesk().enterAs(policy.Manager)
	u := h.Demo().Users[2]
	right := vars{"in": vars{"userName": u.UserName, "password": u.Password}}

	stranger := h.visitor("console")
	require.Equal(t, "TERMINAL_UNKNOWN", stranger.refused(signIn, right), "no key")
	require.Empty(t, stranger.cookie)
	require.Equal(t, "TERMINAL_UNKNOWN", stranger.refused(`{me{kind}}`, nil))
	require.Equal(t, "TERMINAL_UNKNOWN", stranger.refused(enrol, vars{"in": vars{"code": "AAAAA-AAAAA"}}), "a code alone is not enough")
	nameless := h.visitor("")
	require.Equal(t, "TERMINAL_UNKNOWN", nameless.refused(signIn, right), "no page named")
	phone := h.visitor("caller")
	require.Equal(t, "TERMINAL_UNKNOWN", phone.refused(signIn, right), "the caller's page")
	require.Equal(t, "LINK_UNUSABLE", phone.refused(openLink, vars{"in": vars{"secret": "x"}}), "callers need no terminal")

	stranger.desk = newDesk(t)
	require.Equal(t, "TERMINAL_UNKNOWN", stranger.refused(signIn, right), "a key that is nobody's")
	require.Equal(t, "TERMINAL_CODE_WRONG", stranger.refused(enrol, vars{"in": vars{"code": "AAAAA-AAAAA"}}))

	desk, id := h.seat(manager, policy.Tablet)
	desk.enter("", u.UserName, u.Password)
	ask[struct{}](desk, `{cases{nodes{id}}}`, nil)
	thief := h.visitor("console")
	thief.cookie = desk.cookie
	require.Equal(t, "TERMINAL_UNKNOWN", thief.refused(`{cases{nodes{id}}}`, nil), "the right cookie without the key")
	thief.desk = newDesk(t)
	require.Equal(t, "TERMINAL_UNKNOWN", thief.refused(`{cases{nodes{id}}}`, nil), "the right cookie with a key that is nobody's")
	other, _ := h.seat(manager, policy.Tablet)
	other.cookie = desk.cookie
	require.Equal(t, "TERMINAL_DIFFERS", other.refused(`{cases{nodes{id}}}`, nil), "another terminal's proof with that cookie")
	require.Empty(t, other.cookie)
	other.enter("", u.UserName, u.Password)
	for _, e := range h.journaled(manager) {
		if e.Type == "TERMINAL_REFUSED" {
			id = ""
		}
	}
	require.Empty(t, id, "it is on record")

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	line, err := desk.socket(ctx)
	require.NoError(t, err)
	require.NoError(t, line.CloseNow())
	bare := h.visitor("console")
	bare.cookie = desk.cookie
	_, err = bare.socket(ctx)
	require.Error(t, err, "a socket proves its terminal, too")

	proof := desk.desk.proof(t, h.nonce(), http.MethodPost, h.URL()+"/graphql")
	send := func() answer {
		return h.must(http.MethodPost, "/graphql", operation(`{me{kind}}`, nil), "Origin", h.URL(), "Content-Type", "application/json",
			"Accept", "application/graphql-response+json", "Genba-Actor", "console", "Cookie", desk.cookie, "DPoP", proof)
	}
	first := send()
	require.Equal(t, http.StatusOK, first.status)
	require.NotEmpty(t, first.header.Get("DPoP-Nonce"))
	again := send()
	require.Equal(t, http.StatusUnauthorized, again.status)
	require.Contains(t, string(again.body), "PROOF_REPLAYED", "a proof that was captured is good for nothing (T44)")
	h.clock.advance(3 * time.Minute)
	proof = desk.desk.proof(t, first.header.Get("DPoP-Nonce"), http.MethodPost, h.URL()+"/graphql")
	late := send()
	require.Equal(t, http.StatusUnauthorized, late.status)
	require.Equal(t, `DPoP error="use_dpop_nonce"`, late.header.Get("WWW-Authenticate"))
	require.Contains(t, string(late.body), "TERMINAL_NONCE")
}

// In demo mode programs sign in by password as ever; what does show a proof is
// held to it.
func TestDemoTerminal(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	h := open(t, c, &clock{})
	v := h.signIn(policy.Dispatcher)
	require.JSONEq(t, `{"me":{"terminal":{"number":"DEMO-1","kind":"NOTEBOOK"}}}`, string(v.graphql(`{me{terminal{number kind}}}`, nil).Data))
	written := demo(t, c.Data).Terminal
	require.Equal(t, h.Demo().Terminal, written)
	proving := h.demoDesk()
	proving.cookie = v.cookie
	ask[struct{}](proving, `{cases{nodes{id}}}`, nil)
	wrong := h.visitor("console")
	wrong.desk, wrong.cookie = newDesk(t), v.cookie
	require.Equal(t, "TERMINAL_UNKNOWN", wrong.refused(`{cases{nodes{id}}}`, nil))
	wrong.desk.id = written.ID
	require.Equal(t, "TERMINAL_UNKNOWN", wrong.refused(`{cases{nodes{id}}}`, nil))
	nameless := h.visitor("")
	ask[struct{}](nameless, signIn, vars{"in": vars{"userName": h.Demo().Users[0].UserName, "password": h.Demo().Users[0].Password}})
	ask[struct{}](h.signIn(policy.Supervisor), suspend, vars{"in": vars{"terminalID": written.ID, "reason": "終業"}})
	require.Equal(t, "TERMINAL_SUSPENDED", v.refused(`{me{kind}}`, nil))
	require.Equal(t, "TERMINAL_SUSPENDED", proving.refused(`{me{kind}}`, nil))
}

// 第4の6: a terminal that is suspended is dark within a second: its consoles, its
// live video and its downloads.
func TestSuspendedTerminalIsCut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	manager, dispatcher := h.signIn(policy.Manager), h.signIn(policy.Dispatcher)
	clip := footage(t, webrtc.MimeTypeH264, "320x240", 400)
	tablet, id := h.seat(manager, policy.Tablet)
	tablet.enterAs(policy.Supervisor)
	r := h.reported(dispatcher)
	phone := r.answered()
	b := phone.upload(photo(t, 60), "")
	phone.film(film{mime: webrtc.MimeTypeH264}, clip)
	stays, leaves := r.watched(dispatcher), r.watched(tablet)
	stays.sees(t, 30)
	leaves.sees(t, 30)
	grant := eventuallyOpened(tablet, b.ID)
	require.Equal(t, http.StatusOK, h.must(http.MethodGet, grant, nil).status)
	console := tablet.hears(`subscription { ownTerminalChanged { number } }`)
	eventually(t, func() string {
		if console.answers() == 0 {
			return "the console does not know its terminal"
		}
		return ""
	})

	ask[struct{}](h.signIn(policy.Supervisor), suspend, vars{"in": vars{"terminalID": id, "reason": "紛失"}})
	leaves.requireDark(t, time.Now())
	stays.sees(t, 30)
	require.Equal(t, "TERMINAL_SUSPENDED", tablet.refused(`{me{kind}}`, nil))
	eventually(t, func() string {
		if why := console.refusal(); why != "TERMINAL_SUSPENDED" {
			return "the console goes on: " + why
		}
		return ""
	})
	require.Contains(t, []string{"GRANT_INVALID", "TERMINAL_SUSPENDED"}, h.must(http.MethodGet, grant, nil).reason())
	r.end()
}

// 第5の2: an ADMIN desk shows no live media, not even a little later.
func TestAdminDeskShowsNoLiveMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dispatcher := h.signIn(policy.Dispatcher)
	admin, _ := h.seat(h.signIn(policy.Manager), policy.Admin)
	admin.enterAs(policy.Supervisor)
	r := h.reported(dispatcher)
	r.answered().film(film{mime: webrtc.MimeTypeH264}, footage(t, webrtc.MimeTypeH264, "320x240", 400))
	r.watched(dispatcher).sees(t, 30)
	require.Equal(t, "FORBIDDEN", admin.refused(watch, vars{"in": vars{"sessionID": r.id}}))
	files := r.session("media{nodes{id}}").Media.Nodes
	require.Len(t, files, 1)
	require.Equal(t, "FORBIDDEN", admin.refused(openMedia, vars{"in": vars{"mediaFileID": files[0].ID}}), "the recording that is being made")
	ask[struct{}](dispatcher, openMedia, vars{"in": vars{"mediaFileID": files[0].ID}})
	r.end()
}

// eventuallyOpened is the address of a file under a grant, once its preview is
// made.
func eventuallyOpened(v *visitor, id string) string {
	v.t.Helper()
	var address string
	eventually(v.t, func() string {
		a := v.graphql(openMedia, vars{"in": vars{"mediaFileID": id}})
		if len(a.Errors) > 0 {
			return a.Errors[0].Extensions.Reason
		}
		var opened struct{ OpenMedia struct{ URL string } }
		require.NoError(v.t, json.Unmarshal(a.Data, &opened))
		address = opened.OpenMedia.URL
		return ""
	})
	return address
}
