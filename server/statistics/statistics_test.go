package statistics_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"genba/server/problem"
	"genba/server/statistics"
)

type quiet struct{}

func (quiet) Ring(string) {}

// centre is one agency with its rooms and one supervisor at work.
type centre struct {
	t     *testing.T
	db    *database.DB
	cases *cases.Cases
	stats *statistics.Statistics
	actor policy.Actor
}

func open(t *testing.T, db *database.DB) *centre {
	t.Helper()
	j := journal.New(db, quiet{})
	people, err := identity.New(db, j)
	require.NoError(t, err)
	keys, err := blob.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	require.NoError(t, err)
	key, err := blob.NewKey()
	require.NoError(t, err)
	c := &centre{t: t, db: db, cases: cases.New(db, j, people, identity.NewBearers(key, db.Clock), keys), stats: statistics.New(db)}
	c.actor = c.hire(people, "fukushima")
	return c
}

func (c *centre) hire(people *identity.Identity, code string) policy.Actor {
	c.t.Helper()
	a, err := people.CreateAgency(context.Background(), identity.NewAgency{Code: code, NameJa: "県警察", NameEn: "Police"})
	require.NoError(c.t, err)
	u, err := people.Register(context.Background(), policy.SystemActor(), a.ID, identity.NewUser{
		UserName: "sato", DisplayName: "佐藤", Role: policy.Supervisor, Password: "correct horse battery", PasswordReason: "指紋が読めない",
	})
	require.NoError(c.t, err)
	return policy.Actor{Kind: policy.User, ID: u.ID, Agency: a.ID, Role: policy.Supervisor}
}

// other is the same centre through the eyes of a second agency.
func (c *centre) other() *centre {
	c.t.Helper()
	people, err := identity.New(c.db, journal.New(c.db, quiet{}))
	require.NoError(c.t, err)
	o := *c
	o.actor = c.hire(people, "miyagi")
	return &o
}

func (c *centre) at(moment string) {
	c.t.Helper()
	at, err := time.Parse(time.RFC3339Nano, moment)
	require.NoError(c.t, err)
	dbtest.ClockOf(c.db).SetWall(at)
}

func (c *centre) incident(class cases.Class, drill bool) *cases.Case {
	c.t.Helper()
	k, err := c.cases.Open(context.Background(), c.actor, cases.NewCase{Class: class, Municipality: "福島市", Place: "駅前", Drill: drill})
	require.NoError(c.t, err)
	return k
}

func (c *centre) request(k *cases.Case) *cases.Session {
	c.t.Helper()
	s, _, err := c.cases.RequestVideo(context.Background(), c.actor, cases.Request{
		CaseID: k.ID, Asked: cases.PhotoMode, Need: "状況を見る", Number: "090-1234-5678",
		Checks: cases.Checks{Safe: true, CameraPhone: true, NumberNotified: true, Explained: true, SupervisorTold: true},
	})
	require.NoError(c.t, err)
	return s
}

// connect takes a session to its first accepted position.
func (c *centre) connect(s *cases.Session) {
	c.t.Helper()
	ctx := context.Background()
	var issued *cases.Issued
	require.NoError(c.t, c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		_, issued, err = c.cases.IssueLink(tx, c.actor, s.ID, "5678", nil)
		return err
	}))
	terms, _, err := c.cases.OpenLink(ctx, issued.Secret)
	require.NoError(c.t, err)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(c.t, err)
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	require.NoError(c.t, err)
	_, token, err := c.cases.Join(ctx, cases.Join{
		Secret: issued.Secret, Agreed: true, Version: terms.Terms[0].Version, Language: "ja",
		PublicKey: base64.StdEncoding.EncodeToString(der),
	})
	require.NoError(c.t, err)
	phone, err := c.cases.Recognise(ctx, token)
	require.NoError(c.t, err)
	_, err = c.cases.ReportPosition(ctx, phone, cases.Fix{Latitude: 37.75, Longitude: 140.46, Accuracy: 5, CapturedAt: c.db.Now()})
	require.NoError(c.t, err)
}

func (c *centre) receive(s *cases.Session, kind, capture string, complete bool) {
	c.t.Helper()
	require.NoError(c.t, c.db.InTx(context.Background(), func(tx *database.Tx) error {
		return c.cases.Count(tx, s.ID, kind, capture, complete)
	}))
}

func (c *centre) end(s *cases.Session, why cases.EndReason) {
	c.t.Helper()
	_, err := c.cases.End(context.Background(), c.actor, s.ID, why)
	require.NoError(c.t, err)
}

