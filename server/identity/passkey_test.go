package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const origin = "https://report.example.jp"

var party = virtualwebauthn.RelyingParty{ID: "report.example.jp", Name: "Genba", Origin: origin}

// finger is an authenticator with one passkey.
type finger struct {
	virtualwebauthn.Authenticator
	key virtualwebauthn.Credential
	rp  virtualwebauthn.RelyingParty
}

func newFinger() *finger {
	return &finger{virtualwebauthn.NewAuthenticator(), newPasskey(), party}
}

// newPasskey makes a key whose public half is written in full: the test library
// leaves leading zeros out, which no authenticator does.
func newPasskey() virtualwebauthn.Credential {
	const full = 77
	for {
		if k := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(k.Key.AttestationData()) == full {
			return k
		}
	}
}

// make answers a request for a new passkey.
func (f *finger) make(t *testing.T, a *identity.Asked) string {
	t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(a.Options)
	require.NoError(t, err)
	f.Options.UserHandle = []byte(options.UserID)
	return virtualwebauthn.CreateAttestationResponse(f.rp, f.Authenticator, f.key, *options)
}

// touch answers a request for a touch; the counter moves on.
func (f *finger) touch(t *testing.T, a *identity.Asked) string {
	t.Helper()
	f.key.Counter++
	options, err := virtualwebauthn.ParseAssertionOptions(a.Options)
	require.NoError(t, err)
	return virtualwebauthn.CreateAssertionResponse(f.rp, f.Authenticator, f.key, *options)
}

// office is an agency with a manager who has a password, and people with
// passkeys.
type office struct {
	*identity.Identity
	t       *testing.T
	ctx     context.Context
	db      *database.DB
	journal *journal.Journal
	agency  *identity.Agency
	manager policy.Actor
}

func newOffice(t *testing.T, db *database.DB) *office {
	t.Helper()
	j := journal.New(db, quiet{})
	i, err := identity.New(db, j)
	require.NoError(t, err)
	keys, err := identity.NewPasskeys(origin, key("one"))
	require.NoError(t, err)
	i.UsePasskeys(keys)
	o := &office{Identity: i, t: t, db: db, journal: j}
	o.agency, err = i.CreateAgency(t.Context(), identity.NewAgency{Code: "fukushima", NameJa: "福島県警察", NameEn: "Fukushima Police"})
	require.NoError(t, err)
	o.ctx = at(t, i, o.agency, policy.Notebook)
	_, err = i.Register(o.ctx, policy.SystemActor(), o.agency.ID, identity.NewUser{UserName: "chief", DisplayName: "管理", Role: policy.Manager, Password: password, PasswordReason: "運用者が登録"})
	require.NoError(t, err)
	_, o.manager, err = i.SignIn(at(t, i, o.agency, policy.Admin), "", "chief", password)
	require.NoError(t, err)
	return o
}

// withPassword is what somebody without a passkey confirms with.
var withPassword = identity.Confirmation{Password: password}

// register registers somebody and gives their code.
func (o *office) register(name string, role policy.Role, passwordReason string) (*identity.User, string) {
	o.t.Helper()
	u, code, _, err := o.RegisterPerson(o.ctx, o.manager, identity.NewPerson{UserName: name, DisplayName: name, Role: role, PasswordReason: passwordReason})
	require.NoError(o.t, err)
	return u, code
}

// enrol registers somebody who makes a passkey with f.
func (o *office) enrol(name string, role policy.Role, f *finger) (token string, actor policy.Actor) {
	o.t.Helper()
	_, code := o.register(name, role, "")
	e, err := o.BeginEnrolment(o.ctx, "", name, code)
	require.NoError(o.t, err)
	token, actor, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Attestation: f.make(o.t, e.Asked), Label: "受理端末1"})
	require.NoError(o.t, err)
	return token, actor
}

// signIn signs in by passkey.
func (o *office) signIn(f *finger) (policy.Actor, error) {
	o.t.Helper()
	a, err := o.BeginSignIn(o.ctx)
	require.NoError(o.t, err)
	_, actor, err := o.FinishSignIn(o.ctx, "", "", a.Challenge, f.touch(o.t, a))
	return actor, err
}

