package graph_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/gorm"

	"genba/graph"
	"genba/graph/generated"
	"genba/policy"
	"genba/server/blob"
	"genba/server/bus"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/operations"
	"genba/server/problem"
	"genba/server/statistics"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == evidence.PreviewArgument { // evidence starts its own program to make previews
		if err := evidence.PreviewMain(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m,
		// GORM keeps one goroutine for each database that was ever opened; tus
		// keeps the context of a finished request for some seconds.
		goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"),
		goleak.IgnoreTopFunction("github.com/tus/tusd/v2/pkg/handler.newDelayedContext.func1"),
	)
}

// schema is the contract as it is served.
var schema = generated.NewExecutableSchema(generated.Config{}).Schema()

// house is every room that the API stands on, wired as the server wires them,
// with two agencies.
type house struct {
	t          testing.TB
	db         *database.DB
	policy     *policy.Policy
	bus        *bus.Bus
	journal    *journal.Journal
	people     *identity.Identity
	cases      *cases.Cases
	notify     *notify.Notify
	evidence   *evidence.Evidence
	operations *operations.Operations
	resolver   *graph.Resolver
	files      http.Handler
	api        http.Handler
	carrier    *carrier
	own        *agency
	other      *agency
	runs       *visitor           // the installation
	terminal   *identity.Terminal // where everybody signs in

	statements atomic.Int64
	onSQL      atomic.Pointer[func(*gorm.DB)]
	cut        sync.Map // sign-ins whose video was cut
	seats      sync.Map // terminals by the token that was given there
}

// agency is a command centre with the people who have signed in so far.
type agency struct {
	*identity.Agency
	people map[policy.Role]*visitor
}

// visitor is one browser: who it is, and the page it shows.
type visitor struct {
	name   string
	actor  policy.Actor
	page   string
	token  string
	secret string // of a caller's link
	key    *ecdsa.PrivateKey
	// enrols is a new device's key, which is all that it can show.
	enrols *identity.PublicKey
	idle   bool // nobody sits there: the screen locks when its time is over
}

// carrier keeps every message that was sent.
type carrier struct {
	mu   sync.Mutex
	sent []notify.Message
}

func (c *carrier) Send(_ context.Context, m notify.Message) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, m)
	return "", nil
}

// last is the newest message to an address.
func (c *carrier) last(t testing.TB, to string) notify.Message {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.sent) - 1; i >= 0; i-- {
		if c.sent[i].To == to {
			return c.sent[i]
		}
	}
	require.FailNow(t, "nothing was sent")
	return notify.Message{}
}

// CutPeer notes whose live video is cut.
func (h *house) CutPeer(login string) { h.cut.Store(login, true) }

const (
	password   = "correct horse battery"
	publicURL  = "https://report.example"
	number     = "+819012345678"
	lastFour   = "5678"
	otherPhone = "+818011112222"
)

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db *database.DB) { fn(t, newHouse(t, db)) })
}