func (c *centre) count(from, to string) *statistics.Report {
	c.t.Helper()
	r, err := c.stats.Count(context.Background(), c.actor.Agency, from, to)
	require.NoError(c.t, err)
	return r
}

func reasons(counts map[cases.EndReason]int, nobody int) []statistics.EndReasonCount {
	var all []statistics.EndReasonCount
	for _, r := range []cases.EndReason{cases.Done, cases.FalseReport, cases.ImproperFilming, cases.Unsafe, cases.Misdirected, cases.OtherReason} {
		all = append(all, statistics.EndReasonCount{Reason: &r, Sessions: counts[r]})
	}
	return append(all, statistics.EndReasonCount{Sessions: nobody})
}

func empty(from string, days ...string) *statistics.Report {
	r := &statistics.Report{
		From: from, To: days[len(days)-1],
		ByClass:     []statistics.ClassCount{{Class: cases.Welfare}, {Class: cases.Information}, {Class: cases.Traffic}, {Class: cases.OtherClass}},
		ByKind:      []statistics.KindCount{{Kind: statistics.LiveVideo}, {Kind: statistics.NowVideo}, {Kind: statistics.BeforeVideo}, {Kind: statistics.NowStill}, {Kind: statistics.BeforeStill}},
		ByOrigin:    []statistics.OriginCount{{Kind: cases.CallerSession}, {Kind: cases.StaffSession}},
		ByEndReason: reasons(nil, 0),
		Funnel: []statistics.StageCount{
			{Stage: statistics.Requested},
			{Stage: statistics.LinkSent},
			{Stage: statistics.Opened},
			{Stage: statistics.Consented},
			{Stage: statistics.Connected},
			{Stage: statistics.FirstFrame},
			{Stage: statistics.Ended},
		},
	}
	for _, d := range days {
		r.ByDay = append(r.ByDay, statistics.DayCount{Day: d})
	}
	return r
}

func TestCount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		c := open(t, db)

		t.Run("nothing handled: every day, class, kind, origin, reason and stage with 0", func(t *testing.T) {
			require.Equal(t, empty("2026-11-22", "2026-11-22", "2026-11-23", "2026-11-24"), c.count("2026-11-22", "2026-11-24"))
		})

		c.at("2026-11-22T14:59:59.999999Z") // the last microsecond of the 22nd in Japan
		eve := c.incident(cases.Traffic, false)
		c.end(c.request(eve), cases.FalseReport)
		c.at("2026-11-22T15:00:00Z") // midnight in Japan
		day := c.incident(cases.Welfare, false)
		full := c.request(day)
		c.connect(full)
		_, err := c.cases.FirstFrame(ctx, c.actor, full.ID)
		require.NoError(t, err)
		for _, f := range [][2]string{{"RECORDING", "NOW"}, {"RECORDING", "NOW"}, {"VIDEO", "NOW"}, {"VIDEO", "BEFORE"}, {"PHOTO", "NOW"}, {"PHOTO", "NOW"}, {"PHOTO", "NOW"}, {"PHOTO", "BEFORE"}, {"SNAPSHOT", "NOW"}} {
			c.receive(full, f[0], f[1], true)
		}
		c.receive(full, "VIDEO", "NOW", false)
		c.end(full, cases.Done)
		again := c.request(day)
		c.connect(again)
		c.receive(again, "PHOTO", "NOW", true)
		c.at("2026-11-23T14:59:59.999999Z") // the last microsecond of the 23rd
		c.incident(cases.OtherClass, false)
		c.request(eve) // a second report, a day after its case was opened
		staff := &cases.Session{
			ID: identity.NewID(), AgencyID: c.actor.Agency, CaseID: day.ID, Kind: cases.StaffSession, Asked: cases.LiveMode,
			State: cases.Requested, DispatcherID: c.actor.ID, RequestedAt: db.Now(), ChangedAt: db.Now(),
		}
		require.NoError(t, db.Read(ctx).Create(staff).Error)
		c.at("2026-11-23T15:00:00Z") // the 24th
		c.incident(cases.Information, false)

		drill := c.incident(cases.Welfare, true)
		exercise := c.request(drill)
		c.connect(exercise)
		c.receive(exercise, "PHOTO", "NOW", true)
		c.end(exercise, cases.Done)

		elsewhere := c.other()
		elsewhere.connect(elsewhere.request(elsewhere.incident(cases.Welfare, false)))

		want := empty("2026-11-23", "2026-11-23")
		want.Cases, want.Sessions = 2, 4
		want.ByDay = []statistics.DayCount{{Day: "2026-11-23", Cases: 2, Sessions: 4, Connected: 2}}
		want.ByClass = []statistics.ClassCount{{cases.Welfare, 1, 3}, {cases.Information, 0, 0}, {cases.Traffic, 0, 1}, {cases.OtherClass, 1, 0}}
		want.ByKind = []statistics.KindCount{{statistics.LiveVideo, 2, 1}, {statistics.NowVideo, 1, 1}, {statistics.BeforeVideo, 1, 1}, {statistics.NowStill, 4, 2}, {statistics.BeforeStill, 1, 1}}
		want.ByOrigin = []statistics.OriginCount{{cases.CallerSession, 3}, {cases.StaffSession, 1}}
		want.ByEndReason = reasons(map[cases.EndReason]int{cases.Done: 1}, 3)
		want.Funnel = []statistics.StageCount{
			{statistics.Requested, 4},
			{statistics.LinkSent, 2},
			{statistics.Opened, 2},
			{statistics.Consented, 2},
			{statistics.Connected, 2},
			{statistics.FirstFrame, 1},
			{statistics.Ended, 1},
		}

		t.Run("one day: what began between its two midnights in Japan", func(t *testing.T) {
			require.Equal(t, want, c.count("2026-11-23", "2026-11-23"))
		})
		t.Run("a range: each day by itself", func(t *testing.T) {
			r := c.count("2026-11-21", "2026-11-25")
			require.Equal(t, []statistics.DayCount{{Day: "2026-11-21"}, {"2026-11-22", 1, 1, 0}, {"2026-11-23", 2, 4, 2}, {"2026-11-24", 1, 0, 0}, {Day: "2026-11-25"}}, r.ByDay)
			require.Equal(t, 4, r.Cases)
			require.Equal(t, 5, r.Sessions)
			require.Equal(t, reasons(map[cases.EndReason]int{cases.Done: 1, cases.FalseReport: 1}, 3), r.ByEndReason)
		})
		t.Run("a drill counts nowhere", func(t *testing.T) {
			r := c.count("2026-11-24", "2026-11-24")
			require.Equal(t, 1, r.Cases)
			require.Zero(t, r.Sessions)
		})
		t.Run("another agency sees only its own", func(t *testing.T) {
			r := elsewhere.count("2026-11-21", "2026-11-25")
			require.Equal(t, 1, r.Cases)
			require.Equal(t, 1, r.Sessions)
			require.Equal(t, []statistics.DayCount{{Day: "2026-11-21"}, {Day: "2026-11-22"}, {Day: "2026-11-23"}, {"2026-11-24", 1, 1, 1}, {Day: "2026-11-25"}}, r.ByDay)
		})
		t.Run("what was erased is counted as before", func(t *testing.T) {
			c.end(again, cases.Done)
			before := c.count("2026-11-23", "2026-11-23")
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.cases.Erase(tx, day.ID) }))
			require.Equal(t, before, c.count("2026-11-23", "2026-11-23"))
		})
	})
}

