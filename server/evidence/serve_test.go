package evidence_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func (s *scene) open(m *evidence.MediaFile) *evidence.Opened {
	s.t.Helper()
	o, err := s.Open(s.ctx(), s.dispatcher, m.ID, evidence.Look{})
	require.NoError(s.t, err)
	return o
}

func (s *scene) media(id, grant, byteRange string) answer {
	s.t.Helper()
	header := map[string]string{}
	if byteRange != "" {
		header["Range"] = byteRange
	}
	return s.send(http.MethodGet, evidence.MediaPath+id+"?grant="+grant, "", header, nil)
}

func (s *scene) uploadVideo(data []byte) *evidence.MediaFile {
	s.t.Helper()
	u, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Kind: evidence.KindVideo, Capture: evidence.CaptureBefore, Size: int64(len(data))})
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusCreated, s.create(u).status)
	require.EqualValues(s.t, len(data), s.patch(u, 0, data).offset)
	return s.row(u.File.ID)
}

func TestShow(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		photo := s.upload(photoOf(t, 50_000))
		_, err := s.Open(s.ctx(), s.dispatcher, photo.ID, evidence.Look{})
		requireProblem(t, err, problem.Unavailable)
		require.NoError(t, s.MakePreviews(s.ctx()))
		require.Equal(t, evidence.PreviewReady, s.row(photo.ID).Preview)
		require.Len(t, s.entries(journal.PreviewMade), 1)

		t.Run("a photo is shown re-encoded, inert, under our own name", func(t *testing.T) {
			o := s.open(photo)
			require.Equal(t, "image/jpeg", o.ContentType)
			require.Len(t, s.entries(journal.ViewingOpened), 1, "journaled before the first byte")
			a := s.media(photo.ID, o.Grant, "")
			require.Equal(t, http.StatusOK, a.status, a.reason)
			require.NotContains(t, string(a.body), "trailing evidence")
			_, err := jpeg.Decode(bytes.NewReader(a.body))
			require.NoError(t, err)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
				"Content-Type": "image/jpeg", "Content-Disposition": fmt.Sprintf("inline; filename=%q", photo.ID+".jpg"),
			} {
				require.Equal(t, want, a.header.Get(name), name)
			}
			require.Contains(t, a.header.Get("Content-Security-Policy"), "sandbox")
		})
		video := s.uploadVideo(mp4Of("isom", 700_000))
		whole := mp4Of("isom", 700_000)
		t.Run("a checked video is served in ranges, which the viewing sums up", func(t *testing.T) {
			require.Equal(t, evidence.KindVideo, video.Kind)
			o := s.open(video)
			a := s.media(video.ID, o.Grant, "bytes=100-399999")
			require.Equal(t, http.StatusPartialContent, a.status)
			require.Equal(t, whole[100:400_000], a.body)
			a = s.media(video.ID, o.Grant, "bytes=-10")
			require.Equal(t, whole[len(whole)-10:], a.body)
			require.Equal(t, http.StatusRequestedRangeNotSatisfiable, s.send(http.MethodGet, evidence.MediaPath+video.ID+"?grant="+o.Grant, "", map[string]string{"Range": "bytes=9999999-"}, nil).status)
			require.NoError(t, s.CloseViewing(s.ctx(), o.Viewing.ID))
			require.NoError(t, s.CloseViewing(s.ctx(), o.Viewing.ID), "closing twice changes nothing")
			closed := s.entries(journal.ViewingClosed)
			require.Len(t, closed, 1)
			var summary struct{ Bytes, Requests int64 }
			require.NoError(t, json.Unmarshal(closed[0].Payload, &summary))
			require.EqualValues(t, 3, summary.Requests)
			require.EqualValues(t, 399_900+10, summary.Bytes)
			require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, o.Grant, "").reason)
			list, err := s.Viewings(s.ctx(), s.agency.ID, s.session.ID, nil, 10)
			require.NoError(t, err)
			require.Len(t, list, 2)
		})
		t.Run("no grant, another file's, a wrong method", func(t *testing.T) {
			o := s.open(video)
			for _, grant := range []string{"", "x", o.Grant + "x"} {
				a := s.media(video.ID, grant, "")
				require.Equal(t, string(problem.GrantInvalid), a.reason)
				require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
			}
			require.Equal(t, string(problem.GrantInvalid), s.media(photo.ID, o.Grant, "").reason)
			upload := s.begin(5)
			require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, upload.Token, "").reason, "a bearer for another use")
			a := s.send(http.MethodPost, evidence.MediaPath+video.ID+"?grant="+o.Grant, "", nil, nil)
			require.Equal(t, string(problem.MethodNotAllowed), a.reason)
		})
		t.Run("what cannot be decoded is kept and said to have no preview", func(t *testing.T) {
			heic := append(ftyp("heic"), box("meta", make([]byte, 2000))...)
			m := s.upload(heic)
			require.Equal(t, evidence.PreviewImpossible, m.Preview)
			_, err := s.Open(s.ctx(), s.dispatcher, m.ID, evidence.Look{})
			requireProblem(t, err, problem.NoPreview)
			require.Equal(t, heic, s.original(m))
		})
		t.Run("another agency's is not found", func(t *testing.T) {
			stranger := s.dispatcher
			stranger.Agency = identity.NewID()
			_, err := s.Open(s.ctx(), stranger, photo.ID, evidence.Look{})
			requireProblem(t, err, problem.NotFound)
			_, err = s.Open(s.ctx(), s.dispatcher, identity.NewID(), evidence.Look{})
			requireProblem(t, err, problem.NotFound)
			_, err = s.Open(s.ctx(), s.dispatcher, "' OR 1=1", evidence.Look{})
			requireProblem(t, err, problem.NotFound)
			_, err = s.Open(s.ctx(), s.phone, photo.ID, evidence.Look{})
			requireProblem(t, err, problem.Forbidden)
			_, err = s.Open(s.ctx(), s.dispatcher, photo.ID, evidence.Look{Purpose: "CURIOSITY"})
			requireProblem(t, err, problem.BadInput)
		})
		t.Run("a grant ends with its time", func(t *testing.T) {
			o := s.open(video)
			dbtest.ClockOf(s.db).Advance(identity.GrantLife)
			require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, o.Grant, "").reason)
			before := len(s.entries(journal.ViewingClosed))
			require.NoError(t, s.CloseExpired(s.ctx()))
			require.Greater(t, len(s.entries(journal.ViewingClosed)), before)
		})
		t.Run("a grant ends with its login", func(t *testing.T) {
			o := s.open(video)
			require.Equal(t, http.StatusOK, s.media(video.ID, o.Grant, "").status)
			require.NoError(t, s.LoginRevoked(s.ctx(), s.dispatcher.Login))
			require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, o.Grant, "").reason)

			o, err := s.Open(s.ctx(), s.supervisor, video.ID, evidence.Look{})
			require.NoError(t, err)
			require.NoError(t, s.identity.SignOut(s.ctx(), s.supervisor))
			require.Equal(t, string(problem.GrantInvalid), s.media(video.ID, o.Grant, "").reason, "signed out")
		})
	})
}

