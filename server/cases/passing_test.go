package cases_test

import (
	"strings"
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

// 第4の2, 第7の2: what somebody had open who may no longer work is the
// supervisor's who takes over, and nothing else changes hands.
func TestOpenSessionsPassOn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		open, _, phone := c.connected(t)
		over, _, _ := c.connected(t)
		_, err := c.rooms.End(ctx, c.dispatcher, over.ID, cases.Done)
		require.NoError(t, err)
		leaver := &identity.User{ID: c.dispatcher.ID, AgencyID: c.agency}
		pass := func(heir string) {
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.PassOn(tx, c.manager(), leaver, heir) }))
		}

		pass("")
		require.Equal(t, c.dispatcher.ID, c.session(t, open.ID).DispatcherID, "nobody is there to take over")
		pass(c.supervisor.ID)
		require.Equal(t, c.supervisor.ID, c.session(t, open.ID).DispatcherID)
		require.Equal(t, c.dispatcher.ID, c.session(t, over.ID).DispatcherID, "what is over stays as it was")
		said := c.journaled(t, open.ID, journal.SessionPassedOn)
		require.Equal(t, []map[string]any{{"from": c.dispatcher.ID, "to": c.supervisor.ID}}, said)
		require.Empty(t, c.journaled(t, over.ID, journal.SessionPassedOn))
		dbtest.ClockOf(db).Advance(2 * time.Second)
		require.NoError(t, c.report(phone), "the caller goes on")
		_, err = c.rooms.End(ctx, c.colleague, open.ID, cases.Done)
		refused(t, err, problem.Forbidden)
		_, err = c.rooms.End(ctx, c.supervisor, open.ID, cases.Done)
		require.NoError(t, err)
	})
}

// 第6の3: after the end the whole number is shown for a purpose, to whoever may
// open what the session brought, with another touch, and on record.
func TestRevealNumber(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		const password = "correct horse battery"
		key, err := identity.NewPublicKey(&newPhone(t).key.PublicKey)
		require.NoError(t, err)
		terminal, err := c.people.AddTerminal(ctx, policy.SystemActor(), c.agency, identity.NewTerminal{Kind: policy.Notebook, Number: "1"}, key, false)
		require.NoError(t, err)
		here := identity.WithTerminal(ctx, terminal)
		_, err = c.people.Register(here, policy.SystemActor(), c.agency, identity.NewUser{
			UserName: "endo", DisplayName: "遠藤", Role: policy.Dispatcher, Password: password, PasswordReason: "test",
		})
		require.NoError(t, err)
		_, c.dispatcher, err = c.people.SignIn(here, "fukushima", "endo", password)
		require.NoError(t, err)
		s, _, _ := c.connected(t)
		_, err = c.rooms.End(here, c.dispatcher, s.ID, cases.Done)
		require.NoError(t, err)
		right := identity.Confirmation{Password: password}
		reveal := func(actor policy.Actor, purpose string, how identity.Confirmation) (*cases.Session, error) {
			return c.rooms.RevealNumber(here, actor, s.ID, purpose, how)
		}

		_, err = reveal(c.dispatcher, " ", right)
		refused(t, err, problem.ReasonMissing)
		_, err = reveal(c.dispatcher, strings.Repeat("用", 501), right)
		refused(t, err, problem.BadInput)
		_, err = reveal(c.foreigner, "折り返し", right)
		refused(t, err, problem.NotFound)
		_, err = reveal(c.dispatcher, "折り返し", identity.Confirmation{})
		refused(t, err, problem.ConfirmationMissing)
		_, err = reveal(c.dispatcher, "折り返し", identity.Confirmation{Password: "wrong horse battery"})
		refused(t, err, problem.ConfirmationRefused)
		require.Empty(t, c.journaled(t, s.ID, journal.NumberRevealed))

		shown, err := reveal(c.dispatcher, " 折り返し ", right)
		require.NoError(t, err)
		require.Equal(t, "+819012345678", shown.Number)
		require.Equal(t, []map[string]any{{"purpose": "折り返し"}}, c.journaled(t, s.ID, journal.NumberRevealed))
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Erase(tx, s.CaseID) }))
		_, err = reveal(c.dispatcher, "折り返し", right)
		refused(t, err, problem.Gone)
	})
}
