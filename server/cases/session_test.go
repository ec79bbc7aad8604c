package cases_test

import (
	"errors"
	"strings"
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
)

var errRolledBack = errors.New("rolled back")

func TestRequestVideo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		k := c.open(t)
		good := cases.Request{CaseID: k.ID, Asked: cases.LiveMode, Need: "状況を見る", Number: "090-1234-5678"}
		ask := func(change func(*cases.Request)) (*cases.Session, bool, error) {
			in := good
			change(&in)
			return c.rooms.RequestVideo(ctx, c.dispatcher, in)
		}

		for name, bad := range map[string]struct {
			change func(*cases.Request)
			reason problem.Reason
		}{
			"no need given":              {func(in *cases.Request) { in.Need = " " }, problem.ReasonMissing},
			"a need too long":            {func(in *cases.Request) { in.Need = strings.Repeat("あ", 501) }, problem.BadInput},
			"a broken need":              {func(in *cases.Request) { in.Need = "a\xff" }, problem.BadInput},
			"a NUL in the need":          {func(in *cases.Request) { in.Need = "a\x00" }, problem.BadInput},
			"a language we lack":         {func(in *cases.Request) { in.Language = "fr" }, problem.BadInput},
			"neither number nor address": {func(in *cases.Request) { in.Number = "" }, problem.NumberInvalid},
			"a landline":                 {func(in *cases.Request) { in.Number = "024-522-2151" }, problem.NumberInvalid},
			"a foreign mobile":           {func(in *cases.Request) { in.Number = "+1 202 555 0123" }, problem.NumberInvalid},
			"an e-mail without a reason": {func(in *cases.Request) { in.Email = "a@example.com" }, problem.ReasonMissing},
			"an address with a name":     {func(in *cases.Request) { in.Email, in.EmailReason = "A <a@example.com>", "x" }, problem.EmailInvalid},
			"no address":                 {func(in *cases.Request) { in.Email, in.EmailReason = "example.com", "x" }, problem.EmailInvalid},
			"no domain":                  {func(in *cases.Request) { in.Email, in.EmailReason = "a@example", "x" }, problem.EmailInvalid},
			"a second header":            {func(in *cases.Request) { in.Email, in.EmailReason = "a@example.com\r\nBcc: b@example.com", "x" }, problem.EmailInvalid},
			"an unknown case":            {func(in *cases.Request) { in.CaseID = identity.NewID() }, problem.NotFound},
		} {
			t.Run("refused: "+name, func(t *testing.T) {
				before := c.dump(t)
				_, _, err := ask(bad.change)
				refused(t, err, bad.reason)
				require.Equal(t, before, c.dump(t))
			})
		}
		t.Run("another agency's case is not found", func(t *testing.T) {
			_, _, err := c.rooms.RequestVideo(ctx, c.foreigner, good)
			refused(t, err, problem.NotFound)
		})
		t.Run("ok without any check: a request never waits", func(t *testing.T) {
			s, differs, err := ask(func(*cases.Request) {})
			require.NoError(t, err)
			require.False(t, differs)
			require.Equal(t, cases.Requested, s.State)
			require.Equal(t, "+819012345678", s.Number)
			require.Equal(t, "ja", s.Language)
			require.Nil(t, s.ReportedAt)
			require.Equal(t, 1, c.caseOf(t, k.ID).OpenSessions)
		})
		t.Run("a number that differs from the notified one is told", func(t *testing.T) {
			for notified, want := range map[string]bool{"09012345678": false, "+819012345678": false, "090-1234-5679": true, "0245222151": true, "非通知": true} {
				_, differs, err := ask(func(in *cases.Request) { in.NotifiedNumber = notified })
				require.NoError(t, err)
				require.Equal(t, want, differs, notified)
			}
		})
		t.Run("a supervisor told before is on record", func(t *testing.T) {
			s, _, err := ask(func(in *cases.Request) { in.Checks.SupervisorTold = true })
			require.NoError(t, err)
			require.Equal(t, db.Now(), s.ReportedAt.UTC())
			require.Equal(t, true, c.journaled(t, s.ID, journal.AdvanceReported)[0]["before"])
		})
	})
}

