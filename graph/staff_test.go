package graph_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database/dbtest"
)

// staff are the ids of one of everything that officers bring, and their phone.
type staff struct {
	member, link, usage, leak, staffSession string
	officer                                 *visitor
}

func (h *house) furnishStaff(a *agency) staff {
	h.t.Helper()
	manager, d := h.who(a, policy.Manager), h.who(a, policy.Dispatcher)
	var is staff
	is.member = h.mustInput(manager, "registerStaffMember", "RegisterStaffMemberInput", "member { id }", map[string]any{"unit": "福島署", "name": "佐藤"}).text("registerStaffMember", "member", "id")
	is.officer = h.registerOfficer(manager, is.member)
	is.link = is.officer.actor.Login
	is.usage = h.mustInput(d, "fileUsageReport", "FileUsageReportInput", "report { id }", map[string]any{"memberID": is.member, "purpose": "事故の現場"}).text("fileUsageReport", "report", "id")
	is.staffSession = h.startStaff(is.officer, nil).text("startStaffSession", "phone", "session", "id")
	h.renew(is.officer)
	h.mustInput(d, "fileLeakReport", "FileLeakReportInput", "done", map[string]any{"memberID": is.member, "what": "紙をなくした"})
	is.leak = h.must(h.who(a, policy.Supervisor), `{ leakReports { nodes { id } } }`, nil).text("leakReports", "nodes", "0", "id")
	return is
}

