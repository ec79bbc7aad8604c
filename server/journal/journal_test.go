package journal_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"genba/policy"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

const agency = "00000000-0000-7000-8000-000000000001"

type bell struct {
	mu    sync.Mutex
	rings map[string]int
}

func (b *bell) Ring(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rings[topic]++
}

func entry(session string, payload any) journal.Entry {
	return journal.Entry{
		Agency: agency, Actor: policy.SystemActor(), Type: journal.CaseOpened,
		Subject: journal.Subject{Kind: policy.Case, ID: "c"}, CaseID: "c", SessionID: session, Payload: payload,
	}
}

func write(t *testing.T, db *database.DB, j *journal.Journal, entries ...journal.Entry) {
	t.Helper()
	require.NoError(t, db.InTx(context.Background(), func(tx *database.Tx) error {
		for _, e := range entries {
			j.Append(tx, e)
		}
		return nil
	}))
}

func TestConcurrentWritersLeaveNoGap(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		b := &bell{rings: map[string]int{}}
		j := journal.New(db, b)
		var g errgroup.Group
		for w := range 8 {
			g.Go(func() error {
				for i := range 10 {
					err := db.InTx(ctx, func(tx *database.Tx) error {
						j.Append(tx, entry("s", map[string]int{"writer": w, "i": i}))
						j.Append(tx, journal.Entry{Actor: policy.SystemActor(), Type: journal.ClockBelieved})
						if i%3 == 2 {
							return context.Canceled // rolled back: never was
						}
						return nil
					})
					if err != nil && i%3 != 2 {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		rows, err := j.After(ctx, agency, 0, journal.Filter{}, 1000)
		require.NoError(t, err)
		require.Len(t, rows, 8*7)
		for i, r := range rows {
			require.EqualValues(t, i+1, r.Number)
		}
		rep, err := j.Verify(ctx)
		require.NoError(t, err)
		require.Empty(t, rep.Faults)
		require.Equal(t, 2, rep.Agencies)
		require.EqualValues(t, 8*7*2, rep.Entries)
		require.Equal(t, 8*7, b.rings[journal.Topic(agency)])
	})
}

func TestReadingAndFilters(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		j := journal.New(db, &bell{rings: map[string]int{}})
		write(t, db, j, entry("one", nil), entry("two", map[string]string{"note": "二"}), entry("one", nil))
		rows, err := j.After(ctx, agency, 1, journal.Filter{SessionID: "one"}, 10)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.EqualValues(t, 3, rows[0].Number)
		rows, err = j.Before(ctx, agency, 3, journal.Filter{}, 1)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.JSONEq(t, `{"note":"二"}`, string(rows[0].Payload))
		at, err := j.At(ctx, agency)
		require.NoError(t, err)
		require.Equal(t, journal.Cursor{Entries: 3}, at)
	})
}

func TestVerifyFindsEveryEdit(t *testing.T) {
	edits := map[string]string{
		"changed row":      "UPDATE journal_entries SET actor_id = 'somebody' WHERE number = 2",
		"changed payload":  "UPDATE journal_payloads SET payload = salt WHERE number = 2",
		"dropped row":      "DELETE FROM journal_entries WHERE number = 2",
		"cut at the end":   "DELETE FROM journal_entries WHERE number = 4",
		"swapped":          "UPDATE journal_entries SET number = 9 - number WHERE number IN (4)",
		"replayed":         "INSERT INTO journal_entries SELECT agency_id, 5, at, actor_kind, actor_id, actor_role, type, subject_kind, subject_id, case_id, session_id, payload_hash, prev_hash, hash FROM journal_entries WHERE number = 2",
		"changed head":     "UPDATE journal_heads SET number = 3",
		"changed time":     "UPDATE journal_entries SET at = '2026-11-22 00:00:00+00:00' WHERE number = 3",
		"moved to another": "UPDATE journal_entries SET session_id = 'x' WHERE number = 1",
	}
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		j := journal.New(db, &bell{rings: map[string]int{}})
		write(t, db, j, entry("a", 1), entry("b", 2), entry("c", 3), entry("d", 4))

		drop := []string{"DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete"}
		if db.Dialect == database.Postgres {
			drop = []string{"DROP TRIGGER journal_append_only ON journal_entries"}
		}
		for _, s := range []string{edits["changed row"], edits["dropped row"]} {
			require.ErrorContains(t, db.Read(ctx).Exec(s).Error, "append-only")
		}
		for _, s := range drop {
			require.NoError(t, db.Read(ctx).Exec(s).Error)
		}
		for name, edit := range edits {
			tx := db.Read(ctx).Begin()
			require.NoError(t, tx.Exec(edit).Error, name)
			require.NoError(t, tx.Commit().Error)
			rep, err := j.Verify(ctx)
			require.NoError(t, err)
			require.NotEmpty(t, rep.Faults, name)
			restore(t, db, j)
		}
	})
}

// restore rebuilds the four rows: the chain of a fresh journal.
func restore(t *testing.T, db *database.DB, j *journal.Journal) {
	t.Helper()
	for _, table := range []string{"journal_entries", "journal_payloads", "journal_heads"} {
		require.NoError(t, db.Read(context.Background()).Exec("DELETE FROM "+table).Error)
	}
	write(t, db, j, entry("a", 1), entry("b", 2), entry("c", 3), entry("d", 4))
	rep, err := j.Verify(context.Background())
	require.NoError(t, err)
	require.Empty(t, rep.Faults)
}

func TestEmptiedPayloadsVerify(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		j := journal.New(db, &bell{rings: map[string]int{}})
		write(t, db, j, entry("gone", "090-1234-5678"), entry("kept", "stays"))
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
			return j.EmptyPayloads(tx, agency, journal.Filter{SessionID: "gone"})
		}))
		require.Error(t, db.InTx(ctx, func(tx *database.Tx) error { return j.EmptyPayloads(tx, agency, journal.Filter{}) }))
		rep, err := j.Verify(ctx)
		require.NoError(t, err)
		require.Empty(t, rep.Faults)
		require.EqualValues(t, 1, rep.Emptied)
		rows, err := j.After(ctx, agency, 0, journal.Filter{}, 10)
		require.NoError(t, err)
		require.Nil(t, rows[0].Payload)
		require.NotNil(t, rows[1].Payload)
	})
}

func TestRefusalsAreBoundedAndSummarised(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		j := journal.New(db, &bell{rings: map[string]int{}})
		for range 25 {
			require.NoError(t, j.Refuse(ctx, entry("s", nil)))
		}
		dbtest.ClockOf(db).Advance(time.Minute)
		require.NoError(t, j.FlushRefusals(ctx, false))
		rows, err := j.After(ctx, agency, 0, journal.Filter{}, 100)
		require.NoError(t, err)
		require.Len(t, rows, 11)
		require.Equal(t, journal.RefusalsSummarised, rows[10].Type)
		require.Contains(t, string(rows[10].Payload), `"more":15`)
		require.NoError(t, j.Refuse(ctx, entry("s", nil)), "a new minute starts anew")
	})
}

func TestCursor(t *testing.T) {
	c := journal.Cursor{Entries: 12, Positions: 7}
	back, err := journal.ParseCursor(c.String())
	require.NoError(t, err)
	require.Equal(t, c, back)
	for _, bad := range []string{"", "x", "1.2.3", fmt.Sprint(c), strings.Repeat("A", 100), journal.Cursor{Entries: -1}.String()} {
		if bad == c.String() {
			continue
		}
		_, err := journal.ParseCursor(bad)
		require.True(t, problem.Is(err, problem.BadCursor), bad)
	}
}
