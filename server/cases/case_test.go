package cases_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func TestCases(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)

		t.Run("opened empty: everything is filled in later", func(t *testing.T) {
			k, err := c.rooms.Open(ctx, c.dispatcher, cases.NewCase{})
			require.NoError(t, err)
			require.Equal(t, "2026-000001", k.Number)
			require.Equal(t, cases.OtherClass, k.Class)
			class, place := cases.Welfare, "栄町"
			dbtest.ClockOf(db).Advance(time.Second)
			changed, err := c.rooms.Update(ctx, c.colleague, k.ID, cases.CaseChange{Class: &class, Place: &place})
			require.NoError(t, err)
			require.Equal(t, cases.Welfare, changed.Class)
			require.Equal(t, "栄町", changed.Place)
			require.True(t, changed.ChangedAt.After(k.ChangedAt))
		})
		t.Run("dispatched without waiting; the first time stands", func(t *testing.T) {
			k := c.open(t)
			first, err := c.rooms.Dispatched(ctx, c.dispatcher, k.ID)
			require.NoError(t, err)
			dbtest.ClockOf(db).Advance(time.Minute)
			again, err := c.rooms.Dispatched(ctx, c.colleague, k.ID)
			require.NoError(t, err)
			require.True(t, first.DispatchedAt.Equal(*again.DispatchedAt))
		})
		t.Run("numbers count on without a gap, by agency and year in Japan", func(t *testing.T) {
			foreign, err := c.rooms.Open(ctx, c.foreigner, cases.NewCase{})
			require.NoError(t, err)
			require.Equal(t, "2026-000001", foreign.Number)
			var all sync.WaitGroup
			numbers, failures := make([]string, 10), make([]error, 10)
			for i := range numbers {
				all.Go(func() {
					k, err := c.rooms.Open(ctx, c.foreigner, cases.NewCase{})
					if failures[i] = err; err == nil {
						numbers[i] = k.Number
					}
				})
			}
			all.Wait()
			for _, err := range failures {
				require.NoError(t, err)
			}
			require.ElementsMatch(t, []string{
				"2026-000002", "2026-000003", "2026-000004", "2026-000005", "2026-000006",
				"2026-000007", "2026-000008", "2026-000009", "2026-000010", "2026-000011",
			}, numbers)
			clock := dbtest.ClockOf(db)
			now := clock.Now()
			clock.SetWall(time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)) // New Year in Japan
			k, err := c.rooms.Open(ctx, c.foreigner, cases.NewCase{})
			require.NoError(t, err)
			require.Equal(t, "2027-000001", k.Number)
			clock.SetWall(now)
		})
		t.Run("what is too long or broken is refused", func(t *testing.T) {
			k := c.open(t)
			before := c.dump(t)
			for _, in := range []cases.NewCase{
				{Municipality: strings.Repeat("市", 201)},
				{Place: strings.Repeat("町", 1001)},
				{Notes: strings.Repeat("記", 10_001)},
				{Notes: "a\x00b"},
				{Place: "\xff"},
			} {
				_, err := c.rooms.Open(ctx, c.dispatcher, in)
				refused(t, err, problem.BadInput)
				_, err = c.rooms.Update(ctx, c.dispatcher, k.ID, cases.CaseChange{Municipality: &in.Municipality, Place: &in.Place, Notes: &in.Notes})
				refused(t, err, problem.BadInput)
			}
			require.Equal(t, before, c.dump(t))
		})
		t.Run("another agency's case is not there", func(t *testing.T) {
			k := c.open(t)
			place := "x"
			_, err := c.rooms.Update(ctx, c.foreigner, k.ID, cases.CaseChange{Place: &place})
			refused(t, err, problem.NotFound)
			_, err = c.rooms.Dispatched(ctx, c.foreigner, k.ID)
			refused(t, err, problem.NotFound)
			found, err := c.rooms.Cases(ctx, c.foreigner.Agency, []string{k.ID})
			require.NoError(t, err)
			require.Empty(t, found)
		})
	})
}

