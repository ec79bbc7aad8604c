package identity_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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

type quiet struct{}

func (quiet) Ring(string) {}

const password = "correct horse battery"

func room(t *testing.T, db *database.DB) (*identity.Identity, *identity.Agency, *identity.User) {
	t.Helper()
	i, err := identity.New(db, journal.New(db, quiet{}))
	require.NoError(t, err)
	a, err := i.CreateAgency(context.Background(), identity.NewAgency{Code: "fukushima", NameJa: "福島県警察", NameEn: "Fukushima Police"})
	require.NoError(t, err)
	u, err := i.Register(context.Background(), policy.SystemActor(), a.ID, identity.NewUser{
		UserName: "Sato", DisplayName: "佐藤", Role: policy.Dispatcher, Password: password, PasswordReason: "指紋が読めない",
	})
	require.NoError(t, err)
	return i, a, u
}

func TestSignIn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, u := room(t, db)
		ctx := at(t, i, a, policy.Notebook)

		token, actor, err := i.SignIn(ctx, "", " SATO ", password)
		require.NoError(t, err)
		require.Equal(t, policy.Actor{Kind: policy.User, ID: u.ID, Agency: a.ID, Role: policy.Dispatcher, Login: actor.Login, Terminal: actor.Terminal, Desk: policy.Notebook}, actor)
		again, err := i.Recognise(ctx, token)
		require.NoError(t, err)
		require.Equal(t, actor, again)

		_, err = i.Recognise(ctx, token+"x")
		require.True(t, problem.Is(err, problem.Unauthenticated))
		require.NoError(t, i.SignOut(ctx, actor))
		_, err = i.Recognise(ctx, token)
		require.True(t, problem.Is(err, problem.Unauthenticated), "signed out")

		token, actor, err = i.SignIn(ctx, "fukushima", "sato", password)
		require.NoError(t, err)
		require.NoError(t, db.Read(ctx).Model(u).Update("status", identity.Suspended).Error)
		_, err = i.StillSignedIn(ctx, actor.Login)
		require.True(t, problem.Is(err, problem.Unauthenticated), "suspended")
		_, _, err = i.SignIn(ctx, "", "sato", password)
		require.True(t, problem.Is(err, problem.Suspended))
		require.NoError(t, db.Read(ctx).Model(u).Update("status", identity.Active).Error)
		_, err = i.Recognise(ctx, token)
		require.NoError(t, err)
		dbtest.ClockOf(db).Advance(12*time.Hour + time.Second)
		_, err = i.Recognise(ctx, token)
		require.True(t, problem.Is(err, problem.Unauthenticated), "a shift is over")
	})
}

func TestGuessingIsSlowedAndNobodyIsLockedOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		ctx := at(t, i, a, policy.Tablet)
		elsewhere := identity.WithAddress(ctx, "192.0.2.2")
		for range 5 {
			_, _, err := i.SignIn(ctx, "", "sato", "wrong password!")
			require.True(t, problem.Is(err, problem.SignInFailed))
		}
		_, _, err := i.SignIn(ctx, "", "sato", password)
		require.True(t, problem.Is(err, problem.RateLimited), "five from one address")
		_, _, err = i.SignIn(elsewhere, "", "sato", password)
		require.NoError(t, err, "a guesser does not keep the user out who sits elsewhere")
		for n := range 20 {
			guesser := identity.WithAddress(ctx, fmt.Sprintf("198.51.100.%d", n/5))
			_, _, err = i.SignIn(guesser, "", "sato", "wrong password!")
		}
		require.True(t, problem.Is(err, problem.RateLimited), "twenty from everywhere")
		dbtest.ClockOf(db).Advance(time.Minute)
		_, _, err = i.SignIn(elsewhere, "", "sato", password)
		require.NoError(t, err, "a minute later the right password works")
	})
}

func TestGuessesAtOnceAreCountedLikeGuessesInTurn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		i, a, _ := room(t, db)
		ctx := at(t, i, a, policy.Tablet)
		var compared atomic.Int64
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				agency := []string{"", "fukushima"}[n%2] // two ways to name one account
				if _, _, err := i.SignIn(ctx, agency, "sato", "wrong password!"); problem.Is(err, problem.SignInFailed) {
					compared.Add(1)
				}
			})
		}
		all.Wait()
		require.LessOrEqual(t, compared.Load(), int64(6), "five, and the one that is compared beside the fifth")
		require.GreaterOrEqual(t, compared.Load(), int64(5))
	})
}