func TestRange(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		stats := statistics.New(db)
		agency := identity.NewID()
		count := func(from, to string) (*statistics.Report, error) {
			return stats.Count(context.Background(), agency, from, to)
		}
		for name, bad := range map[string][2]string{
			"empty":                {"", ""},
			"no date":              {"today", "2026-11-23"},
			"no end":               {"2026-11-23", ""},
			"a time of day":        {"2026-11-23T00:00:00Z", "2026-11-23"},
			"a day that is not":    {"2026-02-29", "2026-03-01"},
			"one digit":            {"2026-1-2", "2026-01-03"},
			"SQL":                  {"2026-11-23' OR '1'='1", "2026-11-23"},
			"backwards":            {"2026-11-24", "2026-11-23"},
			"801 days":             {"2026-01-01", "2028-03-11"},
			"the year zero":        {"0000-01-01", "0000-01-02"},
			"past the last year":   {"9999-12-31", "9999-12-31"},
			"a very long range":    {"0001-01-01", "9999-12-30"},
			"more than is written": {"2026-11-23", "2026-11-233"},
		} {
			t.Run("refused: "+name, func(t *testing.T) {
				_, err := count(bad[0], bad[1])
				require.True(t, problem.Is(err, problem.BadInput), "%v", err)
			})
		}
		t.Run("ok: 800 days, each once and in order", func(t *testing.T) {
			r, err := count("2026-01-01", "2028-03-10")
			require.NoError(t, err)
			require.Len(t, r.ByDay, 800)
			last := ""
			for _, d := range r.ByDay {
				require.Less(t, last, d.Day)
				last = d.Day
			}
			require.Equal(t, "2026-01-01", r.ByDay[0].Day)
			require.Equal(t, "2028-03-10", last)
			require.Contains(t, r.ByDay, statistics.DayCount{Day: "2028-02-29"})
		})
	})
}
