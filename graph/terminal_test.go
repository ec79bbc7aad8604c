package graph_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/identity"
)

const terminalFields = "terminal { id kind number place state reason online version user { id } fault faultNote faultAt }"

// terminals is what managers and supervisors do with terminals, and reception.
func (y *happy) terminals() {
	t := y.t
	dbtest := y.db.Now()
	manager, supervisor := y.manager(), y.supervisor()
	code := y.run(manager, "issueTerminalCode", "code expiresAt", map[string]any{"kind": "TABLET", "number": "3", "place": "指令台"}).text("issueTerminalCode", "code")
	key := newKey(t)
	device := &visitor{name: "device", enrols: &key}
	require.Equal(t, "TERMINAL_UNKNOWN", y.do(device, "{ me { kind } }", nil).reason(), "a new device may enrol and nothing else")
	require.Equal(t, "TERMINAL_UNKNOWN", y.do(device, `mutation { enrolTerminal(input: {code: "x"}) { kind } signOut { done } }`, nil).reason())
	a := y.run(device, "enrolTerminal", "terminalID kind", map[string]any{"code": code})
	id := a.text("enrolTerminal", "terminalID")
	require.Equal(t, "TABLET", a.text("enrolTerminal", "kind"))
	require.Equal(t, "指令台 2", y.run(supervisor, "placeTerminal", terminalFields, map[string]any{"terminalID": id, "place": "指令台 2"}).text("placeTerminal", "terminal", "place"))
	require.Equal(t, "FAULTY", y.run(supervisor, "reportTerminal", terminalFields, map[string]any{"terminalID": id, "fault": "FAULTY", "note": "暗い"}).text("reportTerminal", "terminal", "fault"))
	require.Equal(t, "SUSPENDED", y.run(supervisor, "suspendTerminal", terminalFields, map[string]any{"terminalID": id, "reason": "点検"}).text("suspendTerminal", "terminal", "state"))
	require.Nil(t, y.run(manager, "reinstateTerminal", terminalFields, map[string]any{"terminalID": id}).at("reinstateTerminal", "terminal", "fault"))
	require.Equal(t, "REVOKED", y.run(manager, "revokeTerminal", terminalFields, map[string]any{"terminalID": id, "reason": "更新"}).text("revokeTerminal", "terminal", "state"))
	deputy, err := y.people.Register(y.ctx(), policy.SystemActor(), y.own.ID, identity.NewUser{UserName: "vice", DisplayName: "次席", Role: policy.Manager, Password: password, PasswordReason: "test"})
	require.NoError(t, err)
	a = y.run(manager, "grantReception", "reception { id user { id } givenBy { id } ruleNumber ruleDate until endedAt }",
		map[string]any{"userID": deputy.ID, "ruleNumber": "達第1号", "ruleDate": "2026-11-01", "until": dbtest.Add(time.Hour)})
	require.Equal(t, []string{deputy.ID, manager.actor.ID}, []string{a.text("grantReception", "reception", "user", "id"), a.text("grantReception", "reception", "givenBy", "id")})
	a = y.run(manager, "endReception", "reception { endedAt }", map[string]any{"grantID": a.text("grantReception", "reception", "id")})
	require.NotEmpty(t, a.text("endReception", "reception", "endedAt"))
}

