package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"genba/server/database/dbtest"
)

// maxBoardStatements is how many SQL statements the whole board may take,
// however many cases stand on it.
const maxBoardStatements = 14

const board = `query($first: Int) { cases(first: $first, filter: { open: true }) { cursor pageInfo { hasNextPage }
	nodes { id number class place openedBy { displayName } changedAt
		sessions { id state stall live dispatcher { displayName } number { e164 whole } counts { photosNow positions } arriving
			link { state uses used proof { ja } code } deliveries { status failure attempts } phones { id state joinedAt } consents { agreed phone { id } }
			lastPosition { latitude longitude accuracy receivedAt } case { id } } } } }`

// The board of fifty cases takes as many statements as the board of five.
func TestBoardTakesAConstantNumberOfStatements(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		people := []*visitor{h.dispatcher(), h.supervisor(), h.signIn(h.own, "kimura", "DISPATCHER")}
		taken := func(cases int) int64 {
			before := h.statements.Load()
			a := h.must(people[0], board, map[string]any{"first": cases})
			n := h.statements.Load() - before
			nodes := a.at("cases", "nodes").([]any)
			require.Len(t, nodes, cases)
			for _, node := range nodes {
				session := node.(map[string]any)["sessions"].([]any)[0].(map[string]any)
				require.Equal(t, "CONNECTED", session["state"])
				require.EqualValues(t, 1, session["arriving"])
				require.NotNil(t, session["lastPosition"])
				require.NotEmpty(t, session["phones"])
				require.NotEmpty(t, session["deliveries"])
				require.NotNil(t, session["link"])
			}
			return n
		}
		var five int64
		for i := range 50 {
			_, phone := h.report1(people[i%len(people)])
			h.beginUpload(phone, 1000)
			dbtest.ClockOf(h.db).Advance(4 * 60e9) // a number gets three messages in ten minutes
			if i == 4 {
				five = taken(5)
			}
		}
		fifty := taken(50)
		require.Equal(t, five, fifty)
		require.LessOrEqual(t, fifty, int64(maxBoardStatements))
	})
}

// A connection loads what its rows lead to with one statement a kind.
func TestListsTakeAConstantNumberOfStatements(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		v := h.supervisor()
		session, phone := h.report1(v)
		for range 3 {
			h.upload(phone)
			h.mustInput(v, "watch", "WatchInput", "token", map[string]any{"sessionID": session})
		}
		for name, query := range map[string]string{
			"media":    `query($n: Int) { mediaFiles(first: $n) { nodes { id name session { id case { number } dispatcher { displayName } } misdirected } } }`,
			"journal":  `query($n: Int) { sessions(first: 1) { nodes { timeline(first: $n) { nodes { number type actor { displayName } payload } } } } }`,
			"viewings": `query($n: Int) { sessions(first: 1) { nodes { viewings(first: $n) { nodes { user { displayName } openedAt } } } } }`,
		} {
			count := func(n int) int64 {
				before := h.statements.Load()
				h.must(v, query, map[string]any{"n": n})
				return h.statements.Load() - before
			}
			require.Equal(t, count(1), count(100), name)
		}
	})
}
