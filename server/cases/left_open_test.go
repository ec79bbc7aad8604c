package cases_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

func TestNothingStaysOpenForGood(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c, clock := context.Background(), newCentre(t, db), dbtest.ClockOf(db)

		t.Run("a session that nobody ended expires after a day", func(t *testing.T) {
			s, _, p := c.connected(t)
			clock.Advance(24*time.Hour - time.Second)
			_, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Equal(t, cases.Connected, c.session(t, s.ID).State)
			clock.Advance(time.Second)
			n, err := c.rooms.ExpireDue(ctx)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, cases.Expired, c.session(t, s.ID).State)
			refused(t, c.report(p), problem.SessionEnded)
			require.Zero(t, c.caseOf(t, s.CaseID).OpenSessions)
		})
		t.Run("what a page reports of itself is bounded", func(t *testing.T) {
			s, issued := c.sent(t)
			for range 30 {
				require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.CameraDenied))
				require.NoError(t, c.rooms.Trouble(ctx, issued.Secret, cases.LocationDenied))
				require.NoError(t, c.answer(newPhone(t), issued.Secret, "", false))
			}
			require.Len(t, c.journaled(t, s.ID, journal.SessionStalled), 20)
			require.Len(t, c.journaled(t, s.ID, journal.ConsentRefused), 20)
		})
		t.Run("a program that joins again and again does not take the caller's place", func(t *testing.T) {
			_, issued := c.sent(t)
			for range 20 {
				c.join(t, issued.Secret)
			}
			p := c.join(t, issued.Secret)
			require.NoError(t, c.report(p))
			require.Equal(t, cases.Bound, c.phoneState(t, p))
		})
		t.Run("a phone that was put out waits when it comes back, though none was bound", func(t *testing.T) {
			s, issued := c.sent(t)
			p := c.join(t, issued.Secret)
			_, err := c.rooms.Admit(ctx, c.dispatcher, p.actor.ID, false)
			require.NoError(t, err)
			require.Equal(t, cases.Waiting, c.phoneState(t, c.join(t, issued.Secret)))
			require.Zero(t, c.session(t, s.ID).PositionCount)
		})
		t.Run("two admitted phones report at their own pace", func(t *testing.T) {
			s, issued, first := c.connected(t)
			second := c.join(t, issued.Secret)
			_, err := c.rooms.Admit(ctx, c.dispatcher, second.actor.ID, true)
			require.NoError(t, err)
			require.NoError(t, c.report(second))
			refused(t, c.report(first), problem.RateLimited)
			clock.Advance(time.Second)
			require.NoError(t, c.report(first))
			broken, err := c.rooms.VerifyPositions(ctx, c.session(t, s.ID))
			require.NoError(t, err)
			require.Zero(t, broken)
		})
	})
}

func TestContactTaskKeepsItsNumberUntilItIsDone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := context.Background(), newCentre(t, db)
		misdirected := func() (*cases.Session, *cases.ContactTask) {
			s, _ := c.sent(t)
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
				_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", "")
				return err
			}))
			tasks, err := c.rooms.ContactTasks(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Len(t, tasks[s.ID], 1)
			return s, tasks[s.ID][0]
		}
		erase := func(s *cases.Session) {
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Erase(tx, s.CaseID) }))
		}
		t.Run("done before the facts go", func(t *testing.T) {
			s, task := misdirected()
			_, err := c.rooms.CloseContactTask(ctx, c.dispatcher, task.ID, " ")
			refused(t, err, problem.ReasonMissing)
			for range 2 { // once more changes nothing
				_, err = c.rooms.CloseContactTask(ctx, c.dispatcher, task.ID, "謝罪した")
				require.NoError(t, err)
			}
			require.Len(t, c.journaled(t, s.ID, journal.ContactTaskClosed), 1)
			erase(s)
			require.Empty(t, c.session(t, s.ID).Number)
		})
		t.Run("done after the facts went", func(t *testing.T) {
			s, task := misdirected()
			erase(s)
			require.NotEmpty(t, c.session(t, s.ID).Number, "it still has to be called")
			_, err := c.rooms.CloseContactTask(ctx, c.dispatcher, task.ID, "出ない")
			require.NoError(t, err)
			require.Empty(t, c.session(t, s.ID).Number)
			tasks, err := c.rooms.ContactTasks(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Empty(t, tasks[s.ID][0].Number)
			require.Empty(t, tasks[s.ID][0].Outcome)
		})
	})
}
