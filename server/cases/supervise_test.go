package cases_test

import (
	"context"
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

// T07: who looks at a colleague's video report says why (第4の2).
func TestLookingAtAColleaguesNeedsAReason(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, _, _ := c.connected(t)
		look := func(actor policy.Actor, reason cases.LookReason) (cases.LookReason, error) {
			return c.session(t, s.ID).MayLook(actor, reason)
		}
		for _, given := range []cases.LookReason{"", cases.Support} {
			reason, err := look(c.dispatcher, given)
			require.NoError(t, err)
			require.Empty(t, reason, "one's own needs none")
		}
		_, err := look(c.colleague, "")
		refused(t, err, problem.LookReasonMissing)
		_, err = look(c.colleague, cases.Command)
		refused(t, err, problem.Forbidden)
		_, err = look(c.colleague, "CURIOSITY")
		refused(t, err, problem.Forbidden)
		for _, given := range []cases.LookReason{cases.Support, cases.Handover} {
			reason, err := look(c.colleague, given)
			require.NoError(t, err)
			require.Equal(t, given, reason)
		}
		reason, err := look(c.supervisor, "")
		require.NoError(t, err)
		require.Equal(t, cases.Command, reason, "commanding is a supervisor's office")
		_, err = look(c.foreigner, cases.Command)
		refused(t, err, problem.NotFound)
		manager := c.supervisor
		manager.Role = policy.Manager
		_, err = look(manager, cases.Command)
		refused(t, err, problem.Forbidden)

		_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.Misdirected)
		require.NoError(t, err)
		_, err = look(c.colleague, cases.Support)
		refused(t, err, problem.Misdirected)
		_, err = look(c.supervisor, cases.Command)
		require.NoError(t, err)
	})
}

func TestHandingOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := context.Background(), newCentre(t, db)
		one, _, _ := c.connected(t)
		two, _ := c.sent(t)
		done, _, _ := c.connected(t)
		_, err := c.rooms.End(ctx, c.dispatcher, done.ID, cases.Done)
		require.NoError(t, err)
		toCall, _ := c.sent(t)
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
			_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, toCall.ID, "+819012345678", "")
			return err
		}))
		by := func(actor policy.Actor, to string, sessions ...string) error {
			_, err := c.rooms.HandOver(ctx, actor, cases.HandOver{To: to, Sessions: sessions})
			return err
		}

		t.Run("only to a supervisor or dispatcher of the agency who may sign in", func(t *testing.T) {
			refused(t, by(c.dispatcher, c.foreigner.ID), problem.NotAColleague)
			refused(t, by(c.dispatcher, identity.NewID()), problem.NotAColleague)
			refused(t, by(c.dispatcher, c.dispatcher.ID), problem.NotAColleague)
			require.NoError(t, db.Read(ctx).Model(&identity.User{}).Where("id = ?", c.colleague.ID).Update("status", identity.Suspended).Error)
			refused(t, by(c.dispatcher, c.colleague.ID, one.ID), problem.NotAColleague)
			require.NoError(t, db.Read(ctx).Model(&identity.User{}).Where("id = ?", c.colleague.ID).Update("status", identity.Active).Error)
		})
		t.Run("a dispatcher hands over their own alone", func(t *testing.T) {
			refused(t, by(c.colleague, c.supervisor.ID, one.ID), problem.Forbidden)
			refused(t, by(c.foreigner, c.foreigner.ID, one.ID), problem.NotFound)
			_, err := c.rooms.HandOver(ctx, c.colleague, cases.HandOver{To: c.supervisor.ID, From: c.dispatcher.ID})
			refused(t, err, problem.Forbidden)
			refused(t, by(c.colleague, c.supervisor.ID), problem.NothingToHandOver)
		})
		t.Run("all at once: what is open, and what is left to do", func(t *testing.T) {
			moved, err := c.rooms.HandOver(ctx, c.dispatcher, cases.HandOver{To: c.colleague.ID})
			require.NoError(t, err)
			require.Len(t, moved, 3)
			for _, s := range []*cases.Session{one, two, toCall} {
				require.Equal(t, c.colleague.ID, c.session(t, s.ID).DispatcherID)
				said := c.journaled(t, s.ID, journal.SessionHandedOver)
				require.Equal(t, []map[string]any{{"from": c.dispatcher.ID, "to": c.colleague.ID}}, said)
			}
			require.Equal(t, c.dispatcher.ID, c.session(t, done.ID).DispatcherID, "what is finished stays")
			_, err = c.rooms.End(ctx, c.dispatcher, one.ID, cases.Done)
			refused(t, err, problem.Forbidden)
		})
		t.Run("a supervisor hands over another's, one or all", func(t *testing.T) {
			require.NoError(t, by(c.supervisor, c.dispatcher.ID, one.ID))
			require.Equal(t, c.dispatcher.ID, c.session(t, one.ID).DispatcherID)
			_, err := c.rooms.HandOver(ctx, c.supervisor, cases.HandOver{To: c.dispatcher.ID, From: c.colleague.ID})
			require.NoError(t, err)
			require.Equal(t, c.dispatcher.ID, c.session(t, two.ID).DispatcherID)
			counts, err := c.rooms.OpenCounts(ctx, c.agency)
			require.NoError(t, err)
			require.Equal(t, map[string]int{c.dispatcher.ID: 2}, counts)
		})
	})
}