func TestMisdirectedIsHidden(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		video := s.uploadVideo(mp4Of("isom", 1000))
		o := s.open(video)
		_, err := s.cases.End(s.ctx(), s.dispatcher, s.session.ID, cases.Misdirected)
		require.NoError(t, err)
		require.Equal(t, string(problem.Misdirected), s.media(video.ID, o.Grant, "").reason, "under a grant given before, too")
		_, err = s.Open(s.ctx(), s.dispatcher, video.ID, evidence.Look{})
		requireProblem(t, err, problem.Misdirected)
		_, err = s.Open(s.ctx(), s.supervisor, video.ID, evidence.Look{})
		require.NoError(t, err)
	})
}

func TestDamagedEvidenceIsNotShown(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		video := s.uploadVideo(mp4Of("isom", 1000))
		o := s.open(video)
		require.NoError(t, s.db.Read(s.ctx()).Model(video).Update("chain", bytes.Repeat([]byte{1}, 32)).Error)
		a := s.media(video.ID, o.Grant, "")
		require.Equal(t, http.StatusInternalServerError, a.status)
	})
}

func fragment(n int, wall time.Time) evidence.Fragment {
	return evidence.Fragment{
		Data: bytes.Repeat([]byte{byte('a' + n%26)}, 1000+n), Key: n%4 == 0, Gap: n == 3,
		Start: time.Duration(n) * 500 * time.Millisecond, Duration: 500 * time.Millisecond, Wall: wall,
	}
}

