package graph_test

import (
	"strings"

	"github.com/stretchr/testify/require"
)

// settings is the manager's work on the agency's settings.
func (y *happy) settings() {
	t, m := y.t, y.manager()
	version := y.must(m, "{ settings { version } }", nil).at("settings", "version")
	a := y.run(m, "updateSettings", "settings { version linkUses languages watermark dataMegabytes idleMinutes passwords bounds { setting min max } }", map[string]any{
		"version": version, "reason": "試験", "linkUses": 3, "languages": []any{"ja"}, "watermark": "ACROSS",
	})
	require.InDelta(t, 3, a.at("updateSettings", "settings", "linkUses"), 0)
	require.JSONEq(t, `["ja"]`, toJSON(a.at("updateSettings", "settings", "languages")))
	require.Equal(t, "ACROSS", a.text("updateSettings", "settings", "watermark"))
	require.Equal(t, "SETTINGS_OUTDATED", y.input(m, "updateSettings", "UpdateSettingsInput", "settings { version }", map[string]any{"version": version, "reason": "試験", "linkUses": 1}).reason())
	a = y.must(m, "{ settingsHistory(first: 1) { nodes { version reason changedBy { id } changes { setting old new } } pageInfo { hasNextPage endCursor } } }", nil)
	require.Equal(t, m.actor.ID, a.text("settingsHistory", "nodes", "0", "changedBy", "id"))
	require.Equal(t, "試験", a.text("settingsHistory", "nodes", "0", "reason"))
	require.Contains(t, toJSON(a.at("settingsHistory", "nodes", "0", "changes")), `{"new":"3","old":"2","setting":"linkUses"}`)
	require.Equal(t, true, a.at("settingsHistory", "pageInfo", "hasNextPage"))
	next := y.must(m, `query($after: String) { settingsHistory(first: 1, after: $after) { nodes { version } } }`, map[string]any{"after": a.at("settingsHistory", "pageInfo", "endCursor")})
	require.NotEqual(t, a.at("settingsHistory", "nodes", "0", "version"), next.at("settingsHistory", "nodes", "0", "version"))
	require.Equal(t, "FORBIDDEN", y.input(y.supervisor(), "updateSettings", "UpdateSettingsInput", "settings { version }", map[string]any{"version": version, "reason": "x"}).reason())
	y.mustInput(m, "updateSettings", "UpdateSettingsInput", "settings { version }", map[string]any{
		"version": y.must(m, "{ settings { version } }", nil).at("settings", "version"), "reason": "元へ", "linkUses": 2, "languages": []any{"ja", "en"}, "watermark": "CORNER",
	})
}

// audit is the manager's work on the record.
func (y *happy) audit() {
	t, m := y.t, y.manager()
	a := y.run(m, "verifyJournal", "verification { id startedBy { id } }", nil)
	require.Equal(t, m.actor.ID, a.text("verifyJournal", "verification", "startedBy", "id"))
	done := y.must(m, "{ journalVerification { id finishedAt entries emptied checkpoints elsewhere failed faults { number what } } }", nil)
	require.Equal(t, a.text("verifyJournal", "verification", "id"), done.text("journalVerification", "id"))
	require.NotEmpty(t, done.text("journalVerification", "finishedAt"))
	require.JSONEq(t, "[]", toJSON(done.at("journalVerification", "faults")))
	a = y.run(m, "exportJournal", "url expiresAt", map[string]any{"format": "JSON_LINES", "filter": map[string]any{"follow": m.actor.ID}})
	require.True(t, strings.HasPrefix(a.text("exportJournal", "url"), "/journal/"))
	for _, v := range []*visitor{y.supervisor(), y.dispatcher()} {
		require.Equal(t, "FORBIDDEN", y.input(v, "exportJournal", "ExportJournalInput", "url", map[string]any{"format": "CSV"}).reason())
	}
	found := y.must(m, "query($id: ID!) { journal(filter: { follow: $id }) { nodes { type actorID subjectID payload } } }", map[string]any{"id": y.supervisor().actor.ID})
	require.NotEmpty(t, found.at("journal", "nodes"))
}
