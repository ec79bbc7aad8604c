package evidence_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/journal"
	"genba/server/problem"
)

// run lets time pass as a server that is on does: an anchor every minute at
// least at both ends.
func (s *scene) run(d time.Duration) {
	s.t.Helper()
	_, err := s.Anchor(s.ctx())
	require.NoError(s.t, err)
	dbtest.ClockOf(s.db).Advance(d)
	believed, err := s.Anchor(s.ctx())
	require.NoError(s.t, err)
	require.True(s.t, believed)
}

func (s *scene) purge() evidence.PurgeReport {
	s.t.Helper()
	rep, err := s.Purge(s.ctx())
	require.NoError(s.t, err)
	require.Zero(s.t, rep.Failed)
	return rep
}

func TestPurge(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		video := mp4Of("isom", 400_000)
		copy(video[len(video)-64:], "CANARY plaintext window of exactly sixty-four bytes in a video..")
		photo := s.upload(withEXIF(t, jpegOf(t, 500, 400), 1, "2026:11:23 11:58:30", "+09:00", "CANARYDEVICE", 37, 140))
		film := s.uploadVideo(video)
		require.NoError(t, s.MakePreviews(s.ctx()))
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		require.NoError(t, r.Append(initFragment(s.db.Clock.Now())))
		require.NoError(t, r.Append(fragment(0, s.db.Clock.Now())))
		require.NoError(t, r.Close())
		o := s.open(film)
		s.end()
		backup := t.TempDir()
		require.NoError(t, os.CopyFS(filepath.Join(backup, "blobs"), os.DirFS(filepath.Join(s.dir, "blobs"))))
		due := *film.DueAt

		t.Run("not a moment before", func(t *testing.T) {
			s.run(due.Add(-time.Microsecond).Sub(s.db.Clock.Now()))
			require.Equal(t, evidence.PurgeReport{}, s.purge())
			_, err := s.File(s.ctx(), s.dispatcher, film.ID)
			require.NoError(t, err)
		})
		t.Run("withheld from the instant, before any purge", func(t *testing.T) {
			s.run(time.Microsecond)
			_, err := s.File(s.ctx(), s.dispatcher, film.ID)
			requireProblem(t, err, problem.Withheld)
			_, err = s.Open(s.ctx(), s.supervisor, film.ID, evidence.Look{})
			requireProblem(t, err, problem.Withheld)
			a := s.media(film.ID, o.Grant, "")
			require.GreaterOrEqual(t, a.status, 400)
			list, err := s.List(s.ctx(), s.agency.ID, evidence.Filter{}, evidence.DueFirst, nil, 10)
			require.NoError(t, err)
			require.Empty(t, list)
			waiting, err := s.PurgeDue(s.ctx(), 10)
			require.NoError(t, err)
			require.Len(t, waiting, 3)
		})
		t.Run("gone with keys, derivatives, names and case facts; the ledger stays", func(t *testing.T) {
			wrapped := s.row(film.ID).KeyWrapped
			rep := s.purge()
			require.Equal(t, evidence.PurgeReport{Due: 3, Purged: 3, Keys: 1, Cases: 1}, rep)
			require.Equal(t, evidence.PurgeReport{}, s.purge(), "idempotent")
			for _, id := range []string{photo.ID, film.ID, r.ID()} {
				require.True(t, s.gone(id))
				_, err := s.File(s.ctx(), s.dispatcher, id)
				requireProblem(t, err, problem.Gone)
			}
			for name, err := range s.store.Names() {
				require.NoError(t, err)
				t.Errorf("%s is still there", name)
			}
			names, err := s.keys.List("")
			require.NoError(t, err)
			for _, name := range names {
				require.NotContains(t, name, "due/")
				require.NotContains(t, name, "open/")
			}
			requireNowhere(t, s.dir, []byte("CANARY"), wrapped[:64])
			if s.db.Dialect == database.SQLite {
				var file string
				require.NoError(t, s.db.SQL().QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file))
				requireNowhere(t, filepath.Dir(file), []byte("CANARY"), wrapped[:64], []byte("国道4号"), []byte("+819012345678"))
			}
			var ledger int64
			require.NoError(t, s.db.Read(s.ctx()).Table("retention_ledger").Where("sha256 = ?", film.SHA256).Count(&ledger).Error)
			require.EqualValues(t, 1, ledger)
			require.Len(t, s.entries(journal.MediaPurged), 3)
			require.Len(t, s.entries(journal.DueKeyDestroyed), 1)
			session, err := s.cases.Session(s.ctx(), s.agency.ID, s.session.ID)
			require.NoError(t, err)
			require.Equal(t, 1, session.PhotosNow, "counts stay for statistics")
			require.Empty(t, session.Number)
			report, err := s.journal.Verify(s.ctx())
			require.NoError(t, err)
			require.Empty(t, report.Faults)
		})
		t.Run("a backup of before opens with no key of today", func(t *testing.T) {
			_, err := s.keys.Get("due/" + film.AgencyID + "/" + film.DueDay)
			require.Error(t, err)
			requireNowhere(t, backup, []byte("CANARY"))
		})
	})
}

