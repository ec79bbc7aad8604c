package app_test

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
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"genba/policy"
	"genba/server/app"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/notify"
)

// patience bounds every wait of these tests.
const patience = time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == evidence.PreviewArgument {
		if evidence.PreviewMain(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		return
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"),                // one a database, for ever
		goleak.IgnoreTopFunction("github.com/tus/tusd/v2/pkg/handler.newDelayedContext.func1"), // ten seconds after its request
		goleak.Cleanup(func(code int) {
			removeBinary()
			os.Exit(code)
		}))
}

// said is what every house of these tests logged, at every level.
var said = &book{}

type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// clock is the machine's, ahead by what the test says.
type clock struct {
	database.SystemClock
	mu    sync.Mutex
	ahead time.Duration
	wrong time.Duration
}

// advance lets time pass.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// step sets the wall clock alone, as somebody who is mistaken does.
func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong += d
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.SystemClock.Now().Add(c.ahead + c.wrong)
}

func (c *clock) Boot() (string, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, elapsed := c.SystemClock.Boot()
	return id, elapsed + c.ahead
}

// Synchronised is what virtual machines say.
func (c *clock) Synchronised() bool { return false }

// postbox is where messages to phones arrive.
type postbox struct {
	mu       sync.Mutex
	messages []notify.Message
}

func (p *postbox) Send(_ context.Context, m notify.Message) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, m)
	return "", nil
}

func (p *postbox) all() []notify.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]notify.Message(nil), p.messages...)
}

// house is one whole server that is running, and what a stranger knows of it.
type house struct {
	*app.App
	t     testing.TB
	clock *clock
	post  *postbox
	http  *http.Client

	refusals *book // what was refused, word by word

	stop  context.CancelFunc
	ended chan error
	over  *sync.Once
}

// in is the same house for a subtest.
func (h *house) in(t testing.TB) *house {
	again := *h
	again.t = t
	return &again
}

// in is the same browser for a subtest.
func (v *visitor) in(t testing.TB) *visitor {
	again := *v
	again.house = v.house.in(t)
	return &again
}

func config(t testing.TB, database string) app.Config {
	t.Helper()
	dir := t.TempDir()
	return app.Config{
		Data: filepath.Join(dir, "data"), Keys: filepath.Join(dir, "keys"), Listen: "127.0.0.1:0", Media: "127.0.0.1:0", Database: database,
		Demo: true, DemoAgency: "福島県警察", DemoAgencyEn: "Fukushima Prefectural Police",
	}
}

// open starts a house, and ends it with the test unless close did.
func open(t testing.TB, c app.Config, ticks *clock) *house {
	t.Helper()
	post := &postbox{}
	h := openWith(t, c, ticks, post)
	h.post = post
	return h
}

// openWith starts a house that sends its messages through a channel.
func openWith(t testing.TB, c app.Config, ticks *clock, channel notify.Channel, more ...app.Option) *house {
	t.Helper()
	h := &house{t: t, clock: ticks, ended: make(chan error, 1), over: &sync.Once{}, refusals: &book{}}
	log := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	var err error
	h.App, err = app.New(ctx, c, ticks, log, append(more, app.WithChannel(channel))...)
	require.NoError(t, err)
	h.http = &http.Client{
		Transport:     &http.Transport{DialContext: h.dial, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	go func() { h.ended <- h.Run(ctx) }()
	t.Cleanup(h.close)
	return h
}

// dial finds the house by its address, whatever its name resolves to here.
func (h *house) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, "127.0.0.1:"+port)
}

func (h *house) address() string {
	u, err := url.Parse(h.URL())
	require.NoError(h.t, err)
	return "127.0.0.1:" + u.Port()
}

