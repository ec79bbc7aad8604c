package cases_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// late asks for video where there was no time to report before.
func (c *centre) late(t require.TestingT) *cases.Session {
	checks := allChecks
	checks.SupervisorTold = false
	s, _, err := c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{
		CaseID: c.open(t).ID, Asked: cases.LiveMode, Need: "need", Number: "090-1234-5678", Checks: checks, LateReason: "緊急",
	})
	require.NoError(t, err)
	return s
}

// 第4の1(1): the supervisor is told before, or late with the reason; takes note
// of it, or stops the request at once.
func TestAdvanceReport(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		waiting := func(t *testing.T) int {
			n, err := c.rooms.WaitingReports(ctx, c.agency)
			require.NoError(t, err)
			standing := cases.ReportWaiting
			found, err := c.rooms.ListSessions(ctx, c.agency, cases.SessionFilter{Report: &standing}, cases.RequestedOldest, nil, 100)
			require.NoError(t, err)
			require.Len(t, found, int(n), "the list and the count agree")
			return int(n)
		}

		t.Run("an advance report waits until a supervisor takes note", func(t *testing.T) {
			s := c.request(t, c.open(t))
			require.Equal(t, cases.ReportWaiting, s.Report)
			require.NotNil(t, s.ReportedAt)
			require.False(t, s.AdvanceReport().Late)
			require.Equal(t, 1, waiting(t))
			c.send(t, s) // it does not wait for the answer
			for range 2 {
				now, err := c.rooms.AcknowledgeReport(ctx, c.supervisor, s.ID)
				require.NoError(t, err)
				require.Equal(t, cases.ReportAcknowledged, now.Report)
				require.Equal(t, c.supervisor.ID, now.AdvanceReport().AnsweredBy)
			}
			require.Zero(t, waiting(t))
			require.Len(t, c.journaled(t, s.ID, journal.ReportAcknowledged), 1)
		})
		t.Run("a late one, too; it is made by the supervisor's notice, or said to be made", func(t *testing.T) {
			one, two := c.late(t), c.late(t)
			require.Nil(t, one.ReportedAt)
			require.True(t, one.AdvanceReport().Late)
			require.Equal(t, "緊急", one.AdvanceReport().LateReason)
			require.Equal(t, 2, waiting(t))
			c.send(t, one)
			now, err := c.rooms.AcknowledgeReport(ctx, c.supervisor, one.ID)
			require.NoError(t, err)
			require.NotNil(t, now.ReportedAt)
			_, err = c.rooms.End(ctx, c.dispatcher, two.ID, cases.Done)
			require.NoError(t, err)
			now, err = c.rooms.ReportLate(ctx, c.dispatcher, two.ID)
			require.NoError(t, err, "after the end, too")
			first := *now.ReportedAt
			dbtest.ClockOf(db).Advance(time.Minute)
			now, err = c.rooms.ReportLate(ctx, c.dispatcher, two.ID)
			require.NoError(t, err)
			require.Equal(t, first, now.ReportedAt.UTC(), "telling twice keeps the first time")
			require.Equal(t, 1, waiting(t), "a supervisor still has to take note")
			_, err = c.rooms.AcknowledgeReport(ctx, c.supervisor, two.ID)
			require.NoError(t, err, "an ended one is taken note of, too")
			require.Zero(t, waiting(t))
		})
		t.Run("neither told nor a reason: nothing is reported, and no link is issued", func(t *testing.T) {
			checks := allChecks
			checks.SupervisorTold = false
			s, _, err := c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{CaseID: c.open(t).ID, Asked: cases.LiveMode, Need: "need", Number: "090-1234-5678", Checks: checks})
			require.NoError(t, err)
			require.Nil(t, s.AdvanceReport())
			_, err = c.issue(c.dispatcher, s.ID, "5678", nil)
			refused(t, err, problem.ReasonMissing)
			_, err = c.rooms.AcknowledgeReport(ctx, c.supervisor, s.ID)
			refused(t, err, problem.SessionNotOpen)
			_, err = c.issue(c.dispatcher, s.ID, "5678", &allChecks)
			require.NoError(t, err)
			require.Equal(t, cases.ReportWaiting, c.session(t, s.ID).Report, "told in the meantime")
			_, err = c.rooms.AcknowledgeReport(ctx, c.supervisor, s.ID)
			require.NoError(t, err)
		})
		t.Run("stopped before the link: it may not be sent", func(t *testing.T) {
			s := c.request(t, c.open(t))
			now, err := c.rooms.StopReport(ctx, c.supervisor, s.ID, " 危険な現場 ")
			require.NoError(t, err)
			require.Equal(t, cases.Failed, now.State)
			require.Equal(t, "危険な現場", now.AdvanceReport().Reason)
			_, err = c.issue(c.dispatcher, s.ID, "5678", nil)
			refused(t, err, problem.ReportStopped)
			require.Equal(t, []map[string]any{{"reason": "危険な現場", "sent": false}}, c.journaled(t, s.ID, journal.ReportStopped))
			_, err = c.rooms.StopReport(ctx, c.supervisor, s.ID, "noch einmal")
			require.NoError(t, err)
			require.Equal(t, "危険な現場", c.session(t, s.ID).ReportReason, "stopping twice keeps the first reason")
			_, err = c.rooms.AcknowledgeReport(ctx, c.supervisor, s.ID)
			refused(t, err, problem.Conflict)
			require.Zero(t, c.caseOf(t, s.CaseID).OpenSessions)
		})
		t.Run("stopped after the link, acknowledged or not: it dies at once", func(t *testing.T) {
			for _, acknowledged := range []bool{false, true} {
				s, issued, p := c.connected(t)
				if acknowledged {
					_, err := c.rooms.AcknowledgeReport(ctx, c.supervisor, s.ID)
					require.NoError(t, err)
				}
				over := make(chan string, 1)
				c.rooms.OnOver(func(id string) {
					select {
					case over <- id:
					default:
					}
				})
				now, err := c.rooms.StopReport(ctx, c.supervisor, s.ID, "不要")
				require.NoError(t, err)
				require.Equal(t, cases.Revoked, now.State)
				require.Equal(t, s.ID, <-over, "streams are cut")
				require.NotEqual(t, cases.LinkLive, c.link(t, issued).State)
				dbtest.ClockOf(db).Advance(2 * time.Second)
				refused(t, c.report(p), problem.SessionEnded)
			}
		})
		t.Run("what is over is not stopped any more, and a reason is needed", func(t *testing.T) {
			s := c.request(t, c.open(t))
			_, err := c.rooms.StopReport(ctx, c.supervisor, s.ID, " ")
			refused(t, err, problem.ReasonMissing)
			_, err = c.rooms.StopReport(ctx, c.supervisor, s.ID, strings.Repeat("長", 501))
			refused(t, err, problem.BadInput)
			_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			_, err = c.rooms.StopReport(ctx, c.supervisor, s.ID, "x")
			refused(t, err, problem.SessionEnded)
			_, err = c.rooms.StopReport(ctx, c.foreigner, s.ID, "x")
			refused(t, err, problem.NotFound)
		})
		t.Run("a supervisor's own request waits for nobody", func(t *testing.T) {
			before := waiting(t)
			s, _, err := c.rooms.RequestVideo(ctx, c.supervisor, cases.Request{CaseID: c.open(t).ID, Asked: cases.LiveMode, Need: "need", Number: "090-1234-5678", Checks: allChecks})
			require.NoError(t, err)
			require.Equal(t, cases.ReportAcknowledged, s.Report)
			require.Equal(t, before, waiting(t))
		})
	})
}