func TestPurgeAfterAnOutage(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := newScene(t, db)
		film := s.uploadVideo(mp4Of("isom", 1000))
		s.end()
		s.run(film.DueAt.Add(-time.Hour).Sub(db.Clock.Now()))
		dbtest.ClockOf(db).Advance(6 * time.Hour) // off, the machine stays on
		next, err := build(s.dir, db)
		require.NoError(t, err)
		require.NoError(t, next.Recover(s.ctx()))
		_, err = next.File(s.ctx(), s.dispatcher, film.ID)
		requireProblem(t, err, problem.Withheld)
		rep, err := next.Purge(s.ctx())
		require.NoError(t, err)
		require.Equal(t, 1, rep.Purged)
	})
}

func TestPurgeFailuresAreCountedAndTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		stuck, fine := s.uploadVideo(mp4Of("isom", 1000)), s.uploadVideo(mp4Of("isom", 1000))
		s.end()
		path := filepath.Join(s.dir, "blobs", stuck.AgencyID, stuck.ID)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		// A folder that is not empty cannot be unlinked, whoever tries.
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "x"), raw, 0o600))
		s.run(9 * 24 * time.Hour)
		rep, err := s.Purge(s.ctx())
		require.NoError(t, err)
		require.Equal(t, 1, rep.Failed)
		require.Equal(t, 1, rep.Purged)
		require.True(t, s.gone(fine.ID))
		require.False(t, s.gone(stuck.ID), "the row stays")
		require.NotEmpty(t, s.entries(journal.PurgeFailed))
		require.NoError(t, os.RemoveAll(path))
		require.Equal(t, 1, s.purge().Purged)
	})
}

func TestOrphansAreSwept(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		kept := s.begin(30_000)
		require.Equal(t, http.StatusCreated, s.create(kept).status)
		key, err := s.keys.Ensure("open/0198b6e2-0000-7000-8000-000000000001")
		require.NoError(t, err)
		f, err := s.store.Create(s.agency.ID+"/0198b6e2-0000-7000-8000-000000000001", key)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		f, err = s.store.Create("junk", key)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Equal(t, 2, s.purge().Orphans)
		require.Zero(t, s.purge().Orphans, "swept a moment ago")
		s.run(10 * time.Minute)
		require.Equal(t, 1, s.purge().Orphans, "a key without a row is taken the second time it is seen")
		s.run(10 * time.Minute)
		require.Zero(t, s.purge().Orphans)
		resumed, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Resume: kept.File.ID, Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: 30_000})
		require.NoError(t, err)
		kept = resumed
		data := photoOf(t, 30_000)
		require.EqualValues(t, len(data), s.patch(kept, 0, data).offset, "an open upload is no orphan")
	})
}