// close ends the house as a signal does, and waits until it is down.
func (h *house) close() {
	h.over.Do(func() {
		h.http.CloseIdleConnections()
		h.stop()
		select {
		case err := <-h.ended:
			require.NoError(h.t, err)
		case <-time.After(patience):
			require.FailNow(h.t, "the server does not end")
		}
	})
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return open(t, config(t, ""), &clock{})
}

// eachEngine runs a whole house on each engine.
func eachEngine(t *testing.T, fn func(t *testing.T, c app.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fn(t, config(t, "")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); fn(t, config(t, dbtest.PostgresDSN(t))) })
}

// eventually polls until why is empty; why says what is not yet true.
func eventually(t testing.TB, why func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		w := why()
		if w == "" {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(t, "never happened", w)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// reason is the stable reason of a refusal over HTTP.
func (a answer) reason() string {
	var p struct{ Reason string }
	_ = json.Unmarshal(a.body, &p) // no problem has no reason
	return p.Reason
}

// send makes one request to the house; header is name, value, name, value.
func (h *house) send(method, path string, body []byte, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, h.URL()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := h.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if h.refusals != nil && (res.StatusCode >= http.StatusBadRequest || bytes.HasPrefix(text, []byte(`{"errors":`))) {
		_, _ = h.refusals.Write(text) // a buffer
	}
	return answer{res.StatusCode, res.Header, text}, err
}

func (h *house) must(method, path string, body []byte, header ...string) answer {
	h.t.Helper()
	a, err := h.send(method, path, body, header...)
	require.NoError(h.t, err)
	return a
}

// messages are what arrived at phones, oldest first: in the postbox, or as demo
// mode shows it.
func (h *house) messages() []notify.Message {
	h.t.Helper()
	if h.post != nil {
		return h.post.all()
	}
	var sent []notify.OutboxEntry
	require.NoError(h.t, json.Unmarshal(h.must(http.MethodGet, "/outbox.json", nil).body, &sent))
	slices.Reverse(sent)
	var all []notify.Message
	for _, e := range sent {
		all = append(all, notify.Message{Channel: e.Channel, To: e.To, Body: e.Body})
	}
	return all
}

// visitor is one browser with one of our pages open.
type visitor struct {
	*house
	page     string
	cookie   string // NAME=VALUE
	language string
	desk     *desk // whose key proves where the browser is; nil shows none
}

func (h *house) visitor(page string) *visitor { return &visitor{house: h, page: page, language: "en"} }

// refusal is one error of a GraphQL answer.
type refusal struct {
	Message    string
	Extensions struct{ Code, Reason, ID string }
}

type graphqlAnswer struct {
	Data   json.RawMessage
	Errors []refusal
}

type vars = map[string]any

func operation(document string, variables vars) []byte {
	text, err := json.Marshal(vars{"query": document, "variables": variables})
	if err != nil {
		panic(err) // test data
	}
	return text
}

func (v *visitor) headers() []string {
	h := []string{"Origin", v.URL(), "Content-Type", "application/json", "Genba-Actor", v.page, "Accept-Language", v.language}
	if v.cookie != "" {
		h = append(h, "Cookie", v.cookie)
	}
	if v.desk != nil {
		h = append(h, "DPoP", v.desk.proof(v.t, v.nonce(), http.MethodPost, v.URL()+"/graphql"))
	}
	return h
}

// graphql asks, and keeps the cookie it is given.
func (v *visitor) graphql(document string, variables vars) graphqlAnswer {
	v.t.Helper()
	a := v.must(http.MethodPost, "/graphql", operation(document, variables), v.headers()...)
	var out graphqlAnswer
	require.NoError(v.t, json.Unmarshal(a.body, &out), "%d %s", a.status, a.body)
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		require.True(v.t, c.Secure && c.HttpOnly && c.Path == "/" && c.Domain == "" && c.SameSite == http.SameSiteStrictMode, c.String())
		if v.cookie = ""; c.MaxAge >= 0 {
			v.cookie = c.Name + "=" + c.Value
		}
	}
	return out
}

// ask is an operation that is not refused.
func ask[T any](v *visitor, document string, variables vars) T {
	v.t.Helper()
	a := v.graphql(document, variables)
	require.Empty(v.t, a.Errors, document)
	var out T
	require.NoError(v.t, json.Unmarshal(a.Data, &out))
	return out
}

// refused is the reason of an operation that is refused, whole.
func (v *visitor) refused(document string, variables vars) string {
	v.t.Helper()
	a := v.graphql(document, variables)
	require.Len(v.t, a.Errors, 1, "%s %s", document, a.Data)
	require.Contains(v.t, []string{"", "null"}, string(a.Data))
	e := a.Errors[0]
	require.NotEmpty(v.t, e.Message)
	require.NotEmpty(v.t, e.Extensions.Code)
	require.NotEmpty(v.t, e.Extensions.ID)
	return e.Extensions.Reason
}

type node struct{ ID string }

// signIn opens a console as one of the people of demo mode.
func (h *house) signIn(role policy.Role) *visitor {
	h.t.Helper()
	for _, u := range h.Demo().Users {
		if u.Role == role {
			return h.signInAs("", u.UserName, u.Password)
		}
	}
	require.FailNow(h.t, "nobody has the role", role)
	return nil
}

// nonce is what the console's page says of proofs.
func (h *house) nonce() string {
	h.t.Helper()
	return h.must(http.MethodHead, "/console", nil).header.Get("DPoP-Nonce")
}

const signIn = `mutation($in: SignInInput!){signIn(input:$in){me{kind user{id role} agency{id code}}}}`

func (h *house) signInAs(agency, user, password string) *visitor {
	h.t.Helper()
	return h.visitor("console").enter(agency, user, password)
}

// enter signs somebody in at this browser.
func (v *visitor) enter(agency, user, password string) *visitor {
	v.t.Helper()
	in := vars{"userName": user, "password": password}
	if agency != "" {
		in["agency"] = agency
	}
	ask[struct{}](v, signIn, vars{"in": in})
	require.True(v.t, strings.HasPrefix(v.cookie, "__Host-console="))
	return v
}

const (
	openCase     = `mutation($in: OpenCaseInput!){openCase(input:$in){case{id number}}}`
	requestVideo = `mutation($in: RequestVideoInput!){requestVideo(input:$in){numberDiffers session{id state cursor}}}`
	confirmSend  = `mutation($in: ConfirmSendInput!){confirmSend(input:$in){session{id state link{id state used uses proof{ja en}}}}}`
	endSession   = `mutation($in: EndSessionInput!){endSession(input:$in){session{id state}}}`
	revokeLink   = `mutation($in: RevokeLinkInput!){revokeLink(input:$in){session{id state}}}`
	openLink     = `mutation($in: OpenLinkInput!){openLink(input:$in){nonce terms{agency{nameJa nameEn} proof{ja en} asked codeRequired terms{version language items freedom danger}}}}`
	join         = `mutation($in: JoinInput!){join(input:$in){session{id state phone{id state} received limit}}}`
	resume       = `mutation($in: ResumeInput!){resume(input:$in){session{id phone{id state}}}}`
	beginUpload  = `mutation($in: BeginUploadInput!){beginUpload(input:$in){id url token expiresAt chunk}}`
	position     = `mutation($in: ReportPositionInput!){reportPosition(input:$in){receivedAt}}`
	publish      = `mutation{publish{url token expiresAt}}`
	watch        = `mutation($in: WatchInput!){watch(input:$in){url token viewing{id}}}`
	openMedia    = `mutation($in: OpenMediaInput!){openMedia(input:$in){url contentType viewing{id}}}`
	ownSession   = `{me{session{state over endReason received phone{state} uploads{id complete size}}}}`
)

var allChecks = vars{"safe": true, "cameraPhone": true, "numberNotified": true, "explained": true, "supervisorTold": true}

// testNumber is the number of the caller in these tests.
const (
	testNumber = "090-1234-5678"
	testE164   = "+819012345678"
	lastFour   = "5678"
)

// report is a video report on its way.
type report struct {
	*house
	dispatcher *visitor
	caseID, id string
	secret     string
}

// reported opens a case, asks for video and sends the link.
func (h *house) reported(dispatcher *visitor) *report {
	h.t.Helper()
	k := ask[struct{ OpenCase struct{ Case node } }](dispatcher, openCase, vars{"in": vars{"class": "TRAFFIC", "place": "中央一丁目", "notes": "車二台"}})
	return h.asked(dispatcher, k.OpenCase.Case.ID)
}

// asked asks for another video report in a case and sends the link.
func (h *house) asked(dispatcher *visitor, caseID string) *report {
	h.t.Helper()
	r := &report{house: h, dispatcher: dispatcher, caseID: caseID}
	s := ask[struct{ RequestVideo struct{ Session node } }](dispatcher, requestVideo,
		vars{"in": vars{"caseID": caseID, "asked": "LIVE", "need": "見たい", "checks": allChecks, "number": testNumber, "notifiedNumber": testNumber}})
	r.id = s.RequestVideo.Session.ID
	r.secret = r.confirm(uuid.NewString())
	return r
}

var linkForm = regexp.MustCompile(`/v#([0-9A-Za-z]{22})$`)

// confirm sends the link and reads it from the message.
func (r *report) confirm(key string) string {
	r.t.Helper()
	before := len(r.messages())
	ask[struct{}](r.dispatcher, confirmSend, vars{"in": vars{"sessionID": r.id, "lastFour": lastFour, "idempotencyKey": key}})
	eventually(r.t, func() string {
		if len(r.messages()) == before {
			return "no message arrived"
		}
		return ""
	})
	m := r.messages()[before]
	require.Equal(r.t, testE164, m.To)
	found := linkForm.FindStringSubmatch(m.Body)
	require.NotNil(r.t, found, m.Body)
	return found[1]
}

// session reads the report as its dispatcher sees it.
func (r *report) session(fields string) sessionView {
	r.t.Helper()
	return ask[struct{ Session sessionView }](r.dispatcher, `query($id: ID!){session(id:$id){`+fields+`}}`, vars{"id": r.id}).Session
}

type sessionView struct {
	ID, State, Cursor string
	Stall             string
	Live              bool
	Link              *struct {
		State      string
		Used, Uses int
	}
	Links, Consents, Deliveries []struct{ ID, State, Status string }
	OpenedAt, ConsentedAt       *time.Time
	Phones                      []struct{ ID, State string }
	Media                       struct{ Nodes []mediaView }
	Counts                      struct{ Recordings, PhotosNow, PhotosBefore, Incomplete, Positions int }
	LastPosition                *struct{ Latitude, Longitude float64 }
	Viewings                    struct {
		Nodes []struct{ ID, ClosedAt string }
	}
}

type mediaView struct {
	ID, Kind, State, Preview, ContentType string
	Size, DurationMs                      int64
	Sha256, Name                          *string
	Gaps, Width, Height                   int
	DueAt                                 *time.Time
}

const mediaFields = `media(first: 50){nodes{id kind state preview contentType size durationMs sha256 name gaps width height dueAt}}`

// end ends the report.
func (r *report) end() {
	r.t.Helper()
	ask[struct{}](r.dispatcher, endSession, vars{"in": vars{"sessionID": r.id, "reason": "DONE"}})
}

// caller is a phone with the caller's page open.
type caller struct {
	*visitor
	report *report
	key    *ecdsa.PrivateKey
	phone  string
	state  string
}

func (r *report) caller() *caller {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(r.t, err)
	return &caller{visitor: r.house.visitor("caller"), report: r, key: key}
}

// answered is a phone that tapped the link and agreed.
func (r *report) answered() *caller {
	r.t.Helper()
	c := r.caller()
	c.tap()
	c.agree()
	return c
}

func (c *caller) tap() (nonce, version string) {
	c.t.Helper()
	o := ask[struct {
		OpenLink struct {
			Nonce string
			Terms struct{ Terms []struct{ Version string } }
		}
	}](c.visitor, openLink, vars{"in": vars{"secret": c.report.secret}})
	return o.OpenLink.Nonce, o.OpenLink.Terms.Terms[0].Version
}

func (c *caller) joining() vars {
	spki, err := x509.MarshalPKIXPublicKey(&c.key.PublicKey)
	require.NoError(c.t, err)
	return vars{"secret": c.report.secret, "agreed": true, "version": "2026-11", "language": "ja", "publicKey": base64.StdEncoding.EncodeToString(spki)}
}

type joined struct {
	Session struct {
		ID    string
		Phone struct{ ID, State string }
	}
}

func (c *caller) agree() {
	c.t.Helper()
	j := ask[struct{ Join joined }](c.visitor, join, vars{"in": c.joining()})
	c.phone, c.state = j.Join.Session.Phone.ID, j.Join.Session.Phone.State
	require.True(c.t, strings.HasPrefix(c.cookie, "__Host-caller="))
}

// proof signs a nonce as a browser does.
func (c *caller) proof(nonce string) vars {
	sum := sha256.Sum256([]byte(nonce))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	require.NoError(c.t, err)
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return vars{"in": vars{"secret": c.report.secret, "phoneID": c.phone, "nonce": nonce, "signature": base64.StdEncoding.EncodeToString(raw)}}
}

type bearer struct{ ID, URL, Token string }

func (c *caller) begin(data []byte, name string) bearer {
	c.t.Helper()
	return ask[struct{ BeginUpload bearer }](c.visitor, beginUpload,
		vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(data), "name": name}}).BeginUpload
}

