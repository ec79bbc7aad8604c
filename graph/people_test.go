package graph_test

import (
	"net/http"
	"strings"

	"github.com/descope/virtualwebauthn"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database/dbtest"
)

// finger is an authenticator with one passkey.
type finger struct {
	virtualwebauthn.Authenticator
	key virtualwebauthn.Credential
}

var party = virtualwebauthn.RelyingParty{ID: strings.TrimPrefix(publicURL, "https://"), Origin: publicURL}

func newFinger() *finger {
	const full = 77 // the test library leaves leading zeros of a key out
	for {
		if k := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(k.Key.AttestationData()) == full {
			return &finger{virtualwebauthn.NewAuthenticator(), k}
		}
	}
}

func (h *house) attest(f *finger, options string) string {
	o, err := virtualwebauthn.ParseAttestationOptions(options)
	require.NoError(h.t, err)
	f.Options.UserHandle = []byte(o.UserID)
	return virtualwebauthn.CreateAttestationResponse(party, f.Authenticator, f.key, *o)
}

func (h *house) touch(f *finger, options string) string {
	f.key.Counter++
	o, err := virtualwebauthn.ParseAssertionOptions(options)
	require.NoError(h.t, err)
	return virtualwebauthn.CreateAssertionResponse(party, f.Authenticator, f.key, *o)
}

const passkeyFields = "challenge options expiresAt"

// enrol registers somebody of an agency who makes a passkey, and gives their id.
func (h *house) enrol(a *agency, name string) string {
	h.t.Helper()
	m := h.who(a, policy.Manager)
	in := map[string]any{"userName": name, "displayName": name, "role": "DISPATCHER"}
	r := h.mustInput(m, "registerUser", "RegisterUserInput", "user { id } code", in)
	e := h.mustInput(nobody, "beginEnrolment", "BeginEnrolmentInput", "passkey { "+passkeyFields+" }", map[string]any{"agency": a.Code, "userName": name, "code": r.text("registerUser", "code")})
	h.mustInput(nobody, "finishEnrolment", "FinishEnrolmentInput", "me { kind }", map[string]any{
		"challenge": e.text("beginEnrolment", "passkey", "challenge"), "attestation": h.attest(newFinger(), e.text("beginEnrolment", "passkey", "options")), "label": "受理端末1",
	})
	return r.text("registerUser", "user", "id")
}

// console is the browser that an answer gave the console's cookie to.
func (h *house) console(a answer) *visitor {
	h.t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(h.t, cookies, 1)
	require.Equal(h.t, "__Host-console", cookies[0].Name)
	actor, err := h.people.Recognise(h.ctx(), cookies[0].Value)
	require.NoError(h.t, err)
	return &visitor{name: string(actor.Role), actor: actor, page: "console", token: cookies[0].Value}
}

