package cases_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

var rank = map[cases.State]int{
	cases.Requested: 0, cases.LinkSent: 1, cases.Opened: 2, cases.CodeOK: 3, cases.Consented: 4, cases.Connected: 5,
	cases.Ended: 6, cases.Revoked: 6, cases.Expired: 6, cases.Failed: 6,
}

// incident is one case with its sessions as the test saw them last.
type incident struct {
	*centre
	id       string
	sessions []*cases.Session
	links    map[string][]*cases.Issued
	seenUsed map[string]int
	phones   map[string][]*phone
}

// check compares what the database says now with what it said before.
func (i *incident) check(t *rapid.T) {
	open := 0
	for n, before := range i.sessions {
		now := i.session(t, before.ID)
		require.GreaterOrEqual(t, rank[now.State], rank[before.State], "the state falls from %s to %s", before.State, now.State)
		if before.State.Over() {
			require.Equal(t, before.State, now.State, "what is over ends again or opens")
			require.Equal(t, before.EndedBy, now.EndedBy)
			require.Equal(t, before.PositionCount, now.PositionCount, "a position was accepted after the end")
		}
		reached := map[cases.State]int64{}
		for _, stage := range now.Stages() {
			reached[stage.State] = stage.At.UnixMicro()
		}
		for _, stage := range before.Stages() {
			require.Equal(t, stage.At.UnixMicro(), reached[stage.State], "stage %s was taken back or moved", stage.State)
		}
		if !now.State.Over() {
			open++
		} else {
			require.False(t, now.Live)
		}
		i.sessions[n] = now
	}
	ids := make([]string, len(i.sessions))
	for n, s := range i.sessions {
		ids[n] = s.ID
	}
	links, err := i.rooms.Links(ctx, i.agency, ids)
	require.NoError(t, err)
	phones, err := i.rooms.Phones(ctx, i.agency, ids)
	require.NoError(t, err)
	for _, s := range i.sessions {
		live, used := 0, 0
		for _, l := range links[s.ID] {
			require.LessOrEqual(t, l.Used, l.Uses)
			require.GreaterOrEqual(t, l.Used, i.seenUsed[l.ID])
			i.seenUsed[l.ID] = l.Used
			used += l.Used
			if l.State == cases.LinkLive {
				live++
			}
		}
		require.LessOrEqual(t, live, 1, "an older link still lives")
		if s.State.Over() {
			require.Zero(t, live, "a link lives past its session")
		}
		bound := 0
		for _, p := range phones[s.ID] {
			if p.BoundAt != nil {
				bound++
			}
		}
		require.Equal(t, used, bound, "a use for each phone, and a phone for each use")
		if s.ConnectedAt != nil { // one that was admitted is bound before anything comes
			require.Positive(t, bound)
		}
	}
	k := i.caseOf(t, i.id)
	require.Equal(t, open, k.OpenSessions, "the counter is not what is open")
	require.Equal(t, open == 0, k.ClosedAt != nil)
}

// ends counts the entries that say how a session ended.
func (i *incident) ends(t *rapid.T, s *cases.Session) int {
	rows, err := i.journal.After(ctx, i.agency, 0, journal.Filter{SessionID: s.ID, Types: []journal.Type{journal.SessionEnded, journal.LinkRevoked, journal.SessionExpired}}, 100)
	require.NoError(t, err)
	return len(rows)
}

