package evidence_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database/dbtest"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func (s *scene) ask(permitted policy.Actor, files ...*evidence.MediaFile) evidence.NewExport {
	in := evidence.NewExport{
		CaseID: s.session.CaseID, Ground: evidence.GroundDisclosure, Law: "刑事訴訟法", Document: "福検第12号", Medium: "USB-0042", PermittedID: permitted.ID,
	}
	for _, f := range files {
		in.FileIDs = append(in.FileIDs, f.ID)
	}
	return in
}

// approval is confirmed with the password of somebody without a passkey.
var approval = evidence.Decision{Approve: true, Confirmation: identity.Confirmation{Password: password}}

// approved is a request for the files that the manager has approved.
func (s *scene) approved(manager, permitted policy.Actor, files ...*evidence.MediaFile) *evidence.ExportRequest {
	s.t.Helper()
	r, err := s.RequestExport(s.ctx(), s.dispatcher, s.ask(permitted, files...))
	require.NoError(s.t, err)
	r, err = s.DecideExport(s.ctx(), manager, r.ID, approval)
	require.NoError(s.t, err)
	return r
}

func (s *scene) archive(w *evidence.Writing) answer {
	s.t.Helper()
	return s.send(http.MethodGet, evidence.ExportPath+w.ID+"?grant="+w.Grant, "", nil, nil)
}