// count tells how often something stands in the journal.
func (o *office) count(what journal.Type) int {
	o.t.Helper()
	rows, err := o.journal.After(o.ctx, o.agency.ID, 0, journal.Filter{Types: []journal.Type{what}}, 1000)
	require.NoError(o.t, err)
	return len(rows)
}

func (o *office) refused(err error, why problem.Reason, what ...any) {
	o.t.Helper()
	require.Error(o.t, err, what...)
	require.Equal(o.t, string(why), string(problem.Of(err).Reason()), what...)
}

// 第8の1: sign-in is by user ID and fingerprint; the manager registers it (第7の1).
func TestEnrolAndSignInByPasskey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		f := newFinger()
		token, actor := o.enrol("sato", policy.Dispatcher, f)
		again, err := o.Recognise(o.ctx, token)
		require.NoError(t, err)
		require.Equal(t, actor, again, "enrolling signs in")

		in, err := o.signIn(f)
		require.NoError(t, err)
		require.Equal(t, actor.ID, in.ID)
		require.Equal(t, policy.Dispatcher, in.Role)
		require.NotEqual(t, actor.Login, in.Login)

		a, err := o.BeginSignIn(o.ctx)
		require.NoError(t, err)
		_, _, err = o.FinishSignIn(o.ctx, "fukushima", " SATO ", a.Challenge, f.touch(t, a))
		require.NoError(t, err, "the user name may be given")
		a, err = o.BeginSignIn(o.ctx)
		require.NoError(t, err)
		_, _, err = o.FinishSignIn(o.ctx, "", "suzuki", a.Challenge, f.touch(t, a))
		o.refused(err, problem.PasskeyRefused, "another's name")
		a, err = o.BeginSignIn(o.ctx)
		require.NoError(t, err)
		_, _, err = o.FinishSignIn(o.ctx, "miyagi", "", a.Challenge, f.touch(t, a))
		o.refused(err, problem.PasskeyRefused, "another agency")

		_, _, err = o.SignIn(o.ctx, "", "sato", password)
		o.refused(err, problem.SignInFailed, "no password was allowed")
		keys, err := o.CredentialsOf(o.ctx, o.agency.ID, []string{actor.ID})
		require.NoError(t, err)
		require.Len(t, keys[actor.ID], 1)
		require.Equal(t, "受理端末1", keys[actor.ID][0].Label)
		require.NotNil(t, keys[actor.ID][0].UsedAt)
		require.Equal(t, 1, o.count(journal.PasskeyRegistered))
	})
}