func TestChangeDestination(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		change := func(actor policy.Actor, id string, to cases.Destination) (s *cases.Session, differs bool, err error) {
			err = c.db.InTx(ctx, func(tx *database.Tx) (err error) {
				s, differs, err = c.rooms.ChangeDestination(tx, actor, id, to)
				return err
			})
			return s, differs, err
		}
		s, issued := c.sent(t)
		now, _, err := change(c.dispatcher, s.ID, cases.Destination{Email: "caller@example.jp", EmailReason: "届かない"})
		require.NoError(t, err)
		require.Equal(t, "+819012345678", now.Number, "the number stays, to call back")
		require.Equal(t, cases.LinkLive, c.link(t, issued).State, "nothing is sent yet")
		_, err = c.issue(c.dispatcher, s.ID, "5678", nil)
		refused(t, err, problem.DigitsMismatch)
		again, err := c.issue(c.dispatcher, s.ID, "caller@example.jp", nil)
		require.NoError(t, err, "the address is what is typed once more")
		require.Equal(t, cases.LinkRevoked, c.link(t, issued).State, "two links never live")
		require.Equal(t, cases.LinkLive, c.link(t, again).State)

		now, _, err = change(c.dispatcher, s.ID, cases.Destination{})
		require.NoError(t, err)
		require.Empty(t, now.Email, "back to SMS")
		_, _, err = change(c.dispatcher, s.ID, cases.Destination{Email: "caller@example.jp"})
		refused(t, err, problem.ReasonMissing)
		_, _, err = change(c.dispatcher, s.ID, cases.Destination{Email: "caller", EmailReason: "x"})
		refused(t, err, problem.EmailInvalid)
		_, _, err = change(c.dispatcher, s.ID, cases.Destination{Number: "110"})
		refused(t, err, problem.NumberInvalid)
		_, differs, err := change(c.dispatcher, s.ID, cases.Destination{Number: "080-1111-2222", NotifiedNumber: "090-1234-5678"})
		require.NoError(t, err)
		require.True(t, differs)
		_, _, err = change(c.colleague, s.ID, cases.Destination{Number: "080-1111-2222"})
		refused(t, err, problem.Forbidden)
		_, _, err = change(c.foreigner, s.ID, cases.Destination{Number: "080-1111-2222"})
		refused(t, err, problem.NotFound)
		_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
		require.NoError(t, err)
		_, _, err = change(c.dispatcher, s.ID, cases.Destination{Number: "080-1111-2222"})
		refused(t, err, problem.SessionEnded)
	})
}

