package evidence_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const childVariable = "EVIDENCE_KILL_CHILD"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == evidence.PreviewArgument {
		if err := evidence.PreviewMain(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if spec := os.Getenv(childVariable); spec != "" {
		fmt.Fprintln(os.Stderr, runChild(spec))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

type silent struct{}

func (silent) Ring(string) {}

// house is every room that evidence stands on, over one data folder.
type house struct {
	*evidence.Evidence
	db       *database.DB
	journal  *journal.Journal
	identity *identity.Identity
	cases    *cases.Cases
	store    *blob.Store
	keys     *blob.Keys
	dir      string

	mu   sync.Mutex
	used float64
}

func (h *house) setUsed(f float64) { h.mu.Lock(); defer h.mu.Unlock(); h.used = f }

func (h *house) usedNow() (float64, error) { h.mu.Lock(); defer h.mu.Unlock(); return h.used, nil }

// build opens the rooms over a data folder that may have been used before.
func build(dir string, db *database.DB) (*house, error) {
	h := &house{db: db, dir: dir}
	var err error
	if h.keys, err = blob.OpenKeys(filepath.Join(dir, "keys")); err != nil {
		return nil, err
	}
	if h.store, err = blob.OpenStore(filepath.Join(dir, "blobs")); err != nil {
		return nil, err
	}
	signer, err := h.keys.Ensure("server")
	if err != nil {
		return nil, err
	}
	h.journal = journal.New(db, silent{})
	if h.identity, err = identity.New(db, h.journal); err != nil {
		return nil, err
	}
	bearers := identity.NewBearers(signer, db.Clock)
	h.cases = cases.New(db, h.journal, h.identity, bearers, h.keys)
	h.Evidence, err = evidence.New(evidence.Config{
		DB: db, Journal: h.journal, Cases: h.cases, Identity: h.identity, Bearers: bearers, Store: h.store, Keys: h.keys,
		WriteProblem: writeProblem, Head: testHead, Used: h.usedNow, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	h.cases.OnOver(func(session string) { _ = h.OnSessionEnded(context.Background(), session) })
	h.cases.OnCut(h.OnPhoneCut)
	return h, nil
}

func writeProblem(w http.ResponseWriter, _ *http.Request, err error) {
	p := problem.Of(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status())
	text := map[string]string{"code": string(p.Code()), "reason": string(p.Reason())}
	if p.Reason() == problem.Internal {
		text["cause"] = err.Error() // tests shall say what went wrong
	}
	_ = json.NewEncoder(w).Encode(text)
}

// testHead is a head that can be told from an init fragment.
func testHead(contentType string, init []byte, fragments []evidence.FragmentInfo) ([]byte, error) {
	return fmt.Appendf(nil, "head of %s: %s, %d fragments|", contentType, init, len(fragments)), nil
}

// scene is a house with an agency, its people, and one session that a phone
// joined.
type scene struct {
	*house
	t          *testing.T
	agency     *identity.Agency
	dispatcher policy.Actor
	supervisor policy.Actor
	session    *cases.Session
	phone      policy.Actor
	server     *httptest.Server
	terminal   *identity.Terminal // where everybody signs in
}

const password = "correct horse battery"

func newScene(t *testing.T, db *database.DB) *scene {
	t.Helper()
	h, err := build(t.TempDir(), db)
	require.NoError(t, err)
	s := &scene{house: h, t: t}
	believed, err := h.Anchor(s.ctx())
	require.NoError(t, err)
	require.True(t, believed, "an empty database starts believed")
	s.furnish()
	s.serve()
	return s
}

func (s *scene) ctx() context.Context {
	return identity.WithTerminal(identity.WithAddress(s.t.Context(), "192.0.2.1"), s.terminal)
}

func (s *scene) furnish() {
	s.t.Helper()
	a, err := s.identity.CreateAgency(s.ctx(), identity.NewAgency{Code: "fukushima", NameJa: "福島県警察", NameEn: "Fukushima Police"})
	require.NoError(s.t, err)
	s.agency = a
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	key, err := identity.NewPublicKey(&private.PublicKey)
	require.NoError(s.t, err)
	s.terminal, err = s.identity.AddTerminal(s.ctx(), policy.SystemActor(), a.ID, identity.NewTerminal{Kind: policy.Notebook, Number: "1"}, key, true)
	require.NoError(s.t, err)
	s.dispatcher = s.signIn("sato", policy.Dispatcher)
	s.supervisor = s.signIn("kato", policy.Supervisor)
	s.session, s.phone = s.join(s.newSession())
}

func (s *scene) signIn(name string, role policy.Role) policy.Actor {
	s.t.Helper()
	_, err := s.identity.Register(s.ctx(), policy.SystemActor(), s.agency.ID, identity.NewUser{
		UserName: name, DisplayName: name, Role: role, Password: password, PasswordReason: "test",
	})
	require.NoError(s.t, err)
	_, actor, err := s.identity.SignIn(s.ctx(), "fukushima", name, password)
	require.NoError(s.t, err)
	return actor
}

// newSession opens a case and issues a link.
func (s *scene) newSession() (*cases.Session, string) {
	s.t.Helper()
	k, err := s.cases.Open(s.ctx(), s.dispatcher, cases.NewCase{Class: cases.Traffic, Place: "国道4号"})
	require.NoError(s.t, err)
	checks := cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true}
	session, _, err := s.cases.RequestVideo(s.ctx(), s.dispatcher, cases.Request{
		CaseID: k.ID, Asked: cases.PhotoMode, Need: "事故の様子", Checks: checks, Number: "09012345678",
	})
	require.NoError(s.t, err)
	var issued *cases.Issued
	require.NoError(s.t, s.db.InTx(s.ctx(), func(tx *database.Tx) (err error) {
		session, issued, err = s.cases.IssueLink(tx, s.dispatcher, session.ID, "5678", nil)
		return err
	}))
	return session, issued.Secret
}

// join lets a new phone into a session.
func (s *scene) join(session *cases.Session, secret string) (*cases.Session, policy.Actor) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(s.t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(s.t, err)
	_, token, err := s.cases.Join(s.ctx(), cases.Join{
		Secret: secret, Agreed: true, Version: "2026-11", Language: "ja", PublicKey: base64.StdEncoding.EncodeToString(der),
	})
	require.NoError(s.t, err)
	actor, err := s.cases.Recognise(s.ctx(), token)
	require.NoError(s.t, err)
	return session, actor
}

func (h *house) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(evidence.FilesPath, h.Files())
	mux.Handle(evidence.MediaPath, h.Media())
	mux.Handle(evidence.ExportPath, h.Archives())
	return mux
}

func (s *scene) serve() {
	s.server = httptest.NewServer(s.mux())
	s.t.Cleanup(s.server.Close)
}

// begin announces a photo of that many bytes.
func (s *scene) begin(size int) *evidence.Upload {
	s.t.Helper()
	u, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: int64(size), Name: "IMG_1.jpg"})
	require.NoError(s.t, err)
	return u
}

// answer is what came back over HTTP.
type answer struct {
	status int
	reason string
	offset int64
	header http.Header
	body   []byte
}

func send(method, url, token string, header map[string]string, body []byte) (answer, error) {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, offset: -1}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	if n, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64); err == nil {
		a.offset = n
	}
	if resp.StatusCode >= 400 && len(a.body) > 0 && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		var p map[string]string
		if err := json.Unmarshal(a.body, &p); err != nil {
			return a, fmt.Errorf("not a problem: %q", a.body)
		}
		a.reason = p["reason"] + p["cause"]
	}
	return a, nil
}

