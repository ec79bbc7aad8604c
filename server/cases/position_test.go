package cases_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

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
			var kept cases.Position
			require.NoError(t, db.Read(ctx).Take(&kept, "session_id = ? AND sequence = 3", s.ID).Error)
			for column, value := range map[string]any{
				"latitude": kept.Latitude + 1e-9, "longitude": -kept.Longitude, "accuracy": 9, "altitude": 1, "heading": 1, "speed": 1,
				"captured_at": kept.CapturedAt.UTC().Add(time.Microsecond), "received_at": kept.ReceivedAt.UTC().Add(-time.Microsecond), "salt": []byte("another"),
			} {
				require.NoError(t, db.Read(ctx).Table("positions").Where("id = ?", kept.ID).UpdateColumn(column, value).Error)
				require.Equal(t, 3, verify(), column)
				require.NoError(t, db.Read(ctx).Save(&kept).Error)
				require.Zero(t, verify(), "put back as it was")
			}
			require.NoError(t, db.Read(ctx).Delete(&cases.Position{}, "id = ?", kept.ID).Error)
			require.Equal(t, 3, verify(), "one is missing")
			require.NoError(t, db.Read(ctx).Model(&cases.Position{}).Where("session_id = ? AND sequence > 3", s.ID).UpdateColumn("sequence", gorm.Expr("sequence - 1")).Error)
			require.Equal(t, 3, verify(), "one is missing and the rest moved up")
			require.NoError(t, db.Read(ctx).Delete(&cases.Position{}, "session_id = ?", s.ID).Error)
			require.Equal(t, 1, verify(), "all are missing")
		})
		t.Run("anybody can check the chain with SHA-256 alone", func(t *testing.T) {
			s, _, p := c.connected(t)
			clock.Advance(time.Second)
			_, err := c.rooms.ReportPosition(ctx, p.actor, cases.Fix{Latitude: 1, Longitude: -2, Accuracy: 3, Speed: ptr(0.5), CapturedAt: db.Now()})
			require.NoError(t, err)
			fixes, err := c.rooms.Positions(ctx, c.agency, s.ID, 0, 10)
			require.NoError(t, err)
			require.Len(t, fixes, 2)
			head := ""
			for i := len(fixes) - 1; i >= 0; i-- {
				f := fixes[i]
				bits := func(v *float64) string {
					if v == nil {
						return ""
					}
					return fmt.Sprintf("%016x", math.Float64bits(*v))
				}
				fact := fmt.Sprintf(`["%s","%s",%d,"%s","%s","%s","%s","%s","%s",%d,%d]`, f.SessionID, f.PhoneID, f.Sequence, bits(&f.Latitude), bits(&f.Longitude), bits(&f.Accuracy),
					bits(f.Altitude), bits(f.Heading), bits(f.Speed), f.CapturedAt.UnixMicro(), f.ReceivedAt.UnixMicro())
				inner := sha256.Sum256([]byte(string(f.Salt) + fact))
				sum := sha256.Sum256([]byte(head + string(inner[:])))
				require.Equal(t, sum[:], f.Hash)
				head = string(sum[:])
			}
			require.Equal(t, head, string(c.session(t, s.ID).PositionHead))
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
