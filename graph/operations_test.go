package graph_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/operations"
)

// running are the ids of what keeps an agency's reception going.
type running struct {
	maintenance, outage, contact, course, training string
	drill, played, listed                          string
}

func (h *house) furnishRunning(a *agency, person string) (is running) {
	h.t.Helper()
	m, s := h.who(a, policy.Manager), h.who(a, policy.Supervisor)
	is.maintenance = h.mustInput(m, "announceMaintenance", "AnnounceMaintenanceInput", "maintenance { id }", map[string]any{
		"notice": "第1号", "beginsAt": h.db.Now().AddDate(0, 1, 0), "endsAt": h.db.Now().AddDate(0, 1, 1),
	}).text("announceMaintenance", "maintenance", "id")
	is.outage = h.mustInput(s, "openOutage", "OpenOutageInput", "outage { id }", map[string]any{"part": "OTHER", "description": "停電"}).text("openOutage", "outage", "id")
	is.contact = h.mustInput(m, "addContact", "AddContactInput", "contact { id }", map[string]any{"kind": "FAULTS", "organisation": "機動通信課"}).text("addContact", "contact", "id")
	h.mustInput(s, "tellOutage", "TellOutageInput", "outage { id }", map[string]any{
		"outageID": is.outage, "contactID": is.contact, "toldAt": h.db.Now(), "way": "PHONE", "text": "連絡した",
	})
	is.course = h.mustInput(m, "addCourse", "AddCourseInput", "course { id }", map[string]any{"title": "新任研修", "audience": "USERS", "months": 12}).text("addCourse", "course", "id")
	is.training = h.mustInput(m, "recordTraining", "RecordTrainingInput", "records { id }", map[string]any{
		"courseID": is.course, "trainedOn": "2026-11-01", "userIDs": []string{person},
	}).text("recordTraining", "records", "0", "id")
	is.listed = h.mustInput(m, "addDrillNumber", "AddDrillNumberInput", "numbers { id }", map[string]any{"number": "090-1111-2222", "label": "訓練用1号"}).text("addDrillNumber", "numbers", "0", "id")
	d := h.mustInput(s, "startDrill", "StartDrillInput", "drill { id callers { id } }", map[string]any{"title": "月例", "callers": []any{map[string]any{"script": "TRAFFIC"}}})
	is.drill, is.played = d.text("startDrill", "drill", "id"), d.text("startDrill", "drill", "callers", "0", "id")
	return is
}

// 第4の5, 第10, 第11: each act belongs to the role that the directive names.
func TestRunningTheSystemByRole(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		m, s, d := h.manager(), h.supervisor(), h.dispatcher()
		window := map[string]any{"notice": "警察庁 第1号", "beginsAt": h.db.Now().AddDate(0, 0, 1), "endsAt": h.db.Now().AddDate(0, 0, 2)}
		announce := func(v *visitor) string {
			return h.do(v, "mutation($in: AnnounceMaintenanceInput!) { announceMaintenance(input: $in) { maintenance { id } } }", map[string]any{"in": window}).reason()
		}
		require.Equal(t, "FORBIDDEN", announce(s))
		require.Equal(t, "FORBIDDEN", announce(d))
		require.Empty(t, announce(m))
		for _, v := range []*visitor{m, s, d} {
			require.Equal(t, "MAINTENANCE", h.must(v, "{ notices { kind ja en } }", nil).text("notices", "0", "kind"), v.name)
		}
		require.NoError(t, h.operations.Alarm(h.ctx(), h.own.ID, operations.Messages))
		x := h.must(s, "{ outages(open: true) { nodes { id part alarm } } }", nil).text("outages", "nodes", "0", "id")
		closing := map[string]any{"in": map[string]any{"outageID": x, "outcome": "復旧"}}
		query := "mutation($in: CloseOutageInput!) { closeOutage(input: $in) { outage { id } } }"
		require.Equal(t, "FORBIDDEN", h.do(m, query, closing).reason(), "the manager reads faults")
		require.Equal(t, "FORBIDDEN", h.do(d, query, closing).reason())
		require.Equal(t, "OUTAGE_NOT_TOLD", h.do(s, query, closing).reason())
		require.Equal(t, "FORBIDDEN", h.do(d, "{ outages { nodes { description } } }", nil).reason())
		require.Equal(t, "OUTAGE", h.must(d, "{ notices { kind } }", nil).text("notices", "1", "kind"), "the sentence is everybody's")
		require.Equal(t, "FORBIDDEN", h.do(s, "{ trainees { nodes { name } } }", nil).reason(), "training is the manager's")
		require.NotZero(t, h.must(m, "{ trainees { nodes { id } } trainingGaps { people } }", nil).at("trainingGaps", "people"))
	})
}

