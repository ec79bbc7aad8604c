package identity_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

type noBell struct{}

func (noBell) Ring(string) {}

// 第5の1(2): the manager applies the code with a reason, is reminded, and only a
// manager lifts it.
func TestCallerCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		j := journal.New(db, noBell{})
		people, err := identity.New(db, j)
		require.NoError(t, err)
		a, err := people.CreateAgency(ctx, identity.NewAgency{Code: "fukushima", NameJa: "福島県警察", NameEn: "Fukushima Police"})
		require.NoError(t, err)
		manager := policy.Actor{Kind: policy.User, ID: identity.NewID(), Agency: a.ID, Role: policy.Manager}
		set := func(apply bool, reason string, at *time.Time) (*identity.CallerCode, error) {
			return people.SetCallerCode(ctx, manager, a.ID, apply, reason, at)
		}
		remind := func() int {
			n, err := people.RemindCallerCodes(ctx)
			require.NoError(t, err)
			return n
		}
		read := func() *identity.CallerCode {
			c, err := people.CallerCode(ctx, a.ID)
			require.NoError(t, err)
			now, err := people.Agency(ctx, a.ID)
			require.NoError(t, err)
			require.Equal(t, c.Applied, now.Settings.CallerCode, "links go by the same word")
			return c
		}
		require.False(t, read().Applied)
		require.False(t, read().Due())

		past, far := db.Now().Add(-time.Second), db.Now().Add(367*24*time.Hour)
		for want, try := range map[problem.Reason]func() (*identity.CallerCode, error){
			problem.ReasonMissing: func() (*identity.CallerCode, error) { return set(true, " ", nil) },
			problem.BadInput:      func() (*identity.CallerCode, error) { return set(true, strings.Repeat("長", 501), nil) },
		} {
			_, err := try()
			require.True(t, problem.Is(err, want))
		}
		for _, at := range []*time.Time{&past, &far} {
			_, err := set(true, "x", at)
			require.True(t, problem.Is(err, problem.BadInput))
		}
		require.False(t, read().Applied, "a refusal changes nothing")

		at := db.Now().Add(time.Hour)
		c, err := set(true, "なりすましのおそれ", &at)
		require.NoError(t, err)
		require.True(t, c.Applied)
		require.Equal(t, manager.ID, read().SetBy)
		require.Equal(t, "なりすましのおそれ", read().Reason)
		require.Zero(t, remind(), "not before the time")
		dbtest.ClockOf(db).Advance(time.Hour)
		require.Equal(t, 1, remind())
		require.Zero(t, remind(), "once")
		require.True(t, read().Due())
		dbtest.ClockOf(db).Advance(240 * time.Hour)
		require.Zero(t, remind())
		require.True(t, read().Applied, "nothing lifts it by itself")

		_, err = set(true, "まだ要る", nil)
		require.NoError(t, err)
		require.False(t, read().Due())
		require.Equal(t, db.Now().Add(24*time.Hour), read().RemindAt.UTC(), "a day where none is given")
		_, err = set(false, "解決した", nil)
		require.NoError(t, err)
		require.False(t, read().Applied)
		dbtest.ClockOf(db).Advance(48 * time.Hour)
		require.Zero(t, remind())

		rows, err := j.After(ctx, a.ID, 0, journal.Filter{Types: []journal.Type{journal.SettingsChanged}}, 10)
		require.NoError(t, err)
		require.Len(t, rows, 3)
		var said struct {
			Old, New struct{ CallerCode bool }
			Reason   string
		}
		require.NoError(t, json.Unmarshal(rows[0].Payload, &said))
		require.False(t, said.Old.CallerCode)
		require.True(t, said.New.CallerCode)
		require.Equal(t, "なりすましのおそれ", said.Reason)
	})
}