// unpack decrypts an archive and answers its files.
func unpack(t *testing.T, sealed []byte, passphrase string) map[string][]byte {
	t.Helper()
	plain, err := evidence.DecryptArchive(bytes.NewReader(sealed), passphrase, "")
	require.NoError(t, err)
	files := map[string][]byte{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		files[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func check(t *testing.T, sealed []byte, passphrase string) *evidence.ArchiveReport {
	t.Helper()
	plain, err := evidence.DecryptArchive(bytes.NewReader(sealed), passphrase, "")
	require.NoError(t, err)
	report, err := evidence.VerifyArchive(plain, nil)
	require.NoError(t, err)
	return report
}

// 第6の2, 第6の5: tracks and printed pictures leave inside an export alone, with
// the class of the information on each page.
func TestArchiveHoldsTracksAndPrints(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		photo, video := s.upload(jpegOf(t, 50, 40)), s.uploadVideo(mp4Of("isom", 1000))
		altitude := 84.5
		for i := range 3 {
			dbtest.ClockOf(s.db).Advance(time.Second)
			_, err := s.cases.ReportPosition(s.ctx(), s.phone, cases.Fix{Latitude: 37.75 + float64(i)/1000, Longitude: 140.4676, Accuracy: 8, Altitude: &altitude, CapturedAt: s.db.Now()})
			require.NoError(t, err)
		}
		r := s.approved(manager, s.dispatcher, photo, video)
		w, err := s.BeginWriting(s.ctx(), s.dispatcher, r.ID, "")
		require.NoError(t, err)
		a := s.archive(w)
		require.Equal(t, http.StatusOK, a.status, a.reason)
		report, files := check(t, a.body, w.Passphrase), unpack(t, a.body, w.Passphrase)
		require.Empty(t, report.Faults)
		require.Len(t, report.Manifest.Tracks, 1)
		track := report.Manifest.Tracks[0]
		require.Equal(t, 3, track.Points)
		require.Equal(t, s.session.ID, track.Session)
		var read struct {
			XMLName xml.Name `xml:"http://www.topografix.com/GPX/1/1 gpx"`
			Desc    string   `xml:"metadata>desc"`
			Points  []struct {
				Lat  float64   `xml:"lat,attr"`
				Lon  float64   `xml:"lon,attr"`
				Ele  float64   `xml:"ele"`
				Time time.Time `xml:"time"`
			} `xml:"trk>trkseg>trkpt"`
		}
		require.NoError(t, xml.Unmarshal(files[track.Path], &read))
		require.Len(t, read.Points, 3)
		require.InDelta(t, 37.75, read.Points[0].Lat, 1e-9)
		require.InDelta(t, 37.752, read.Points[2].Lat, 1e-9)
		require.InDelta(t, altitude, read.Points[2].Ele, 1e-9)
		require.Equal(t, 2*time.Second, read.Points[2].Time.Sub(read.Points[0].Time))

		prints := string(files["prints.html"])
		require.Equal(t, 1, strings.Count(prints, "<section>"), "a page a picture, and a video is none")
		require.Contains(t, prints, `src="`+report.Manifest.Files[0].Path+`"`)
		for _, mark := range evidence.Marks {
			require.Contains(t, read.Desc, mark)
			require.Equal(t, 1, strings.Count(prints, mark))
		}
		require.NotContains(t, prints, "<script")
	})
}

func TestExportFromRequestToDisposal(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		photo := withEXIF(t, jpegOf(t, 500, 400), 1, "2026:11:23 11:58:30", "+09:00", "DEVICE", 37, 140)
		video := mp4Of("isom", 400_000)
		first, second := s.upload(photo), s.uploadVideo(video)
		r := s.approved(manager, s.dispatcher, first, second)
		require.Equal(t, evidence.ExportIsApproved, r.State)
		require.Equal(t, evidence.AsManager, r.DecidedAs)

		w, err := s.BeginWriting(s.ctx(), s.dispatcher, r.ID, "")
		require.NoError(t, err)
		require.Len(t, w.Passphrase, 29)
		require.Len(t, s.entries(journal.ExportFileOpened), 2, "journaled before the first byte, file by file")
		a := s.archive(w)
		require.Equal(t, http.StatusOK, a.status, a.reason)
		require.NotContains(t, string(a.body), string(photo[:64]))
		require.Equal(t, http.StatusForbidden, s.archive(w).status, "one writing is one archive")

		files := unpack(t, a.body, strings.ToLower(w.Passphrase))
		report := check(t, a.body, w.Passphrase)
		require.Empty(t, report.Faults)
		require.Equal(t, 2, report.Files)
		require.Equal(t, 2, report.Witnessed, "the journal itself names the hash of each original")
		require.NotZero(t, report.Entries)
		require.Equal(t, photo, files[report.Manifest.Files[0].Path], "original bytes")
		require.Equal(t, video, files[report.Manifest.Files[1].Path])
		require.Equal(t, "DEVICE", report.Manifest.Files[0].Metadata.Model)
		require.NotNil(t, report.Manifest.Files[0].ClockDifferenceSeconds)
		index := string(files["index.html"])
		for _, mark := range evidence.Marks {
			require.Contains(t, index, mark)
			require.Contains(t, string(files["CHECK.txt"]), mark)
		}
		require.NotContains(t, index, "<script")

		sum := sha256.Sum256(a.body)
		_, err = s.FinishWriting(s.ctx(), s.supervisor, w.ID, sum[:], int64(len(a.body)))
		requireProblem(t, err, problem.ExportNotPermitted)
		r, err = s.FinishWriting(s.ctx(), s.dispatcher, w.ID, sum[:], int64(len(a.body)))
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsWritten, r.State)
		require.Equal(t, hex.EncodeToString(sum[:]), r.ArchiveHex())
		_, err = s.BeginWriting(s.ctx(), s.dispatcher, r.ID, "")
		requireProblem(t, err, problem.ExportNotApproved)

		by := s.db.Now().Add(24 * time.Hour)
		r, err = s.ReceiptExport(s.ctx(), s.dispatcher, r.ID, evidence.ExportReceipt{Receiver: "地検 鈴木", ReturnBy: &by})
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsReceipted, r.State)
		require.False(t, r.Overdue(s.db.Now()))
		dbtest.ClockOf(s.db).Advance(25 * time.Hour)
		yes := true
		overdue, err := s.Exports(s.ctx(), manager, evidence.ExportFilter{Overdue: &yes}, nil, 10)
		require.NoError(t, err)
		require.Len(t, overdue, 1)
		require.True(t, overdue[0].Overdue(s.db.Now()))
		_, err = s.CloseExport(s.ctx(), s.dispatcher, r.ID, true, "")
		requireProblem(t, err, problem.ReasonMissing)
		r, err = s.CloseExport(s.ctx(), s.dispatcher, r.ID, true, "物理破壊")
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsDisposed, r.State)
		overdue, err = s.Exports(s.ctx(), manager, evidence.ExportFilter{Overdue: &yes}, nil, 10)
		require.NoError(t, err)
		require.Empty(t, overdue)
		for _, what := range []journal.Type{journal.ExportRequested, journal.ExportApproved, journal.ExportOpened, journal.ExportStreamed, journal.ExportWritten, journal.ExportReceipted, journal.ExportMediumClosed} {
			require.Len(t, s.entries(what), 1, what)
		}
	})
}