func TestAddressesOfOneClientAreOne(t *testing.T) {
	address := func(s string) string { return identity.Address(identity.WithAddress(context.Background(), s)) }
	require.Equal(t, address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"), "one network")
	require.NotEqual(t, address("2001:db8:1:2::1"), address("2001:db8:1:3::1"))
	require.Equal(t, address("fe80::1%eth0"), address("fe80::2%eth1"))
	require.Equal(t, "192.0.2.7", address("::ffff:192.0.2.7"))
	require.NotEqual(t, address("192.0.2.7"), address("192.0.2.8"))
	require.Equal(t, "unknown", address("unknown"))
}

func TestRegisterRefusesBadInputAndDuplicates(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		i, a, _ := room(t, db)
		good := identity.NewUser{UserName: "suzuki", DisplayName: "鈴木", Role: policy.Supervisor, Password: password, PasswordReason: "r"}
		for name, change := range map[string]func(*identity.NewUser){
			"user name": func(u *identity.NewUser) { u.UserName = "a b" },
			"role":      func(u *identity.NewUser) { u.Role = "ROOT" },
			"password":  func(u *identity.NewUser) { u.Password = "short" },
			"reason":    func(u *identity.NewUser) { u.PasswordReason = "" },
			"name":      func(u *identity.NewUser) { u.DisplayName = strings.Repeat("長", 101) },
		} {
			bad := good
			change(&bad)
			_, err := i.Register(ctx, policy.SystemActor(), a.ID, bad)
			require.True(t, problem.Is(err, problem.BadInput), name)
		}
		good.UserName = "sato"
		_, err := i.Register(ctx, policy.SystemActor(), a.ID, good)
		require.True(t, problem.Is(err, problem.AlreadyExists))
		_, err = i.CreateAgency(ctx, identity.NewAgency{Code: "fukushima", NameJa: "x", NameEn: "x"})
		require.True(t, problem.Is(err, problem.AlreadyExists))
	})
}

func TestSettings(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		i, a, _ := room(t, db)
		s := identity.DefaultSettings
		s.LinkUses = 1
		require.NoError(t, i.SetSettings(ctx, policy.SystemActor(), a.ID, s))
		back, err := i.Agency(ctx, a.ID)
		require.NoError(t, err)
		require.Equal(t, 1, back.Settings.LinkUses)
		require.EqualValues(t, 2, back.Settings.Version)
		s.LinkMinutes = 0
		require.True(t, problem.Is(i.SetSettings(ctx, policy.SystemActor(), a.ID, s), problem.SettingRefused))
	})
}

type key string

func (k key) MAC(data []byte) []byte {
	m := hmac.New(sha256.New, []byte(k))
	m.Write(data)
	return m.Sum(nil)
}

func TestBearers(t *testing.T) {
	clock := dbtest.NewClock()
	b := identity.NewBearers(key("one"), clock)
	token, until := b.Mint(identity.Bearer{Use: identity.UseUpload, Session: "s", Object: "m", Actor: policy.Actor{Kind: policy.Caller, ID: "p"}}, identity.BearerLife)
	got, err := b.Open(token, identity.UseUpload)
	require.NoError(t, err)
	require.Equal(t, "p", got.Actor.ID)
	require.True(t, until.Equal(got.Until))

	refused := func(b *identity.Bearers, token string, use identity.Use) {
		t.Helper()
		_, err := b.Open(token, use)
		require.True(t, problem.Is(err, problem.BearerInvalid))
	}
	refused(b, token, identity.UsePublish)
	refused(b, token+"x", identity.UseUpload)
	refused(b, "x"+token, identity.UseUpload)
	refused(b, "", identity.UseUpload)
	refused(b, strings.Repeat("a.", 2000), identity.UseUpload)
	refused(identity.NewBearers(key("two"), clock), token, identity.UseUpload)
	clock.Advance(identity.BearerLife + time.Second)
	refused(b, token, identity.UseUpload)
}

func TestIDs(t *testing.T) {
	id := identity.NewID()
	same, err := identity.ParseID(id)
	require.NoError(t, err)
	require.Equal(t, id, same)
	for _, bad := range []string{"", "1", strings.ToUpper(id), "{" + id + "}", id + "' OR 1=1", "urn:uuid:" + id} {
		_, err := identity.ParseID(bad)
		require.True(t, problem.Is(err, problem.BadID), bad)
	}
}
