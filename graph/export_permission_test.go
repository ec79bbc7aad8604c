package graph_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
)

func (h *house) exportInput(caseID, media, permitted string) map[string]any {
	return map[string]any{
		"caseID": caseID, "mediaFileIDs": []any{media}, "ground": "DISCLOSURE", "law": "刑事訴訟法", "document": "福検第12号", "medium": "USB-0042", "permittedID": permitted,
	}
}

func (h *house) requestExport(d *visitor, caseID, media, permitted string) string {
	h.t.Helper()
	return h.mustInput(d, "requestExport", "RequestExportInput", "exportRequest { id }", h.exportInput(caseID, media, permitted)).text("requestExport", "exportRequest", "id")
}

func (h *house) appoint(manager *visitor, supervisor string) string {
	h.t.Helper()
	return h.mustInput(manager, "appointDeputy", "AppointDeputyInput", "deputy { id }", map[string]any{
		"userID": supervisor, "from": h.db.Now(), "until": h.db.Now().Add(24 * time.Hour), "reason": "出張",
	}).text("appointDeputy", "deputy", "id")
}

// fetch reads an archive under its grant.
func (h *house) fetch(url string) *httptest.ResponseRecorder {
	h.t.Helper()
	w := httptest.NewRecorder()
	h.evidence.Archives().ServeHTTP(w, httptest.NewRequestWithContext(h.ctx(), http.MethodGet, url, nil))
	return w
}

// exports is the way of an export, from the request to the medium's return.
func (y *happy) exports(v *visitor) {
	t := y.t
	session, phone := y.report1(v)
	media := y.upload(phone)
	caseID := y.must(v, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
	a := y.run(v, "requestExport", "exportRequest { id state alarm caseNumber files { mediaFileID sha256 } permitted { id } mayDecide mayWrite }", y.exportInput(caseID, media, v.actor.ID))
	id := a.text("requestExport", "exportRequest", "id")
	require.Equal(t, media, a.text("requestExport", "exportRequest", "files", "0", "mediaFileID"))
	require.Equal(t, false, a.at("requestExport", "exportRequest", "mayDecide"))
	own := map[string]any{"exportID": id, "approve": true, "confirmation": map[string]any{"password": password}}
	if v.actor.Role == policy.Supervisor {
		deputy := y.appoint(y.manager(), v.actor.ID)
		require.Equal(t, "EXPORT_OWN_REQUEST", y.input(v, "decideExport", "DecideExportInput", "exportRequest { id }", own).reason())
		y.mustInput(y.manager(), "endDeputy", "EndDeputyInput", "deputy { active }", map[string]any{"deputyID": deputy})
	} else {
		require.Equal(t, "FORBIDDEN", y.input(v, "decideExport", "DecideExportInput", "exportRequest { id }", own).reason())
	}
	a = y.must(y.manager(), `{ exportRequests { nodes { id caseNumber mayDecide mayWrite law document requestedBy { displayName } files { kind size dueAt purgedAt } } } }`, nil)
	require.Equal(t, true, a.at("exportRequests", "nodes", "0", "mayDecide"))
	a = y.run(y.signIn(y.own, "boss", policy.Manager), "decideExport", "exportRequest { state decidedAs decidedBy { id } }", own)
	require.Equal(t, "APPROVED", a.text("decideExport", "exportRequest", "state"))
	require.Equal(t, "MANAGER", a.text("decideExport", "exportRequest", "decidedAs"))
	a = y.run(v, "beginExport", "writingID url grant expiresAt fileName passphrase", map[string]any{"exportID": id})
	require.Len(t, a.text("beginExport", "passphrase"), 29)
	got := y.fetch(a.text("beginExport", "url"))
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.Contains(t, got.Header().Get("Content-Disposition"), a.text("beginExport", "fileName"))
	sum := sha256.Sum256(got.Body.Bytes())
	a = y.run(v, "finishExport", "exportRequest { state archiveSHA256 archiveSize writtenAt }", map[string]any{
		"writingID": a.text("beginExport", "writingID"), "sha256": hex.EncodeToString(sum[:]), "size": got.Body.Len(),
	})
	require.Equal(t, "WRITTEN", a.text("finishExport", "exportRequest", "state"))
	require.Equal(t, hex.EncodeToString(sum[:]), a.text("finishExport", "exportRequest", "archiveSHA256"))
	a = y.run(v, "receiptExport", "exportRequest { state receiver overdue returnBy }", map[string]any{"exportID": id, "receiver": "地検 鈴木", "returnBy": y.db.Now().Add(time.Hour)})
	require.Equal(t, "地検 鈴木", a.text("receiptExport", "exportRequest", "receiver"))
	a = y.run(v, "closeExport", "exportRequest { state closedBy { id } closingNote }", map[string]any{"exportID": id, "disposed": false})
	require.Equal(t, "RETURNED", a.text("closeExport", "exportRequest", "state"))
	a = y.run(y.manager(), "appointDeputy", "deputy { id active user { id } appointedBy { id } }", map[string]any{
		"userID": y.supervisor().actor.ID, "from": y.db.Now(), "until": y.db.Now().Add(24 * time.Hour), "reason": "出張",
	})
	require.Equal(t, true, a.at("appointDeputy", "deputy", "active"))
	a = y.run(y.manager(), "endDeputy", "deputy { active endedAt }", map[string]any{"deputyID": a.text("appointDeputy", "deputy", "id")})
	require.Equal(t, false, a.at("endDeputy", "deputy", "active"))
}

// T07: no role reaches an archive over GraphQL without an approved request, and
// a dispatcher does not even see another's.
func TestNoRoleWritesAnExportUnasked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.dispatcher()
		session, phone := h.report1(d)
		media := h.upload(phone)
		caseID := h.must(d, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
		id := h.requestExport(d, caseID, media, d.actor.ID)
		colleague := h.signIn(h.own, "kimura", policy.Dispatcher)
		for _, c := range []struct {
			who    *visitor
			reason string
		}{
			{nobody, "UNAUTHENTICATED"},
			{phone, "FORBIDDEN"},
			{h.manager(), "FORBIDDEN"},
			{h.supervisor(), "EXPORT_NOT_PERMITTED"},
			{colleague, "NOT_FOUND"},
			{d, "EXPORT_NOT_APPROVED"},
		} {
			a := h.input(c.who, "beginExport", "BeginExportInput", "url", map[string]any{"exportID": id})
			require.Equal(t, c.reason, a.reason(), c.who.name)
		}
		require.Nil(t, h.must(colleague, `query($id: ID!) { exportRequest(id: $id) { id } }`, map[string]any{"id": id}).at("exportRequest"))
		require.NotNil(t, h.must(h.manager(), `query($id: ID!) { exportRequest(id: $id) { id } }`, map[string]any{"id": id}).at("exportRequest"))
		for _, r := range []struct{ query, path string }{{"/media/" + media, ""}, {"/exports/" + id, ""}} {
			require.NotEqual(t, http.StatusOK, h.fetch(r.query).Code)
		}
		require.Nil(t, h.must(h.manager(), `{ checkpoint { text signature publicKey fingerprint } }`, nil).at("checkpoint"))
	})
}
