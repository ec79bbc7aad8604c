package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
)

// Whoever runs the installation sees how much there is and whether it works, and
// nobody's name, case or file; and tells every agency of the national police's
// pauses (第4の5).
func TestOperatorSeesCountsAndHealthOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		mine, theirs := h.furnish(h.own), h.furnish(h.other)
		o := h.operator()
		a := h.must(o, "{ me { kind agency { code } user { displayName role } } }", nil)
		require.Equal(t, "OPERATOR", a.text("me", "kind"))
		require.Equal(t, "OPERATOR", a.text("me", "user", "role"))
		a = h.must(o, `{ installation { clockInDoubt ways { way failedAt }
			agencies { agency { code } people signedIn terminals online phones openSessions today files overdue faults entries checkpointAt } } }`, nil)
		require.Len(t, a.at("installation", "agencies"), 3, "the operators' own row is no agency")
		require.InDelta(t, 1, a.at("installation", "agencies", "0", "files"), 0)
		require.NotZero(t, a.at("installation", "agencies", "0", "today"))
		require.NotZero(t, a.at("installation", "agencies", "0", "entries"))
		for _, is := range []things{mine, theirs} {
			for kind, id := range is.ids() {
				require.NotContains(t, string(a.body), id, kind)
			}
		}
		for _, query := range []string{
			"{ cases { nodes { id } } }", "{ users { nodes { displayName } } }", "{ mediaFiles { nodes { id } } }", "{ journal { nodes { type } } }",
			"{ settings { version } }", "{ terminals { number } }", "{ outages { nodes { id } } }", "{ staffMembers { nodes { id } } }",
		} {
			require.Equal(t, "FORBIDDEN", h.do(o, query, nil).reason(), query)
		}
		for _, v := range []*visitor{h.manager(), h.supervisor(), h.dispatcher()} {
			require.Equal(t, "FORBIDDEN", h.do(v, "{ installation { clockInDoubt } }", nil).reason())
			require.NotContains(t, string(h.must(v, "{ me { agency { code } } }", nil).body), "operators")
		}
		require.NotContains(t, string(h.must(h.supervisor(), "{ otherAgencies { code } }", nil).body), "operators", "nothing is shared with it")

		pause := map[string]any{"beginsAt": h.db.Now().Add(3600e9), "endsAt": h.db.Now().Add(7200e9), "notice": "警察庁丙生企発第10号"}
		a = h.mustInput(o, "announceMaintenance", "AnnounceMaintenanceInput", "maintenance { id everybodys }", pause)
		id := a.text("announceMaintenance", "maintenance", "id")
		require.Equal(t, true, a.at("announceMaintenance", "maintenance", "everybodys"))
		delete(pause, "notice")
		pause["reason"] = "点検"
		require.Equal(t, "MAINTENANCE_GROUND", h.input(o, "announceMaintenance", "AnnounceMaintenanceInput", "maintenance { id }", pause).reason(), "everybody stops by notice only")
		for _, ag := range []*agency{h.own, h.other} {
			a = h.must(h.who(ag, policy.Dispatcher), "{ notices { id kind } maintenances { nodes { id notice everybodys announcedBy { id } } } }", nil)
			require.Contains(t, toJSON(a.at("maintenances", "nodes")), `{"announcedBy":null,"everybodys":true,"id":"`+id+`","notice":"警察庁丙生企発第10号"}`, "not who at the operator's")
			require.Contains(t, toJSON(a.at("notices")), id)
		}
		require.Equal(t, "NOT_FOUND", h.input(h.manager(), "endMaintenance", "EndMaintenanceInput", "maintenance { id }", map[string]any{"maintenanceID": id}).reason(), "it is not the agency's to end")
		own := map[string]any{"beginsAt": h.db.Now().Add(3600e9), "endsAt": h.db.Now().Add(7200e9), "reason": "点検"}
		theirOwn := h.mustInput(h.manager(), "announceMaintenance", "AnnounceMaintenanceInput", "maintenance { id }", own).text("announceMaintenance", "maintenance", "id")
		require.Equal(t, "NOT_FOUND", h.input(o, "endMaintenance", "EndMaintenanceInput", "maintenance { id }", map[string]any{"maintenanceID": theirOwn}).reason(), "nor an agency's the operator's")
		require.NotContains(t, string(h.must(o, "{ maintenances { nodes { id } } notices { id } }", nil).body), theirOwn)
		h.mustInput(o, "endMaintenance", "EndMaintenanceInput", "maintenance { endedAt }", map[string]any{"maintenanceID": id})
		require.Equal(t, true, h.must(h.runs, "mutation { signOut { done } }", nil).at("signOut", "done"))
	})
}
