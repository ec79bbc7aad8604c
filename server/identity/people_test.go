package identity_test

import (
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

// 第7の1: the manager registers supervisors and dispatchers of the own agency,
// and nobody else.
func TestManagerRegistersChangesAndRemovesPeople(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		for _, bad := range []identity.NewPerson{
			{UserName: "a b", DisplayName: "x", Role: policy.Dispatcher},
			{UserName: "ab", DisplayName: " ", Role: policy.Dispatcher},
			{UserName: "ab", DisplayName: "x", Role: policy.Manager},
			{UserName: "ab", DisplayName: "x\x00", Role: policy.Dispatcher},
		} {
			_, _, _, err := o.RegisterPerson(o.ctx, o.manager, bad)
			o.refused(err, problem.BadInput)
		}
		u, _ := o.register("sato", policy.Dispatcher, "")
		_, _, _, err := o.RegisterPerson(o.ctx, o.manager, identity.NewPerson{UserName: "Sato", DisplayName: "x", Role: policy.Dispatcher})
		o.refused(err, problem.AlreadyExists)

		_, err = o.Suspend(o.ctx, o.manager, o.manager.ID, "x")
		o.refused(err, problem.Forbidden, "managers come from the command line")
		elsewhere := o.manager
		elsewhere.Agency = identity.NewID()
		_, err = o.Suspend(o.ctx, elsewhere, u.ID, "x")
		o.refused(err, problem.NotFound, "another agency's")
		_, err = o.Suspend(o.ctx, o.manager, u.ID, " ")
		o.refused(err, problem.ReasonMissing)

		u, err = o.Rename(o.ctx, o.manager, u.ID, " 佐藤 ")
		require.NoError(t, err)
		require.Equal(t, "佐藤", u.DisplayName)
		_, err = o.SetRole(o.ctx, o.manager, u.ID, policy.Supervisor, identity.Confirmation{})
		o.refused(err, problem.ConfirmationMissing)
		u, err = o.SetRole(o.ctx, o.manager, u.ID, policy.Supervisor, withPassword)
		require.NoError(t, err)
		require.Equal(t, policy.Supervisor, u.Role)
		require.Equal(t, 1, o.count(journal.RoleChanged))

		_, err = o.Remove(o.ctx, o.manager, u.ID, "異動")
		require.NoError(t, err)
		_, err = o.Rename(o.ctx, o.manager, u.ID, "x")
		o.refused(err, problem.UserRemoved)
		o.register("sato", policy.Dispatcher, "") // the name is free again
	})
}

// 第7の2: whoever is suspended or removed is out at once, everywhere; their work
// passes to a supervisor who is there.
func TestSuspendedAndRemovedPeopleAreOutAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		var cut []string
		var heirs []string
		o.OnCut(func(logins []string) { cut = append(cut, logins...) })
		o.OnLeaving(func(_ *database.Tx, _ policy.Actor, _ *identity.User, heir string) error {
			heirs = append(heirs, heir)
			return nil
		})
		f := newFinger()
		token, actor := o.enrol("sato", policy.Dispatcher, f)
		second, err := o.signIn(f)
		require.NoError(t, err)

		u, err := o.Suspend(o.ctx, o.manager, actor.ID, "確認のため")
		require.NoError(t, err)
		require.Equal(t, identity.Suspended, u.Status)
		require.ElementsMatch(t, []string{actor.Login, second.Login}, cut)
		require.Equal(t, []string{""}, heirs, "no supervisor yet")
		_, err = o.Recognise(o.ctx, token)
		o.refused(err, problem.Unauthenticated)
		_, err = o.StillSignedIn(o.ctx, second.Login)
		o.refused(err, problem.Unauthenticated)
		_, err = o.signIn(f)
		o.refused(err, problem.Suspended)
		_, _, _, err = o.IssueEnrolment(o.ctx, o.manager, actor.ID)
		o.refused(err, problem.Suspended)

		_, err = o.Reinstate(o.ctx, o.manager, actor.ID)
		require.NoError(t, err)
		_, err = o.Recognise(o.ctx, token)
		o.refused(err, problem.Unauthenticated, "the old sign-in stays over")
		_, err = o.signIn(f)
		require.NoError(t, err)

		o.register("away", policy.Supervisor, "")
		_, there := o.enrol("there", policy.Supervisor, newFinger())
		_, err = o.Remove(o.ctx, o.manager, actor.ID, "退職")
		require.NoError(t, err)
		require.Equal(t, []string{"", there.ID}, heirs, "the supervisor who is signed in")
		keys, err := o.CredentialsOf(o.ctx, o.agency.ID, []string{actor.ID})
		require.NoError(t, err)
		require.Empty(t, keys, "keys are erased")
		_, err = o.signIn(f)
		o.refused(err, problem.PasskeyRefused)

		tasks, err := o.FingerprintTasks(o.ctx, o.agency.ID)
		require.NoError(t, err)
		require.Len(t, tasks, 1)
		require.Equal(t, "受理端末1", tasks[0].Label)
		done, err := o.TickFingerprintTask(o.ctx, o.manager, tasks[0].ID)
		require.NoError(t, err)
		require.Equal(t, o.manager.ID, done.DoneBy)
		first := *done.DoneAt
		dbtest.ClockOf(db).Advance(time.Minute)
		done, err = o.TickFingerprintTask(o.ctx, o.manager, tasks[0].ID)
		require.NoError(t, err)
		require.True(t, first.Equal(*done.DoneAt), "ticked once")
	})
}

