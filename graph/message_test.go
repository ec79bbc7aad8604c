package graph_test

import (
	"github.com/stretchr/testify/require"
)

// messages are what is done about reports, destinations, further messages and
// access codes.
func (y *happy) messages(v *visitor) {
	t := y.t
	caseID := y.run(v, "openCase", "case { id }", map[string]any{"place": "駅前"}).text("openCase", "case", "id")
	request := func(told bool) string {
		checks := map[string]any{"safe": true, "cameraPhone": true, "numberNotified": true, "explained": true, "supervisorTold": told}
		return y.run(v, "requestVideo", "session { id }", map[string]any{
			"caseID": caseID, "asked": "LIVE", "need": "様子", "checks": checks, "lateReason": "緊急", "number": "08033334444",
		}).text("requestVideo", "session", "id")
	}
	supervisor := y.supervisor()

	session := request(false)
	a := y.run(v, "reportLate", "session { report { late lateReason reportedAt } }", map[string]any{"sessionID": session})
	require.NotEmpty(t, a.text("reportLate", "session", "report", "reportedAt"))
	a = y.run(supervisor, "acknowledgeReport", "session { report { state late answeredAt answeredBy { id } } }", map[string]any{"sessionID": session})
	require.Equal(t, "ACKNOWLEDGED", a.text("acknowledgeReport", "session", "report", "state"))
	require.Equal(t, supervisor.actor.ID, a.text("acknowledgeReport", "session", "report", "answeredBy", "id"))
	a = y.run(supervisor, "stopReport", "session { state report { state reason } }", map[string]any{"sessionID": session, "reason": "不要"})
	require.JSONEq(t, `{"state":"FAILED","report":{"state":"STOPPED","reason":"不要"}}`, toJSON(a.at("stopReport", "session")))
	require.Equal(t, "REPORT_STOPPED", y.input(v, "confirmSend", "ConfirmSendInput", "session { id }", map[string]any{"sessionID": session, "lastFour": "4444", "idempotencyKey": "s"}).reason())

	a = y.run(y.manager(), "setCallerCode", "callerCode { applied reason setBy { id } remindAt due }", map[string]any{"applied": true, "reason": "なりすまし"})
	require.Equal(t, y.manager().actor.ID, a.text("setCallerCode", "callerCode", "setBy", "id"))
	session = request(true)
	a = y.run(v, "changeDestination", "session { email } numberDiffers", map[string]any{"sessionID": session, "email": "caller@example.jp", "emailReason": "届かない"})
	require.Equal(t, "caller@example.jp", a.text("changeDestination", "session", "email"))
	a = y.run(v, "confirmSend", "session { link { code } }", map[string]any{"sessionID": session, "lastFour": "caller@example.jp", "idempotencyKey": "e"})
	first := a.text("confirmSend", "session", "link", "code")
	require.Len(t, first, 6)
	a = y.run(v, "renewCode", "session { link { code codeExpiresAt codeTriesLeft } }", map[string]any{"sessionID": session})
	require.Len(t, a.text("renewCode", "session", "link", "code"), 6)
	require.InDelta(t, 5, a.at("renewCode", "session", "link", "codeTriesLeft"), 0)
	require.Equal(t, session, y.run(supervisor, "allowSends", "session { id }", map[string]any{"sessionID": session, "reason": "電波が悪い"}).text("allowSends", "session", "id"))
	a = y.run(y.manager(), "setCallerCode", "callerCode { applied }", map[string]any{"applied": false, "reason": "解決"})
	require.Equal(t, false, a.at("setCallerCode", "callerCode", "applied"))
}
