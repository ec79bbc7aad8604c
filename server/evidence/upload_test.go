package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func requireProblem(t *testing.T, err error, reason problem.Reason) {
	t.Helper()
	require.Error(t, err)
	require.True(t, problem.Is(err, reason), "want %s, got %v", reason, err)
}

func TestUpload(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		t.Run("a whole photo is complete, due, wrapped, counted, journaled and binds the phone", func(t *testing.T) {
			data := photoOf(t, 700_000)
			m := s.upload(data)
			require.Equal(t, evidence.Complete, m.State)
			require.Equal(t, evidence.KindPhoto, m.Kind)
			require.Equal(t, "image/jpeg", m.ContentType)
			sum := sha256.Sum256(data)
			require.Equal(t, hex.EncodeToString(sum[:]), m.SHA256Hex())
			require.EqualValues(t, len(data), m.Size)
			require.Equal(t, 64, m.Width)
			require.Equal(t, evidence.PreviewPending, m.Preview)
			require.True(t, m.AcquiredAt.Equal(dbtest.Start))
			require.Equal(t, "2026-12-01", m.DueDay)
			require.True(t, m.DueAt.Equal(time.Date(2026, 11, 30, 15, 0, 0, 0, time.UTC)))
			require.Equal(t, data, s.original(m))
			name, err := s.Name(m)
			require.NoError(t, err)
			require.Equal(t, "IMG_1.jpg", name)

			open, err := s.keys.List("open/")
			require.NoError(t, err)
			require.Empty(t, open, "the open key is destroyed")
			session, err := s.cases.Session(s.ctx(), s.agency.ID, s.session.ID)
			require.NoError(t, err)
			require.Equal(t, cases.Connected, session.State)
			require.Equal(t, 1, session.PhotosNow)
			phone, err := s.cases.Phone(s.ctx(), s.agency.ID, s.phone.ID)
			require.NoError(t, err)
			require.Equal(t, cases.Bound, phone.State)
			require.Len(t, s.entries(journal.MediaReceived), 1)
			require.Len(t, s.entries(journal.UploadBegun), 1)
		})
		t.Run("resumed from the offset that HEAD tells", func(t *testing.T) {
			data := photoOf(t, 900_000)
			u := s.begin(len(data))
			require.Equal(t, http.StatusCreated, s.create(u).status)
			require.EqualValues(t, 300_000, s.patch(u, 0, data[:300_000]).offset)
			a := s.patch(u, 200_000, data[200_000:])
			require.Equal(t, http.StatusConflict, a.status)
			require.Equal(t, string(problem.Conflict), a.reason)
			head := s.send(http.MethodHead, evidence.FilesPath+u.File.ID, u.Token, nil, nil)
			require.EqualValues(t, 300_000, head.offset)
			again, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Resume: u.File.ID, Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: u.File.DeclaredSize})
			require.NoError(t, err)
			require.EqualValues(t, len(data), s.patch(again, 300_000, data[300_000:]).offset)
			require.Equal(t, data, s.original(s.row(u.File.ID)))
			head = s.send(http.MethodHead, evidence.FilesPath+u.File.ID, u.Token, nil, nil)
			require.EqualValues(t, len(data), head.offset, "a lost last answer is found out by HEAD")
		})
		t.Run("names that lie, turn or are too long are kept harmless and nowhere in the clear", func(t *testing.T) {
			u, err := s.Begin(s.ctx(), s.phone, evidence.BeginUpload{
				Kind: evidence.KindPhoto, Capture: evidence.CaptureBefore, Size: 10, Name: "../canary\r\n\u202egpj.exe" + strings.Repeat("長", 5000),
			})
			require.NoError(t, err)
			name, err := s.Name(u.File)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(name, ".._canarygpj.exe長"), name)
			require.Len(t, []rune(name), evidence.MaxName)
			require.NotContains(t, string(u.File.NameSealed), "canary")
			requireNowhere(t, s.dir, []byte("canary"))
		})
	})
}

func TestUploadRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 100_000)
		begin := func(in evidence.BeginUpload) error {
			_, err := s.Begin(s.ctx(), s.phone, in)
			return err
		}
		photo := evidence.BeginUpload{Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: 10}
		t.Run("bad announcements", func(t *testing.T) {
			for reason, change := range map[problem.Reason]func(*evidence.BeginUpload){
				problem.TooLarge: func(in *evidence.BeginUpload) { in.Size = evidence.MaxFile + 1 },
				problem.BadInput: func(in *evidence.BeginUpload) { in.Size = 0 },
				problem.NotFound: func(in *evidence.BeginUpload) { in.Resume = "no id'; DROP TABLE" },
			} {
				in := photo
				change(&in)
				requireProblem(t, begin(in), reason)
			}
			for _, in := range []evidence.BeginUpload{{Kind: evidence.KindRecording, Capture: evidence.CaptureNow, Size: 1}, {Kind: evidence.KindPhoto, Capture: "LATER", Size: 1}} {
				requireProblem(t, begin(in), problem.BadInput)
			}
			_, err := s.Begin(s.ctx(), s.dispatcher, photo)
			requireProblem(t, err, problem.Forbidden)
			require.Len(t, s.entries(journal.UploadRefused), 5, "a known phone's refusals are journaled")
		})
		t.Run("more than the session may send", func(t *testing.T) {
			_, phone := s.join(s.newSession())
			for range 2 {
				in := photo
				in.Size = evidence.MaxFile
				_, err := s.Begin(s.ctx(), phone, in)
				require.NoError(t, err)
			}
			in := photo
			in.Size = identity.MaxSessionMegabytes<<20 - 2*evidence.MaxFile + 1
			_, err := s.Begin(s.ctx(), phone, in)
			requireProblem(t, err, problem.QuotaFull)
			in.Size--
			_, err = s.Begin(s.ctx(), phone, in)
			require.NoError(t, err)
		})
		t.Run("more than the agency lets a session send", func(t *testing.T) {
			set := func(megabytes, files int) {
				to := identity.DefaultSettings
				to.SessionMegabytes, to.SessionFiles = megabytes, files
				require.NoError(t, s.identity.SetSettings(s.ctx(), policy.SystemActor(), s.dispatcher.Agency, to))
			}
			defer set(identity.MaxSessionMegabytes, identity.MaxSessionFiles)
			_, phone := s.join(s.newSession())
			send := func(size int64) error {
				in := photo
				in.Size = size
				_, err := s.Begin(s.ctx(), phone, in)
				return err
			}
			set(1, 2)
			requireProblem(t, send(1<<20+1), problem.QuotaFull)
			require.NoError(t, send(1))
			require.NoError(t, send(1))
			requireProblem(t, send(1), problem.QuotaFull)
			set(1, 3)
			require.NoError(t, send(1))
		})
		t.Run("no bearer, a wrong one, another file's, an old one", func(t *testing.T) {
			u, other := s.begin(len(data)), s.begin(len(data))
			length := map[string]string{"Upload-Length": "100000"}
			for _, token := range []string{"", "x.y", u.Token + "x"} {
				a := s.send(http.MethodPost, evidence.FilesPath, token, length, nil)
				require.Equal(t, http.StatusUnauthorized, a.status)
				require.Equal(t, string(problem.BearerInvalid), a.reason)
			}
			require.Equal(t, http.StatusCreated, s.create(u).status)
			a := s.send(http.MethodPatch, evidence.FilesPath+u.File.ID, other.Token, patchHeader(0), data)
			require.Equal(t, string(problem.BearerInvalid), a.reason)
			dbtest.ClockOf(s.db).Advance(6 * time.Minute)
			require.Equal(t, string(problem.BearerInvalid), s.patch(u, 0, data).reason)
		})
		t.Run("another length than declared", func(t *testing.T) {
			u := s.begin(len(data))
			for _, header := range []map[string]string{{"Upload-Length": "5"}, {"Upload-Length": "100001"}} {
				a := s.send(http.MethodPost, evidence.FilesPath, u.Token, header, nil)
				require.Equal(t, http.StatusConflict, a.status, a.reason)
				require.Equal(t, string(problem.SizeMismatch), a.reason)
			}
			a := s.send(http.MethodPost, evidence.FilesPath, u.Token, map[string]string{"Upload-Defer-Length": "1"}, nil)
			require.GreaterOrEqual(t, a.status, 400)
		})
		t.Run("other methods, overrides, downloads, concatenation", func(t *testing.T) {
			u := s.begin(len(data))
			require.Equal(t, http.StatusCreated, s.create(u).status)
			for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut, http.MethodOptions} {
				a := s.send(method, evidence.FilesPath+u.File.ID, u.Token, nil, nil)
				require.Equal(t, string(problem.MethodNotAllowed), a.reason, method)
				require.Empty(t, a.header.Get("Access-Control-Allow-Origin"))
			}
			a := s.send(http.MethodPost, evidence.FilesPath, u.Token, map[string]string{"X-HTTP-Method-Override": "DELETE", "Upload-Length": "100000"}, nil)
			require.Equal(t, http.StatusCreated, a.status)
			a = s.send(http.MethodPost, evidence.FilesPath, u.Token, map[string]string{"Upload-Concat": "final;/files/x"}, nil)
			require.GreaterOrEqual(t, a.status, 400)
			require.False(t, s.gone(u.File.ID))
		})
		t.Run("ten thousand pieces of one byte cost nothing", func(t *testing.T) {
			u := s.begin(len(data))
			require.Equal(t, http.StatusCreated, s.create(u).status)
			for range 500 {
				require.Equal(t, string(problem.ChunkTooSmall), s.patch(u, 0, data[:1]).reason)
			}
			require.EqualValues(t, len(data), s.patch(u, 0, data).offset)
			require.Equal(t, 1, s.row(u.File.ID).Segments)
		})
		t.Run("a full disk", func(t *testing.T) {
			u := s.begin(len(data))
			require.Equal(t, http.StatusCreated, s.create(u).status)
			s.setUsed(0.96)
			requireProblem(t, begin(photo), problem.DiskFull)
			a := s.patch(u, 0, data)
			require.Equal(t, http.StatusInsufficientStorage, a.status)
			require.Equal(t, string(problem.DiskFull), a.reason)
			s.setUsed(0.5)
			require.EqualValues(t, len(data), s.patch(u, 0, data).offset, "goes on when there is room")
		})
		t.Run("what is no photo or video, by its bytes", func(t *testing.T) {
			for name, content := range map[string]string{
				"svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "html": "<!DOCTYPE html><script>alert(1)</script>",
				"pdf": "%PDF-1.7\n", "gif": "GIF89a\x01\x00\x01\x00", "tiff": "II*\x00\x08\x00\x00\x00", "text": "hello", "zip": "PK\x03\x04",
			} {
				raw := append([]byte(content), bytes.Repeat([]byte{' '}, 30_000)...)
				u := s.begin(len(raw))
				require.Equal(t, http.StatusCreated, s.create(u).status)
				a := s.patch(u, 0, raw[:20_000])
				require.Equal(t, http.StatusUnsupportedMediaType, a.status, name)
				require.Equal(t, string(problem.UnsupportedType), a.reason, name)
				require.True(t, s.gone(u.File.ID), "nothing of it stays")
				require.Equal(t, http.StatusNotFound, s.patch(u, 0, raw).status)
			}
			names := 0
			for name, err := range s.store.Names() {
				require.NoError(t, err)
				require.NotContains(t, name, "svg")
				names++
			}
			rows := int64(0)
			require.NoError(t, s.db.Read(s.ctx()).Model(&evidence.MediaFile{}).Where("size > 0 OR state = 'RECEIVING'").Count(&rows).Error)
			require.LessOrEqual(t, int64(names), rows)
		})
		t.Run("broken pictures", func(t *testing.T) {
			raw := append([]byte("\xff\xd8\xff\xe0"), bytes.Repeat([]byte{0}, 20_000)...)
			u := s.begin(len(raw))
			require.Equal(t, http.StatusCreated, s.create(u).status)
			require.Equal(t, string(problem.FileBroken), s.patch(u, 0, raw).reason)
			require.True(t, s.gone(u.File.ID))
		})
		t.Run("another phone's upload", func(t *testing.T) {
			u := s.begin(10)
			_, phone := s.join(s.newSession())
			_, err := s.Begin(s.ctx(), phone, evidence.BeginUpload{Resume: u.File.ID, Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: 10})
			requireProblem(t, err, problem.NotFound)
		})
	})
}