func TestClockInDoubt(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		clock := dbtest.ClockOf(s.db)
		film := s.uploadVideo(mp4Of("isom", 1000))
		right := clock.Now()

		t.Run("set ten years on nothing is destroyed, though withheld", func(t *testing.T) {
			clock.SetWall(right.AddDate(10, 0, 0))
			for range 3 {
				rep, err := s.Purge(s.ctx())
				requireProblem(t, err, problem.ClockDoubted)
				require.Equal(t, evidence.PurgeReport{Due: 1}, rep)
			}
			require.False(t, s.gone(film.ID))
			_, err := s.File(s.ctx(), s.dispatcher, film.ID)
			requireProblem(t, err, problem.Withheld)
			rows, err := s.journal.After(s.ctx(), journal.Installation, 0, journal.Filter{Types: []journal.Type{journal.ClockDoubted}}, 10)
			require.NoError(t, err)
			require.Len(t, rows, 1, "the alarm is given once")
			require.True(t, s.ClockInDoubt(), "and stands")
		})
		t.Run("set right again it is believed again", func(t *testing.T) {
			clock.SetWall(right)
			s.purge()
			require.False(t, s.ClockInDoubt())
			require.False(t, s.gone(film.ID))
			_, err := s.File(s.ctx(), s.dispatcher, film.ID)
			require.NoError(t, err)
		})
		t.Run("set back, what is overdue stays withheld", func(t *testing.T) {
			s.run(film.DueAt.Sub(clock.Now()))
			clock.SetWall(clock.Now().AddDate(-10, 0, 0))
			_, err := s.File(s.ctx(), s.dispatcher, film.ID)
			requireProblem(t, err, problem.Withheld)
			_, err = s.Purge(s.ctx())
			requireProblem(t, err, problem.ClockDoubted)
			require.False(t, s.gone(film.ID))

			next, err := build(s.dir, s.db)
			require.NoError(t, err)
			_, err = next.Anchor(s.ctx())
			require.NoError(t, err)
			_, err = next.File(s.ctx(), s.dispatcher, film.ID)
			requireProblem(t, err, problem.Withheld)
		})
		t.Run("a manager's word is believed, a dispatcher's is not", func(t *testing.T) {
			requireProblem(t, s.ConfirmClock(s.ctx(), s.dispatcher), problem.Forbidden)
			clock.SetWall(*film.DueAt)
			require.NoError(t, s.ConfirmClock(s.ctx(), policy.Actor{Kind: policy.User, Role: policy.Manager, Agency: s.agency.ID}))
			require.Equal(t, 1, s.purge().Purged)
		})
		t.Run("after a new boot it is in doubt until the kernel is synchronised", func(t *testing.T) {
			clock.Reboot(time.Hour)
			_, err := s.Purge(s.ctx())
			requireProblem(t, err, problem.ClockDoubted)
			clock.Advance(time.Hour)
			_, err = s.Purge(s.ctx())
			requireProblem(t, err, problem.ClockDoubted)
			clock.SetSynchronised(true)
			s.purge()
			clock.SetSynchronised(false)
			clock.Advance(24 * time.Hour)
			s.purge()
		})
	})
}

func TestClockStepsDestroyNothingEarly(t *testing.T) {
	s := newScene(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	clock := dbtest.ClockOf(s.db)
	film := s.uploadVideo(mp4Of("isom", 1000))
	passed := time.Duration(0)
	rapid.Check(t, func(rt *rapid.T) {
		switch rapid.IntRange(0, 2).Draw(rt, "what") {
		case 0:
			step := time.Duration(rapid.Int64Range(-int64(87600*time.Hour), int64(87600*time.Hour)).Draw(rt, "step"))
			if step.Abs() <= 5*time.Minute {
				return
			}
			clock.SetWall(dbtest.Start.Add(passed + step))
		case 1:
			clock.SetWall(dbtest.Start.Add(passed))
		case 2:
			d := time.Duration(rapid.Int64Range(0, int64(30*time.Minute)).Draw(rt, "pass"))
			if passed+d >= 7*24*time.Hour {
				return
			}
			clock.Advance(d)
			passed += d
		}
		_, err := s.Purge(s.ctx())
		if err != nil && !problem.Is(err, problem.ClockDoubted) {
			rt.Fatal(err)
		}
		if s.gone(film.ID) {
			rt.Fatalf("destroyed %s after its acquisition", passed)
		}
	})
}

func TestWhatComesWhileTheClockIsWrongIsDueInTime(t *testing.T) {
	for name, years := range map[string]int{"ten years back": -10, "ten years on": 10} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *scene) {
				clock := dbtest.ClockOf(s.db)
				s.upload(photoOf(t, 20_000)) // binds the phone: what follows depends on nothing else
				data := mp4Of("isom", 1000)
				u, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Kind: evidence.KindVideo, Capture: evidence.CaptureNow, Size: int64(len(data))})
				require.NoError(t, err)
				require.Equal(t, http.StatusCreated, s.create(u).status)
				clock.Advance(24 * time.Hour)
				right := clock.Now()
				clock.SetWall(right.AddDate(years, 0, 0))
				again, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Resume: u.File.ID, Kind: evidence.KindVideo, Capture: evidence.CaptureNow, Size: int64(len(data))})
				require.NoError(t, err)
				require.EqualValues(t, len(data), s.patch(again, 0, data).offset)
				m := s.row(u.File.ID)
				require.True(t, m.AcquiredAt.Equal(right), "%s", m.AcquiredAt)
				require.Equal(t, "2026-12-02", m.DueDay)
			})
		})
	}
}

