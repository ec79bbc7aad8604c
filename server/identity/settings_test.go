package identity_test

import (
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

func (o *office) settings() *identity.Settings {
	o.t.Helper()
	a, err := o.Agency(o.ctx, o.agency.ID)
	require.NoError(o.t, err)
	return &a.Settings
}

// change changes settings as they are now.
func (o *office) change(in identity.SettingsChange) error {
	o.t.Helper()
	in.Version, in.Reason = o.settings().Version, "試験のため"
	_, err := o.UpdateSettings(o.ctx, o.manager, in)
	return err
}

// Every setting that is a number has its bounds, and every other one its list.
func TestSettingsAreBounded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		before := *o.settings()
		for _, b := range identity.Bounds() {
			for _, bad := range []int{b.Min - 1, b.Max + 1, -1 << 31} {
				var s identity.Settings
				text, err := json.Marshal(map[string]any{b.Setting: bad})
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(text, &s))
				o.refused(o.SetSettings(o.ctx, o.manager, o.agency.ID, s), problem.SettingRefused, b.Setting, bad)
			}
			for _, good := range []int{b.Min, b.Max} {
				var s identity.Settings
				text, err := json.Marshal(map[string]any{b.Setting: good})
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(text, &s))
				require.NoError(t, o.SetSettings(o.ctx, o.manager, o.agency.ID, s), b.Setting)
			}
		}
		require.NoError(t, o.SetSettings(o.ctx, o.manager, o.agency.ID, before))
		bad := identity.Watermark("NONE")
		for _, in := range []identity.SettingsChange{
			{Languages: []string{}}, {Languages: []string{"ja", "ja"}}, {Languages: []string{"fr"}}, {Watermark: &bad},
		} {
			o.refused(o.change(in), problem.SettingRefused)
		}
		o.refused(o.change(identity.SettingsChange{Authenticators: []string{"x"}, SetAuthenticators: true}), problem.BadInput)
		_, err := o.UpdateSettings(o.ctx, o.manager, identity.SettingsChange{Version: o.settings().Version, Reason: " "})
		o.refused(err, problem.ReasonMissing)
		now := *o.settings()
		now.Version = before.Version
		require.Equal(t, before, now, "what is refused changes nothing")
	})
}

// Each change is a version of its own: who, when, why, and what it was before.
func TestSettingsAreVersionedAndJournaled(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		first := o.settings().Version
		uses, minutes := 1, 5
		require.NoError(t, o.change(identity.SettingsChange{LinkUses: &uses}))
		require.NoError(t, o.change(identity.SettingsChange{LinkMinutes: &minutes, Languages: []string{"en", "ja"}}))
		_, err := o.UpdateSettings(o.ctx, o.manager, identity.SettingsChange{Version: first, Reason: "遅れて", LinkUses: &minutes})
		o.refused(err, problem.SettingsOutdated)

		all, err := o.SettingsHistory(o.ctx, o.agency.ID, 0, 10)
		require.NoError(t, err)
		require.Len(t, all, 3)
		require.Equal(t, []*identity.SettingChange{
			{Setting: "languages", Old: `["ja","en"]`, New: `["en","ja"]`}, {Setting: "linkMinutes", Old: "10", New: "5"},
		}, all[0].Changes)
		require.Equal(t, []*identity.SettingChange{{Setting: "linkUses", Old: "2", New: "1"}}, all[1].Changes)
		require.Empty(t, all[2].Changes, "as it was made")
		require.Equal(t, o.manager.ID, all[0].ChangedBy)
		require.Equal(t, "試験のため", all[0].Reason)
		page, err := o.SettingsHistory(o.ctx, o.agency.ID, all[0].Version, 1)
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, all[1].Changes, page[0].Changes, "the last of a page knows the version before it")
		none, err := o.SettingsHistory(o.ctx, identity.NewID(), 0, 10)
		require.NoError(t, err)
		require.Empty(t, none, "another agency's")

		rows, err := o.journal.After(o.ctx, o.agency.ID, 0, journal.Filter{Types: []journal.Type{journal.SettingsChanged}}, 10)
		require.NoError(t, err)
		require.Len(t, rows, 2)
		var said struct {
			Old, New identity.Settings
			Reason   string
		}
		require.NoError(t, json.Unmarshal(rows[1].Payload, &said))
		require.Equal(t, 10, said.Old.LinkMinutes)
		require.Equal(t, 5, said.New.LinkMinutes)
		require.Equal(t, "試験のため", said.Reason)
	})
}