func newHouse(t testing.TB, db *database.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, carrier: &carrier{}}
	dir := t.TempDir()
	keys, err := blob.OpenKeys(filepath.Join(dir, "keys"))
	require.NoError(t, err)
	store, err := blob.OpenStore(filepath.Join(dir, "files"))
	require.NoError(t, err)
	signer, err := keys.Ensure("server")
	require.NoError(t, err)
	h.policy, err = policy.New()
	require.NoError(t, err)
	h.bus, err = bus.Open("")
	require.NoError(t, err)
	t.Cleanup(h.bus.Close)
	h.journal = journal.New(db, h.bus)
	h.people, err = identity.New(db, h.journal)
	require.NoError(t, err)
	bearers := identity.NewBearers(signer, db.Clock)
	passkeys, err := identity.NewPasskeys(publicURL, signer)
	require.NoError(t, err)
	h.people.UsePasskeys(passkeys)
	h.cases = cases.New(db, h.journal, h.people, bearers, keys)
	h.people.OnLeaving(h.cases.PassOn)
	h.notify = notify.New(db, h.journal, h.cases, h.people, h.carrier, func() string { return publicURL }, slog.New(slog.DiscardHandler))
	h.evidence, err = evidence.New(evidence.Config{
		DB: db, Journal: h.journal, Cases: h.cases, Identity: h.people, Bearers: bearers, Store: store, Keys: keys,
		WriteProblem: writeProblem, Logger: slog.New(slog.DiscardHandler),
		Used: func() (float64, error) { return 0, nil },
	})
	require.NoError(t, err)
	believed, err := h.evidence.Anchor(h.ctx())
	require.NoError(t, err)
	require.True(t, believed)
	h.files = h.evidence.Files()
	h.operations = operations.New(db, h.journal, h.people, h.cases)
	h.resolver = &graph.Resolver{
		Policy: h.policy, Bus: h.bus, Journal: h.journal, People: h.people, Bearers: bearers, Cases: h.cases, Notify: h.notify,
		Evidence: h.evidence, Statistics: statistics.New(db), Operations: h.operations, Streams: h,
	}
	h.api = h.handler(graph.Options{WriteProblem: writeProblem})
	h.watchSQL()
	h.own = h.createAgency("fukushima", "福島県警察", "Fukushima Prefectural Police")
	h.other = h.createAgency("miyagi", "宮城県警察", "Miyagi Prefectural Police")
	h.terminal, err = h.people.AddTerminal(h.ctx(), policy.SystemActor(), h.own.ID, identity.NewTerminal{Kind: policy.Notebook, Number: "1"}, newKey(t), true)
	require.NoError(t, err)
	return h
}

func (h *house) ctx() context.Context {
	return identity.WithTerminal(identity.WithAddress(h.t.Context(), "192.0.2.1"), h.terminal)
}

// newKey is the key of a device.
func newKey(t testing.TB) identity.PublicKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := identity.NewPublicKey(&private.PublicKey)
	require.NoError(t, err)
	return key
}

// watchSQL counts every statement that goes to the database, and lets a test
// break one.
func (h *house) watchSQL() {
	count := func(q *gorm.DB) {
		h.statements.Add(1)
		if f := h.onSQL.Load(); f != nil {
			(*f)(q)
		}
	}
	on := h.db.Read(h.ctx()).Callback()
	require.NoError(h.t, on.Query().Before("gorm:query").Register("count", count))
	require.NoError(h.t, on.Row().Before("gorm:row").Register("count", count))
	require.NoError(h.t, on.Raw().Before("gorm:raw").Register("count", count))
	require.NoError(h.t, on.Create().Before("gorm:create").Register("count", count))
	require.NoError(h.t, on.Update().Before("gorm:update").Register("count", count))
	require.NoError(h.t, on.Delete().Before("gorm:delete").Register("count", count))
}

func (h *house) createAgency(code, ja, en string) *agency {
	h.t.Helper()
	a, err := h.people.CreateAgency(h.ctx(), identity.NewAgency{Code: code, NameJa: ja, NameEn: en})
	require.NoError(h.t, err)
	return &agency{Agency: a, people: map[policy.Role]*visitor{}}
}

// who signs somebody of the role in, once.
func (h *house) who(a *agency, role policy.Role) *visitor {
	h.t.Helper()
	if v := a.people[role]; v != nil {
		return v
	}
	v := h.signIn(a, strings.ToLower(string(role)), role)
	a.people[role] = v
	return v
}

func (h *house) signIn(a *agency, name string, role policy.Role) *visitor {
	h.t.Helper()
	_, err := h.people.Register(h.ctx(), policy.SystemActor(), a.ID, identity.NewUser{UserName: name, DisplayName: name, Role: role, Password: password, PasswordReason: "test"})
	require.NoError(h.t, err)
	return h.signInAgain(a, name)
}

func (h *house) signInAgain(a *agency, name string) *visitor {
	h.t.Helper()
	token, actor, err := h.people.SignIn(h.ctx(), a.Code, name, password)
	require.NoError(h.t, err)
	return &visitor{name: string(actor.Role), actor: actor, page: "console", token: token}
}