func TestCaseFactsGoWithTheLastDueTime(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.uploadVideo(mp4Of("isom", 1000))
		bare, _ := s.newSession()
		_, err := s.cases.End(s.ctx(), s.dispatcher, bare.ID, cases.Done)
		require.NoError(t, err)
		var erased [][]string
		locked := false
		s.cases.OnErase(func(_ *database.Tx, sessionIDs []string) error {
			if locked {
				return errors.New("outbox is locked")
			}
			erased = append(erased, sessionIDs)
			return nil
		})

		s.run(8 * 24 * time.Hour)
		s.purge()
		require.Equal(t, [][]string{{bare.ID}}, erased, "ended without a file: D+8 of its end; the open case stays")
		s.end()
		s.purge()
		require.Len(t, erased, 1)
		s.run(7 * 24 * time.Hour)
		s.purge()
		require.Len(t, erased, 1)
		s.run(24 * time.Hour)
		locked = true
		_, err = s.Purge(s.ctx())
		require.ErrorContains(t, err, "outbox is locked")
		locked = false
		require.Equal(t, 1, s.purge().Cases)
	})
}

func TestSealedBytesHoldNoPlaintext(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 300_000)
		s.upload(data)
		require.NoError(t, s.MakePreviews(s.ctx()))
		requireNowhere(t, s.dir, data[len(data)-64:], bytes.Repeat([]byte("trailing evidence "), 4))
	})
}

func TestPurgeOnAFullDisk(t *testing.T) {
	s := newScene(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	m := s.upload(photoOf(t, 20_000))
	due := s.row(m.ID).DueAt
	for _, trigger := range []string{
		"CREATE TRIGGER no_anchor BEFORE INSERT ON clock_anchors BEGIN SELECT RAISE(ABORT, 'full'); END",
		"CREATE TRIGGER no_entry BEFORE INSERT ON journal_entries WHEN EXISTS (SELECT 1 FROM media_files) BEGIN SELECT RAISE(ABORT, 'full'); END",
	} {
		_, err := s.db.SQL().ExecContext(s.ctx(), trigger)
		require.NoError(t, err)
	}
	clock := dbtest.ClockOf(s.db)
	right := clock.Now()
	clock.SetWall(due.Add(time.Hour))
	rep, err := s.Purge(s.ctx())
	require.Error(t, err)
	require.Zero(t, rep.Purged, "a clock in doubt destroys nothing, whatever can be stored of it")
	require.False(t, s.gone(m.ID))

	clock.SetWall(right)
	clock.Advance(due.Sub(right))
	rep, err = s.Purge(s.ctx())
	require.ErrorContains(t, err, "anchor clock", "that is all that is left undone")
	require.Equal(t, 1, rep.Purged)
	require.True(t, s.gone(m.ID))
	require.Len(t, s.entries(journal.DueKeyDestroyed), 1)
	require.Len(t, s.entries(journal.MediaPurged), 1)
}
