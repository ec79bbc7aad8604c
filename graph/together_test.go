package graph_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
)

const caseShown = `id notes sessions { id number { e164 whole } email link { state proof { ja } code } dispatcher { id displayName } }`

// What a change says is made once for many, and still nobody is told what is
// another's: the event shows each what they would be shown if they asked.
func TestSharedEventsShowEachTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		own := h.dispatcher()
		session, _ := h.newSession(own)
		caseID := h.must(own, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
		readers := []*visitor{own, h.signInAgain(h.own, "dispatcher"), h.signIn(h.own, "kimura", policy.Dispatcher), h.signIn(h.own, "mori", policy.Dispatcher), h.supervisor()}
		server := h.listen()
		after := map[string]any{"after": h.must(own, `{ cases { cursor } }`, nil).text("cases", "cursor")}
		var lines []*line
		for i, v := range readers {
			l := mustDial(t, server, v)
			require.NoError(t, l.subscribe(fmt.Sprint("own", i), `subscription($after: Cursor) { caseBoardChanged(after: $after) { cursor entries { number payload } cases { `+caseShown+` } } }`, after))
			lines = append(lines, l)
		}
		notes := "新しいメモ"
		_, err := h.cases.Update(h.ctx(), own.actor, caseID, cases.CaseChange{Notes: &notes})
		require.NoError(t, err)
		shown := map[string]bool{}
		for i, v := range readers {
			var seen any
			for seen == nil {
				m, a := lines[i].next(t)
				require.Empty(t, a.Errors, v.name)
				require.Equal(t, "next", m.Type, "%s", m.Payload)
				require.Equal(t, fmt.Sprint("own", i), m.ID)
				for _, k := range a.at("caseBoardChanged", "cases").([]any) {
					if k.(map[string]any)["notes"] == notes {
						seen = k
					}
				}
			}
			require.Equal(t, h.must(v, `query($id: ID!) { case(id: $id) { `+caseShown+` } }`, map[string]any{"id": caseID}).at("case"), seen, "%s %d", v.name, i)
			text, err := json.Marshal(seen)
			require.NoError(t, err)
			shown[string(text)] = true
		}
		require.Greater(t, len(shown), 1, "not all are shown the same")
	})
}

// An event costs about as much for a dozen lines as for one.
func TestEventsAreMadeOnceForMany(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()
		session, _ := h.newSession(d)
		caseID := h.must(d, `query($id: ID!) { session(id: $id) { case { id } } }`, map[string]any{"id": session}).text("session", "case", "id")
		const many = 12
		var lines []*line
		after := map[string]any{"after": h.must(d, `{ cases { cursor } }`, nil).text("cases", "cursor")}
		for i := range many {
			l := mustDial(t, server, h.signIn(h.own, fmt.Sprint("reader", i), policy.Dispatcher))
			require.NoError(t, l.subscribe("1", `subscription($after: Cursor) { caseBoardChanged(after: $after) { cursor entries { number } cases { notes sessions { id phones { id } dispatcher { id } arriving } } } }`, after))
			lines = append(lines, l)
		}
		hear := func(notes string) {
			for _, l := range lines {
				for heard := ""; heard != notes; {
					_, a := l.next(t)
					heard = a.text("caseBoardChanged", "cases", "0", "notes")
				}
			}
		}
		for i := range 3 { // each line has caught up, and then some
			notes := fmt.Sprint("メモ", i)
			before := h.statements.Load()
			_, err := h.cases.Update(h.ctx(), d.actor, caseID, cases.CaseChange{Notes: &notes})
			require.NoError(t, err)
			written := h.statements.Load() - before
			hear(notes)
			if i > 0 {
				require.Less(t, h.statements.Load()-before-written, int64(3*many), "statements of an event")
			}
		}
	})
}