// T09: whatever is wrong with an authenticator's answer, it opens nothing.
func TestT09WrongPasskeyAnswersAreRefused(t *testing.T) {
	flipped := func(answer, field string) string {
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(answer), &v))
		r := v["response"].(map[string]any)
		raw, err := base64.RawURLEncoding.DecodeString(r[field].(string))
		require.NoError(t, err)
		raw[len(raw)-1] ^= 1
		r[field] = base64.RawURLEncoding.EncodeToString(raw)
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return string(text)
	}
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		f := newFinger()
		_, actor := o.enrol("sato", policy.Dispatcher, f)
		attempts := 0
		try := func(what string, change func(f *finger), bend func(a *identity.Asked, answer string) (challenge, assertion string)) {
			t.Helper()
			dbtest.ClockOf(db).Advance(time.Minute) // earlier failures do not count
			g := *f
			if change != nil {
				change(&g)
			}
			a, err := o.BeginSignIn(o.ctx)
			require.NoError(t, err)
			answer := g.touch(t, a)
			challenge := a.Challenge
			if bend != nil {
				challenge, answer = bend(a, answer)
			}
			_, _, err = o.FinishSignIn(o.ctx, "", "", challenge, answer)
			o.refused(err, problem.PasskeyRefused, what)
			attempts++
		}
		_, err := o.signIn(f)
		require.NoError(t, err)

		try("bad signature", nil, func(a *identity.Asked, answer string) (string, string) {
			return a.Challenge, flipped(answer, "signature")
		})
		try("changed data", nil, func(a *identity.Asked, answer string) (string, string) {
			return a.Challenge, flipped(answer, "authenticatorData")
		})
		try("UV = 0", func(f *finger) { f.Options.UserNotVerified = true }, nil)
		try("UP = 0", func(f *finger) { f.Options.UserNotPresent = true }, nil)
		try("other origin", func(f *finger) { f.rp.Origin = "https://report.example.jp.evil.example" }, nil)
		try("other origin, same host", func(f *finger) { f.rp.Origin = "http://report.example.jp" }, nil)
		try("other relying party", func(f *finger) { f.rp.ID = "example.jp" }, nil)
		try("another key", func(f *finger) {
			id := f.key.ID
			f.key = newPasskey()
			f.key.ID, f.key.Counter = id, 99
		}, nil)
		try("unknown passkey", func(f *finger) { f.key = newPasskey() }, nil)
		try("another person's handle", func(f *finger) { f.Options.UserHandle = uuid.Must(uuid.NewV7()).NodeID() }, nil)
		try("now synced", func(f *finger) { f.Options.BackupEligible = true }, nil)
		try("counter as before", func(f *finger) { f.key.Counter-- }, nil)
		try("counter backwards", func(f *finger) { f.key.Counter = 0 }, nil)
		try("stale challenge", nil, func(a *identity.Asked, answer string) (string, string) {
			dbtest.ClockOf(db).Advance(2*time.Minute + time.Second)
			return a.Challenge, answer
		})
		try("a challenge of ours for another answer", nil, func(a *identity.Asked, answer string) (string, string) {
			other, err := o.BeginSignIn(o.ctx)
			require.NoError(t, err)
			return other.Challenge, answer
		})
		try("a challenge that is not ours", nil, func(a *identity.Asked, answer string) (string, string) {
			keys, err := identity.NewPasskeys(origin, key("two"))
			require.NoError(t, err)
			stranger, err := identity.New(db, o.journal)
			require.NoError(t, err)
			stranger.UsePasskeys(keys)
			theirs, err := stranger.BeginSignIn(o.ctx)
			require.NoError(t, err)
			return theirs.Challenge, f.touch(t, theirs)
		})
		try("a challenge asked for something else", nil, func(*identity.Asked, string) (string, string) {
			how, err := o.BeginConfirmation(o.ctx, actor, identity.RevealNumber, identity.NewID())
			require.NoError(t, err)
			return how.Asked.Challenge, f.touch(t, how.Asked)
		})
		for _, junk := range []string{"", "{}", "null", "[]", strings.Repeat("x", 1<<15), `{"id":"a"}`, "\x00"} {
			try("junk", nil, func(a *identity.Asked, _ string) (string, string) { return a.Challenge, junk })
			try("junk challenge", nil, func(_ *identity.Asked, answer string) (string, string) { return junk, answer })
		}
		f.key.Counter += 100
		a, err := o.BeginSignIn(o.ctx)
		require.NoError(t, err)
		answer := f.touch(t, a)
		_, _, err = o.FinishSignIn(o.ctx, "", "", a.Challenge, answer)
		require.NoError(t, err)
		_, _, err = o.FinishSignIn(o.ctx, "", "", a.Challenge, answer)
		o.refused(err, problem.PasskeyRefused, "the same answer again")
		require.NotZero(t, o.count(journal.PasskeyRefused), "a known person's refusals stand in the journal")
		require.GreaterOrEqual(t, attempts, 30)
	})
}

// T09: an authenticator that counts nothing says 0 each time, and may.
func TestPasskeyWithoutACounter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		f := newFinger()
		o.enrol("sato", policy.Dispatcher, f)
		for range 3 {
			a, err := o.BeginSignIn(o.ctx)
			require.NoError(t, err)
			f.key.Counter = 0
			options, err := virtualwebauthn.ParseAssertionOptions(a.Options)
			require.NoError(t, err)
			answer := virtualwebauthn.CreateAssertionResponse(f.rp, f.Authenticator, f.key, *options)
			_, _, err = o.FinishSignIn(o.ctx, "", "", a.Challenge, answer)
			require.NoError(t, err)
		}
	})
}

// T09: guessing passkeys makes wait, as guessing passwords does.
func TestWrongPasskeysAreSlowed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		f := newFinger()
		o.enrol("sato", policy.Dispatcher, f)
		for range 20 {
			_, err := o.signIn(newFinger())
			o.refused(err, problem.PasskeyRefused)
		}
		_, err := o.signIn(f)
		o.refused(err, problem.RateLimited)
		dbtest.ClockOf(db).Advance(time.Minute)
		_, err = o.signIn(f)
		require.NoError(t, err)
	})
}