// T09: an enrolment code is short-lived, for one use and few tries, and an
// unknown person answers as a wrong code does.
func TestT09EnrolmentCodes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		u, code := o.register("sato", policy.Dispatcher, "")
		begin := func(name, code string) (*identity.Enrolling, error) { return o.BeginEnrolment(o.ctx, "", name, code) }
		_, err := begin("nobody", code)
		o.refused(err, problem.EnrolmentRefused)
		for range 5 {
			_, err = begin("sato", "AAAA-AAAA-AAAA")
			o.refused(err, problem.EnrolmentRefused)
		}
		_, err = begin("sato", code)
		o.refused(err, problem.EnrolmentRefused, "five wrong tries end it")
		require.Equal(t, 5, o.count(journal.EnrolmentRefused))

		code, _, _, err = o.IssueEnrolment(o.ctx, o.manager, u.ID)
		require.NoError(t, err)
		former := code
		code, _, _, err = o.IssueEnrolment(o.ctx, o.manager, u.ID)
		require.NoError(t, err)
		_, err = begin("sato", former)
		o.refused(err, problem.EnrolmentRefused, "replaced")
		dbtest.ClockOf(db).Advance(identity.EnrolmentLife)
		_, err = begin("sato", code)
		o.refused(err, problem.EnrolmentRefused, "too late")

		code, _, _, err = o.IssueEnrolment(o.ctx, o.manager, u.ID)
		require.NoError(t, err)
		one, err := begin("sato", code)
		require.NoError(t, err)
		two, err := begin("sato", code)
		require.NoError(t, err)
		f, g := newFinger(), newFinger()
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: one.Asked.Challenge, Password: password})
		o.refused(err, problem.PasswordNotAllowed, "no manager allowed one")
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: one.Asked.Challenge, Attestation: f.make(t, one.Asked)})
		require.NoError(t, err)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: two.Asked.Challenge, Attestation: g.make(t, two.Asked)})
		o.refused(err, problem.EnrolmentRefused, "used")
	})
}

// 第8の1: a password only where the manager allowed it, with the reason.
func TestPasswordOnlyWhereAManagerAllowedIt(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		u, code := o.register("sato", policy.Dispatcher, "指紋が読み取りにくい")
		e, err := o.BeginEnrolment(o.ctx, "", "sato", code)
		require.NoError(t, err)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Password: "short"})
		o.refused(err, problem.PasswordTooShort)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge})
		o.refused(err, problem.BadInput)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Password: password})
		require.NoError(t, err)
		_, actor, err := o.SignIn(o.ctx, "", "sato", password)
		require.NoError(t, err)

		u, err = o.SetPassword(o.ctx, o.manager, u.ID, "")
		require.NoError(t, err)
		require.False(t, u.HasPassword())
		require.Empty(t, u.PasswordHash)
		_, _, err = o.SignIn(o.ctx, "", "sato", password)
		o.refused(err, problem.SignInFailed)
		_, err = o.StillSignedIn(o.ctx, actor.Login)
		o.refused(err, problem.Unauthenticated, "who came in with it is out")
		_, err = o.SetPassword(o.ctx, o.manager, u.ID, "もう一度")
		require.NoError(t, err)
		_, _, err = o.SignIn(o.ctx, "", "sato", password)
		o.refused(err, problem.SignInFailed, "the old one does not come back")
	})
}

// 第8の1: a sealed password opens one login for one shift, is used up, and
// stands in the journal as an alarm.
func TestSealedPasswordOpensOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		u, _ := o.register("sato", policy.Dispatcher, "")
		_, _, err := o.Seal(o.ctx, o.manager, u.ID, " ")
		o.refused(err, problem.ReasonMissing)
		former, _, err := o.Seal(o.ctx, o.manager, u.ID, "夜間の故障")
		require.NoError(t, err)
		sealed, _, err := o.Seal(o.ctx, o.manager, u.ID, "夜間の故障")
		require.NoError(t, err)
		_, _, err = o.SignIn(o.ctx, "", "sato", sealed)
		o.refused(err, problem.SignInFailed, "it is no everyday password")
		_, _, err = o.SignInSealed(o.ctx, "", "sato", former)
		o.refused(err, problem.SignInFailed, "replaced")
		_, actor, err := o.SignInSealed(o.ctx, "", "sato", sealed)
		require.NoError(t, err)
		require.Equal(t, 1, o.count(journal.SealedPasswordOpened))
		_, _, err = o.SignInSealed(o.ctx, "", "sato", sealed)
		o.refused(err, problem.SignInFailed, "used up")

		require.NoError(t, o.Lock(o.ctx, actor))
		how, err := o.BeginUnlock(o.ctx, actor)
		require.NoError(t, err)
		require.True(t, how.Password)
		require.NoError(t, o.Unlock(o.ctx, actor, identity.Confirmation{Password: sealed}), "it unlocks the one login that it opened")
		_, err = o.StillSignedIn(o.ctx, actor.Login)
		require.NoError(t, err)
		for range 3 * 4 * 14 { // the shift ends though somebody is there all the time
			dbtest.ClockOf(db).Advance(5 * time.Minute)
			require.NoError(t, o.StayAwake(o.ctx, actor.Login))
		}
		_, err = o.StillSignedIn(o.ctx, actor.Login)
		o.refused(err, problem.Unauthenticated)
	})
}

