package operations_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/operations"
	"genba/server/problem"
)

type quiet struct{}

func (quiet) Ring(string) {}

var ctx = identity.WithAddress(context.Background(), "192.0.2.1")

// centre is an agency with one of each role and an officer whose phone is
// registered.
type centre struct {
	db      *database.DB
	rooms   *cases.Cases
	people  *identity.Identity
	journal *journal.Journal
	reports *operations.Operations

	agency                                    string
	manager, supervisor, dispatcher, stranger policy.Actor

	member *identity.StaffMember
	link   *cases.StaffLink
	key    *ecdsa.PrivateKey
	phone  policy.Actor
}

func newCentre(t *testing.T, db *database.DB) *centre {
	t.Helper()
	c := &centre{db: db, journal: journal.New(db, quiet{})}
	var err error
	c.people, err = identity.New(db, c.journal)
	require.NoError(t, err)
	keys, err := blob.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	require.NoError(t, err)
	key, err := blob.NewKey()
	require.NoError(t, err)
	c.rooms = cases.New(db, c.journal, c.people, identity.NewBearers(key, db.Clock), keys)
	c.reports = operations.New(db, c.journal, c.people, c.rooms)
	found := func(code string) string {
		a, err := c.people.CreateAgency(ctx, identity.NewAgency{Code: code, NameJa: "福島県警察", NameEn: "Fukushima Police"})
		require.NoError(t, err)
		return a.ID
	}
	hire := func(agency, name string, role policy.Role) policy.Actor {
		u := &identity.User{ID: identity.NewID(), AgencyID: agency, UserName: name, DisplayName: name, Role: role, Status: identity.Active, CreatedAt: db.Now()}
		require.NoError(t, db.Read(ctx).Create(u).Error)
		return policy.Actor{Kind: policy.User, ID: u.ID, Agency: agency, Role: role}
	}
	c.agency = found("fukushima")
	c.manager = hire(c.agency, "kanri", policy.Manager)
	c.supervisor = hire(c.agency, "shirei", policy.Supervisor)
	c.dispatcher = hire(c.agency, "juri", policy.Dispatcher)
	c.stranger = hire(found("miyagi"), "tanaka", policy.Supervisor)

	c.member, err = c.people.RegisterStaff(ctx, c.manager, identity.NewStaffMember{Unit: "福島署", Name: "佐藤"})
	require.NoError(t, err)
	_, code, err := c.rooms.IssueSheet(ctx, c.manager, cases.NewSheet{MemberID: c.member.ID, Device: cases.IssuedDevice})
	require.NoError(t, err)
	c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&c.key.PublicKey)
	require.NoError(t, err)
	c.link, _, err = c.rooms.RegisterPhone(ctx, cases.RegisterPhone{Code: code, PublicKey: base64.StdEncoding.EncodeToString(der), RulesVersion: "2026-11", RulesLanguage: "ja"})
	require.NoError(t, err)
	c.link, err = c.rooms.MatchPhone(ctx, c.manager, c.link.ID, c.link.MatchNumber)
	require.NoError(t, err)
	c.phone = c.link.Actor()
	return c
}

// start begins a video report of the officer.
func (c *centre) start(t *testing.T) *cases.Session {
	t.Helper()
	_, err := c.rooms.RotateStaffCodes(ctx)
	require.NoError(t, err)
	code, err := c.rooms.StaffCode(ctx, c.agency)
	require.NoError(t, err)
	nonce, err := c.rooms.Challenge(ctx, c.link.ID)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(nonce))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	require.NoError(t, err)
	signature := base64.StdEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	session, phone, _, err := c.rooms.StartStaff(ctx, c.link.Actor(), cases.StaffStart{Nonce: nonce, Signature: signature, Code: code.Code, WithinResponse: true, NoOtherPath: true})
	require.NoError(t, err)
	c.phone = phone.Actor()
	return session
}

func (c *centre) owed(t *testing.T) []string {
	t.Helper()
	found, err := c.reports.Owed(ctx, c.agency, c.member.ID)
	require.NoError(t, err)
	ids := []string{}
	for _, s := range found {
		ids = append(ids, s.ID)
	}
	return ids
}