func (s *scene) send(method, path, token string, header map[string]string, body []byte) answer {
	s.t.Helper()
	a, err := send(method, s.server.URL+path, token, header, body)
	require.NoError(s.t, err)
	return a
}

func patchHeader(offset int64) map[string]string {
	return map[string]string{"Upload-Offset": strconv.FormatInt(offset, 10), "Content-Type": "application/offset+octet-stream"}
}

func (s *scene) create(u *evidence.Upload) answer {
	s.t.Helper()
	return s.send(http.MethodPost, evidence.FilesPath, u.Token, map[string]string{"Upload-Length": strconv.FormatInt(u.File.DeclaredSize, 10)}, nil)
}

func (s *scene) patch(u *evidence.Upload, offset int64, data []byte) answer {
	s.t.Helper()
	return s.send(http.MethodPatch, evidence.FilesPath+u.File.ID, u.Token, patchHeader(offset), data)
}

// upload sends a whole file of that kind and answers its row.
func (s *scene) upload(data []byte) *evidence.MediaFile {
	s.t.Helper()
	u := s.begin(len(data))
	a := s.create(u)
	require.Equal(s.t, http.StatusCreated, a.status, a.reason)
	require.Equal(s.t, evidence.FilesPath+u.File.ID, a.header.Get("Location"))
	a = s.patch(u, 0, data)
	require.Equal(s.t, http.StatusNoContent, a.status, a.reason)
	require.EqualValues(s.t, len(data), a.offset)
	return s.row(u.File.ID)
}

