package identity_test

import (
	"flag"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
)

// grants is how many grants and revokes are made: -grants 1000 is the long form.
var grants = flag.Int("grants", 100, "how many grants and revokes are made")

// T11: rights are read anew for every decision. Two nodes on one database
// grant and revoke again and again while both are asked all the time: what is
// decided between two changes is what the last one said, at once, on both.
func TestT11GrantsAndRevokesBiteOnBothNodes(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLiteDSN, "postgres": dbtest.PostgresDSN} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			first, second := dbtest.Open(t, where), dbtest.Open(t, where)
			o := newOffice(t, first)
			other, err := identity.New(second, journal.New(second, quiet{}))
			require.NoError(t, err)
			nodes := []*identity.Identity{o.Identity, other}
			_, err = o.Register(o.ctx, policy.SystemActor(), o.agency.ID, identity.NewUser{UserName: "vice", DisplayName: "次席", Role: policy.Manager, Password: password, PasswordReason: "test"})
			require.NoError(t, err)
			_, vice, err := o.SignIn(at(t, o.Identity, o.agency, policy.Admin), "", "vice", password)
			require.NoError(t, err)
			rules, err := policy.New()
			require.NoError(t, err)

			// Even: settled, granted where it is 2 of 4. Odd: a change is under way.
			var state, looked, wrong atomic.Int64
			stop := make(chan struct{})
			var readers sync.WaitGroup
			for i := range 4 {
				readers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						before := state.Load()
						actor, err := nodes[i%2].StillSignedIn(o.ctx, vice.Login)
						may := err == nil && rules.Can(actor, o.agency.ID, policy.Case, policy.Open)
						if err != nil || state.Load() == before && before%2 == 0 && may != (before%4 == 2) {
							wrong.Add(1)
						}
						if state.Load() == before {
							looked.Store(before)
						}
					}
				})
			}
			settle := func() {
				now := state.Add(1)
				require.Eventually(t, func() bool { return looked.Load() == now }, time.Minute, 100*time.Microsecond, "nobody looked")
			}
			for i := range *grants / 2 {
				state.Add(1)
				g, err := nodes[i%2].GrantReception(o.ctx, o.manager, o.agency.ID, identity.NewReception{UserID: vice.ID, RuleNumber: "1", RuleDate: "2026-11-01", Until: first.Now().Add(24 * time.Hour)})
				require.NoError(t, err)
				settle()
				state.Add(1)
				_, err = nodes[(i+1)%2].EndReception(o.ctx, o.manager, o.agency.ID, g.ID)
				require.NoError(t, err)
				settle()
			}
			close(stop)
			readers.Wait()
			require.Zero(t, wrong.Load(), "decisions that were not what the last change said")
		})
	}
}