func TestTakingOverAndWhispering(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := context.Background(), newCentre(t, db)
		s, _, _ := c.connected(t)

		t.Run("a whisper is for the dispatcher, and the record does not say what", func(t *testing.T) {
			_, err := c.rooms.Whisper(ctx, c.supervisor, s.ID, "  ")
			refused(t, err, problem.ReasonMissing)
			_, err = c.rooms.Whisper(ctx, c.dispatcher, s.ID, "canary-whisper")
			refused(t, err, problem.Forbidden)
			_, err = c.rooms.Whisper(ctx, c.foreigner, s.ID, "canary-whisper")
			refused(t, err, problem.NotFound)
			_, err = c.rooms.Whisper(ctx, c.supervisor, s.ID, "canary-whisper")
			require.NoError(t, err)
			words, err := c.rooms.Whispers(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Equal(t, "canary-whisper", words[s.ID][0].Text)
			require.NotContains(t, c.journaled(t, s.ID, journal.Whispered)[0], "text")

			_, err = c.rooms.ReadWhisper(ctx, c.supervisor, words[s.ID][0].ID)
			refused(t, err, problem.Forbidden)
			for range 2 {
				_, err = c.rooms.ReadWhisper(ctx, c.dispatcher, words[s.ID][0].ID)
				require.NoError(t, err)
			}
			require.Len(t, c.journaled(t, s.ID, journal.WhisperRead), 1)
		})
		t.Run("a supervisor takes over, a dispatcher does not", func(t *testing.T) {
			_, err := c.rooms.TakeOver(ctx, c.colleague, s.ID)
			refused(t, err, problem.Forbidden)
			_, err = c.rooms.TakeOver(ctx, c.foreigner, s.ID)
			refused(t, err, problem.NotFound)
			for range 2 {
				taken, err := c.rooms.TakeOver(ctx, c.supervisor, s.ID)
				require.NoError(t, err)
				require.Equal(t, c.supervisor.ID, taken.DispatcherID)
			}
			require.Len(t, c.journaled(t, s.ID, journal.SessionTakenOver), 1)
		})
		t.Run("nothing of it after the end", func(t *testing.T) {
			_, err := c.rooms.End(ctx, c.supervisor, s.ID, cases.Done)
			require.NoError(t, err)
			_, err = c.rooms.TakeOver(ctx, c.supervisor, s.ID)
			refused(t, err, problem.SessionEnded)
			_, err = c.rooms.Whisper(ctx, c.supervisor, s.ID, "canary-whisper")
			refused(t, err, problem.SessionEnded)
		})
	})
}

func TestTheDutyLogIsWrittenOnceAndForgetsItsCases(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := context.Background(), newCentre(t, db)
		s, _, _ := c.connected(t)
		_, err := c.rooms.WriteDutyNote(ctx, c.supervisor, "", " ")
		refused(t, err, problem.ReasonMissing)
		_, err = c.rooms.WriteDutyNote(ctx, c.foreigner, s.CaseID, "x")
		refused(t, err, problem.NotFound)
		_, err = c.rooms.WriteDutyNote(ctx, c.supervisor, "", "canary-duty-kept")
		require.NoError(t, err)
		_, err = c.rooms.WriteDutyNote(ctx, c.supervisor, s.CaseID, "canary-duty")
		require.NoError(t, err)
		_, err = c.rooms.Whisper(ctx, c.supervisor, s.ID, "canary-whisper")
		require.NoError(t, err)
		_, err = c.rooms.Share(ctx, c.supervisor, cases.NewShare{SessionID: s.ID, AgencyID: c.foreigner.Agency, Purpose: cases.ShareForResponse, Ground: "canary-ground", Life: time.Minute})
		require.NoError(t, err)
		_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
		require.NoError(t, err)

		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Erase(tx, s.CaseID) }))
		rest := c.dump(t)
		for _, gone := range []string{"canary-whisper", "canary-ground"} {
			require.NotContains(t, rest, gone)
		}
		log, err := c.rooms.DutyLog(ctx, c.agency, nil, 10)
		require.NoError(t, err)
		require.Len(t, log, 2)
		require.Empty(t, log[0].Text)
		require.NotNil(t, log[0].ErasedAt)
		require.Equal(t, "canary-duty-kept", log[1].Text)
		_, err = c.rooms.WriteDutyNote(ctx, c.supervisor, s.CaseID, "late")
		refused(t, err, problem.CaseClosed)
		log, err = c.rooms.DutyLog(ctx, c.foreigner.Agency, nil, 10)
		require.NoError(t, err)
		require.Empty(t, log)
	})
}