func (s *scene) row(id string) *evidence.MediaFile {
	s.t.Helper()
	var m evidence.MediaFile
	require.NoError(s.t, s.db.Read(s.ctx()).Take(&m, "id = ?", id).Error)
	return &m
}

func (s *scene) gone(id string) bool {
	s.t.Helper()
	var n int64
	require.NoError(s.t, s.db.Read(s.ctx()).Model(&evidence.MediaFile{}).Where("id = ?", id).Count(&n).Error)
	return n == 0
}

// entries lists the journal's entries of a type in the scene's agency.
func (s *scene) entries(types ...journal.Type) []journal.Row {
	s.t.Helper()
	rows, err := s.journal.After(s.ctx(), s.agency.ID, 0, journal.Filter{Types: types}, 1000)
	require.NoError(s.t, err)
	return rows
}

func (s *scene) end() {
	s.t.Helper()
	_, err := s.cases.End(s.ctx(), s.dispatcher, s.session.ID, cases.Done)
	require.NoError(s.t, err)
}

// original reads the sealed bytes of a file as an export would.
func (s *scene) original(m *evidence.MediaFile) []byte {
	s.t.Helper()
	day, err := s.keys.Get("due/" + m.AgencyID + "/" + m.DueDay)
	require.NoError(s.t, err)
	key, err := day.Unwrap(m.KeyWrapped)
	require.NoError(s.t, err)
	r, err := s.store.Reader(m.AgencyID+"/"+m.ID, key)
	require.NoError(s.t, err)
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	require.NoError(s.t, err)
	return data
}

func picture(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{uint8(x * 7), uint8(y * 5), uint8(x * y), 255})
		}
	}
	return m
}

func jpegOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, picture(w, h), &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture(w, h)))
	return b.Bytes()
}

// photoOf is a JPEG of exactly n bytes: what follows its end is kept as received.
func photoOf(t testing.TB, n int) []byte {
	t.Helper()
	b := jpegOf(t, 64, 48)
	require.LessOrEqual(t, len(b), n)
	return append(b, bytes.Repeat([]byte("trailing evidence "), n/18+1)...)[:n]
}

// requireNowhere fails when a file of the folder holds the window.
func requireNowhere(t *testing.T, dir string, windows ...[]byte) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, w := range windows {
			if bytes.Contains(data, w) {
				t.Errorf("%s holds %.40q", strings.TrimPrefix(path, dir), w)
			}
		}
		return nil
	}))
}

func each(t *testing.T, fn func(t *testing.T, s *scene)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, db *database.DB) { fn(t, newScene(t, db)) })
}