func TestStateMachine(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		rapid.Check(t, func(t *rapid.T) {
			i := &incident{centre: c, id: c.open(t).ID, links: map[string][]*cases.Issued{}, seenUsed: map[string]int{}, phones: map[string][]*phone{}}
			first := c.request(t, &cases.Case{ID: i.id})
			issued := c.send(t, first)
			i.sessions = append(i.sessions, first)
			i.links[first.ID] = append(i.links[first.ID], issued)
			i.phones[first.ID] = append(i.phones[first.ID], c.join(t, issued.Secret))
			// may tolerates the refusals that the rules allow at that step.
			may := func(err error, reasons ...problem.Reason) bool {
				if err == nil {
					return true
				}
				require.Contains(t, reasons, problem.Of(err).Reason(), "%v", err)
				return false
			}
			session := func() *cases.Session {
				return rapid.SampledFrom(i.sessions).Draw(t, "session")
			}
			link := func() (*cases.Session, *cases.Issued) {
				s := session()
				if len(i.links[s.ID]) == 0 {
					t.Skip("no link yet")
				}
				return s, rapid.SampledFrom(i.links[s.ID]).Draw(t, "link")
			}
			caller := func() (*cases.Session, *phone) {
				s := session()
				if len(i.phones[s.ID]) == 0 {
					t.Skip("no phone yet")
				}
				return s, rapid.SampledFrom(i.phones[s.ID]).Draw(t, "phone")
			}
			who := func() policy.Actor {
				return rapid.SampledFrom([]policy.Actor{c.dispatcher, c.supervisor}).Draw(t, "who")
			}
			t.Repeat(map[string]func(*rapid.T){
				"request": func(t *rapid.T) {
					if len(i.sessions) > 2 {
						t.Skip("enough sessions")
					}
					i.sessions = append(i.sessions, c.request(t, &cases.Case{ID: i.id}))
				},
				"send": func(t *rapid.T) {
					s := session()
					issued, err := c.issue(who(), s.ID, "5678", nil)
					if may(err, problem.SessionEnded) {
						i.links[s.ID] = append(i.links[s.ID], issued)
					}
				},
				"tap": func(t *rapid.T) {
					_, l := link()
					_, _, err := c.rooms.OpenLink(ctx, l.Secret)
					may(err, problem.LinkUnusable, problem.RateLimited)
				},
				"join": func(t *rapid.T) {
					s, l := link()
					p := newPhone(t)
					if may(c.answer(p, l.Secret, "", true), problem.LinkUnusable, problem.RateLimited) {
						i.phones[s.ID] = append(i.phones[s.ID], p)
					}
				},
				"refuse consent": func(t *rapid.T) {
					_, l := link()
					may(c.answer(newPhone(t), l.Secret, "", false), problem.LinkUnusable, problem.RateLimited)
				},
				"position": func(t *rapid.T) {
					s, p := caller()
					dbtest.ClockOf(db).Advance(time.Second)
					if may(c.report(p), problem.SessionEnded, problem.PhoneWaiting, problem.PhoneRefused, problem.LinkUnusable) {
						require.False(t, s.State.Over(), "accepted after the end")
					}
				},
				"resume": func(t *rapid.T) {
					_, p := caller()
					_, l := link()
					_, nonce, err := c.rooms.OpenLink(ctx, l.Secret)
					if !may(err, problem.LinkUnusable, problem.RateLimited) {
						return
					}
					_, _, err = c.rooms.Resume(ctx, l.Secret, p.id, nonce, p.sign(nonce))
					may(err, problem.SignatureInvalid, problem.SessionEnded, problem.RateLimited) // a phone of another session, or one put out
				},
				"admit": func(t *rapid.T) {
					_, p := caller()
					_, err := c.rooms.Admit(ctx, who(), p.id, rapid.Bool().Draw(t, "admit"))
					may(err, problem.SessionEnded, problem.SessionNotOpen, problem.LinkUnusable)
				},
				"stop": func(t *rapid.T) {
					_, p := caller()
					require.NoError(t, c.rooms.Stop(ctx, p.actor))
				},
				"trouble": func(t *rapid.T) {
					_, l := link()
					may(c.rooms.Trouble(ctx, l.Secret, cases.Network), problem.LinkUnusable, problem.RateLimited)
				},
				"live": func(t *rapid.T) {
					s, p := caller()
					require.NoError(t, c.rooms.SetLive(ctx, s.ID, rapid.Bool().Draw(t, "live"), journal.LiveStarted, p.id))
				},
				"first frame": func(t *rapid.T) {
					_, err := c.rooms.FirstFrame(ctx, who(), session().ID)
					require.NoError(t, err)
				},
				"mode": func(t *rapid.T) {
					_, err := c.rooms.AskMode(ctx, who(), session().ID, rapid.SampledFrom([]cases.Mode{cases.PhotoMode, cases.LiveMode}).Draw(t, "mode"))
					may(err, problem.SessionEnded)
				},
				"end": func(t *rapid.T) {
					_, err := c.rooms.End(ctx, who(), session().ID, rapid.SampledFrom([]cases.EndReason{cases.Done, cases.FalseReport, cases.Misdirected}).Draw(t, "reason"))
					require.NoError(t, err)
				},
				"revoke": func(t *rapid.T) {
					_, err := c.rooms.Revoke(ctx, who(), session().ID)
					require.NoError(t, err)
				},
				"misdirected": func(t *rapid.T) {
					s := session()
					may(db.InTx(ctx, func(tx *database.Tx) error {
						_, err := c.rooms.MarkMisdirected(tx, who(), s.ID, "+819012345678", "")
						return err
					}), problem.SessionNotOpen)
				},
				"time passes": func(t *rapid.T) {
					dbtest.ClockOf(db).Advance(time.Duration(rapid.IntRange(1, 660).Draw(t, "seconds")) * time.Second)
					_, err := c.rooms.ExpireDue(ctx)
					require.NoError(t, err)
				},
				"": i.check,
			})
			for _, s := range i.sessions {
				if ended := i.ends(t, s); s.State.Over() {
					require.Equal(t, 1, ended, "ended once, and said so once")
				} else {
					require.Zero(t, ended)
				}
			}
		})
		report, err := c.journal.Verify(ctx)
		require.NoError(t, err)
		require.Empty(t, report.Faults)
	})
}
