package evidence_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"genba/policy"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/problem"
)

func TestRunMakesPreviewsAndEndsWithItsContext(t *testing.T) {
	s := newScene(t, dbtest.Open(t, dbtest.SQLiteDSN(t)))
	m := s.upload(jpegOf(t, 300, 200))
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(s.ctx())
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	require.Eventually(t, func() bool { return s.row(m.ID).Preview == evidence.PreviewReady }, 20*time.Second, 20*time.Millisecond)
	stop()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not end")
	}
	goleak.VerifyNone(t, before)
}

func TestRecoverUploads(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 100_000)
		whole, part, damaged, lost := s.begin(len(data)), s.begin(len(data)), s.begin(len(data)), s.begin(len(data))
		for _, u := range []*evidence.Upload{whole, part, damaged, lost} {
			require.Equal(t, http.StatusCreated, s.create(u).status)
			require.EqualValues(t, 50_000, s.patch(u, 0, data[:50_000]).offset)
			require.EqualValues(t, 80_000, s.patch(u, 50_000, data[50_000:80_000]).offset)
		}
		// The last bytes are sealed, but the process dies before the row is written.
		s.breakSeal(whole, data[80_000:])
		path := filepath.Join(s.dir, "blobs", s.agency.ID, damaged.File.ID)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		raw[300] ^= 1
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		require.NoError(t, s.keys.Destroy("open/"+lost.File.ID))

		s.CloseFiles()
		next, err := build(s.dir, s.db)
		require.NoError(t, err)
		require.NoError(t, next.Recover(s.ctx()))
		require.Equal(t, evidence.Complete, s.row(whole.File.ID).State)
		require.Equal(t, data, s.original(s.row(whole.File.ID)))
		require.Equal(t, evidence.Receiving, s.row(part.File.ID).State, "may still go on")
		for _, u := range []*evidence.Upload{damaged, lost} {
			m := s.row(u.File.ID)
			require.Equal(t, evidence.Incomplete, m.State)
			require.Equal(t, evidence.ReasonDamaged, m.Reason)
			require.Equal(t, "2026-12-01", m.DueDay, "due like the rest")
		}
		next.CloseFiles()

		_, err = s.cases.End(s.ctx(), s.dispatcher, s.session.ID, "DONE")
		require.NoError(t, err)
		require.Equal(t, evidence.Incomplete, s.row(part.File.ID).State)
	})
}

// breakSeal appends the last bytes of an upload behind the back of its room.
func (s *scene) breakSeal(u *evidence.Upload, rest []byte) {
	s.t.Helper()
	s.CloseFiles()
	key, err := s.keys.Get("open/" + u.File.ID)
	require.NoError(s.t, err)
	f, err := s.store.Reopen(s.agency.ID+"/"+u.File.ID, key)
	require.NoError(s.t, err)
	require.NoError(s.t, f.Append(rest, nil))
	require.NoError(s.t, f.Close())
}

func TestUploadsLeftOpenGoOn(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 100_000)
		u := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(u).status)
		require.EqualValues(t, 50_000, s.patch(u, 0, data[:50_000]).offset)
		dbtest.ClockOf(s.db).Advance(11 * time.Minute)
		require.NoError(t, s.Tend(s.ctx()), "its file is closed")
		again, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Resume: u.File.ID, Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: u.File.DeclaredSize})
		require.NoError(t, err)
		require.EqualValues(t, len(data), s.patch(again, 50_000, data[50_000:]).offset)
	})
}

func TestHeadSealsWhatIsWhole(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 100_000)
		u := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(u).status)
		require.EqualValues(t, 50_000, s.patch(u, 0, data[:50_000]).offset)
		s.breakSeal(u, data[50_000:])
		head := s.send(http.MethodHead, evidence.FilesPath+u.File.ID, u.Token, nil, nil)
		require.EqualValues(t, len(data), head.offset)
		require.Equal(t, evidence.Complete, s.row(u.File.ID).State, "never told as received before it is")
	})
}