func (c *centre) count(t *testing.T, typ journal.Type) int {
	t.Helper()
	rows, err := c.journal.After(ctx, c.agency, 0, journal.Filter{Types: []journal.Type{typ}}, 100)
	require.NoError(t, err)
	return len(rows)
}

func refused(t *testing.T, err error, reason problem.Reason) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, reason, problem.Of(err).Reason(), "%v", err)
}

// 第4の4(1)イ: before the use, which it then belongs to.
func TestUsageReportedBefore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, err := c.reports.ReportUsage(ctx, c.phone, operations.NewUsage{Purpose: " "})
		refused(t, err, problem.ReasonMissing)
		r, err := c.reports.ReportUsage(ctx, c.phone, operations.NewUsage{Purpose: "canary-purpose"})
		require.NoError(t, err)
		require.Equal(t, operations.Before, r.Timing)
		waiting, err := c.reports.Waiting(ctx, c.agency, c.member.ID)
		require.NoError(t, err)
		require.True(t, waiting)
		s := c.start(t)
		require.Empty(t, c.owed(t))
		of, err := c.reports.UsageOf(ctx, c.agency, []string{s.ID})
		require.NoError(t, err)
		require.Equal(t, r.ID, of[s.ID].ID)

		require.NoError(t, c.rooms.EndOwn(ctx, c.phone))
		second := c.start(t)
		require.Equal(t, []string{second.ID}, c.owed(t), "one report, one use")

		_, err = c.reports.Acknowledge(ctx, c.stranger, r.ID)
		refused(t, err, problem.NotFound)
		r, err = c.reports.Acknowledge(ctx, c.supervisor, r.ID)
		require.NoError(t, err)
		require.Equal(t, c.supervisor.ID, r.AcknowledgedBy)
	})
}

// 第4の4(1)イ: after the use, with the reason; chased from thirty minutes.
func TestUsageReportedAfter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s := c.start(t)
		chase := func() int {
			n, err := c.reports.Chase(ctx)
			require.NoError(t, err)
			return n
		}
		dbtest.ClockOf(db).Advance(time.Hour)
		require.Zero(t, chase(), "it goes on")
		require.NoError(t, c.rooms.EndOwn(ctx, c.phone))
		dbtest.ClockOf(db).Advance(29 * time.Minute)
		require.Zero(t, chase())
		dbtest.ClockOf(db).Advance(time.Minute)
		require.Equal(t, 1, chase())
		require.Zero(t, chase(), "once")
		require.Equal(t, 1, c.count(t, journal.UsageChased))

		_, err := c.reports.ReportUsage(ctx, c.phone, operations.NewUsage{SessionID: s.ID, Purpose: "事故"})
		refused(t, err, problem.ReasonMissing)
		_, err = c.reports.FileUsage(ctx, c.stranger, operations.NewUsage{MemberID: c.member.ID, SessionID: s.ID, Purpose: "事故", LateReason: "急"})
		refused(t, err, problem.NotFound)
		r, err := c.reports.FileUsage(ctx, c.dispatcher, operations.NewUsage{MemberID: c.member.ID, SessionID: s.ID, Purpose: "canary-purpose", LateReason: "canary-reason"})
		require.NoError(t, err)
		require.Equal(t, operations.After, r.Timing)
		require.Equal(t, c.dispatcher.ID, r.OnBehalfBy)
		require.Empty(t, c.owed(t))
		_, err = c.reports.ReportUsage(ctx, c.phone, operations.NewUsage{SessionID: s.ID, Purpose: "事故", LateReason: "急"})
		refused(t, err, problem.AlreadyExists)

		// what it says goes with the case's facts
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Erase(tx, s.CaseID) }))
		of, err := c.reports.UsageOf(ctx, c.agency, []string{s.ID})
		require.NoError(t, err)
		require.Empty(t, of[s.ID].Purpose+of[s.ID].LateReason)
		require.NotNil(t, of[s.ID].ErasedAt)
	})
}

