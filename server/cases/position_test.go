package cases_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/journal"
	"genba/server/problem"
)

func TestPositions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		clock := dbtest.ClockOf(db)
		fix := func() cases.Fix {
			return cases.Fix{Latitude: 37.7503, Longitude: 140.4676, Accuracy: 8, CapturedAt: db.Now()}
		}
		ptr := func(v float64) *float64 { return &v }

		t.Run("what no GPS says is refused, and binds nobody", func(t *testing.T) {
			s, issued := c.sent(t)
			p := c.join(t, issued.Secret)
			for name, change := range map[string]func(*cases.Fix){
				"too far north":   func(f *cases.Fix) { f.Latitude = 90.001 },
				"no latitude":     func(f *cases.Fix) { f.Latitude = math.NaN() },
				"endless":         func(f *cases.Fix) { f.Longitude = math.Inf(1) },
				"around again":    func(f *cases.Fix) { f.Longitude = -180.5 },
				"below accuracy":  func(f *cases.Fix) { f.Accuracy = -1 },
				"no accuracy":     func(f *cases.Fix) { f.Accuracy = math.NaN() },
				"past the sky":    func(f *cases.Fix) { f.Altitude = ptr(100_001) },
				"no altitude":     func(f *cases.Fix) { f.Altitude = ptr(math.NaN()) },
				"past the circle": func(f *cases.Fix) { f.Heading = ptr(360.1) },
				"backwards":       func(f *cases.Fix) { f.Speed = ptr(-0.1) },
				"too fast":        func(f *cases.Fix) { f.Speed = ptr(math.Inf(1)) },
				"three days off":  func(f *cases.Fix) { f.CapturedAt = f.CapturedAt.Add(72 * time.Hour) },
				"no time":         func(f *cases.Fix) { f.CapturedAt = time.Time{} },
			} {
				f := fix()
				change(&f)
				_, err := c.rooms.ReportPosition(ctx, p.actor, f)
				require.Equal(t, problem.BadInput, problem.Of(err).Reason(), name)
			}
			require.Nil(t, c.session(t, s.ID).ConnectedAt)
			require.Zero(t, c.link(t, issued).Used)
		})
		t.Run("kept as the phone says it, its clock included", func(t *testing.T) {
			s, _, p := c.connected(t)
			clock.Advance(time.Second)
			f := cases.Fix{Latitude: -90, Longitude: 180, Accuracy: 0, Altitude: ptr(-430.5), Heading: ptr(0), Speed: ptr(0.25), CapturedAt: db.Now().Add(-3 * time.Hour)}
			stored, err := c.rooms.ReportPosition(ctx, p.actor, f)
			require.NoError(t, err)
			last, err := c.rooms.LastPositions(ctx, c.agency, []string{s.ID})
			require.NoError(t, err)
			read := last[s.ID]
			require.Equal(t, stored.ID, read.ID)
			require.Equal(t, []float64{-90, 180, 0, -430.5, 0, 0.25}, []float64{read.Latitude, read.Longitude, read.Accuracy, *read.Altitude, *read.Heading, *read.Speed})
			require.True(t, read.CapturedAt.Equal(f.CapturedAt))
			require.True(t, read.ReceivedAt.Equal(db.Now()))
		})
		t.Run("once a second, with the network's jitter", func(t *testing.T) {
			s, _, p := c.connected(t)
			refused(t, c.report(p), problem.RateLimited)
			clock.Advance(899 * time.Millisecond)
			refused(t, c.report(p), problem.RateLimited)
			clock.Advance(time.Millisecond)
			require.NoError(t, c.report(p))
			require.Equal(t, 2, c.session(t, s.ID).PositionCount)
		})
		t.Run("numbered within the session, newest first, page by page", func(t *testing.T) {
			s, _, p := c.connected(t)
			at, err := c.journal.At(ctx, c.agency)
			require.NoError(t, err)
			for range 4 {
				clock.Advance(time.Second)
				require.NoError(t, c.report(p))
			}
			sequences := func(below, limit int) (found []int) {
				positions, err := c.rooms.Positions(ctx, c.agency, s.ID, below, limit)
				require.NoError(t, err)
				for _, p := range positions {
					found = append(found, p.Sequence)
				}
				return found
			}
			require.Equal(t, []int{5, 4, 3}, sequences(0, 3))
			require.Equal(t, []int{2, 1}, sequences(3, 3))
			moved, err := c.rooms.MovedSince(ctx, c.agency, at.Positions)
			require.NoError(t, err)
			require.Equal(t, []string{s.ID}, moved)
			at, err = c.journal.At(ctx, c.agency)
			require.NoError(t, err)
			moved, err = c.rooms.MovedSince(ctx, c.agency, at.Positions)
			require.NoError(t, err)
			require.Empty(t, moved)
		})
		t.Run("the chain holds, and every edit breaks it where it was made", func(t *testing.T) {
			s, _, p := c.connected(t)
			for range 4 {
				clock.Advance(time.Second)
				require.NoError(t, c.report(p))
			}
			verify := func() int {
				at, err := c.rooms.VerifyPositions(ctx, c.session(t, s.ID))
				require.NoError(t, err)
				return at
			}
			require.Zero(t, verify())
			for _, edit := range []string{
				"latitude = latitude + 0.000001", "longitude = -longitude", "accuracy = accuracy + 1", "altitude = 1", "heading = 1", "speed = 1",
				"captured_at = received_at - (received_at - captured_at)",
			} {
				var kept cases.Position
				require.NoError(t, db.Read(ctx).Take(&kept, "session_id = ? AND sequence = 3", s.ID).Error)
				if edit[:8] == "captured" {
					require.NoError(t, db.Read(ctx).Model(&kept).Update("captured_at", kept.CapturedAt.Add(time.Microsecond)).Error)
				} else {
					require.NoError(t, db.Read(ctx).Exec("UPDATE positions SET "+edit+" WHERE id = ?", kept.ID).Error)
				}
				require.Equal(t, 3, verify(), edit)
				require.NoError(t, db.Read(ctx).Delete(&cases.Position{}, "id = ?", kept.ID).Error)
				require.Equal(t, 3, verify(), "one is missing")
				require.NoError(t, db.Read(ctx).Exec("INSERT INTO positions (id, agency_id, number, session_id, sequence, latitude, longitude, accuracy, captured_at, received_at, salt, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
					kept.ID, kept.AgencyID, kept.Number, kept.SessionID, kept.Sequence, 37.7503, 140.4676, 8.0, database.Instant(kept.ReceivedAt), database.Instant(kept.ReceivedAt), kept.Salt, kept.Hash).Error)
				require.Zero(t, verify(), "put back as it was")
			}
			require.NoError(t, db.Read(ctx).Delete(&cases.Position{}, "session_id = ? AND sequence = 5", s.ID).Error)
			require.Equal(t, 5, verify(), "the end is cut off")
		})
		t.Run("at the end the chain's head stands in the journal", func(t *testing.T) {
			s, _, _ := c.connected(t)
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			closed := c.journaled(t, s.ID, journal.PositionsClosed)
			require.Len(t, closed, 1)
			require.EqualValues(t, 1, closed[0]["count"])
			require.Len(t, closed[0]["head"], 64)
		})
	})
}