func (h *house) registerInput(code string) (map[string]any, *ecdsa.PrivateKey) {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(h.t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(h.t, err)
	return map[string]any{"code": code, "publicKey": base64.StdEncoding.EncodeToString(der), "rulesVersion": "2026-11", "rulesLanguage": "ja", "system": "Android 16", "browser": "Chrome"}, key
}

// registerOfficer registers a phone by a sheet, and has its number matched.
func (h *house) registerOfficer(manager *visitor, member string) *visitor {
	h.t.Helper()
	code := h.mustInput(manager, "issueStaffSheet", "IssueStaffSheetInput", "code", map[string]any{"memberID": member, "device": "ISSUED"}).text("issueStaffSheet", "code")
	in, key := h.registerInput(code)
	a := h.mustInput(nobody, "registerStaffPhone", "RegisterStaffPhoneInput", "phone { id matchNumber }", in)
	v := h.staffPhone(a, key)
	h.mustInput(manager, "matchStaffPhone", "MatchStaffPhoneInput", "link { state }", map[string]any{"linkID": v.actor.Login, "number": a.text("registerStaffPhone", "phone", "matchNumber")})
	return v
}

// staffPhone is the phone that an answer gave its cookie to.
func (h *house) staffPhone(a answer, key *ecdsa.PrivateKey) *visitor {
	h.t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(h.t, cookies, 1)
	require.Equal(h.t, "__Host-staff", cookies[0].Name)
	v := &visitor{name: "STAFF_PHONE", page: "staff", token: cookies[0].Value, key: key}
	h.renew(v)
	return v
}

// renew finds out anew whom the phone's cookie stands for.
func (h *house) renew(v *visitor) {
	h.t.Helper()
	var err error
	v.actor, err = h.cases.RecogniseStaff(h.ctx(), v.token)
	require.NoError(h.t, err)
}

func (h *house) startInput(v *visitor) map[string]any {
	h.t.Helper()
	nonce := h.mustInput(nobody, "challengeStaffPhone", "ChallengeStaffPhoneInput", "nonce", map[string]any{"phoneID": v.actor.Login}).text("challengeStaffPhone", "nonce")
	_, err := h.cases.RotateStaffCodes(h.ctx())
	require.NoError(h.t, err)
	code, err := h.cases.StaffCode(h.ctx(), v.actor.Agency)
	require.NoError(h.t, err)
	return map[string]any{"nonce": nonce, "signature": sign(h.t, v.key, nonce), "code": code.Code, "withinResponse": true, "noOtherPath": true}
}

// startStaff begins a video report; the phone takes its new cookie.
func (h *house) startStaff(v *visitor, more map[string]any) answer {
	h.t.Helper()
	in := h.startInput(v)
	maps.Copy(in, more)
	a := h.mustInput(v, "startStaffSession", "StartStaffSessionInput", "phone { session { id state } }", in)
	v.token = (&http.Response{Header: a.header}).Cookies()[0].Value
	return a
}

// officers is an officer's way, from the sheet to the end of the link.
func (y *happy) officers(v *visitor) {
	t := y.t
	manager, supervisor := y.manager(), y.supervisor()
	dbtest.ClockOf(y.db).Advance(11 * 60e9)
	_, err := y.cases.RotateStaffCodes(y.ctx())
	require.NoError(t, err)
	colleague := y.signIn(y.own, "officers-"+string(v.actor.Role[0]|0x20), v.actor.Role)
	member := y.run(manager, "registerStaffMember", "member { id unit name number }", map[string]any{"unit": "福島署", "name": "佐藤", "number": "7"}).text("registerStaffMember", "member", "id")
	a := y.run(manager, "updateStaffMember", "member { unit links { id } }", map[string]any{"memberID": member, "unit": "郡山署", "name": "佐藤"})
	require.Equal(t, "郡山署", a.text("updateStaffMember", "member", "unit"))
	code := y.run(manager, "issueStaffSheet", "code expiresAt device rules { version items }", map[string]any{"memberID": member, "device": "ISSUED"}).text("issueStaffSheet", "code")
	in, key := y.registerInput(code)
	a = y.run(nobody, "registerStaffPhone", "phone { id state matchNumber officer { unit name } rules { items } }", in)
	officer := y.staffPhone(a, key)
	link := officer.actor.Login
	require.Equal(t, "PENDING", a.text("registerStaffPhone", "phone", "state"))
	a = y.run(manager, "matchStaffPhone", "link { state member { name } permission { post } }", map[string]any{"linkID": link, "number": a.text("registerStaffPhone", "phone", "matchNumber")})
	require.Equal(t, "ACTIVE", a.text("matchStaffPhone", "link", "state"))
	nonce := y.run(nobody, "challengeStaffPhone", "nonce", map[string]any{"phoneID": link}).text("challengeStaffPhone", "nonce")
	a = y.run(nobody, "resumeStaffPhone", "phone { state }", map[string]any{"phoneID": link, "nonce": nonce, "signature": sign(t, key, nonce)})
	officer = y.staffPhone(a, key)
	y.run(officer, "acceptStaffRules", "phone { rulesOutdated }", map[string]any{"version": "2026-11", "language": "en"})
	require.Len(t, y.run(supervisor, "reissueStaffCode", "staffCode { code expiresAt }", nil).text("reissueStaffCode", "staffCode", "code"), 6)

	require.Equal(t, true, y.run(officer, "reportUsage", "done", map[string]any{"purpose": "事故の現場"}).at("reportUsage", "done"))
	session := y.startStaff(officer, nil).text("startStaffSession", "phone", "session", "id")
	y.done["startStaffSession"] = true
	y.renew(officer)
	y.report(officer, 37.75)
	a = y.run(v, "takeStaffSession", "session { kind dispatcher { id } staffMember { unit name } declaredAt usageReport { timing purpose } case { openedBy { id } } }", map[string]any{"sessionID": session})
	require.Equal(t, v.actor.ID, a.text("takeStaffSession", "session", "dispatcher", "id"))
	require.Equal(t, "郡山署", a.text("takeStaffSession", "session", "staffMember", "unit"))
	require.Equal(t, "BEFORE", a.text("takeStaffSession", "session", "usageReport", "timing"))
	if v.actor.Role == policy.Dispatcher {
		require.Equal(t, "ALREADY_TAKEN", y.input(colleague, "takeStaffSession", "TakeStaffSessionInput", "session { id }", map[string]any{"sessionID": session}).reason())
	}
	y.mustInput(v, "watch", "WatchInput", "url", map[string]any{"sessionID": session})
	a = y.must(officer, "{ staffPhone { taken watched usageReported owed { sessionID } session { id state phone { state } } } }", nil)
	require.Equal(t, true, a.at("staffPhone", "taken"))
	require.Equal(t, true, a.at("staffPhone", "watched"))
	require.Equal(t, "CONNECTED", a.text("staffPhone", "session", "state"))
	require.Equal(t, true, y.run(officer, "endOwnSession", "done", nil).at("endOwnSession", "done"))

	caseID := y.openCase(v)
	require.Equal(t, caseID, y.run(v, "assignStaff", "case { id }", map[string]any{"caseID": caseID, "memberID": member}).text("assignStaff", "case", "id"))
	second := y.startStaff(officer, map[string]any{"asked": "PHOTO"}).text("startStaffSession", "phone", "session", "id")
	y.renew(officer)
	require.Equal(t, second, y.must(manager, "{ owedUsage { sessionID member { name } } }", nil).text("owedUsage", "0", "sessionID"))
	usage := y.run(v, "fileUsageReport", "report { id timing session { id } onBehalfBy { id } }", map[string]any{"memberID": member, "sessionID": second, "purpose": "救護", "lateReason": "急を要した"})
	require.Equal(t, "AFTER", usage.text("fileUsageReport", "report", "timing"))
	require.Equal(t, v.actor.ID, usage.text("fileUsageReport", "report", "onBehalfBy", "id"))
	a = y.run(supervisor, "acknowledgeUsageReport", "report { acknowledgedBy { id } }", map[string]any{"reportID": usage.text("fileUsageReport", "report", "id")})
	require.Equal(t, supervisor.actor.ID, a.text("acknowledgeUsageReport", "report", "acknowledgedBy", "id"))

	require.Equal(t, true, y.run(officer, "reportLeak", "done", map[string]any{"what": "紙を落とした"}).at("reportLeak", "done"))
	newest := func() string {
		return y.must(supervisor, "{ leakReports(first: 1) { nodes { id } } }", nil).text("leakReports", "nodes", "0", "id")
	}
	a = y.run(supervisor, "forwardLeakReport", "report { forwardedBy { id } link { state } }", map[string]any{"reportID": newest()})
	require.Equal(t, "SUSPENDED", a.text("forwardLeakReport", "report", "link", "state"))
	require.Equal(t, "REVOKED", y.must(v, `query($id: ID!) { session(id: $id) { state } }`, map[string]any{"id": second}).text("session", "state"))
	a = y.run(manager, "dismissLeakReport", "report { closedAt outcome link { state } }", map[string]any{"reportID": newest(), "outcome": "見つかった"})
	require.Equal(t, "ACTIVE", a.text("dismissLeakReport", "report", "link", "state"))
	dbtest.ClockOf(y.db).Advance(1e9)
	require.Equal(t, true, y.run(v, "fileLeakReport", "done", map[string]any{"memberID": member, "what": "電話機を落とした"}).at("fileLeakReport", "done"))
	y.run(supervisor, "suspendStaffLink", "link { state suspendedAt }", map[string]any{"linkID": link})
	a = y.run(manager, "revokeStaffLinks", "links { state revokeReason }", map[string]any{"linkIDs": []string{link}, "reason": "LEAK"})
	require.Equal(t, "LEAK", a.text("revokeStaffLinks", "links", "0", "revokeReason"))
	require.NotNil(t, y.must(supervisor, "{ leakReports(first: 1) { nodes { closedAt } } }", nil).at("leakReports", "nodes", "0", "closedAt"))
	require.Equal(t, true, y.must(officer, "{ staffPhone { wipe } }", nil).at("staffPhone", "wipe"))
	require.Equal(t, true, y.run(officer, "removeStaffPhone", "done", nil).at("removeStaffPhone", "done"))
	require.Equal(t, "UNAUTHENTICATED", y.do(officer, "{ staffPhone { wipe } }", nil).reason())
	a = y.run(manager, "removeStaffMember", "member { removedAt }", map[string]any{"memberID": member})
	require.NotNil(t, a.at("removeStaffMember", "member", "removedAt"))
}

// What an officer's phone may ask for: itself and its own video report, nothing
// of the case, of other officers or of the centre (第4の4(2)オ).
func TestStaffPhoneSeesOnlyItself(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		is := h.furnishStaff(h.own)
		for _, query := range []string{
			"{ cases { nodes { id } } }", "{ staffMembers { nodes { id } } }", "{ staffCode { code } }", "{ usageReports { nodes { id } } }",
			"{ leakReports { nodes { id } } }", "{ users { nodes { id } } }", "{ settings { version } }",
		} {
			require.Equal(t, "FORBIDDEN", h.do(is.officer, query, nil).reason(), query)
		}
		h.report(is.officer, 37.75)
		h.upload(is.officer)
		require.Equal(t, "/whip/"+is.staffSession, h.must(is.officer, "mutation { publish { url } }", nil).text("publish", "url"))
		a := h.must(is.officer, "{ me { kind session { id received uploads { complete } } } }", nil)
		require.Equal(t, "STAFF_PHONE", a.text("me", "kind"))
		require.Equal(t, is.staffSession, a.text("me", "session", "id"))
	})
}