func TestSessionEnd(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.upload(photoOf(t, 20_000)) // binds the phone
		data := photoOf(t, 500_000)
		part := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(part).status)
		require.EqualValues(t, 300_000, s.patch(part, 0, data[:300_000]).offset)
		empty := s.begin(100)
		require.Equal(t, http.StatusCreated, s.create(empty).status)
		announced := s.begin(100)
		arriving, err := s.Arriving(s.ctx(), s.agency.ID, []string{s.session.ID})
		require.NoError(t, err)
		require.Equal(t, 3, arriving[s.session.ID])

		s.end()

		m := s.row(part.File.ID)
		require.Equal(t, evidence.Incomplete, m.State)
		require.Equal(t, evidence.ReasonSessionEnded, m.Reason)
		require.EqualValues(t, 300_000, m.Size)
		require.Equal(t, "image/jpeg", m.ContentType)
		require.Equal(t, "2026-12-01", m.DueDay)
		require.Equal(t, data[:300_000], s.original(m))
		require.True(t, s.gone(empty.File.ID))
		require.True(t, s.gone(announced.File.ID))
		open, err := s.keys.List("open/")
		require.NoError(t, err)
		require.Empty(t, open)
		session, err := s.cases.Session(s.ctx(), s.agency.ID, s.session.ID)
		require.NoError(t, err)
		require.Equal(t, 1, session.Incomplete)

		a := s.patch(part, 300_000, data[300_000:])
		require.Equal(t, http.StatusGone, a.status)
		require.Equal(t, string(problem.SessionEnded), a.reason)
		_, err = s.Begin(s.ctx(), s.phone, evidence.BeginUpload{Kind: evidence.KindPhoto, Capture: evidence.CaptureNow, Size: 1})
		requireProblem(t, err, problem.SessionEnded)
		require.NoError(t, s.OnSessionEnded(s.ctx(), s.session.ID), "may be repeated")
	})
}