func initFragment(wall time.Time) evidence.Fragment {
	return evidence.Fragment{Data: []byte("INIT"), Init: true, Wall: wall}
}

func TestRecording(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		clock := dbtest.ClockOf(s.db)
		bind := s.upload(photoOf(t, 20_000))
		require.NotNil(t, bind)
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		require.NoError(t, r.Append(initFragment(clock.Now())))
		var pictures []byte
		for n := range 24 {
			clock.Advance(500 * time.Millisecond)
			f := fragment(n, clock.Now())
			if n == 5 {
				f.Data = bytes.Repeat([]byte("large"), 500_000) // more than one segment
			}
			require.NoError(t, r.Append(f))
			pictures = append(pictures, f.Data...)
		}
		t.Run("watched while it grows, places stay where they are", func(t *testing.T) {
			m := s.row(r.ID())
			require.Equal(t, evidence.Receiving, m.State)
			o := s.open(m)
			want := append([]byte("head of video/mp4: INIT, 24 fragments|"), pictures...)
			require.Equal(t, want, s.media(m.ID, o.Grant, "").body)
			f := fragment(24, clock.Now())
			require.NoError(t, r.Append(f))
			a := s.media(m.ID, o.Grant, "bytes=10-2000000")
			require.Equal(t, want[10:2_000_001], a.body)
			pictures = append(pictures, f.Data...)
			require.NoError(t, r.Close())
			require.Equal(t, want, s.media(m.ID, o.Grant, "").body, "sealed under the viewer's eyes")
		})
		t.Run("sealed with its head, duration, gaps and due time", func(t *testing.T) {
			require.NoError(t, r.Close(), "closing twice changes nothing")
			require.Error(t, r.Append(fragment(0, clock.Now())))
			m := s.row(r.ID())
			require.Equal(t, evidence.Complete, m.State)
			require.EqualValues(t, 12_500, m.DurationMs)
			require.Equal(t, 1, m.Gaps)
			require.True(t, m.AcquiredAt.Equal(clock.Now()))
			require.NotEmpty(t, m.DueDay)
			require.EqualValues(t, 4+len(pictures), m.Size)
			o := s.open(m)
			require.Equal(t, append([]byte("head of video/mp4: INIT, 25 fragments|"), pictures...), s.media(m.ID, o.Grant, "").body)
			require.Len(t, s.entries(journal.RecordingSealed), 1)
			require.NotEmpty(t, s.entries(journal.RecordingProgress), "the chain head is journaled every ten seconds")
			session, err := s.cases.Session(s.ctx(), s.agency.ID, s.session.ID)
			require.NoError(t, err)
			require.Equal(t, 1, session.Recordings)
		})
	})
}

func TestServedWhileItIsSealed(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		require.NoError(t, r.Append(initFragment(s.db.Clock.Now())))
		require.NoError(t, r.Append(fragment(0, s.db.Clock.Now())))
		m := s.row(r.ID())
		o := s.open(m)
		sealed := make(chan error, 1)
		go func() { sealed <- r.Close() }()
		for last := false; !last; {
			select {
			case err := <-sealed:
				require.NoError(t, err)
				last = true
			default:
			}
			require.Equal(t, http.StatusOK, s.media(m.ID, o.Grant, "").status)
		}
	})
}

