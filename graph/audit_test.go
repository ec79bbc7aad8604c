package graph_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/journal"
)

// The board brings the agency's whole journal to those who do not audit: that
// something happened, but what it says only where it is about a case.
func TestBoardIsNoAudit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		server := h.listen()
		d := h.dispatcher()
		before, err := h.journal.At(h.ctx(), h.own.ID)
		require.NoError(t, err)
		h.signIn(h.own, "canary-colleague", policy.Manager)
		h.openCase(d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stream, _, err := openEvents(ctx, server, d, boardEvents, map[string]any{"after": before.String()})
		require.NoError(t, err)
		defer stream.body.Close()
		data, err := stream.read()
		require.NoError(t, err)
		text := string(data)
		require.Contains(t, text, string(journal.UserRegistered))
		require.Contains(t, text, string(journal.CaseOpened))
		require.Contains(t, text, `\"class\"`, "a case's entries say what they say")
		require.NotContains(t, text, "canary-colleague")
		require.NotContains(t, text, "passwordReason")
		a := h.must(h.manager(), `{ journal { nodes { type payload } } }`, nil)
		require.Contains(t, string(a.Data), "canary-colleague", "who audits reads it")
	})
}