func TestSecondPhone(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		session, secret := s.newSession()
		_, first := s.join(session, secret)
		_, second := s.join(session, secret)
		data := photoOf(t, 20_000)
		s.phone = second
		late := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(late).status)
		s.phone = first
		s.upload(data)
		a := s.patch(late, 0, data)
		require.Equal(t, string(problem.PhoneWaiting), a.reason, "the first phone that sent is bound")
		require.Equal(t, evidence.Receiving, s.row(late.File.ID).State)

		_, err := s.cases.Admit(s.ctx(), s.dispatcher, second.ID, true)
		require.NoError(t, err)
		require.NoError(t, s.Tend(s.ctx()))
		require.Equal(t, evidence.Complete, s.row(late.File.ID).State, "nothing is lost by waiting")
	})
}

func TestRefusedPhone(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		session, secret := s.newSession()
		_, first := s.join(session, secret)
		_, second := s.join(session, secret)
		data := photoOf(t, 100_000)
		s.phone = second
		u := s.begin(len(data))
		require.Equal(t, http.StatusCreated, s.create(u).status)
		require.EqualValues(t, 50_000, s.patch(u, 0, data[:50_000]).offset)
		s.phone = first
		s.upload(data)
		_, err := s.cases.Admit(s.ctx(), s.dispatcher, second.ID, false)
		require.NoError(t, err)
		require.Equal(t, string(problem.PhoneRefused), s.patch(u, 50_000, data[50_000:]).reason)
		_, err = s.cases.End(s.ctx(), s.dispatcher, session.ID, cases.Done)
		require.NoError(t, err)
		require.Equal(t, evidence.Incomplete, s.row(u.File.ID).State, "what came stays like the rest")
	})
}

func TestFiftyUploadsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		data := photoOf(t, 300_000)
		var wg sync.WaitGroup
		for range 50 {
			u := s.begin(len(data))
			wg.Go(func() {
				if a := s.create(u); a.status != http.StatusCreated {
					t.Errorf("create: %d %s", a.status, a.reason)
				}
				if a := s.patch(u, 0, data); a.offset != int64(len(data)) {
					t.Errorf("patch: %d %s", a.status, a.reason)
				}
			})
		}
		wg.Wait()
		var n int64
		require.NoError(t, s.db.Read(s.ctx()).Model(&evidence.MediaFile{}).Where("state = ?", evidence.Complete).Count(&n).Error)
		require.EqualValues(t, 50, n)
		session, err := s.cases.Session(s.ctx(), s.agency.ID, s.session.ID)
		require.NoError(t, err)
		require.Equal(t, 50, session.PhotosNow)
	})
}

func TestSnapshot(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		source := s.upload(photoOf(t, 20_000))
		dbtest.ClockOf(s.db).Advance(3 * 24 * time.Hour)
		var err error
		_, s.dispatcher, err = s.identity.SignIn(s.ctx(), "fukushima", "sato", password) // the next shift
		require.NoError(t, err)
		data := jpegOf(t, 40, 30)
		u, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, []string{source.ID}, int64(len(data)))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, s.create(u).status)
		require.EqualValues(t, len(data), s.patch(u, 0, data).offset)
		m := s.row(u.File.ID)
		require.Equal(t, evidence.KindSnapshot, m.Kind)
		require.Equal(t, policy.User, m.UploaderKind)
		require.Equal(t, source.DueDay, m.DueDay, "due with its source")
		require.True(t, m.DueAt.Equal(*source.DueAt))

		stranger := s.dispatcher
		stranger.Agency = "0198b6e2-0000-7000-8000-000000000000"
		_, err = s.BeginSnapshot(s.ctx(), stranger, s.session.ID, nil, 10)
		requireProblem(t, err, problem.NotFound)
		_, err = s.BeginSnapshot(s.ctx(), stranger, s.session.ID, []string{source.ID}, 10)
		requireProblem(t, err, problem.NotFound)
	})
}

func TestSnapshotOfLiveVideo(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		clock := dbtest.ClockOf(s.db)
		s.upload(photoOf(t, 20_000))
		r, err := s.Record(s.ctx(), s.phone, s.session.ID, "video/mp4")
		require.NoError(t, err)
		data := jpegOf(t, 40, 30)
		t.Run("is made from the recording under way", func(t *testing.T) {
			u, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, nil, int64(len(data)))
			require.NoError(t, err)
			require.Equal(t, []string{r.ID()}, s.row(u.File.ID).SourceIDs)
			require.Equal(t, http.StatusCreated, s.create(u).status)
			require.EqualValues(t, len(data), s.patch(u, 0, data).offset)
		})
		require.NoError(t, r.Append(initFragment(clock.Now())))
		require.NoError(t, r.Append(fragment(0, clock.Now())))
		require.NoError(t, r.Close())
		s.end()
		t.Run("a still of a session that is over names its source", func(t *testing.T) {
			_, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, nil, int64(len(data)))
			requireProblem(t, err, problem.BadInput)
		})
		t.Run("one that never came whole is forgotten, and holds nothing back from its due time", func(t *testing.T) {
			u, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, []string{r.ID()}, 2*evidence.MinChunk)
			require.NoError(t, err)
			never, err := s.BeginSnapshot(s.ctx(), s.dispatcher, s.session.ID, []string{r.ID()}, 10)
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, s.create(u).status)
			part := append(jpegOf(t, 40, 30), make([]byte, evidence.MinChunk)...)[:evidence.MinChunk]
			require.EqualValues(t, len(part), s.patch(u, 0, part).offset)
			clock.Advance(9 * time.Minute)
			require.NoError(t, s.Tend(s.ctx()))
			require.False(t, s.gone(u.File.ID))
			clock.Advance(time.Minute)
			require.NoError(t, s.Tend(s.ctx()))
			for _, id := range []string{u.File.ID, never.File.ID} {
				require.True(t, s.gone(id))
				_, err := s.Keys.Get("open/" + id)
				require.ErrorIs(t, err, blob.ErrNoKey)
			}
		})
	})
}