func TestListCases(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		places := []string{"50% off_shop", "50x offyshop", `back\slash`, "'; DROP TABLE cases; --", "Fukushima Station"}
		var ids []string
		for i, place := range places {
			k, err := c.rooms.Open(ctx, c.dispatcher, cases.NewCase{Class: cases.Traffic, Place: place, Drill: i == 0})
			require.NoError(t, err)
			ids = append(ids, k.ID)
			dbtest.ClockOf(db).Advance(time.Second)
		}
		list := func(f cases.CaseFilter, sort cases.CaseSort, after *cases.Place, limit int) (found []string) {
			all, err := c.rooms.List(ctx, c.agency, f, sort, after, limit)
			require.NoError(t, err)
			for _, k := range all {
				found = append(found, k.ID)
			}
			return found
		}
		t.Run("text is read literally", func(t *testing.T) {
			for text, want := range map[string][]string{"%": ids[:1], "50%": ids[:1], "f_s": ids[:1], `\`: ids[2:3], "'; drop": ids[3:4], "STATION": ids[4:], "2026-00000": ids, "nowhere": nil} {
				require.Equal(t, want, list(cases.CaseFilter{Text: &text}, cases.OpenedOldest, nil, 10), text)
			}
			for _, text := range []string{strings.Repeat("x", 101), "a\x00", "\xff"} {
				_, err := c.rooms.List(ctx, c.agency, cases.CaseFilter{Text: &text}, cases.OpenedOldest, nil, 10)
				refused(t, err, problem.BadInput)
			}
		})
		t.Run("page by page in every order", func(t *testing.T) {
			require.Equal(t, ids[:2], list(cases.CaseFilter{}, cases.OpenedOldest, nil, 2))
			second := c.caseOf(t, ids[1])
			require.Equal(t, ids[2:], list(cases.CaseFilter{}, cases.OpenedOldest, &cases.Place{At: second.OpenedAt, ID: second.ID}, 10))
			require.Equal(t, []string{ids[0]}, list(cases.CaseFilter{}, cases.OpenedNewest, &cases.Place{At: second.OpenedAt, ID: second.ID}, 10))
			c.request(t, c.caseOf(t, ids[0]))
			require.Equal(t, ids[0], list(cases.CaseFilter{}, cases.ChangedNewest, nil, 1)[0], "a case comes up when something happens in it")
		})
		t.Run("narrowed by drill, class and time", func(t *testing.T) {
			drill, class, since := true, cases.Welfare, dbtest.Start.Add(4*time.Second)
			require.Equal(t, ids[:1], list(cases.CaseFilter{Drill: &drill}, cases.OpenedOldest, nil, 10))
			require.Empty(t, list(cases.CaseFilter{Class: &class}, cases.OpenedOldest, nil, 10))
			require.Equal(t, ids[4:], list(cases.CaseFilter{OpenedSince: &since}, cases.OpenedOldest, nil, 10))
			require.Equal(t, ids[:4], list(cases.CaseFilter{OpenedUntil: &since}, cases.OpenedOldest, nil, 10))
		})
	})
}

func TestErase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		c := newCentre(t, db)
		erase := func(id string) error {
			return db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Erase(tx, id) })
		}
		s, _, p := c.connected(t)
		second, _, err := c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{
			CaseID: s.CaseID, Asked: cases.PhotoMode, Need: "canary-need",
			Email: "canary@example.com", EmailReason: "canary-reason", LateReason: "canary-late",
		})
		require.NoError(t, err)
		require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error { return c.rooms.Count(tx, s.ID, "PHOTO", "NOW", true) }))

		t.Run("refused while a session is open", func(t *testing.T) {
			before := c.dump(t)
			refused(t, erase(s.CaseID), problem.Conflict)
			refused(t, erase(identity.NewID()), problem.NotFound)
			require.Equal(t, before, c.dump(t))
		})

		_, err = c.rooms.End(ctx, c.dispatcher, s.ID, cases.FalseReport)
		require.NoError(t, err)
		_, err = c.rooms.End(ctx, c.dispatcher, second.ID, cases.Done)
		require.NoError(t, err)
		before, caseBefore := c.session(t, s.ID), c.caseOf(t, s.CaseID)
		var told []string
		c.rooms.OnErase(func(_ *database.Tx, sessions []string) error { told = sessions; return nil })
		forgotten, err := c.rooms.Forgotten(ctx, db.Now().Add(time.Second), 10)
		require.NoError(t, err)
		require.Len(t, forgotten, 1)
		dbtest.ClockOf(db).Advance(8 * 24 * time.Hour)
		require.NoError(t, erase(s.CaseID))

		t.Run("gone: numbers, addresses, place, notes, texts, positions, consents, what a phone said, payloads", func(t *testing.T) {
			everything := c.dump(t)
			for _, gone := range []string{"canary", "819012345678", "37.75", "140.46"} {
				require.NotContains(t, everything, gone)
			}
			for _, table := range []string{"positions", "consents", "nonces"} {
				var left int64
				require.NoError(t, db.Read(ctx).Table(table).Count(&left).Error)
				require.Zero(t, left, table)
			}
			require.ElementsMatch(t, []string{s.ID, second.ID}, told, "other rooms erase theirs")
		})
		t.Run("stays: class, times, reasons, municipality, counts, and a journal that verifies", func(t *testing.T) {
			k := c.caseOf(t, s.CaseID)
			require.Equal(t, "福島市", k.Municipality)
			require.Equal(t, []any{caseBefore.Class, caseBefore.Number, caseBefore.OpenedAt, caseBefore.ClosedAt}, []any{k.Class, k.Number, k.OpenedAt, k.ClosedAt})
			require.Equal(t, db.Now(), k.ErasedAt.UTC())
			now := c.session(t, s.ID)
			require.Equal(t, before.Stages(), now.Stages())
			require.Equal(t, cases.FalseReport, now.EndReason)
			require.Equal(t, 1, now.PhotosNow)
			require.Equal(t, 1, now.PositionCount)
			require.Equal(t, before.PositionHead, now.PositionHead)
			broken, err := c.rooms.VerifyPositions(ctx, now)
			require.NoError(t, err)
			require.Zero(t, broken, "what retention emptied is no edit")
			report, err := c.journal.Verify(ctx)
			require.NoError(t, err)
			require.Empty(t, report.Faults)
			_, err = c.rooms.Recognise(ctx, p.token)
			require.NoError(t, err)
		})
		t.Run("an erased case is closed for good", func(t *testing.T) {
			place := "x"
			_, err := c.rooms.Update(ctx, c.dispatcher, s.CaseID, cases.CaseChange{Place: &place})
			refused(t, err, problem.CaseClosed)
			_, _, err = c.rooms.RequestVideo(ctx, c.dispatcher, cases.Request{CaseID: s.CaseID, Asked: cases.PhotoMode, Need: "x", Number: "09012345678"})
			refused(t, err, problem.CaseClosed)
		})
		t.Run("erased twice: the second time changes nothing", func(t *testing.T) {
			before := c.dump(t)
			require.NoError(t, erase(s.CaseID))
			require.Equal(t, before, c.dump(t))
			forgotten, err := c.rooms.Forgotten(ctx, db.Now().Add(time.Hour), 10)
			require.NoError(t, err)
			require.Empty(t, forgotten)
		})
		t.Run("a number that is still to be called stays until it was", func(t *testing.T) {
			s, _, _ := c.connected(t)
			require.NoError(t, db.InTx(ctx, func(tx *database.Tx) error {
				_, err := c.rooms.MarkMisdirected(tx, c.dispatcher, s.ID, "+819012345678", "")
				return err
			}))
			require.NoError(t, erase(s.CaseID))
			require.Equal(t, "+819012345678", c.session(t, s.ID).Number)
			require.Empty(t, c.session(t, s.ID).Need)
		})
		t.Run("when another room cannot erase, nothing is erased", func(t *testing.T) {
			s, _, _ := c.connected(t)
			_, err := c.rooms.End(ctx, c.dispatcher, s.ID, cases.Done)
			require.NoError(t, err)
			c.rooms.OnErase(func(*database.Tx, []string) error { return errRolledBack })
			before := c.dump(t)
			require.ErrorIs(t, erase(s.CaseID), errRolledBack)
			require.Equal(t, before, c.dump(t))
		})
		require.NotEmpty(t, c.journaled(t, "", journal.CaseErased))
	})
}