// T09: a screen that nobody uses locks after fifteen minutes, never while a
// session is watched; a locked one may only be unlocked or signed out.
func TestT09IdleScreensLock(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		clock := dbtest.ClockOf(db)
		f := newFinger()
		token, actor := o.enrol("sato", policy.Dispatcher, f)
		locked := func() bool {
			t.Helper()
			a, err := o.Recognise(o.ctx, token)
			require.NoError(t, err)
			_, err = o.StillSignedIn(o.ctx, actor.Login)
			require.Equal(t, a.Role == policy.LockedRole, problem.Is(err, problem.ScreenLocked))
			return a.Role == policy.LockedRole
		}
		clock.Advance(identity.IdleLimit - time.Second)
		require.False(t, locked())
		require.NoError(t, o.StayAwake(o.ctx, actor.Login))
		clock.Advance(identity.IdleLimit - time.Second)
		require.False(t, locked(), "somebody was there")
		clock.Advance(time.Second)
		require.True(t, locked())

		o.refused(o.Unlock(o.ctx, actor, identity.Confirmation{}), problem.ConfirmationMissing)
		o.refused(o.Unlock(o.ctx, actor, withPassword), problem.PasswordNotAllowed)
		g := newFinger()
		_, colleague := o.enrol("suzuki", policy.Dispatcher, g)
		theirs, err := o.BeginUnlock(o.ctx, colleague)
		require.NoError(t, err)
		o.refused(o.Unlock(o.ctx, actor, identity.Confirmation{Challenge: theirs.Asked.Challenge, Assertion: g.touch(t, theirs.Asked)}), problem.ConfirmationRefused, "a colleague's finger")
		how, err := o.BeginUnlock(o.ctx, actor)
		require.NoError(t, err)
		require.NoError(t, o.Unlock(o.ctx, actor, identity.Confirmation{Challenge: how.Asked.Challenge, Assertion: f.touch(t, how.Asked)}))
		require.False(t, locked())

		end := o.Watch(actor.Login)
		clock.Advance(2 * time.Hour)
		require.False(t, locked(), "a session is watched")
		end()
		clock.Advance(identity.IdleLimit - time.Second)
		require.False(t, locked(), "the time counts from the end of watching")
		clock.Advance(time.Second)
		require.True(t, locked())
		how, err = o.BeginUnlock(o.ctx, actor)
		require.NoError(t, err)
		require.NoError(t, o.Unlock(o.ctx, actor, identity.Confirmation{Challenge: how.Asked.Challenge, Assertion: f.touch(t, how.Asked)}))

		var cut []string
		o.OnCut(func(logins []string) { cut = logins })
		end = o.Watch(actor.Login)
		defer end()
		require.NoError(t, o.Lock(o.ctx, actor))
		require.Equal(t, []string{actor.Login}, cut)
		require.True(t, locked(), "locked by hand, whatever is watched")
	})
}

// 第7の2: what nobody uses is listed.
func TestUnusedCredentialsAreListed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		clock := dbtest.ClockOf(db)
		f := newFinger()
		_, actor := o.enrol("sato", policy.Dispatcher, f)
		never, unused := newFinger(), func() []*identity.Unused {
			t.Helper()
			found, err := o.UnusedCredentials(o.ctx, o.agency.ID)
			require.NoError(t, err)
			return found
		}
		_, idle := o.enrol("idle", policy.Dispatcher, never)
		require.Empty(t, unused(), "made just now")
		_, err := o.signIn(f)
		require.NoError(t, err)
		clock.Advance(25 * time.Hour)
		found := unused()
		require.Len(t, found, 1)
		require.Equal(t, idle.ID, found[0].UserID)
		require.True(t, found[0].Never)
		clock.Advance(91 * 24 * time.Hour)
		found = unused()
		require.Len(t, found, 3, "two passkeys, and the manager's password")
		require.Equal(t, actor.ID, found[0].UserID)
		require.False(t, found[0].Never)
		require.Nil(t, found[2].Passkey)
		_, err = o.signIn(f)
		require.NoError(t, err)
		require.Len(t, unused(), 2)
	})
}