// office is what a manager does with people, and what those do to sign in.
func (y *happy) office(v *visitor) {
	t, m := y.t, y.manager()
	in := map[string]any{"userName": "Ito", "displayName": "伊藤", "role": "DISPATCHER", "passwordReason": "指紋が読めない"}
	a := y.run(m, "registerUser", "user { id userName role status passwordReason hasPassword enrolment { expiresAt } } code expiresAt", in)
	ito, code := a.text("registerUser", "user", "id"), a.text("registerUser", "code")
	require.Equal(t, "ito", a.text("registerUser", "user", "userName"))
	require.Len(t, code, 14)
	code = y.run(m, "issueEnrolment", "code", map[string]any{"userID": ito}).text("issueEnrolment", "code")

	f := newFinger()
	a = y.run(nobody, "beginEnrolment", "displayName passwordAllowed passkey { "+passkeyFields+" }", map[string]any{"agency": y.own.Code, "userName": "ito", "code": strings.ToLower(code)})
	require.Equal(t, "伊藤", a.text("beginEnrolment", "displayName"))
	require.Equal(t, true, a.at("beginEnrolment", "passwordAllowed"))
	a = y.run(nobody, "finishEnrolment", "me { user { id } locked idleLimit }", map[string]any{
		"challenge": a.text("beginEnrolment", "passkey", "challenge"), "attestation": y.attest(f, a.text("beginEnrolment", "passkey", "options")),
		"label": "受理端末2", "password": password,
	})
	require.Equal(t, ito, a.text("finishEnrolment", "me", "user", "id"))
	require.EqualValues(t, 900, a.at("finishEnrolment", "me", "idleLimit"))

	a = y.run(nobody, "beginSignIn", passkeyFields, nil)
	a = y.run(nobody, "finishSignIn", "me { user { id } }", map[string]any{"challenge": a.text("beginSignIn", "challenge"), "assertion": y.touch(f, a.text("beginSignIn", "options"))})
	person := y.house.console(a)
	require.Equal(t, ito, person.actor.ID)
	require.Equal(t, true, y.run(person, "stayAwake", "done", nil).at("stayAwake", "done"))

	y.run(person, "lockScreen", "done", nil)
	require.Equal(t, "SCREEN_LOCKED", y.do(person, "{ cases { nodes { id } } }", nil).reason())
	require.Equal(t, true, y.must(person, "{ me { locked } }", nil).at("me", "locked"))
	a = y.run(person, "beginUnlock", "password passkey { "+passkeyFields+" }", nil)
	require.Equal(t, true, a.at("beginUnlock", "password"))
	a = y.run(person, "unlockScreen", "me { locked }", map[string]any{"confirmation": map[string]any{
		"challenge": a.text("beginUnlock", "passkey", "challenge"), "assertion": y.touch(f, a.text("beginUnlock", "passkey", "options")),
	}})
	require.Equal(t, false, a.at("unlockScreen", "me", "locked"))
	y.must(person, "{ cases { nodes { id } } }", nil)

	require.Equal(t, "伊東", y.run(m, "renameUser", "user { displayName }", map[string]any{"userID": ito, "displayName": "伊東"}).text("renameUser", "user", "displayName"))
	a = y.run(m, "beginConfirmation", "password passkey { challenge }", map[string]any{"action": "CHANGE_ROLE", "subjectID": ito})
	require.Equal(t, true, a.at("beginConfirmation", "password"))
	role := map[string]any{"userID": ito, "role": "SUPERVISOR", "confirmation": map[string]any{}}
	require.Equal(t, "CONFIRMATION_MISSING", y.input(m, "changeRole", "ChangeRoleInput", "user { role }", role).reason())
	role["confirmation"] = map[string]any{"password": password}
	require.Equal(t, "SUPERVISOR", y.run(m, "changeRole", "user { role }", role).text("changeRole", "user", "role"))
	require.Equal(t, "UNAUTHENTICATED", y.do(person, "{ cases { nodes { id } } }", nil).reason())

	a = y.run(m, "sealPassword", "password user { sealedPassword { reason openedAt } }", map[string]any{"userID": ito, "reason": "夜間の故障に備える"})
	require.Equal(t, "夜間の故障に備える", a.text("sealPassword", "user", "sealedPassword", "reason"))
	sealed := map[string]any{"agency": y.own.Code, "userName": "ito", "password": a.text("sealPassword", "password")}
	require.Equal(t, ito, y.run(nobody, "signInSealed", "me { user { id } }", sealed).text("signInSealed", "me", "user", "id"))
	require.Equal(t, "SIGN_IN_FAILED", y.input(nobody, "signInSealed", "SignInSealedInput", "me { kind }", sealed).reason(), "used up")

	require.Equal(t, false, y.run(m, "allowPassword", "user { hasPassword passwordReason }", map[string]any{"userID": ito, "reason": ""}).at("allowPassword", "user", "hasPassword"))
	suspended := y.run(m, "suspendUser", "user { status statusReason statusSince lastSeenAt }", map[string]any{"userID": ito, "reason": "確認のため"})
	require.Equal(t, "SUSPENDED", suspended.text("suspendUser", "user", "status"))
	require.NotEmpty(t, suspended.text("suspendUser", "user", "lastSeenAt"))
	require.Equal(t, "ACTIVE", y.run(m, "reinstateUser", "user { status }", map[string]any{"userID": ito}).text("reinstateUser", "user", "status"))
	key := y.must(m, "{ users { nodes { id credentials { id label } } } }", nil)
	var credential string
	for _, u := range key.at("users", "nodes").([]any) {
		if of := u.(map[string]any)["credentials"].([]any); len(of) > 0 {
			credential = of[0].(map[string]any)["id"].(string)
		}
	}
	y.run(m, "removeCredential", "user { credentials { id } }", map[string]any{"credentialID": credential})
	require.Equal(t, "REMOVED", y.run(m, "removeUser", "user { status userName }", map[string]any{"userID": ito, "reason": "異動"}).text("removeUser", "user", "status"))
	a = y.must(m, "{ fingerprintTasks { id label doneAt user { id } } unusedCredentials { never } }", nil)
	require.Equal(t, "受理端末2", a.text("fingerprintTasks", "0", "label"))
	a = y.run(m, "tickFingerprintTask", "task { doneAt doneBy { id } }", map[string]any{"fingerprintTaskID": a.text("fingerprintTasks", "0", "id")})
	require.Equal(t, m.actor.ID, a.text("tickFingerprintTask", "task", "doneBy", "id"))

	session, _ := y.newSession(v)
	y.mustInput(v, "endSession", "EndSessionInput", "session { id }", map[string]any{"sessionID": session, "reason": "DONE"})
	a = y.run(v, "revealNumber", "number { e164 whole }", map[string]any{"sessionID": session, "purpose": "折り返し電話", "confirmation": map[string]any{"password": password}})
	require.Equal(t, number, a.text("revealNumber", "number", "e164"))
	dbtest.ClockOf(y.db).Advance(11 * 60e9) // what was sent does not count later

	a = y.run(m, "beginOwnPasskey", passkeyFields, nil)
	y.run(m, "addOwnPasskey", "user { credentials { label } }", map[string]any{
		"challenge": a.text("beginOwnPasskey", "challenge"), "attestation": y.attest(newFinger(), a.text("beginOwnPasskey", "options")), "label": "管理端末",
		"confirmation": map[string]any{"password": password},
	})
	a = y.run(m, "setAuthenticators", "settings { authenticators }", map[string]any{"models": []string{"01020304-0506-0708-0102-030405060708"}})
	require.Equal(t, "01020304-0506-0708-0102-030405060708", a.text("setAuthenticators", "settings", "authenticators", "0"))
	y.mustInput(m, "setAuthenticators", "SetAuthenticatorsInput", "settings { version }", map[string]any{"models": []string{}})
}