// 第8の1: no passkey that is synced to other devices; only listed models where
// the agency keeps a list.
func TestWhichPasskeysAreKept(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		_, code := o.register("sato", policy.Dispatcher, "")
		finish := func(f *finger) error {
			e, err := o.BeginEnrolment(o.ctx, "", "sato", code)
			require.NoError(t, err)
			_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Attestation: f.make(t, e.Asked)})
			return err
		}
		synced := newFinger()
		synced.Options.BackupEligible = true
		o.refused(finish(synced), problem.PasskeySynced)
		unverified := newFinger()
		unverified.Options.UserNotVerified = true
		o.refused(finish(unverified), problem.PasskeyRefused)
		elsewhere := newFinger()
		elsewhere.rp.Origin = "https://evil.example"
		o.refused(finish(elsewhere), problem.PasskeyRefused)

		listed := newFinger()
		model := uuid.UUID(listed.Aaguid).String()
		_, err := o.SetAuthenticators(o.ctx, o.manager, []string{"no"})
		o.refused(err, problem.BadInput)
		a, err := o.SetAuthenticators(o.ctx, o.manager, []string{strings.ToUpper(model), model})
		require.NoError(t, err)
		require.Equal(t, []string{model}, a.Settings.Authenticators)
		o.refused(finish(newFinger()), problem.PasskeyNotListed)
		require.NoError(t, finish(listed))
		_, err = o.signIn(listed)
		require.NoError(t, err)
	})
}

// T09: a touch confirms the one act on the one subject that it was asked for.
func TestConfirmIsBoundToActionAndSubject(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		f, g := newFinger(), newFinger()
		_, actor := o.enrol("sato", policy.Supervisor, f)
		_, colleague := o.enrol("suzuki", policy.Supervisor, g)
		subject := identity.NewID()
		begin := func(action identity.Action, subject string) identity.Confirmation {
			how, err := o.BeginConfirmation(o.ctx, actor, action, subject)
			require.NoError(t, err)
			require.False(t, how.Password)
			return identity.Confirmation{Challenge: how.Asked.Challenge, Assertion: f.touch(t, how.Asked)}
		}
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, identity.Confirmation{}), problem.ConfirmationMissing)
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, begin(identity.ApproveExport, subject)), problem.ConfirmationRefused, "another act")
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, begin(identity.RevealNumber, identity.NewID())), problem.ConfirmationRefused, "another subject")
		o.refused(o.Confirm(o.ctx, colleague, identity.RevealNumber, subject, begin(identity.RevealNumber, subject)), problem.ConfirmationRefused, "another person's")
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, withPassword), problem.PasswordNotAllowed)
		stale := begin(identity.RevealNumber, subject)
		dbtest.ClockOf(db).Advance(3 * time.Minute)
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, stale), problem.ConfirmationRefused, "stale")
		a, err := o.BeginSignIn(o.ctx)
		require.NoError(t, err)
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, identity.Confirmation{Challenge: a.Challenge, Assertion: f.touch(t, a)}), problem.ConfirmationRefused, "a sign-in")

		right := begin(identity.RevealNumber, subject)
		require.NoError(t, o.Confirm(o.ctx, actor, identity.RevealNumber, subject, right))
		o.refused(o.Confirm(o.ctx, actor, identity.RevealNumber, subject, right), problem.ConfirmationRefused, "once")
		require.Equal(t, 1, o.count(journal.Confirmed))

		how, err := o.BeginConfirmation(o.ctx, o.manager, identity.ChangeRole, subject)
		require.NoError(t, err)
		require.True(t, how.Password, "who has only a password confirms with it")
		require.Nil(t, how.Asked)
		o.refused(o.Confirm(o.ctx, o.manager, identity.ChangeRole, subject, identity.Confirmation{Password: "wrong password!"}), problem.ConfirmationRefused)
		require.NoError(t, o.Confirm(o.ctx, o.manager, identity.ChangeRole, subject, withPassword))
	})
}