// signInAt signs somebody in who is registered, at a terminal.
func (h *house) signInAt(t *identity.Terminal, a *agency, name string) *visitor {
	h.t.Helper()
	token, actor, err := h.people.SignIn(identity.WithTerminal(h.ctx(), t), a.Code, name, password)
	require.NoError(h.t, err)
	h.seats.Store(token, t)
	return &visitor{name: string(actor.Role), actor: actor, page: "console", token: token}
}

func (h *house) manager() *visitor    { return h.who(h.own, policy.Manager) }
func (h *house) supervisor() *visitor { return h.who(h.own, policy.Supervisor) }
func (h *house) dispatcher() *visitor { return h.who(h.own, policy.Dispatcher) }

var nobody = &visitor{name: "nobody"}

// tokenHolder is an actor without a page: what a token of a command system or
// of an analyst stands for.
func tokenHolder(a *agency, kind policy.Kind, role policy.Role) *visitor {
	return &visitor{name: string(role), actor: policy.Actor{Kind: kind, ID: identity.NewID(), Agency: a.ID, Role: role}}
}

// handler is the API behind what the server puts before it: who asks, by the
// cookie of the page that they name.
func (h *house) handler(o graph.Options) http.Handler {
	next := graph.NewHandler(h.resolver, o)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookies := map[string]string{}
		for _, page := range []string{"console", "caller", "staff"} {
			if c, err := r.Cookie("__Host-" + page); err == nil {
				cookies[page] = c.Value
			}
		}
		v := graph.Visitor{Actor: policy.Actor{Kind: policy.Nobody}, Language: "en", Done: h.t.Context().Done()}
		if r.Header.Get("Accept-Language") == "ja" {
			v.Language = "ja"
		}
		v.Recognise = func(ctx context.Context, page string) (policy.Actor, error) {
			switch token := cookies[page]; {
			case token == "":
			case page == "console":
				return h.people.Recognise(ctx, token)
			case page == "caller":
				return h.cases.Recognise(ctx, token)
			case page == "staff":
				return h.cases.RecogniseStaff(ctx, token)
			}
			return policy.Actor{}, problem.New(problem.Unauthenticated)
		}
		ctx := identity.WithTerminal(identity.WithAddress(r.Context(), "192.0.2.1"), h.terminal)
		if t, elsewhere := h.seats.Load(cookies["console"]); elsewhere {
			ctx = identity.WithTerminal(ctx, t.(*identity.Terminal))
		}
		if given, ok := r.Context().Value(visitorKey{}).(*visitor); ok && given.enrols != nil {
			ctx, v.Refused = identity.WithNewKey(ctx, *given.enrols), problem.New(problem.TerminalUnknown)
		} else if ok {
			v.Actor = given.actor
		} else if r.Header.Get("Upgrade") == "" {
			actor, err := v.Recognise(ctx, r.Header.Get("Genba-Actor"))
			switch {
			case err == nil:
				v.Actor = actor
			case !problem.Is(err, problem.Unauthenticated):
				v.Refused = err
			}
		}
		v.SetCookie = func(page, value string) {
			w.Header().Add("Set-Cookie", "__Host-"+page+"="+value+"; Path=/; Secure; HttpOnly; SameSite=Strict")
		}
		next.ServeHTTP(w, r.WithContext(graph.WithVisitor(ctx, v)))
	})
}

type visitorKey struct{}

func writeProblem(w http.ResponseWriter, _ *http.Request, err error) {
	p := problem.Of(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"title": p.Text("en"), "status": p.Status(), "code": p.Code(), "reason": p.Reason()})
}