func TestExportNeedsExactlyOneGround(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		file := s.upload(jpegOf(t, 50, 40))
		for name, change := range map[string]func(*evidence.NewExport){
			"no document number":     func(in *evidence.NewExport) { in.Document = " " },
			"no law":                 func(in *evidence.NewExport) { in.Law = "" },
			"two grounds":            func(in *evidence.NewExport) { in.Incident = "2026-12" },
			"unknown ground":         func(in *evidence.NewExport) { in.Ground = "CURIOSITY" },
			"other without words":    func(in *evidence.NewExport) { in.Ground, in.Law, in.Document = evidence.GroundOther, "", "" },
			"illegal act, no number": func(in *evidence.NewExport) { in.Ground, in.Law, in.Document = evidence.GroundIllegalAct, "", "" },
		} {
			in := s.ask(s.dispatcher, file)
			change(&in)
			_, err := s.RequestExport(s.ctx(), s.dispatcher, in)
			require.True(t, problem.Is(err, problem.ExportGround), name)
		}
		in := s.ask(s.dispatcher, file)
		in.Medium = ""
		_, err := s.RequestExport(s.ctx(), s.dispatcher, in)
		requireProblem(t, err, problem.BadInput)
		in = s.ask(s.signIn("mori", policy.Manager), file)
		_, err = s.RequestExport(s.ctx(), s.dispatcher, in)
		requireProblem(t, err, problem.PersonUnfit)
		in = s.ask(s.dispatcher, file)
		in.CaseID = identity.NewID()
		_, err = s.RequestExport(s.ctx(), s.dispatcher, in)
		requireProblem(t, err, problem.ExportFileUnfit)
		u := s.begin(1000)
		_, err = s.RequestExport(s.ctx(), s.dispatcher, s.ask(s.dispatcher, u.File))
		requireProblem(t, err, problem.ExportFileUnfit)
	})
}