func TestWhoMayCommand(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		commands := map[string]func(actor policy.Actor, id string) error{
			"end":    func(a policy.Actor, id string) error { _, err := c.rooms.End(ctx, a, id, cases.Done); return err },
			"revoke": func(a policy.Actor, id string) error { _, err := c.rooms.Revoke(ctx, a, id); return err },
			"mode": func(a policy.Actor, id string) error {
				_, err := c.rooms.AskMode(ctx, a, id, cases.PhotoMode)
				return err
			},
			"misdirected": func(a policy.Actor, id string) error {
				return db.InTx(ctx, func(tx *database.Tx) error {
					_, err := c.rooms.MarkMisdirected(tx, a, id, "+819012345678", "")
					return err
				})
			},
		}
		for name, command := range commands {
			t.Run(name, func(t *testing.T) {
				s, _, _ := c.connected(t)
				before := c.dump(t)
				refused(t, command(c.colleague, s.ID), problem.Forbidden)
				refused(t, command(c.foreigner, s.ID), problem.NotFound)
				refused(t, command(c.dispatcher, identity.NewID()), problem.NotFound)
				require.Equal(t, before, c.dump(t), "a refusal changes nothing")
				require.NoError(t, command(c.supervisor, s.ID), "a supervisor may, for any dispatcher")
				s, _, _ = c.connected(t)
				require.NoError(t, command(c.dispatcher, s.ID))
			})
		}
		t.Run("another agency reads nothing", func(t *testing.T) {
			s, _, p := c.connected(t)
			other := c.foreigner.Agency
			_, err := c.rooms.Session(ctx, other, s.ID)
			refused(t, err, problem.NotFound)
			_, err = c.rooms.Phone(ctx, other, p.id)
			refused(t, err, problem.NotFound)
			_, err = c.rooms.FirstFrame(ctx, c.foreigner, s.ID)
			refused(t, err, problem.NotFound)
			ids := []string{s.ID}
			sessions, err := c.rooms.Sessions(ctx, other, ids)
			require.NoError(t, err)
			require.Empty(t, sessions)
			links, err := c.rooms.Links(ctx, other, ids)
			require.NoError(t, err)
			require.Empty(t, links)
			phones, err := c.rooms.Phones(ctx, other, ids)
			require.NoError(t, err)
			require.Empty(t, phones)
			consents, err := c.rooms.Consents(ctx, other, ids)
			require.NoError(t, err)
			require.Empty(t, consents)
			positions, err := c.rooms.Positions(ctx, other, s.ID, 0, 10)
			require.NoError(t, err)
			require.Empty(t, positions)
			last, err := c.rooms.LastPositions(ctx, other, ids)
			require.NoError(t, err)
			require.Empty(t, last)
			byCase, err := c.rooms.SessionsOf(ctx, other, []string{s.CaseID})
			require.NoError(t, err)
			require.Empty(t, byCase)
			list, err := c.rooms.ListSessions(ctx, other, cases.SessionFilter{}, cases.RequestedNewest, nil, 10)
			require.NoError(t, err)
			require.Empty(t, list)
		})
		t.Run("the number is whole only for who commands, and only while it lasts", func(t *testing.T) {
			s, _, _ := c.connected(t)
			for _, who := range []policy.Actor{c.dispatcher, c.supervisor} {
				number, whole := s.ShownNumber(who)
				require.True(t, whole)
				require.Equal(t, "+819012345678", number)
			}
			number, whole := s.ShownNumber(c.colleague)
			require.False(t, whole)
			require.Equal(t, "678", number)
			s, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			for _, who := range []policy.Actor{c.dispatcher, c.supervisor} {
				number, whole = s.ShownNumber(who)
				require.False(t, whole)
				require.Equal(t, "678", number)
			}
		})
	})
}