// 第4の4(2)ウ: the officer, the supervisor who suspends, the manager who revokes.
func TestLeakOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s := c.start(t)
		r, err := c.reports.ReportLeak(ctx, c.phone, "canary-what")
		require.NoError(t, err)
		open, err := c.reports.OpenLeak(ctx, c.agency, c.link.ID)
		require.NoError(t, err)
		require.Equal(t, r.ID, open.ID)
		_, err = c.reports.Forward(ctx, c.stranger, r.ID)
		refused(t, err, problem.NotFound)
		r, err = c.reports.Forward(ctx, c.supervisor, r.ID)
		require.NoError(t, err)
		require.Equal(t, c.supervisor.ID, r.ForwardedBy)
		l, err := c.rooms.StaffLink(ctx, c.agency, c.link.ID)
		require.NoError(t, err)
		require.Equal(t, cases.StaffSuspended, l.State)
		cut, err := c.rooms.Session(ctx, c.agency, s.ID)
		require.NoError(t, err)
		require.Equal(t, cases.Revoked, cut.State)
		n, err := c.reports.Escalate(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
		_, err = c.rooms.RevokeStaff(ctx, c.manager, []string{c.link.ID}, cases.RevokedLeak)
		require.NoError(t, err)
		closed, err := c.reports.ListLeaks(ctx, c.agency, operations.LeakFilter{}, nil, 10)
		require.NoError(t, err)
		require.Equal(t, c.manager.ID, closed[0].ClosedBy)
	})
}

// 第4の4(2)ウ: not forwarded within five minutes, it goes to the manager by itself.
func TestLeakEscalates(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		r, err := c.reports.FileLeak(ctx, c.dispatcher, operations.NewLeak{MemberID: c.member.ID, What: "電話機をなくした"})
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(4*time.Minute + 59*time.Second)
		n, err := c.reports.Escalate(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
		dbtest.ClockOf(db).Advance(time.Second)
		n, err = c.reports.Escalate(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = c.reports.Escalate(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, 1, c.count(t, journal.LeakEscalated))
		forwarded := true
		found, err := c.reports.ListLeaks(ctx, c.agency, operations.LeakFilter{Forwarded: &forwarded}, nil, 10)
		require.NoError(t, err)
		require.Empty(t, found[0].ForwardedBy)

		// the supervisor can still suspend, and the manager find it unfounded
		_, err = c.reports.Forward(ctx, c.supervisor, r.ID)
		require.NoError(t, err)
		_, err = c.reports.Unfounded(ctx, c.manager, r.ID, "")
		refused(t, err, problem.ReasonMissing)
		r, err = c.reports.Unfounded(ctx, c.manager, r.ID, "見つかった")
		require.NoError(t, err)
		require.NotNil(t, r.ClosedAt)
		l, err := c.rooms.StaffLink(ctx, c.agency, c.link.ID)
		require.NoError(t, err)
		require.Equal(t, cases.StaffActive, l.State)
	})
}

// What belongs to no case goes on the eighth day, and so does who a removed
// officer was.
func TestReportsWithoutACaseAreForgotten(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		_, err := c.reports.ReportUsage(ctx, c.phone, operations.NewUsage{Purpose: "canary"})
		require.NoError(t, err)
		_, err = c.reports.ReportLeak(ctx, c.phone, "canary")
		require.NoError(t, err)
		_, err = c.rooms.RemoveStaffMember(ctx, c.manager, c.member.ID)
		require.NoError(t, err)
		read := func() (string, string) {
			require.NoError(t, c.reports.Forget(ctx))
			usage, err := c.reports.ListUsage(ctx, c.agency, operations.UsageFilter{}, nil, 10)
			require.NoError(t, err)
			leaks, err := c.reports.ListLeaks(ctx, c.agency, operations.LeakFilter{}, nil, 10)
			require.NoError(t, err)
			m, err := c.people.StaffMember(ctx, c.agency, c.member.ID)
			require.NoError(t, err)
			return usage[0].Purpose + leaks[0].What, m.Name
		}
		dbtest.ClockOf(db).SetWall(time.Date(2026, 12, 1, 0, 0, 0, 0, time.FixedZone("JST", 9*60*60)).Add(-time.Microsecond))
		said, name := read()
		require.Equal(t, "canarycanary", said)
		require.Equal(t, "佐藤", name)
		dbtest.ClockOf(db).Advance(time.Microsecond)
		said, name = read()
		require.Empty(t, said)
		require.Empty(t, name)
	})
}
