package evidence_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"genba/server/evidence"
)

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}

func TestDueTable(t *testing.T) {
	for acquired, want := range map[string]string{
		"2026-11-23T00:00:00+09:00":     "2026-12-01T00:00:00+09:00",
		"2026-11-23T23:59:59.999+09:00": "2026-12-01T00:00:00+09:00",
		"2026-11-22T15:00:00Z":          "2026-12-01T00:00:00+09:00",
		"2026-11-22T14:59:59Z":          "2026-11-30T00:00:00+09:00",
		"2028-02-24T12:00:00+09:00":     "2028-03-03T00:00:00+09:00",
		"2026-12-28T12:00:00+09:00":     "2027-01-05T00:00:00+09:00",
	} {
		t.Run(acquired, func(t *testing.T) {
			due, day := evidence.Due(instant(t, acquired))
			require.True(t, due.Equal(instant(t, want)), "%s", due)
			require.Equal(t, want[:10], day)
			require.Equal(t, time.UTC, due.Location())
		})
	}
}

func TestDueProperties(t *testing.T) {
	zones := []*time.Location{time.UTC, time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)}
	for _, name := range []string{"Asia/Tokyo", "America/New_York"} {
		if zone, err := time.LoadLocation(name); err == nil {
			zones = append(zones, zone)
		}
	}
	jst := time.FixedZone("JST", 9*3600)
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(946684800e6, 4102444800e6).Draw(t, "instant"))
		due, day := evidence.Due(at)
		for _, zone := range zones {
			same, sameDay := evidence.Due(at.In(zone))
			require.True(t, same.Equal(due), "%s", zone)
			require.Equal(t, day, sameDay)
		}
		local := due.In(jst)
		require.Equal(t, "00:00:00.000000", local.Format("15:04:05.000000"))
		require.Equal(t, day, local.Format("2006-01-02"))
		kept := due.Sub(at)
		require.Greater(t, kept, 7*24*time.Hour, "never before seven whole days")
		require.LessOrEqual(t, kept, 8*24*time.Hour)
		later, _ := evidence.Due(at.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "more"))))
		require.False(t, later.Before(due), "later files are never due earlier")
	})
}

func TestEarliestDue(t *testing.T) {
	acquired := instant(t, "2026-11-23T12:00:00+09:00")
	own, ownDay := evidence.Due(acquired)
	earlier, earlierDay := evidence.Due(acquired.AddDate(0, 0, -3))
	later, _ := evidence.Due(acquired.AddDate(0, 0, 1))
	t.Run("without sources its own", func(t *testing.T) {
		due, day := evidence.EarliestDue(acquired)
		require.Equal(t, own, due)
		require.Equal(t, ownDay, day)
	})
	t.Run("the earliest source rules", func(t *testing.T) {
		due, day := evidence.EarliestDue(acquired, later, earlier, own)
		require.Equal(t, earlier, due)
		require.Equal(t, earlierDay, day)
	})
	t.Run("a later source prolongs nothing", func(t *testing.T) {
		due, day := evidence.EarliestDue(acquired, later)
		require.Equal(t, own, due)
		require.Equal(t, ownDay, day)
	})
}