func (c *caller) publish() bearer {
	c.t.Helper()
	return ask[struct{ Publish bearer }](c.visitor, publish, nil).Publish
}

func (r *report) watch(v *visitor) bearer {
	r.t.Helper()
	return ask[struct{ Watch bearer }](v, watch, vars{"in": vars{"sessionID": r.id}}).Watch
}

func (c *caller) locate(latitude, longitude float64) {
	c.t.Helper()
	ask[struct{}](c.visitor, position, vars{"in": vars{"latitude": latitude, "longitude": longitude, "accuracy": 12.5, "capturedAt": c.clock.Now().Format(time.RFC3339Nano)}})
}

// tus speaks tus 1.0 with a bearer.
func (h *house) tus(method, path, token string, body []byte, header ...string) (answer, error) {
	header = append([]string{"Authorization", "Bearer " + token, "Tus-Resumable", "1.0.0"}, header...)
	if method == http.MethodPatch {
		header = append(header, "Content-Type", "application/offset+octet-stream")
	}
	return h.send(method, path, body, header...)
}

// create makes the announced upload and answers where its bytes go.
func (h *house) create(b bearer, size int) string {
	h.t.Helper()
	a, err := h.tus(http.MethodPost, b.URL, b.Token, nil, "Upload-Length", fmt.Sprint(size))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, a.status, string(a.body))
	return a.header.Get("Location")
}

// patch sends bytes from an offset on.
func (h *house) patch(path, token string, offset int, data []byte) answer {
	h.t.Helper()
	a, err := h.tus(http.MethodPatch, path, token, data, "Upload-Offset", fmt.Sprint(offset))
	require.NoError(h.t, err)
	return a
}

// upload sends a whole photo.
func (c *caller) upload(data []byte, name string) bearer {
	c.t.Helper()
	b := c.begin(data, name)
	a := c.patch(c.create(b, len(data)), b.Token, 0, data)
	require.Equal(c.t, http.StatusNoContent, a.status, string(a.body))
	return b
}