func TestVerifyFindsAndLocatesChanges(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.upload(photoOf(t, 20_000))
		film := s.uploadVideo(mp4Of("isom", 900_000)) // four segments
		rep, err := s.Verify(s.ctx())
		require.NoError(t, err)
		require.Equal(t, 2, rep.Files)
		require.Empty(t, rep.Faults)

		path := filepath.Join(s.dir, "blobs", film.AgencyID, film.ID)
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		raw[len(raw)/2] ^= 4
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		rep, err = s.Verify(s.ctx())
		require.NoError(t, err)
		require.Equal(t, []evidence.Fault{{MediaID: film.ID, Segment: 1, What: "changed"}}, rep.Faults)

		require.NoError(t, os.Remove(path))
		rep, err = s.Verify(s.ctx())
		require.NoError(t, err)
		require.Equal(t, -1, rep.Faults[0].Segment)
	})
}

func TestSnapshotBearerDiesWithTheLogin(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := jpegOf(t, 40, 30)
		u, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, nil, int64(len(data)))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, s.create(u).status)
		require.NoError(t, s.identity.SignOut(s.ctx(), s.dispatcher))
		require.Equal(t, string(problem.BearerInvalid), s.patch(u, 0, data).reason)
	})
}

func TestLiveViewings(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		v, err := s.View(s.ctx(), s.dispatcher, s.session, evidence.Look{}, identity.BearerLife)
		require.NoError(t, err)
		require.Empty(t, v.MediaID)
		dbtest.ClockOf(s.db).Advance(4 * time.Minute)
		longer, err := s.ExtendViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife)
		require.NoError(t, err)
		require.True(t, longer.ExpiresAt.After(v.ExpiresAt))
		_, err = s.ExtendViewing(s.ctx(), s.supervisor, v.ID, identity.BearerLife)
		requireProblem(t, err, problem.GrantInvalid)
		require.NoError(t, s.KeepViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife))
		dbtest.ClockOf(s.db).Advance(3 * time.Minute)
		require.NoError(t, s.KeepViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife), "half over, prolonged")
		dbtest.ClockOf(s.db).Advance(4 * time.Minute)
		require.NoError(t, s.CloseExpired(s.ctx()))
		require.NoError(t, s.KeepViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife), "still watched, not closed")
		requireProblem(t, s.KeepViewing(s.ctx(), s.supervisor, v.ID, identity.BearerLife), problem.GrantInvalid)
		require.NoError(t, s.CloseViewing(s.ctx(), v.ID))
		requireProblem(t, s.KeepViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife), problem.GrantInvalid)
		_, err = s.ExtendViewing(s.ctx(), s.dispatcher, v.ID, identity.BearerLife)
		requireProblem(t, err, problem.GrantInvalid)
		_, err = s.View(s.ctx(), policy.SystemActor(), s.session, evidence.Look{}, time.Minute)
		requireProblem(t, err, problem.Forbidden)
	})
}

func TestBrokenConnectionLosesNothingThatArrived(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 900_000)
		u := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(u).status)
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.server.URL, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "PATCH %s%s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nAuthorization: Bearer %s\r\nUpload-Offset: 0\r\n"+
			"Content-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n", evidence.FilesPath, u.File.ID, u.Token, len(data))
		require.NoError(t, err)
		_, err = conn.Write(data[:300_000])
		require.NoError(t, err)
		// Only then is the line cut and asked about: a question interrupts a request,
		// and what that had not read yet never arrived.
		sealed := filepath.Join(s.dir, "blobs", u.File.AgencyID, u.File.ID)
		require.Eventually(t, func() bool {
			kept, err := os.Stat(sealed)
			return err == nil && kept.Size() >= evidence.MinChunk
		}, time.Minute, 20*time.Millisecond)
		require.NoError(t, conn.Close())
		at := s.send(http.MethodHead, evidence.FilesPath+u.File.ID, u.Token, nil, nil).offset
		require.Positive(t, at)
		require.LessOrEqual(t, at, int64(300_000))
		require.EqualValues(t, len(data), s.patch(u, at, data[at:]).offset)
		require.Equal(t, data, s.original(s.row(u.File.ID)))
	})
}
