package cases_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

// The time of an answer must not tell a dead link from one that never was: the
// answer waits neither for the journal nor for a transaction.
func TestRefusalsDoNotWaitForTheJournal(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		s, dead := c.sent(t)
		_, err := c.rooms.Revoke(context.Background(), c.dispatcher, s.ID)
		require.NoError(t, err)
		var left []func(ctx context.Context) error
		c.rooms.Beside(func(_ string, work func(ctx context.Context) error) { left = append(left, work) })
		_, _, err = c.rooms.OpenLink(context.Background(), dead.Secret)
		refused(t, err, problem.LinkUnusable)
		require.Empty(t, c.journaled(t, s.ID, journal.LinkRefused))
		require.Len(t, left, 1)
		_, _, err = c.rooms.OpenLink(context.Background(), strings.Repeat("x", 22))
		refused(t, err, problem.LinkUnusable)
		require.Len(t, left, 1, "unknown secrets are only counted")
		require.NoError(t, left[0](context.Background()))
		require.Len(t, c.journaled(t, s.ID, journal.LinkRefused), 1)
	})
}