// nothingAccepted asks every way in of a session that is over.
func nothingAccepted(t *testing.T, c *centre, s *cases.Session, issued *cases.Issued, p *phone) {
	t.Helper()
	dbtest.ClockOf(c.db).Advance(time.Minute) // whoever asked for other dead links before may ask again
	before := c.session(t, s.ID)
	_, err := c.rooms.Welcome(ctx, p.actor)
	refused(t, err, problem.SessionEnded)
	refused(t, c.report(p), problem.SessionEnded)
	refused(t, c.db.InTx(ctx, func(tx *database.Tx) error { _, err := c.rooms.Accept(tx, p.actor); return err }), problem.SessionEnded)
	_, err = c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PhotoMode)
	refused(t, err, problem.SessionEnded)
	_, err = c.issue(c.dispatcher, s.ID, "5678", nil)
	refused(t, err, problem.SessionEnded)
	for _, dead := range []error{
		c.answer(newPhone(t), issued.Secret, "", true),
		c.answer(newPhone(t), issued.Secret, "", false),
		c.rooms.Trouble(ctx, issued.Secret, cases.Network),
		c.rooms.Mismatch(ctx, issued.Secret),
		func() error { _, _, err := c.rooms.OpenLink(ctx, issued.Secret); return err }(),
		func() error { _, err := c.rooms.Terms(ctx, issued.Secret); return err }(),
		func() error { _, err := c.rooms.EnterCode(ctx, issued.Secret, "000000"); return err }(),
		func() error { _, _, err := c.rooms.Resume(ctx, issued.Secret, p.id, "n", p.sign("n")); return err }(),
	} {
		refused(t, dead, problem.LinkUnusable)
	}
	require.NoError(t, c.rooms.Stop(ctx, p.actor))
	_, err = c.rooms.Recognise(ctx, p.token)
	require.NoError(t, err, "the phone is still known, so that it learns of the end")
	require.Equal(t, before, c.session(t, s.ID))
	_, err = c.rooms.LinkKey(issued.Link.ID)
	require.ErrorIs(t, err, blob.ErrNoKey)
}

func TestEnding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		over := map[string]int{}
		c.rooms.OnOver(func(session string) { over[session]++ })
		misdirect := func(actor policy.Actor, id string) error {
			return db.InTx(ctx, func(tx *database.Tx) error {
				_, err := c.rooms.MarkMisdirected(tx, actor, id, "+819012345678", "")
				return err
			})
		}

		for _, reason := range []cases.EndReason{cases.Done, cases.FalseReport, cases.ImproperFilming, cases.Unsafe, cases.Misdirected, cases.OtherReason} {
			t.Run("ended as "+string(reason)+": nothing more is accepted", func(t *testing.T) {
				s, issued, p := c.connected(t)
				require.NoError(t, c.rooms.SetLive(ctx, s.ID, true, journal.LiveStarted, p.id))
				ended, err := c.rooms.End(ctx, c.dispatcher, s.ID, reason)
				require.NoError(t, err)
				require.Equal(t, cases.Ended, ended.State)
				require.Equal(t, reason, ended.EndReason)
				require.Equal(t, c.dispatcher.ID, ended.EndedBy)
				require.Equal(t, reason == cases.Misdirected, ended.Misdirected)
				require.False(t, ended.Live)
				require.Equal(t, 1, over[s.ID])
				require.Equal(t, cases.LinkEnded, c.link(t, issued).State)
				nothingAccepted(t, c, s, issued, p)
			})
		}
		t.Run("ended twice: the first end stands and is answered again", func(t *testing.T) {
			s, _, _ := c.connected(t)
			first, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Unsafe)
			require.NoError(t, err)
			dbtest.ClockOf(db).Advance(time.Minute)
			again, err := c.rooms.End(ctx, c.supervisor, s.ID, cases.Done)
			require.NoError(t, err)
			require.Equal(t, cases.Unsafe, again.EndReason)
			require.True(t, first.EndedAt.Equal(*again.EndedAt))
			revoked, err := c.rooms.Revoke(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
			require.Equal(t, cases.Ended, revoked.State)
			require.Nil(t, revoked.RevokedAt)
			require.Len(t, c.journaled(t, s.ID, journal.SessionEnded), 1)
			require.Empty(t, c.journaled(t, s.ID, journal.LinkRevoked))
			require.Equal(t, 1, over[s.ID])
		})
		t.Run("revoked: nothing more is accepted", func(t *testing.T) {
			s, issued, p := c.connected(t)
			revoked, err := c.rooms.Revoke(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
			require.Equal(t, cases.Revoked, revoked.State)
			require.Equal(t, cases.LinkRevoked, c.link(t, issued).State)
			require.Equal(t, 1, over[s.ID])
			nothingAccepted(t, c, s, issued, p)
		})
		t.Run("misdirected while it lives: revoked, hidden, and somebody is to be called", func(t *testing.T) {
			s, issued, p := c.connected(t)
			for range 2 {
				require.NoError(t, misdirect(c.dispatcher, s.ID))
			}
			now := c.session(t, s.ID)
			require.Equal(t, cases.Revoked, now.State)
			require.True(t, now.Misdirected)
			require.Equal(t, cases.Misdirected, now.EndReason)
			var tasks []cases.ContactTask
			require.NoError(t, db.Read(ctx).Find(&tasks, "session_id = ?", s.ID).Error)
			require.Len(t, tasks, 1)
			require.Equal(t, "+819012345678", tasks[0].Number)
			require.Len(t, c.journaled(t, s.ID, journal.SessionMisdirected), 1)
			require.Equal(t, 1, over[s.ID])
			nothingAccepted(t, c, s, issued, p)
		})
		t.Run("misdirected after the end: hidden, its end stays as it was", func(t *testing.T) {
			s, _, _ := c.connected(t)
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			require.NoError(t, misdirect(c.supervisor, s.ID))
			now := c.session(t, s.ID)
			require.Equal(t, cases.Ended, now.State)
			require.Equal(t, cases.Done, now.EndReason)
			require.True(t, now.Misdirected)
			require.Equal(t, 1, over[s.ID])
			require.Zero(t, c.caseOf(t, s.CaseID).OpenSessions)
		})
		t.Run("what was never sent cannot be misdirected", func(t *testing.T) {
			refused(t, misdirect(c.dispatcher, c.request(t, c.open(t)).ID), problem.SessionNotOpen)
		})
		t.Run("rolled back: nothing is cut and no key is gone", func(t *testing.T) {
			s, issued, p := c.connected(t)
			require.ErrorIs(t, db.InTx(ctx, func(tx *database.Tx) error {
				if _, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", ""); err != nil {
					return err
				}
				return errRolledBack
			}), errRolledBack)
			require.Zero(t, over[s.ID])
			_, err := c.rooms.LinkKey(issued.Link.ID)
			require.NoError(t, err)
			dbtest.ClockOf(db).Advance(time.Second)
			require.NoError(t, c.report(p))
		})
		t.Run("the case closes with its last open session and opens with the next", func(t *testing.T) {
			k := c.open(t)
			one, two := c.request(t, k), c.request(t, k)
			require.Equal(t, 2, c.caseOf(t, k.ID).OpenSessions)
			_, err := c.rooms.End(ctx, c.dispatcher, one.ID, cases.Done)
			require.NoError(t, err)
			require.Nil(t, c.caseOf(t, k.ID).ClosedAt)
			_, err = c.rooms.Revoke(ctx, c.dispatcher, two.ID)
			require.NoError(t, err)
			closed := c.caseOf(t, k.ID)
			require.Zero(t, closed.OpenSessions)
			require.Equal(t, db.Now(), closed.ClosedAt.UTC())
			c.request(t, k)
			require.Nil(t, c.caseOf(t, k.ID).ClosedAt)
		})
	})
}

