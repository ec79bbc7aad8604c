package cases_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

type quiet struct{}

func (quiet) Ring(string) {}

var ctx = identity.WithAddress(context.Background(), "192.0.2.1")

// centre is a command centre at work: two agencies, and in the first a
// supervisor and two dispatchers.
type centre struct {
	db      *database.DB
	rooms   *cases.Cases
	people  *identity.Identity
	journal *journal.Journal
	keys    *blob.Keys

	agency     string
	dispatcher policy.Actor
	colleague  policy.Actor
	supervisor policy.Actor
	foreigner  policy.Actor // a supervisor of the other agency
}

func newCentre(t *testing.T, db *database.DB) *centre {
	t.Helper()
	c := &centre{db: db, journal: journal.New(db, quiet{})}
	var err error
	c.people, err = identity.New(db, c.journal)
	require.NoError(t, err)
	c.keys, err = blob.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	require.NoError(t, err)
	key, err := blob.NewKey()
	require.NoError(t, err)
	c.rooms = cases.New(db, c.journal, c.people, identity.NewBearers(key, db.Clock), c.keys)

	found := func(code string) string {
		a, err := c.people.CreateAgency(ctx, identity.NewAgency{Code: code, NameJa: "福島県警察", NameEn: "Fukushima Police"})
		require.NoError(t, err)
		return a.ID
	}
	hire := func(agency, name string, role policy.Role) policy.Actor {
		u := &identity.User{ID: identity.NewID(), AgencyID: agency, UserName: name, DisplayName: name, Role: role, Status: identity.Active, CreatedAt: db.Now()}
		require.NoError(t, db.Read(ctx).Create(u).Error) // no password: nobody signs in here, and hashes take long
		return policy.Actor{Kind: policy.User, ID: u.ID, Agency: agency, Role: role}
	}
	c.agency = found("fukushima")
	c.dispatcher = hire(c.agency, "sato", policy.Dispatcher)
	c.colleague = hire(c.agency, "suzuki", policy.Dispatcher)
	c.supervisor = hire(c.agency, "takahashi", policy.Supervisor)
	c.foreigner = hire(found("miyagi"), "tanaka", policy.Supervisor)
	return c
}

// settings changes the agency's settings.
func (c *centre) settings(t require.TestingT, change func(*identity.Settings)) {
	a, err := c.people.Agency(ctx, c.agency)
	require.NoError(t, err)
	code := a.Settings.CallerCode
	change(&a.Settings)
	require.NoError(t, c.people.SetSettings(ctx, policy.SystemActor(), c.agency, a.Settings))
	if a.Settings.CallerCode != code { // no other way changes it
		_, err := c.people.SetCallerCode(ctx, policy.SystemActor(), c.agency, !code, "試験", nil)
		require.NoError(t, err)
	}
}

var allChecks = cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true}

func (c *centre) open(t require.TestingT) *cases.Case {
	k, err := c.rooms.Open(ctx, c.dispatcher, cases.NewCase{Class: cases.Traffic, Municipality: "福島市", Place: "canary-place", Notes: "canary-notes"})
	require.NoError(t, err)
	return k
}

// request asks for video in a case, everything checked.
func (c *centre) request(t require.TestingT, k *cases.Case) *cases.Session {
	s, differs, err := c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{
		CaseID: k.ID, Asked: cases.LiveMode, Need: "canary-need", Number: "090-1234-5678",
		NotifiedNumber: "+81 90 1234 5678", Checks: allChecks, Language: "en",
	})
	require.NoError(t, err)
	require.False(t, differs)
	return s
}

func (c *centre) issue(actor policy.Actor, session, confirmation string, checks *cases.Checks) (issued *cases.Issued, err error) {
	err = c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		_, issued, err = c.rooms.IssueLink(tx, actor, session, confirmation, checks)
		return err
	})
	return issued, err
}

func (c *centre) send(t require.TestingT, s *cases.Session) *cases.Issued {
	issued, err := c.issue(c.dispatcher, s.ID, "5678", nil)
	require.NoError(t, err)
	return issued
}

// sent is a new session in a new case with its link.
func (c *centre) sent(t require.TestingT) (*cases.Session, *cases.Issued) {
	s := c.request(t, c.open(t))
	return s, c.send(t, s)
}

// phone is a caller's phone with its own key.
type phone struct {
	key   *ecdsa.PrivateKey
	id    string
	token string
	actor policy.Actor
}

