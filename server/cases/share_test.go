package cases_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// T10: a share shows its session to the agency that it names, and to no other.
func TestSharingWithAnotherAgency(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c, clock := context.Background(), newCentre(t, db), dbtest.ClockOf(db)
		s, _, _ := c.connected(t)
		var over []string
		c.rooms.OnShareOver(func(share string) { over = append(over, share) })
		wanted := cases.NewShare{SessionID: s.ID, AgencyID: c.foreigner.Agency, Purpose: cases.ShareForResponse, Ground: "県境の追跡", Life: time.Hour}
		give := func() *cases.Share {
			share, err := c.rooms.Share(ctx, c.supervisor, wanted)
			require.NoError(t, err)
			return share
		}

		t.Run("a supervisor gives, with a ground, to an agency that there is", func(t *testing.T) {
			for reason, change := range map[problem.Reason]func(*cases.NewShare){
				problem.ReasonMissing: func(n *cases.NewShare) { n.Ground = " " },
				problem.BadInput:      func(n *cases.NewShare) { n.Life = 25 * time.Hour },
				problem.NotFound:      func(n *cases.NewShare) { n.AgencyID = identity.NewID() },
			} {
				n := wanted
				change(&n)
				_, err := c.rooms.Share(ctx, c.supervisor, n)
				refused(t, err, reason)
			}
			own := wanted
			own.AgencyID = c.agency
			_, err := c.rooms.Share(ctx, c.supervisor, own)
			refused(t, err, problem.NotFound)
			_, err = c.rooms.Share(ctx, c.dispatcher, wanted)
			refused(t, err, problem.Forbidden)
			_, err = c.rooms.Share(ctx, c.foreigner, wanted)
			refused(t, err, problem.NotFound)
		})
		t.Run("both journals say so; the receiver's names no session", func(t *testing.T) {
			share := give()
			_, err := c.rooms.Share(ctx, c.supervisor, wanted)
			refused(t, err, problem.AlreadyExists)
			_, shown, err := c.rooms.Received(ctx, c.foreigner, share.ID)
			require.NoError(t, err)
			require.Equal(t, s.ID, shown.ID)
			_, _, err = c.rooms.Received(ctx, c.supervisor, share.ID)
			refused(t, err, problem.NotFound)
			require.Len(t, c.journaled(t, s.ID, journal.ShareGiven), 1)
			entries, err := c.journal.After(ctx, c.foreigner.Agency, 0, journal.Filter{Types: []journal.Type{journal.ShareReceived}}, 10)
			require.NoError(t, err)
			require.Len(t, entries, 1)
			require.Empty(t, entries[0].SessionID+entries[0].CaseID)
			require.NotContains(t, string(entries[0].Payload), "県境")

			_, err = c.rooms.RevokeShare(ctx, c.foreigner, share.ID)
			refused(t, err, problem.NotFound)
			_, err = c.rooms.RevokeShare(ctx, c.colleague, share.ID)
			refused(t, err, problem.Forbidden)
			for range 2 {
				ended, err := c.rooms.RevokeShare(ctx, c.dispatcher, share.ID)
				require.NoError(t, err)
				require.Equal(t, cases.ShareRevoked, ended.Ending)
			}
			require.Equal(t, []string{share.ID}, over)
			_, _, err = c.rooms.Received(ctx, c.foreigner, share.ID)
			refused(t, err, problem.ShareOver)
		})
		t.Run("it ends with its time", func(t *testing.T) {
			share := give()
			list, err := c.rooms.SharesReceived(ctx, c.foreigner)
			require.NoError(t, err)
			require.Len(t, list, 1)
			clock.Advance(time.Hour)
			_, _, err = c.rooms.Received(ctx, c.foreigner, share.ID)
			refused(t, err, problem.ShareOver)
			require.NoError(t, c.rooms.ExpireShares(ctx))
			require.Equal(t, share.ID, over[len(over)-1])
			of, err := c.rooms.SharesOf(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			require.Equal(t, cases.ShareExpired, of[s.ID][0].Ending)
		})
		t.Run("what was mis-sent is shown to nobody any more", func(t *testing.T) {
			share := give()
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
				_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", "")
				return err
			}))
			_, _, err := c.rooms.Received(ctx, c.foreigner, share.ID)
			refused(t, err, problem.ShareOver)
			require.Equal(t, share.ID, over[len(over)-1])
			_, err = c.rooms.Share(ctx, c.supervisor, wanted)
			refused(t, err, problem.Misdirected)
		})
	})
}