func TestStages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		tick := func() { dbtest.ClockOf(db).Advance(time.Second) }

		t.Run("each is reached once, in order, and the state is the furthest", func(t *testing.T) {
			s := c.request(t, c.open(t))
			tick()
			issued := c.send(t, s)
			tick()
			_, _, err := c.rooms.OpenLink(ctx, issued.Secret)
			require.NoError(t, err)
			tick()
			p := c.join(t, issued.Secret)
			tick()
			require.NoError(t, c.report(p))
			tick()
			_, err = c.rooms.FirstFrame(ctx, c.colleague, s.ID)
			require.NoError(t, err)
			tick()
			again := c.send(t, s) // a later link takes nothing back
			_, _, err = c.rooms.OpenLink(ctx, again.Secret)
			require.NoError(t, err)
			c.join(t, again.Secret)
			require.Equal(t, cases.Connected, c.session(t, s.ID).State)
			ended, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			var reached []cases.State
			for i, stage := range ended.Stages() {
				reached = append(reached, stage.State)
				if i > 0 {
					require.True(t, stage.At.After(ended.Stages()[i-1].At), stage.State)
				}
			}
			require.Equal(t, []cases.State{cases.Requested, cases.LinkSent, cases.Opened, cases.Consented, cases.Connected, cases.Ended}, reached)
			require.Equal(t, dbtest.Start.Add(5*time.Second), ended.FirstFrameAt.UTC())
		})
		t.Run("a first frame counts once, and only after something came", func(t *testing.T) {
			s, _ := c.sent(t)
			_, err := c.rooms.FirstFrame(ctx, c.dispatcher, s.ID)
			require.NoError(t, err)
			require.Nil(t, c.session(t, s.ID).FirstFrameAt)
			s, _, _ = c.connected(t)
			for range 3 {
				_, err := c.rooms.FirstFrame(ctx, c.dispatcher, s.ID)
				require.NoError(t, err)
			}
			require.Len(t, c.journaled(t, s.ID, journal.FirstFrameShown), 1)
		})
		t.Run("asking for the same way again notes nothing", func(t *testing.T) {
			s, _, _ := c.connected(t)
			for range 2 {
				_, err := c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PositionMode)
				require.NoError(t, err)
			}
			require.Equal(t, cases.PositionMode, c.session(t, s.ID).Asked)
			require.Len(t, c.journaled(t, s.ID, journal.ModeAsked), 1)
		})
		t.Run("a session that is over is not live again", func(t *testing.T) {
			s, _, p := c.connected(t)
			require.NoError(t, c.rooms.SetLive(ctx, s.ID, true, journal.LiveStarted, p.id))
			require.True(t, c.session(t, s.ID).Live)
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			require.NoError(t, c.rooms.SetLive(ctx, s.ID, true, journal.LiveResumed, p.id))
			require.False(t, c.session(t, s.ID).Live)
		})
		t.Run("live video that stands still is where it stalls, until it moves", func(t *testing.T) {
			s, _, p := c.connected(t)
			require.NoError(t, c.rooms.SetLive(ctx, s.ID, true, journal.LiveStarted, p.id))
			require.NoError(t, c.rooms.SetLive(ctx, s.ID, false, journal.LiveStalled, p.id))
			require.Equal(t, cases.Network, c.session(t, s.ID).Stall)
			require.NotNil(t, c.session(t, s.ID).StalledAt)
			require.NoError(t, c.rooms.SetLive(ctx, s.ID, true, journal.LiveResumed, p.id))
			require.Empty(t, c.session(t, s.ID).Stall)
			require.Nil(t, c.session(t, s.ID).StalledAt)
		})
		t.Run("a message that did not arrive is where it stalls, until it is opened", func(t *testing.T) {
			s, issued := c.sent(t)
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Undelivered(tx, s.ID) }))
			require.Equal(t, cases.SMSUndelivered, c.session(t, s.ID).Stall)
			_, _, err := c.rooms.OpenLink(ctx, issued.Secret)
			require.NoError(t, err)
			require.Empty(t, c.session(t, s.ID).Stall)
		})
	})
}