// keepRunning is what managers and supervisors do to keep reception going.
func (y *happy) keepRunning(v *visitor) {
	t, m, s := y.t, y.manager(), y.supervisor()
	a := y.run(m, "addContact", "contact { id kind telephone }", map[string]any{"kind": "FAULTS", "organisation": "機動通信課", "telephone": "024-000-0000"})
	contact := a.text("addContact", "contact", "id")
	a = y.run(s, "openOutage", "outage { id alarm openedBy { id } }", map[string]any{"part": "LIVE", "description": "映像が来ない"})
	outage := a.text("openOutage", "outage", "id")
	note := map[string]any{"contactID": contact, "toldAt": y.db.Now(), "way": "PHONE", "person": "当直", "text": "連絡した"}
	y.run(m, "noteContact", "note { text contact { organisation } outage { id } }", note)
	note["outageID"] = outage
	a = y.run(s, "tellOutage", "outage { told { way person user { id } } }", note)
	require.Equal(t, s.actor.ID, a.text("tellOutage", "outage", "told", "0", "user", "id"))
	a = y.run(s, "closeOutage", "outage { outcome closedBy { id } }", map[string]any{"outageID": outage, "outcome": "復旧した"})
	require.Equal(t, s.actor.ID, a.text("closeOutage", "outage", "closedBy", "id"))
	y.run(m, "removeContact", "contact { removedAt }", map[string]any{"contactID": contact})
	a = y.must(m, "{ contactNotes(first: 1) { nodes { outage { part } contact { organisation } } } outages(first: 1, open: false) { nodes { outcome } } }", nil)
	require.Equal(t, "復旧した", a.text("outages", "nodes", "0", "outcome"))

	a = y.run(m, "announceMaintenance", "maintenance { id everybodys announcedBy { id } }", map[string]any{
		"reason": "停電", "beginsAt": y.db.Now().Add(time.Hour), "endsAt": y.db.Now().Add(2 * time.Hour),
	})
	pause := a.text("announceMaintenance", "maintenance", "id")
	require.Contains(t, toJSON(y.must(v, "{ notices { id kind ja en beginsAt endsAt } }", nil).at("notices")), pause)
	y.run(m, "endMaintenance", "maintenance { endedAt }", map[string]any{"maintenanceID": pause})
	require.NotContains(t, toJSON(y.must(v, "{ notices { id } }", nil).at("notices")), pause)

	a = y.run(m, "addCourse", "course { id fixed months }", map[string]any{"title": "研修", "audience": "EVERYBODY", "months": 0})
	course := a.text("addCourse", "course", "id")
	a = y.run(m, "recordTraining", "records { id personID personKind }", map[string]any{"courseID": course, "trainedOn": "2026-11-01", "userIDs": []string{v.actor.ID}})
	record := a.text("recordTraining", "records", "0", "id")
	a = y.must(m, `query($c: ID!) { trainees(filter: {courseID: $c, untrained: false}) { nodes { id courses { trainedOn valid } } } }`, map[string]any{"c": course})
	require.Contains(t, toJSON(a.at("trainees", "nodes")), v.actor.ID)
	a = y.run(m, "withdrawTraining", "records { withdrawal }", map[string]any{"recordID": record, "reason": "別の人だった"})
	require.Equal(t, "別の人だった", a.text("withdrawTraining", "records", "0", "withdrawal"))
	y.run(m, "retireCourse", "course { id }", map[string]any{"courseID": course})

	a = y.run(m, "addDrillNumber", "numbers { id number label }", map[string]any{"number": "090-3333-4444", "label": "訓練用"})
	require.Equal(t, "090-3333-4444", a.text("addDrillNumber", "numbers", "0", "number"))
	y.run(m, "removeDrillNumber", "numbers { id }", map[string]any{"numberID": a.text("addDrillNumber", "numbers", "0", "id")})
	a = y.run(s, "startDrill", "drill { id callers { id number state failures script { titleJa } case { id drill drillCaller { number } } } }", map[string]any{
		"title": "追突事故", "callers": []any{map[string]any{"script": "TRAFFIC", "failures": []string{"LATE_SMS", "WEAK_NETWORK"}}},
	})
	require.Equal(t, true, a.at("startDrill", "drill", "callers", "0", "case", "drill"))
	require.Equal(t, a.text("startDrill", "drill", "callers", "0", "number"), a.text("startDrill", "drill", "callers", "0", "case", "drillCaller", "number"))
	y.run(s, "resumeDrillCaller", "drill { id }", map[string]any{"callerID": a.text("startDrill", "drill", "callers", "0", "id")})
	y.run(s, "endDrill", "drill { ending remark }", map[string]any{"drillID": a.text("startDrill", "drill", "id"), "remark": "下4桁の確認が遅い"})
	a = y.must(v, "{ drills(first: 1) { nodes { title ending startedBy { id } } } drillScripts { id story } drillNumbers { id } }", nil)
	require.Equal(t, "DONE", a.text("drills", "nodes", "0", "ending"))
}