// T08: nobody approves their own request, nor what permits themselves; a deputy
// does only within the days that the manager gave.
func TestExportIsNeverSelfApproved(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager, deputy := s.signIn("mori", policy.Manager), s.signIn("deguchi", policy.Supervisor)
		file := s.upload(jpegOf(t, 50, 40))
		ask := func(by, permitted policy.Actor) string {
			r, err := s.RequestExport(s.ctx(), by, s.ask(permitted, file))
			require.NoError(t, err)
			return r.ID
		}
		mine, permitting, others := ask(deputy, s.dispatcher), ask(s.dispatcher, deputy), ask(s.dispatcher, s.dispatcher)
		decide := func(by policy.Actor, id string) error {
			_, err := s.DecideExport(s.ctx(), by, id, approval)
			return err
		}
		requireProblem(t, decide(deputy, others), problem.ExportNotDeputy)
		from := s.db.Now().Add(time.Hour)
		_, err := s.identity.AppointDeputy(s.ctx(), deputy, identity.NewDeputy{UserID: deputy.ID, From: from, Until: from.Add(time.Hour), Reason: "不在"})
		requireProblem(t, err, problem.Forbidden)
		_, err = s.identity.AppointDeputy(s.ctx(), manager, identity.NewDeputy{UserID: s.dispatcher.ID, From: from, Until: from.Add(time.Hour), Reason: "不在"})
		requireProblem(t, err, problem.PersonUnfit)
		d, err := s.identity.AppointDeputy(s.ctx(), manager, identity.NewDeputy{UserID: deputy.ID, From: from, Until: from.Add(48 * time.Hour), Reason: "不在"})
		require.NoError(t, err)
		requireProblem(t, decide(deputy, others), problem.ExportNotDeputy)
		dbtest.ClockOf(s.db).Advance(2 * time.Hour)
		requireProblem(t, decide(deputy, mine), problem.ExportOwnRequest)
		requireProblem(t, decide(deputy, permitting), problem.ExportOwnRequest)
		_, err = s.DecideExport(s.ctx(), deputy, others, evidence.Decision{Approve: true})
		requireProblem(t, err, problem.ConfirmationMissing)
		_, err = s.DecideExport(s.ctx(), deputy, others, evidence.Decision{Approve: true, Confirmation: identity.Confirmation{Password: "not the password"}})
		requireProblem(t, err, problem.ConfirmationRefused)
		require.NoError(t, decide(deputy, others))
		requireProblem(t, decide(manager, others), problem.ExportState)
		another := ask(s.dispatcher, s.dispatcher)
		_, err = s.identity.EndDeputy(s.ctx(), manager, d.ID)
		require.NoError(t, err)
		requireProblem(t, decide(deputy, another), problem.ExportNotDeputy)
		_, err = s.DecideExport(s.ctx(), manager, another, evidence.Decision{})
		requireProblem(t, err, problem.ReasonMissing)
		r, err := s.DecideExport(s.ctx(), manager, another, evidence.Decision{Refusal: "対象外"})
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsRefused, r.State)
		require.NoError(t, decide(manager, mine))
	})
}

// T07: no role fetches an archive without an approved request in their name.
func TestNoArchiveWithoutAnApprovedRequest(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		colleague := s.signIn("kimura", policy.Dispatcher)
		file := s.upload(jpegOf(t, 50, 40))
		asked, err := s.RequestExport(s.ctx(), s.dispatcher, s.ask(s.dispatcher, file))
		require.NoError(t, err)
		refused, err := s.RequestExport(s.ctx(), s.dispatcher, s.ask(s.dispatcher, file))
		require.NoError(t, err)
		_, err = s.DecideExport(s.ctx(), manager, refused.ID, evidence.Decision{Refusal: "対象外"})
		require.NoError(t, err)
		approved := s.approved(manager, s.dispatcher, file)
		for _, id := range []string{asked.ID, refused.ID} {
			_, err := s.BeginWriting(s.ctx(), s.dispatcher, id, "")
			requireProblem(t, err, problem.ExportNotApproved)
		}
		for _, v := range []policy.Actor{manager, s.supervisor} {
			_, err := s.BeginWriting(s.ctx(), v, approved.ID, "")
			requireProblem(t, err, problem.ExportNotPermitted)
		}
		_, err = s.BeginWriting(s.ctx(), colleague, approved.ID, "")
		requireProblem(t, err, problem.NotFound)

		w, err := s.BeginWriting(s.ctx(), s.dispatcher, approved.ID, "")
		require.NoError(t, err)
		require.NoError(t, s.MakePreviews(s.ctx()))
		viewing := s.open(file)
		for name, grant := range map[string]string{"none": "", "of a viewing": viewing.Grant, "changed": w.Grant + "A"} {
			a := s.send(http.MethodGet, evidence.ExportPath+w.ID+"?grant="+grant, "", nil, nil)
			require.Equal(t, string(problem.GrantInvalid), a.reason, name)
		}
		for _, path := range []string{"", "/", file.ID, w.ID + "x"} {
			require.NotEqual(t, http.StatusOK, s.send(http.MethodGet, evidence.ExportPath+path+"?grant="+w.Grant, "", nil, nil).status, path)
		}
		require.Equal(t, http.StatusMethodNotAllowed, s.send(http.MethodPost, evidence.ExportPath+w.ID+"?grant="+w.Grant, "", nil, nil).status)
		newer, err := s.BeginWriting(s.ctx(), s.dispatcher, approved.ID, "")
		require.NoError(t, err)
		require.Equal(t, string(problem.GrantInvalid), s.archive(w).reason, "a newer attempt closes the older")
		dbtest.ClockOf(s.db).Advance(identity.GrantLife)
		require.Equal(t, string(problem.GrantInvalid), s.archive(newer).reason, "too late")
		require.NoError(t, s.CloseWritings(s.ctx()))
		last, err := s.BeginWriting(s.ctx(), s.dispatcher, approved.ID, "")
		require.NoError(t, err)
		require.NoError(t, s.identity.SignOut(s.ctx(), s.dispatcher))
		require.Equal(t, string(problem.GrantInvalid), s.archive(last).reason, "signed out")
		require.Empty(t, s.entries(journal.ExportStreamed))
	})
}