// 第5の1(2): nothing but the manager's own switch applies or lifts the callers'
// access code.
func TestNoSettingTouchesTheCallerCode(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		for _, applied := range []bool{true, false} {
			_, err := o.SetCallerCode(o.ctx, o.manager, o.agency.ID, applied, "なりすまし", nil)
			require.NoError(t, err)
			all := identity.DefaultSettings
			all.CallerCode = !applied
			require.NoError(t, o.SetSettings(o.ctx, o.manager, o.agency.ID, all))
			uses := 3
			require.NoError(t, o.change(identity.SettingsChange{LinkUses: &uses}))
			_, err = o.SetAuthenticators(o.ctx, o.manager, nil)
			require.NoError(t, err)
			require.Equal(t, applied, o.settings().CallerCode)
			c, err := o.CallerCode(o.ctx, o.agency.ID)
			require.NoError(t, err)
			require.Equal(t, applied, c.Applied)
		}
		history, err := o.SettingsHistory(o.ctx, o.agency.ID, 0, 50)
		require.NoError(t, err)
		switched := 0
		for _, v := range history {
			for _, c := range v.Changes {
				if c.Setting == "callerCode" {
					switched++
					require.Equal(t, "なりすまし", v.Reason)
				}
			}
		}
		require.Equal(t, 2, switched, "it stands in the history like the rest")
	})
}

// 第8の1: where the settings forbid passwords, nobody signs in, unlocks or
// confirms with one, and nobody is allowed one; the manager who forbids them
// cannot shut themselves out.
func TestPasswordsCanBeForbidden(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		u, code := o.register("sato", policy.Dispatcher, "指紋が読み取りにくい")
		e, err := o.BeginEnrolment(o.ctx, "", "sato", code)
		require.NoError(t, err)
		_, actor, err := o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Password: password})
		require.NoError(t, err)
		_, byPassword, err := o.SignIn(o.ctx, "", "sato", password)
		require.NoError(t, err)
		off, on := false, true
		o.refused(o.change(identity.SettingsChange{Passwords: &off}), problem.PasskeyFirst)
		require.True(t, o.settings().Passwords)

		asked, err := o.BeginOwnPasskey(o.ctx, o.manager)
		require.NoError(t, err)
		_, err = o.AddOwnPasskey(o.ctx, o.manager, asked.Challenge, newFinger().make(t, asked), "管理端末", withPassword)
		require.NoError(t, err)
		require.NoError(t, o.change(identity.SettingsChange{Passwords: &off}))
		_, err = o.StillSignedIn(o.ctx, byPassword.Login)
		o.refused(err, problem.Unauthenticated, "who came in with one is out")
		_, _, err = o.SignIn(o.ctx, "", "sato", password)
		o.refused(err, problem.SignInFailed)
		require.NoError(t, o.Lock(o.ctx, actor))
		o.refused(o.Unlock(o.ctx, actor, withPassword), problem.PasswordNotAllowed)
		_, err = o.SetPassword(o.ctx, o.manager, u.ID, "別の理由")
		o.refused(err, problem.PasswordsOff)
		_, _, _, err = o.RegisterPerson(o.ctx, o.manager, identity.NewPerson{UserName: "suzuki", DisplayName: "鈴木", Role: policy.Dispatcher, PasswordReason: "x"})
		o.refused(err, problem.PasswordsOff)

		require.NoError(t, o.change(identity.SettingsChange{Passwords: &on}))
		_, _, err = o.SignIn(o.ctx, "", "sato", password)
		require.NoError(t, err, "what was allowed counts again")
	})
}

// 第8の2: how long a new password is at least.
func TestPasswordLengthIsASetting(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		length := 20
		require.NoError(t, o.change(identity.SettingsChange{PasswordLength: &length}))
		_, code := o.register("sato", policy.Dispatcher, "指紋が読み取りにくい")
		e, err := o.BeginEnrolment(o.ctx, "", "sato", code)
		require.NoError(t, err)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Password: strings.Repeat("a", length-1)})
		o.refused(err, problem.PasswordTooShort)
		_, _, err = o.FinishEnrolment(o.ctx, identity.NewKey{Challenge: e.Asked.Challenge, Password: strings.Repeat("a", length)})
		require.NoError(t, err)
	})
}

// T09: an agency may lock its screens earlier than the fifteen minutes.
func TestIdleLockIsASetting(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		minutes := 3
		require.NoError(t, o.change(identity.SettingsChange{IdleMinutes: &minutes}))
		token, _ := o.enrol("sato", policy.Dispatcher, newFinger())
		role := func() policy.Role {
			t.Helper()
			a, err := o.Recognise(o.ctx, token)
			require.NoError(t, err)
			return a.Role
		}
		clock := dbtest.ClockOf(db)
		clock.Advance(3*time.Minute - time.Second)
		require.Equal(t, policy.Dispatcher, role())
		clock.Advance(time.Second)
		require.Equal(t, policy.LockedRole, role())
	})
}

// Settings that were stored before a setting existed have its default.
func TestOlderSettingsHaveTheNewOnesDefaults(t *testing.T) {
	var s identity.Settings
	require.NoError(t, json.Unmarshal([]byte(`{"linkUses":3,"linkMinutes":20,"callerCode":true,"sessionMegabytes":100,"sessionFiles":20,"staffCodeHour":5}`), &s))
	want := identity.DefaultSettings
	want.LinkUses, want.LinkMinutes, want.CallerCode, want.SessionMegabytes, want.SessionFiles, want.StaffCodeHour = 3, 20, true, 100, 20, 5
	require.Equal(t, want, s)
}
