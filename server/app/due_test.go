package app_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
)

// received is a house with one photo in an ended report.
func received(t *testing.T, c app.Config, ticks *clock) (h *house, r *report, m mediaView) {
	t.Helper()
	h = open(t, c, ticks)
	r = h.reported(h.signIn(policy.Dispatcher))
	r.answered().upload(photo(t, 100), "")
	r.end()
	eventually(t, func() string {
		if m = r.kept(1)[0]; m.Preview != "READY" {
			return "preview " + m.Preview
		}
		return ""
	})
	return h, r, m
}

// requireWithheld says that a file is refused as over, however it is asked for.
func (v *visitor) requireWithheld(id, url string) {
	v.t.Helper()
	require.Contains(v.t, []string{"WITHHELD", "GONE"}, v.refused(openMedia, vars{"in": vars{"mediaFileID": id}}))
	if url != "" {
		require.Equal(v.t, http.StatusGone, v.must(http.MethodGet, url, nil).status)
	}
}

func TestOffAtDueTime(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		ticks := &clock{}
		h, _, m := received(t, c, ticks)
		ticks.advance(m.DueAt.Sub(ticks.Now()) - time.Minute)
		v := h.signIn(policy.Dispatcher)
		url := v.open(m.ID)
		require.Equal(t, http.StatusOK, h.must(http.MethodGet, url, nil).status)
		h.close()
		ticks.advance(6 * time.Minute)
		again := open(t, c, ticks)
		v.house = again
		v.requireWithheld(m.ID, url)
		eventually(t, func() string {
			if len(files(t, filepath.Join(c.Data, "files"))) > 0 || len(files(t, filepath.Join(c.Keys, "due"))) > 0 {
				return "it is still there, though nobody asked to purge" // the jobs do
			}
			return ""
		})
		v.requireWithheld(m.ID, url)
		require.Empty(t, ask[struct{ MediaFiles struct{ Nodes []node } }](v, `{mediaFiles{nodes{id}}}`, nil).MediaFiles.Nodes)
	})
}

func TestWrongClock(t *testing.T) {
	eachEngine(t, func(t *testing.T, c app.Config) {
		ticks := &clock{}
		h, _, m := received(t, c, ticks)
		for _, wrong := range []time.Duration{9 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
			ticks.step(wrong)
			require.NoError(t, h.DueWork(context.Background()))
			v := h.signIn(policy.Dispatcher)
			v.requireWithheld(m.ID, "")
			require.NotEmpty(t, files(t, filepath.Join(c.Data, "files")), "in doubt nothing is destroyed")
			require.NotEmpty(t, files(t, filepath.Join(c.Keys, "due")))
			ticks.step(-wrong)
			require.NoError(t, h.DueWork(context.Background()))
			require.Equal(t, http.StatusOK, h.must(http.MethodGet, v.open(m.ID), nil).status, "it was never due")
		}
		ticks.step(-365 * 24 * time.Hour)
		ticks.advance(9 * 24 * time.Hour)
		h.signIn(policy.Dispatcher).requireWithheld(m.ID, "")
		ticks.step(365 * 24 * time.Hour)
		eventually(t, func() string {
			if err := h.DueWork(context.Background()); err != nil {
				return err.Error()
			}
			if len(files(t, filepath.Join(c.Data, "files"))) > 0 {
				return "it is still there"
			}
			return ""
		})
		alarms := map[string]int{}
		for _, e := range h.journaled(h.signIn(policy.Manager)) {
			alarms[e.Type]++
		}
		require.Equal(t, 1, alarms["MEDIA_PURGED"])
		rep, err := h.Journal.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, rep.Faults)
	})
}

func TestEveryLookIsJournaled(t *testing.T) {
	t.Parallel()
	h, r, m := received(t, config(t, ""), &clock{})
	v := h.signIn(policy.Supervisor)
	before := len(entries(h.journaled(h.signIn(policy.Manager)), "VIEWING_OPENED"))
	for range 3 {
		url := v.open(m.ID)
		opened := entries(h.journaled(h.signIn(policy.Manager)), "VIEWING_OPENED")
		before++
		require.Len(t, opened, before, "a look stands in the journal before its first byte")
		require.Equal(t, r.id, *opened[before-1].SessionID)
		for range 4 {
			require.Equal(t, http.StatusOK, h.must(http.MethodGet, url, nil).status)
		}
	}
	require.Len(t, entries(h.journaled(h.signIn(policy.Manager)), "VIEWING_OPENED"), before, "and once, however often bytes are read")
	ask[struct{}](v, `mutation{signOut{done}}`, nil)
	closed := entries(h.journaled(h.signIn(policy.Manager)), "VIEWING_CLOSED")
	require.Len(t, closed, 3)
	for _, e := range closed {
		require.Contains(t, *e.Payload, `"requests":4`)
	}
}

// entries are the entries of one type.
func entries(all []journalEntry, what string) []journalEntry {
	var found []journalEntry
	for _, e := range all {
		if e.Type == what {
			found = append(found, e)
		}
	}
	return found
}
