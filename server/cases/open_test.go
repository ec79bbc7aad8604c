package cases_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/problem"
)

func TestWhoMayOpenWhatASessionBrings(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, c := context.Background(), newCentre(t, db)
		s, _, _ := c.connected(t)
		may := func(actor policy.Actor) error { return c.session(t, s.ID).MayOpen(actor) }
		require.NoError(t, may(c.dispatcher))
		require.NoError(t, may(c.supervisor))
		refused(t, may(c.colleague), problem.Forbidden)
		refused(t, may(c.foreigner), problem.NotFound)
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
			_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", "")
			return err
		}))
		refused(t, may(c.dispatcher), problem.Misdirected)
		require.NoError(t, may(c.supervisor))
	})
}