// A console's subscriptions end with its terminal, and the list of terminals
// tells at once (第4の6).
func TestTerminalsAreFollowed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine, err := h.people.AddTerminal(h.ctx(), policy.SystemActor(), h.own.ID, identity.NewTerminal{Kind: policy.Tablet, Number: "2"}, newKey(t), false)
		require.NoError(t, err)
		list := h.supervisor()
		h.dispatcher()
		desk := h.signInAt(mine, h.own, "dispatcher")
		server := h.listen()
		all := mustDial(t, server, list)
		require.NoError(t, all.subscribe("1", "subscription { terminalsChanged { terminals { number state user { displayName } } } }", nil))
		_, a := all.next(t)
		require.JSONEq(t, `{"number":"2","state":"ENROLLED","user":{"displayName":"dispatcher"}}`, toJSON(a.at("terminalsChanged", "terminals", "1")))
		own := mustDial(t, server, desk)
		require.NoError(t, own.subscribe("1", "subscription { ownTerminalChanged { number kind } }", nil))
		_, a = own.next(t)
		require.JSONEq(t, `{"number":"2","kind":"TABLET"}`, toJSON(a.at("ownTerminalChanged")))
		require.NoError(t, own.subscribe("2", boardEvents, nil))

		h.mustInput(list, "suspendTerminal", "SuspendTerminalInput", "terminal { id }", map[string]any{"terminalID": mine.ID, "reason": "紛失"})
		for range 2 {
			for a = (answer{}); a.reason() == ""; { // a subscription that had not begun is answered so, too
				_, a = own.next(t)
			}
			require.Equal(t, "TERMINAL_SUSPENDED", a.reason())
		}
		require.Equal(t, "TERMINAL_SUSPENDED", h.do(desk, "{ cases { nodes { id } } }", nil).reason())
		for {
			if _, a = all.next(t); a.text("terminalsChanged", "terminals", "1", "state") == "SUSPENDED" {
				break
			}
		}
	})
}

// An ADMIN desk shows no live media, and statistics are a notebook's alone
// (第5の2, 第9); the guard knows where somebody sits.
func TestWhatIsAskedForCountsWhereOneSits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.supervisor()
		session, _ := h.report1(h.dispatcher())
		for desk, want := range map[policy.Desk]struct{ watch, statistics string }{
			policy.Tablet: {"", "FORBIDDEN"}, policy.Notebook: {"", ""}, policy.Admin: {"FORBIDDEN", "FORBIDDEN"},
		} {
			at, err := h.people.AddTerminal(h.ctx(), policy.SystemActor(), h.own.ID, identity.NewTerminal{Kind: desk, Number: string(desk)}, newKey(t), false)
			require.NoError(t, err)
			v := h.signInAt(at, h.own, "supervisor")
			require.Equal(t, want.watch, h.input(v, "watch", "WatchInput", "url", map[string]any{"sessionID": session}).reason(), desk)
			require.Equal(t, want.statistics, h.do(v, `{ statistics(from: "2026-11-23", to: "2026-11-23") { __typename } }`, nil).reason(), desk)
			require.Empty(t, h.do(v, "{ cases { nodes { id } } me { terminal { kind } } }", nil).reason(), desk)
		}
	})
}

// 第5の2 別に定めがある場合: a manager receives while the grant lasts, and no longer.
func TestReceptionOpensTheBoardWhileItLasts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		boss := h.manager()
		require.Equal(t, "FORBIDDEN", h.do(boss, "{ cases { nodes { id } } }", nil).reason())
		require.Equal(t, "SELF_GIVEN", h.input(boss, "grantReception", "GrantReceptionInput", "reception { id }", map[string]any{
			"userID": boss.actor.ID, "ruleNumber": "1", "ruleDate": "2026-11-01", "until": h.db.Now().Add(time.Hour),
		}).reason())
		g, err := h.people.GrantReception(h.ctx(), policy.SystemActor(), h.own.ID, identity.NewReception{UserID: boss.actor.ID, RuleNumber: "1", RuleDate: "2026-11-01", Until: h.db.Now().Add(time.Hour)})
		require.NoError(t, err)
		a := h.must(boss, "{ me { reception user { role } } cases { nodes { id } } }", nil)
		require.JSONEq(t, `{"reception":true,"user":{"role":"MANAGER"}}`, toJSON(a.at("me")))
		require.Equal(t, "FORBIDDEN", h.do(boss, `{ statistics(from: "2026-11-23", to: "2026-11-23") { __typename } }`, nil).reason(), "the dispatcher's rights, not the supervisor's")
		line := mustDial(t, h.listen(), boss)
		require.NoError(t, line.subscribe("1", boardEvents, nil))
		_, err = h.people.EndReception(h.ctx(), policy.SystemActor(), h.own.ID, g.ID)
		require.NoError(t, err)
		for {
			if _, a = line.next(t); a.reason() != "" {
				require.Equal(t, "FORBIDDEN", a.reason())
				break
			}
		}
		require.Equal(t, "FORBIDDEN", h.do(boss, "{ cases { nodes { id } } }", nil).reason())
	})
}