func TestListSessions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		k := c.open(t)
		var ids []string
		for range 5 {
			ids = append(ids, c.request(t, k).ID)
			dbtest.ClockOf(db).Advance(time.Second)
		}
		_, err := c.rooms.End(ctx, c.dispatcher, ids[0], cases.FalseReport)
		require.NoError(t, err)
		list := func(f cases.SessionFilter, sort cases.SessionSort, after *cases.Place, limit int) (found []string) {
			sessions, err := c.rooms.ListSessions(ctx, c.agency, f, sort, after, limit)
			require.NoError(t, err)
			for _, s := range sessions {
				found = append(found, s.ID)
			}
			return found
		}
		ptr := func(b bool) *bool { return &b }
		t.Run("oldest and newest first, page by page", func(t *testing.T) {
			require.Equal(t, ids, list(cases.SessionFilter{}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[:2], list(cases.SessionFilter{}, cases.RequestedOldest, nil, 2))
			last := c.session(t, ids[1])
			require.Equal(t, ids[2:], list(cases.SessionFilter{}, cases.RequestedOldest, &cases.Place{At: last.RequestedAt, ID: last.ID}, 10))
			require.Equal(t, []string{ids[0]}, list(cases.SessionFilter{}, cases.RequestedNewest, &cases.Place{At: last.RequestedAt, ID: last.ID}, 10))
		})
		t.Run("narrowed by each field", func(t *testing.T) {
			why, who, nobody, state := cases.FalseReport, c.dispatcher.ID, c.colleague.ID, cases.Requested
			since := dbtest.Start.Add(2 * time.Second)
			require.Equal(t, ids[:1], list(cases.SessionFilter{Open: ptr(false)}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[1:2], list(cases.SessionFilter{Open: ptr(true), RequestedUntil: &since}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[:2], list(cases.SessionFilter{DispatcherID: &who, RequestedUntil: &since}, cases.RequestedOldest, nil, 10))
			require.Empty(t, list(cases.SessionFilter{DispatcherID: &nobody}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[:1], list(cases.SessionFilter{EndReason: &why}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[1:], list(cases.SessionFilter{State: &state, CaseID: &k.ID}, cases.RequestedOldest, nil, 10))
			require.Equal(t, ids[2:], list(cases.SessionFilter{RequestedSince: &since}, cases.RequestedOldest, nil, 10))
		})
	})
}