func newPhone(t require.TestingT) *phone {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &phone{key: key}
}

func (p *phone) publicKey() string {
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// sign answers a challenge as a browser's WebCrypto does.
func (p *phone) sign(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, sum[:])
	if err != nil {
		panic(err)
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return base64.StdEncoding.EncodeToString(raw)
}

func (c *centre) answer(p *phone, secret, pass string, agreed bool) error {
	joined, token, err := c.rooms.Join(ctx, cases.Join{
		Secret: secret, Pass: pass, Agreed: agreed, Version: "2026-11", Language: "ja",
		PublicKey: p.publicKey(), System: "canary-system", Browser: "canary-browser",
	})
	if err != nil || joined == nil {
		return err
	}
	p.id, p.token = joined.ID, token
	p.actor, err = c.rooms.Recognise(ctx, token)
	return err
}

func (c *centre) join(t require.TestingT, secret string) *phone {
	p := newPhone(t)
	require.NoError(t, c.answer(p, secret, "", true))
	return p
}

// report sends a position, which is what makes a phone the session's.
func (c *centre) report(p *phone) error {
	_, err := c.rooms.ReportPosition(ctx, p.actor, cases.Fix{Latitude: 37.7503, Longitude: 140.4676, Accuracy: 8, CapturedAt: c.db.Now()})
	return err
}

// connected is a session whose caller's phone is bound.
func (c *centre) connected(t require.TestingT) (*cases.Session, *cases.Issued, *phone) {
	s, issued := c.sent(t)
	_, _, err := c.rooms.OpenLink(ctx, issued.Secret)
	require.NoError(t, err)
	p := c.join(t, issued.Secret)
	require.NoError(t, c.report(p))
	return c.session(t, s.ID), issued, p
}

func (c *centre) session(t require.TestingT, id string) *cases.Session {
	s, err := c.rooms.Session(ctx, c.agency, id)
	require.NoError(t, err)
	return s
}

func (c *centre) caseOf(t require.TestingT, id string) *cases.Case {
	found, err := c.rooms.Cases(ctx, c.agency, []string{id})
	require.NoError(t, err)
	require.Contains(t, found, id)
	return found[id]
}

func (c *centre) link(t require.TestingT, issued *cases.Issued) *cases.Link {
	links, err := c.rooms.Links(ctx, c.agency, []string{issued.Link.SessionID})
	require.NoError(t, err)
	for _, l := range links[issued.Link.SessionID] {
		if l.ID == issued.Link.ID {
			return l
		}
	}
	require.FailNow(t, "the link is not there")
	return nil
}

func (c *centre) phoneState(t require.TestingT, p *phone) cases.PhoneState {
	found, err := c.rooms.Phone(ctx, c.agency, p.id)
	require.NoError(t, err)
	return found.State
}

// journaled lists the payloads of a session's entries of one type.
func (c *centre) journaled(t require.TestingT, session string, typ journal.Type) []map[string]any {
	rows, err := c.journal.After(ctx, c.agency, 0, journal.Filter{SessionID: session, Types: []journal.Type{typ}}, 1000)
	require.NoError(t, err)
	payloads := make([]map[string]any, len(rows))
	for i, r := range rows {
		if len(r.Payload) > 0 {
			require.NoError(t, json.Unmarshal(r.Payload, &payloads[i]))
		}
	}
	return payloads
}

var tables = []string{
	"agencies", "users", "journal_heads", "journal_entries", "journal_payloads", "case_numbers", "cases", "sessions", "links", "phones",
	"nonces", "consents", "positions", "contact_tasks",
	"staff_members", "staff_sheets", "staff_links", "staff_nonces", "staff_codes", "staff_assignments",
	"whispers", "duty_notes", "shares",
}

// dump is everything the database holds, as text.
func (c *centre) dump(t require.TestingT) string {
	text := ""
	for _, table := range tables {
		var rows []map[string]any
		require.NoError(t, c.db.Read(ctx).Table(table).Order("1").Order("2").Find(&rows).Error)
		for _, row := range rows {
			line, err := json.Marshal(row)
			require.NoError(t, err)
			text += fmt.Sprintf("%s %s\n", table, line)
		}
	}
	return text
}

func refused(t require.TestingT, err error, reason problem.Reason) {
	require.Error(t, err)
	require.Equal(t, reason, problem.Of(err).Reason(), "%v", err)
}