// A position that is not given keeps nothing else from being sent: only where a
// position was asked for does somebody have to look.
func TestPositionRefusedIsNoStallOfLiveVideo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, issued := c.sent(t)
		c.join(t, issued.Secret)
		require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.CameraDenied))
		require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.LocationDenied))
		now := c.session(t, s.ID)
		require.Equal(t, cases.CameraDenied, now.Stall, "what does stand in the way is not hidden by it")
		require.NotNil(t, now.LocationDeniedAt)
		require.Len(t, c.journaled(t, s.ID, journal.SessionStalled), 2, "it is on record")

		s, issued = c.sent(t)
		require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.LocationDenied))
		require.Empty(t, c.session(t, s.ID).Stall)
		now, err := c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PositionMode)
		require.NoError(t, err)
		require.Equal(t, cases.LocationDenied, now.Stall, "now it is what was asked for")
		now, err = c.rooms.AskMode(ctx, c.dispatcher, s.ID, cases.PhotoMode)
		require.NoError(t, err)
		require.Empty(t, now.Stall)
		p := c.join(t, issued.Secret)
		require.NoError(t, c.report(p))
		require.Nil(t, c.session(t, s.ID).LocationDeniedAt, "it tells now")
	})
}

// 第5の1(2): ten minutes, and a new one on request.
func TestRenewCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		plain, _ := c.sent(t)
		_, err := c.rooms.RenewCode(ctx, c.dispatcher, plain.ID)
		refused(t, err, problem.SessionNotOpen)
		c.settings(t, func(s *identity.Settings) { s.CallerCode, s.LinkMinutes = true, 60 })
		s, issued := c.sent(t)
		code := func() string {
			text, err := c.rooms.Code(c.link(t, issued))
			require.NoError(t, err)
			require.NotNil(t, text)
			return *text
		}
		old := code()
		for range 4 {
			_, err := c.rooms.EnterCode(ctx, issued.Secret, "x")
			refused(t, err, problem.CodeWrong)
		}
		dbtest.ClockOf(db).Advance(10*time.Minute + time.Second)
		_, err = c.rooms.RenewCode(ctx, c.colleague, s.ID)
		refused(t, err, problem.Forbidden)
		_, err = c.rooms.RenewCode(ctx, c.dispatcher, s.ID)
		require.NoError(t, err)
		require.Equal(t, db.Now().Add(10*time.Minute), c.link(t, issued).CodeExpiresAt().UTC())
		require.Equal(t, 1, c.link(t, issued).CodeTriesLeft(), "tries are not given back")
		require.Equal(t, []map[string]any{{"link": issued.Link.ID}}, c.journaled(t, s.ID, journal.CodeRenewed), "the code is in no entry")
		right := code()
		pass, err := c.rooms.EnterCode(ctx, issued.Secret, right)
		require.NoError(t, err)
		require.NoError(t, c.answer(newPhone(t), issued.Secret, pass, true))
		if old != right {
			_, err = c.rooms.EnterCode(ctx, issued.Secret, old)
			refused(t, err, problem.CodeWrong)
			require.Equal(t, cases.LinkCodeFailed, c.link(t, issued).State, "the fifth ends the link")
			_, err = c.rooms.RenewCode(ctx, c.dispatcher, s.ID)
			refused(t, err, problem.SessionNotOpen)
		}
	})
}