// answer is what came back from GraphQL.
type answer struct {
	status int
	header http.Header
	body   []byte
	Data   json.RawMessage `json:"data"`
	Errors []struct {
		Message    string         `json:"message"`
		Path       []any          `json:"path"`
		Extensions map[string]any `json:"extensions"`
	} `json:"errors"`
	// of a problem
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// reason is the first error's reason, or empty.
func (a answer) reason() string {
	if len(a.Errors) > 0 {
		return a.Errors[0].Extensions["reason"].(string)
	}
	return a.Reason
}

// at digs a value out of the data: at("case", "id").
func (a answer) at(path ...string) any {
	var v any
	if json.Unmarshal(a.Data, &v) != nil {
		return nil
	}
	for _, p := range path {
		switch on := v.(type) {
		case map[string]any:
			v = on[p]
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(on) {
				return nil
			}
			v = on[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) text(path ...string) string { s, _ := a.at(path...).(string); return s }

// withoutIDs is the answer without what differs in every one: errors' own ids.
func (a answer) withoutIDs() string {
	var v struct {
		Data   any              `json:"data,omitempty"`
		Errors []map[string]any `json:"errors,omitempty"`
	}
	if json.Unmarshal(a.body, &v) != nil {
		return string(a.body)
	}
	for _, e := range v.Errors {
		if x, ok := e["extensions"].(map[string]any); ok {
			delete(x, "id")
		}
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func (h *house) request(v *visitor, body []byte) *http.Request {
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if v.token != "" {
		if !v.idle {
			require.NoError(h.t, h.people.StayAwake(h.ctx(), v.actor.Login))
		}
		r.Header.Set("Genba-Actor", v.page)
		r.AddCookie(&http.Cookie{Name: "__Host-" + v.page, Value: v.token})
	} else if v.actor.Kind != "" || v.enrols != nil {
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
	}
	return r
}

func (h *house) serve(api http.Handler, r *http.Request) answer {
	h.t.Helper()
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	require.NoError(h.t, json.Unmarshal(a.body, &a), "%s", a.body)
	return a
}

func bodyOf(query string, variables map[string]any) []byte {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		panic(err)
	}
	return body
}

// do sends one operation.
func (h *house) do(v *visitor, query string, variables map[string]any) answer {
	h.t.Helper()
	return h.serve(h.api, h.request(v, bodyOf(query, variables)))
}

// must sends one operation that has to succeed.
func (h *house) must(v *visitor, query string, variables map[string]any) answer {
	h.t.Helper()
	a := h.do(v, query, variables)
	require.Empty(h.t, a.Errors, "%s: %s", query, a.body)
	return a
}

// input sends a mutation with one input and selects a little of its payload.
func (h *house) input(v *visitor, mutation, input, selection string, value map[string]any) answer {
	h.t.Helper()
	return h.do(v, "mutation($in: "+input+"!) { "+mutation+"(input: $in) { "+selection+" } }", map[string]any{"in": value})
}

func (h *house) mustInput(v *visitor, mutation, input, selection string, value map[string]any) answer {
	h.t.Helper()
	a := h.input(v, mutation, input, selection, value)
	require.Empty(h.t, a.Errors, "%s: %s", mutation, a.body)
	return a
}

var allChecks = map[string]any{"safe": true, "cameraPhone": true, "numberNotified": true, "explained": true, "supervisorTold": true}

// openCase opens a case over the API.
func (h *house) openCase(v *visitor) string {
	h.t.Helper()
	return h.mustInput(v, "openCase", "OpenCaseInput", "case { id }", map[string]any{"class": "TRAFFIC", "municipality": "福島市", "place": "国道4号", "notes": "二台"}).text("openCase", "case", "id")
}

// requestVideo asks for a video report over the API.
func (h *house) requestVideo(v *visitor, caseID string) string {
	h.t.Helper()
	return h.mustInput(v, "requestVideo", "RequestVideoInput", "session { id }", map[string]any{
		"caseID": caseID, "asked": "PHOTO", "need": "事故の様子", "checks": allChecks, "number": "090-1234-5678",
	}).text("requestVideo", "session", "id")
}

// send confirms and delivers, and gives the link's secret.
func (h *house) send(v *visitor, sessionID string) string {
	h.t.Helper()
	h.mustInput(v, "confirmSend", "ConfirmSendInput", "session { state }", map[string]any{"sessionID": sessionID, "lastFour": lastFour, "idempotencyKey": identity.NewID()})
	_, err := h.notify.Deliver(h.ctx())
	require.NoError(h.t, err)
	_, secret, ok := strings.Cut(h.carrier.last(h.t, number).Body, "/v#")
	require.True(h.t, ok)
	return secret
}

// newSession is a video report whose link was sent.
func (h *house) newSession(v *visitor) (sessionID, secret string) {
	h.t.Helper()
	sessionID = h.requestVideo(v, h.openCase(v))
	return sessionID, h.send(v, sessionID)
}

func (h *house) joinInput(secret string) (map[string]any, *ecdsa.PrivateKey) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(h.t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(h.t, err)
	return map[string]any{"secret": secret, "agreed": true, "version": "2026-11", "language": "ja", "publicKey": base64.StdEncoding.EncodeToString(der), "system": "iOS 19", "browser": "Safari"}, key
}

// join lets a new phone in over the API.
func (h *house) join(secret string) *visitor {
	h.t.Helper()
	in, key := h.joinInput(secret)
	a := h.mustInput(nobody, "join", "JoinInput", "session { id phone { id state } }", in)
	return h.phone(a, secret, key)
}

// phone is the browser that an answer gave its cookie to.
func (h *house) phone(a answer, secret string, key *ecdsa.PrivateKey) *visitor {
	h.t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(h.t, cookies, 1)
	require.Equal(h.t, "__Host-caller", cookies[0].Name)
	actor, err := h.cases.Recognise(h.ctx(), cookies[0].Value)
	require.NoError(h.t, err)
	return &visitor{name: "CALLER", actor: actor, page: "caller", token: cookies[0].Value, secret: secret, key: key}
}

// report sends one position fix and lets two seconds pass.
func (h *house) report(phone *visitor, latitude float64) {
	h.t.Helper()
	h.mustInput(phone, "reportPosition", "ReportPositionInput", "receivedAt", map[string]any{
		"latitude": latitude, "longitude": 140.47, "accuracy": 12.5, "altitude": 70.0, "capturedAt": h.db.Now().Format("2006-01-02T15:04:05Z07:00"),
	})
	dbtest.ClockOf(h.db).Advance(2e9)
}

func photo(t testing.TB, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)), nil))
	return b.Bytes()
}

// beginUpload announces a photo; its bytes are still to come.
func (h *house) beginUpload(phone *visitor, size int) (id, token string) {
	h.t.Helper()
	a := h.mustInput(phone, "beginUpload", "BeginUploadInput", "id url token chunk", map[string]any{"kind": "PHOTO", "capture": "NOW", "size": size, "name": "IMG_0001.jpg"})
	require.Equal(h.t, evidence.FilesPath, a.text("beginUpload", "url"))
	return a.text("beginUpload", "id"), a.text("beginUpload", "token")
}

// tus sends the whole of an announced file.
func (h *house) tus(id, token string, data []byte) {
	h.t.Helper()
	ctx, done := context.WithCancel(h.ctx())
	defer done()
	for _, r := range []*http.Request{
		httptest.NewRequestWithContext(ctx, http.MethodPost, evidence.FilesPath, nil),
		httptest.NewRequestWithContext(ctx, http.MethodPatch, evidence.FilesPath+id, bytes.NewReader(data)),
	} {
		r.Header.Set("Tus-Resumable", "1.0.0")
		r.Header.Set("Authorization", "Bearer "+token)
		if r.Method == http.MethodPost {
			r.Header.Set("Upload-Length", strconv.Itoa(len(data)))
		} else {
			r.Header.Set("Upload-Offset", "0")
			r.Header.Set("Content-Type", "application/offset+octet-stream")
		}
		w := httptest.NewRecorder()
		h.files.ServeHTTP(w, r)
		require.Less(h.t, w.Code, 300, "%s %s", r.Method, w.Body)
	}
}

// upload sends one photo.
func (h *house) upload(phone *visitor) string {
	h.t.Helper()
	data := photo(h.t, 64, 48)
	id, token := h.beginUpload(phone, len(data))
	h.tus(id, token, data)
	return id
}

// onStatement hands every statement from now on to f, until the
// returned function is called.
func (h *house) onStatement(f func(*gorm.DB)) (restore func()) {
	h.onSQL.Store(&f)
	return func() { h.onSQL.Store(nil) }
}

// sign signs a nonce as a browser does.
func sign(t testing.TB, key *ecdsa.PrivateKey, nonce string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(nonce))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}
