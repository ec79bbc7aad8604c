// Package evidence owns the media file (映像等ファイル, 第2の4): receiving it by
// tus and from live video, sealing it, showing previews and checked video under
// grants, the due time of every file (第6の4) and its destruction, and the
// ledger that stays.
//
// Bytes are sealed and synced before anything is acknowledged, then the
// database, then the answer. Names and capture metadata are stored sealed with
// the file's own key; while a file is open that key lives only in the key
// store, and from its completion it is wrapped by the key of its agency's due
// day, which is destroyed first when the day comes.
//
// It leaves to cases who may send into a session and what a session is, to
// identity who holds a bearer, and to live how video is received and how a
// recording's head is made.
package evidence

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Bounds of what is received.
const (
	// MaxFile is the most bytes of one uploaded file.
	MaxFile = 2 << 30
	// megabyte is the unit of the agency's setting that bounds what one session
	// may send.
	megabyte = 1 << 20
	// UploadChunk is how many bytes a phone is advised to send in one PATCH.
	UploadChunk = 4 << 20
	// MinChunk is the least one PATCH may bring, unless it ends the file.
	MinChunk = 16 << 10
	// MaxName bounds the characters kept of a file's name.
	MaxName = 255
	// MaxSources bounds the files that one may be made from.
	MaxSources = 16

	// diskFull is the used fraction of the disk from which nothing new is
	// admitted: the rest is for the database and for purge.
	diskFull = 0.95
)

// Config is what the room is built from. Every field but Head, Used, Node
// and Logger is required.
type Config struct {
	DB       *database.DB
	Journal  *journal.Journal
	Cases    *cases.Cases
	Identity *identity.Identity
	Bearers  *identity.Bearers
	Store    *blob.Store
	Keys     *blob.Keys
	// WriteProblem answers a refusal over HTTP.
	WriteProblem func(w http.ResponseWriter, r *http.Request, err error)
	// Head makes the head of a recording that makes it seekable: it is served in
	// place of the init fragment. Without it recordings are served as they are.
	Head func(contentType string, init []byte, fragments []FragmentInfo) ([]byte, error)
	// May tells whether somebody whose grant is used may still open files; nil: they
	// may as long as they are signed in.
	May func(policy.Actor) bool
	// Used is the used fraction, 0 to 1, of the disk that holds the files; by
	// default the store's own.
	Used func() (float64, error)
	// Node names this machine among those that share the database.
	Node   string
	Logger *slog.Logger
}

// Evidence is the room. Make it with New, then Recover before anything is
// served. It is safe for concurrent use.
type Evidence struct {
	Config
	files http.Handler

	mu        sync.Mutex
	uploads   map[string]*receiving
	recording map[string]*Recording
	grants    map[string]map[*grant]bool
	pins      map[string]*pin
	beginning map[string]bool
	previews  chan struct{}
	sealing   chan struct{}
	begins    *identity.Failures

	clock clockState
	sweep sweepState
	// stale says that deleted rows may still stand in the write-ahead log.
	stale atomic.Bool
}

// New builds the room.
func New(c Config) (*Evidence, error) {
	if c.DB == nil || c.Journal == nil || c.Cases == nil || c.Identity == nil || c.Bearers == nil || c.Store == nil || c.Keys == nil || c.WriteProblem == nil {
		return nil, errors.New("evidence: a required part is missing")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Used == nil {
		c.Used = func() (float64, error) { _, used, err := c.Store.Free(); return used, err }
	}
	e := &Evidence{
		Config:    c,
		uploads:   map[string]*receiving{},
		recording: map[string]*Recording{},
		grants:    map[string]map[*grant]bool{},
		pins:      map[string]*pin{},
		beginning: map[string]bool{},
		previews:  make(chan struct{}, 1),
		sealing:   make(chan struct{}, sealers),
		begins:    identity.NewFailures(c.DB.Clock, maxBegins, beginWindow),
	}
	var err error
	if e.files, err = e.newFiles(); err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return e, nil
}

// admit refuses new bytes when the disk is nearly full.
func (e *Evidence) admit() error {
	used, err := e.Used()
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if used >= diskFull {
		return problem.New(problem.DiskFull)
	}
	return nil
}

// HasRoom tells whether new bytes would be taken. DISK_FULL.
func (e *Evidence) HasRoom() error { return e.admit() }

func (e *Evidence) entry(m *MediaFile, actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{
		Agency: m.AgencyID, Actor: actor, Type: t,
		Subject: journal.Subject{Kind: policy.Media, ID: m.ID},
		CaseID:  m.CaseID, SessionID: m.SessionID, Payload: payload,
	}
}