func TestRecordingStops(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		now := s.db.Clock.Now()
		t.Run("on a full disk it is sealed as incomplete, with the reason", func(t *testing.T) {
			r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/webm")
			require.NoError(t, err)
			require.NoError(t, r.Append(initFragment(now)))
			require.NoError(t, r.Append(fragment(1, now)))
			s.setUsed(0.99)
			requireProblem(t, r.Append(fragment(2, now)), problem.DiskFull)
			_, err = s.Record(s.ctx(), s.phone, s.session.ID, "video/webm")
			requireProblem(t, err, problem.DiskFull)
			s.setUsed(0)
			requireProblem(t, r.Append(fragment(3, now)), problem.DiskFull)
			require.NoError(t, r.Close())
			m := s.row(r.ID())
			require.Equal(t, evidence.Incomplete, m.State)
			require.Equal(t, "DISK_FULL", m.Reason)
			require.NotNil(t, m.DueAt)
			again, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/webm")
			require.NoError(t, err, "a new part begins when there is room")
			require.NoError(t, again.Close())
			require.True(t, s.gone(again.ID()), "one without pictures leaves nothing")
		})
		t.Run("before it began nothing is left, in the end", func(t *testing.T) {
			folder := filepath.Join(s.dir, "blobs", s.agency.ID)
			require.NoError(t, os.Rename(folder, folder+".away"))
			require.NoError(t, os.WriteFile(folder, nil, 0o600), "neither made nor removed is what would lie in it")
			begun := len(s.entries(journal.RecordingStarted))
			_, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
			require.Error(t, err)
			all := s.entries(journal.RecordingStarted)
			require.Len(t, all, begun+1)
			id := all[begun].SubjectID
			require.Equal(t, evidence.Receiving, s.row(id).State)
			require.Error(t, s.Tend(s.ctx()))
			require.NoError(t, os.Remove(folder))
			require.NoError(t, os.Rename(folder+".away", folder))
			require.NoError(t, s.Tend(s.ctx()))
			require.True(t, s.gone(id))
			require.NoFileExists(t, filepath.Join(s.dir, "keys", "open", id+".key"))
		})
		t.Run("other types and sessions that are over are refused", func(t *testing.T) {
			_, err := s.Record(s.ctx(), s.phone, s.session.ID, "text/html")
			requireProblem(t, err, problem.UnsupportedType)
			s.end()
			_, err = s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
			requireProblem(t, err, problem.SessionEnded)
		})
	})
}

func TestRecoveryClosesRecordings(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		s := newScene(t, db)
		clock := dbtest.ClockOf(db)
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		require.NoError(t, r.Append(initFragment(clock.Now())))
		require.NoError(t, r.Append(fragment(0, clock.Now())))
		last := clock.Now()
		require.NoError(t, r.Abandon())

		clock.Advance(26 * time.Hour)
		next, err := build(s.dir, db)
		require.NoError(t, err)
		require.NoError(t, next.Recover(s.ctx()))
		require.NoError(t, next.Recover(s.ctx()), "may be repeated")
		m := s.row(r.ID())
		require.Equal(t, evidence.Complete, m.State)
		require.True(t, m.AcquiredAt.Equal(last), "acquired when its last synced fragment was")
		require.Equal(t, "2026-12-01", m.DueDay)
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		var ids []string
		for range 5 {
			ids = append(ids, s.upload(photoOf(t, 20_000)).ID)
			dbtest.ClockOf(s.db).Advance(time.Minute)
		}
		session := s.session.ID
		var got []string
		var after *evidence.Place
		for {
			page, err := s.List(s.ctx(), s.agency.ID, evidence.Filter{SessionID: &session}, evidence.AcquiredOldest, after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				got = append(got, m.ID)
			}
			place := evidence.AcquiredOldest.PlaceOf(page[len(page)-1])
			after = &place
		}
		require.Equal(t, ids, got)
		newest, err := s.List(s.ctx(), s.agency.ID, evidence.Filter{}, evidence.AcquiredNewest, nil, 1)
		require.NoError(t, err)
		require.Equal(t, ids[4], newest[0].ID)
		kind := evidence.KindVideo
		none, err := s.List(s.ctx(), s.agency.ID, evidence.Filter{Kind: &kind}, evidence.DueFirst, nil, 10)
		require.NoError(t, err)
		require.Empty(t, none)
		other, err := s.List(s.ctx(), identity.NewID(), evidence.Filter{}, evidence.DueFirst, nil, 10)
		require.NoError(t, err)
		require.Empty(t, other)
		own, err := s.Own(s.ctx(), s.phone)
		require.NoError(t, err)
		require.Len(t, own, 5)
		received, err := s.Received(s.ctx(), session)
		require.NoError(t, err)
		require.EqualValues(t, 100_000, received)
		byID, err := s.FilesByID(s.ctx(), s.agency.ID, ids[:2])
		require.NoError(t, err)
		require.Len(t, byID, 2)
	})
}