// Purge waits for nobody: the request says what it lost.
func TestPurgeNeverWaitsForAnExport(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		old := s.upload(jpegOf(t, 50, 40))
		s.run(24 * time.Hour)
		young := s.upload(jpegOf(t, 60, 40))
		due := *old.DueAt
		both := s.approved(manager, s.dispatcher, old, young)
		one, err := s.RequestExport(s.ctx(), s.dispatcher, s.ask(s.dispatcher, old))
		require.NoError(t, err)
		require.Len(t, s.entries(journal.ExportAlarm), 2, "at once")

		for _, step := range []struct {
			before time.Duration
			raised int
			alarm  evidence.ExportAlarm
		}{{49 * time.Hour, 0, evidence.AlarmRequested}, {48 * time.Hour, 2, evidence.Alarm48}, {7 * time.Hour, 0, evidence.Alarm48}, {6 * time.Hour, 2, evidence.Alarm6}, {time.Hour, 0, evidence.Alarm6}} {
			s.run(due.Add(-step.before).Sub(s.db.Now()))
			raised, err := s.AlarmExports(s.ctx())
			require.NoError(t, err)
			require.Equal(t, step.raised, raised, step.before)
			r, err := s.Export(s.ctx(), manager, one.ID)
			require.NoError(t, err)
			require.Equal(t, step.alarm, r.Alarm, step.before)
		}
		s.run(due.Sub(s.db.Now()))
		_, s.dispatcher, err = s.identity.SignIn(s.ctx(), "fukushima", "sato", password) // one does not last for days
		require.NoError(t, err)
		require.Equal(t, 1, s.purge().Purged)
		require.Len(t, s.entries(journal.ExportFileLost), 2, "in both requests, with the purge itself")
		require.Zero(t, s.purge().Purged)
		lost, err := s.Export(s.ctx(), manager, one.ID)
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsExpired, lost.State)
		_, err = s.DecideExport(s.ctx(), manager, one.ID, approval)
		requireProblem(t, err, problem.ExportState)
		half, err := s.Export(s.ctx(), manager, both.ID)
		require.NoError(t, err)
		require.Equal(t, evidence.ExportIsApproved, half.State)
		files, err := s.ExportFiles(s.ctx(), []string{both.ID})
		require.NoError(t, err)
		require.NotNil(t, files[both.ID][0].PurgedAt)
		require.Nil(t, files[both.ID][1].PurgedAt)
		require.Len(t, s.entries(journal.ExportFileLost), 2)
		require.Len(t, s.entries(journal.ExportExpired), 1)

		w, err := s.BeginWriting(s.ctx(), s.dispatcher, both.ID, "")
		require.NoError(t, err)
		a := s.archive(w)
		require.Equal(t, http.StatusOK, a.status, a.reason)
		report := check(t, a.body, w.Passphrase)
		require.Empty(t, report.Faults)
		require.Equal(t, 1, report.Files)
		require.Len(t, report.Manifest.Missing, 1)
		require.Equal(t, old.ID, report.Manifest.Missing[0].ID)
	})
}

func TestArchiveForARecipientsKey(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		r := s.approved(manager, s.supervisor, s.upload(jpegOf(t, 50, 40)))
		key, err := age.GenerateX25519Identity()
		require.NoError(t, err)
		_, err = s.BeginWriting(s.ctx(), s.supervisor, r.ID, "age1nonsense")
		requireProblem(t, err, problem.BadInput)
		w, err := s.BeginWriting(s.ctx(), s.supervisor, r.ID, key.Recipient().String())
		require.NoError(t, err)
		require.Empty(t, w.Passphrase)
		a := s.archive(w)
		require.Equal(t, http.StatusOK, a.status, a.reason)
		plain, err := evidence.DecryptArchive(bytes.NewReader(a.body), "", key.String())
		require.NoError(t, err)
		report, err := evidence.VerifyArchive(plain, nil)
		require.NoError(t, err)
		require.Empty(t, report.Faults)
		_, err = s.FinishWriting(s.ctx(), s.supervisor, w.ID, make([]byte, 32), int64(len(a.body)))
		requireProblem(t, err, problem.ExportMismatch)
		require.Len(t, s.entries(journal.ExportMismatched), 1)
		again, err := s.BeginWriting(s.ctx(), s.supervisor, r.ID, "")
		require.NoError(t, err)
		require.NotEqual(t, w.ID, again.ID)
	})
}

// T18: a changed archive is found, and where; the same with common tools alone.
func TestChangedArchiveIsFound(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		manager := s.signIn("mori", policy.Manager)
		r := s.approved(manager, s.dispatcher, s.upload(jpegOf(t, 50, 40)))
		w, err := s.BeginWriting(s.ctx(), s.dispatcher, r.ID, "")
		require.NoError(t, err)
		a := s.archive(w)
		files := unpack(t, a.body, w.Passphrase)
		for name := range files {
			plain, err := evidence.DecryptArchive(bytes.NewReader(a.body), w.Passphrase, "")
			require.NoError(t, err)
			report, err := evidence.VerifyArchive(edited(t, plain, name), nil)
			require.NoError(t, err, name)
			require.NotEmpty(t, report.Faults, name)
		}
		dir := t.TempDir()
		for name, text := range files {
			path := filepath.Join(dir, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, text, 0o600))
		}
		tool := func(name string, args ...string) error {
			c := exec.CommandContext(t.Context(), name, args...)
			c.Dir = dir
			text, err := c.CombinedOutput()
			t.Logf("%s", text)
			return err
		}
		verify := func(what, signature string) error {
			return tool("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "checkpoint-key.pem", "-rawin", "-in", what, "-sigfile", signature)
		}
		require.NoError(t, tool("sha256sum", "-c", "SHA256SUMS"))
		require.NoError(t, verify("manifest.json", "manifest.sig"))
		require.NoError(t, verify("checkpoint.txt", "checkpoint.sig"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), bytes.Replace(files["manifest.json"], []byte("USB-0042"), []byte("USB-0043"), 1), 0o600))
		require.Error(t, tool("sha256sum", "-c", "SHA256SUMS"))
		require.Error(t, verify("manifest.json", "manifest.sig"))
	})
}

// edited copies a tar with one byte of one file flipped.
func edited(t *testing.T, plain io.Reader, name string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		if h.Name == name {
			text[len(text)/2] ^= 1
		}
		require.NoError(t, w.WriteHeader(h))
		_, err = w.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return &out
}
