package app_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/evidence"
)

// receipt is how a media file was acknowledged.
type receipt struct{ state, sum string }

// shift is a server whose disk fails now and then, and what it acknowledged.
type shift struct {
	*process
	dispatcher *visitor
	agency     string
	of         *report
	phone      *caller
	received   map[string]receipt
}

func newShift(p *process) *shift {
	s := &shift{process: p, dispatcher: p.signIn(policy.Dispatcher), received: map[string]receipt{}}
	s.agency = ask[struct{ Me struct{ Agency node } }](s.dispatcher, `{me{agency{id}}}`, nil).Me.Agency.ID
	s.report()
	return s
}

// report begins another report, and its caller answers.
func (s *shift) report() {
	s.t.Helper()
	s.of = s.reported(s.dispatcher)
	s.phone = s.of.answered()
}

// run is a subtest on the same server.
func (s *shift) run(name string, f func()) {
	outer := s.t.(*testing.T)
	outer.Run(name, func(t *testing.T) {
		s.house.t = t
		defer func() { s.house.t = outer }()
		f()
	})
}

// sealed is where a media file's bytes lie.
func (s *shift) sealed(id string) string { return filepath.Join(s.folder(), id) }

// folder is where all of them lie.
func (s *shift) folder() string { return filepath.Join(s.Config.Data, "files", s.agency) }

func (s *shift) key(parts ...string) string {
	return filepath.Join(append([]string{s.Config.Keys}, parts...)...)
}

// refuses says that nobody is told that something was done.
func (s *shift) refuses(v *visitor, document string, variables vars) {
	s.t.Helper()
	require.Equal(s.t, "INTERNAL", v.refused(document, variables))
}

// breaks says that a request about a file is not acknowledged.
func (s *shift) breaks(method, path, token string, body []byte, header ...string) {
	s.t.Helper()
	a, err := s.tus(method, path, token, body, header...)
	require.NoError(s.t, err)
	require.GreaterOrEqual(s.t, a.status, http.StatusInternalServerError, "%s %s", method, a.header)
	require.Empty(s.t, a.header.Get("Upload-Offset"))
}

func (s *shift) breaksCreate(b bearer, data []byte) {
	s.t.Helper()
	s.breaks(http.MethodPost, b.URL, b.Token, nil, "Upload-Length", strconv.Itoa(len(data)))
}

func (s *shift) breaksPatch(b bearer, data []byte, from int) {
	s.t.Helper()
	s.breaks(http.MethodPatch, b.URL+b.ID, b.Token, data[from:], "Upload-Offset", strconv.Itoa(from))
}

// partly sends the first part of a file.
func (s *shift) partly(data []byte) (b bearer, at int) {
	s.t.Helper()
	b, at = s.phone.begin(data, ""), evidence.MinChunk
	a := s.patch(s.create(b, len(data)), b.Token, 0, data[:at])
	require.Equal(s.t, http.StatusNoContent, a.status, string(a.body))
	return b, at
}

// finish sends the rest of a file, of which so much was acknowledged.
func (s *shift) finish(b bearer, data []byte, at int) {
	s.t.Helper()
	require.Equal(s.t, at, s.offset(b.URL+b.ID, b.Token))
	a := s.patch(b.URL+b.ID, b.Token, at, data[at:])
	require.Equal(s.t, http.StatusNoContent, a.status, string(a.body))
	s.received[b.ID] = receipt{"COMPLETE", hash(data)}
}

// sends sends another file, as somebody does whom the fault does not concern.
func (s *shift) sends() {
	s.t.Helper()
	data := photo(s.t, 60)
	s.received[s.phone.upload(data, "").ID] = receipt{"COMPLETE", hash(data)}
}

// again starts the server anew and looks for everything that it acknowledged.
// What failed must have been said.
func (s *shift) again(said string) {
	s.t.Helper()
	s.stopped(said)
	s.start()
	for id, was := range s.received {
		m := ask[struct{ MediaFile mediaView }](s.dispatcher, `query($id: ID!){mediaFile(id:$id){state sha256}}`, vars{"id": id}).MediaFile
		require.Equal(s.t, was, receipt{m.State, *m.Sha256})
	}
}

func (s *shift) stopped(said string) {
	s.t.Helper()
	require.NoError(s.t, s.terminate(), "%s", s.complaints)
	require.Contains(s.t, s.complaints.String(), said)
}

const (
	diskError       = "input/output error"
	diskErrorSQLite = "disk I/O error"
)

// TestFailingDisk lets one class of calls after the other fail. Nothing is
// acknowledged that could not be synced, the server lives, other work goes on,
// and what had been acknowledged is there afterwards.
func TestFailingDisk(t *testing.T) {
	eachServer(t, func(_ *testing.T, p *process, r *rand.Rand) {
		s := newShift(p)
		s.newFolders()
		s.newFiles()
		s.newKeys()
		s.segments()
		s.reopened()
		s.sealing()
		s.recordings()
		if !slices.Contains(p.args, "--database") {
			s.database()
		}
		s.anything(r)
		s.of.end()
	})
}

// synced lets the syncs of a folder fail, and then lets them work: something is
// refused at first and then done, after a sync that worked.
func (s *shift) synced(folder string, refused, done func()) {
	s.t.Helper()
	d := s.disk(fault{"fsync", "EIO", []string{folder}})
	refused()
	d.heal()
	d = s.disk(fault{calls: "fsync", on: []string{folder}})
	done()
	d.end()
	require.Contains(s.t, strings.Join(d.calls(), "\n"), "= 0", "it may not be on disk")
}

// newFolders is the first file of all, of which even the folders are new.
func (s *shift) newFolders() {
	data := photo(s.t, 100)
	begin := vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(data)}}
	var b bearer
	s.run("the folder of the keys", func() {
		s.synced(s.key(), func() { s.refuses(s.phone.visitor, beginUpload, begin) }, func() { b = s.phone.begin(data, "") })
	})
	s.run("the folder of the files", func() {
		s.synced(filepath.Join(s.Config.Data, "files"), func() { s.breaksCreate(b, data) }, func() { s.create(b, len(data)) })
	})
	s.run("the folder of the day's key", func() {
		s.synced(s.key("due", s.agency), func() { s.breaksPatch(b, data, 0) }, func() { s.offset(b.URL+b.ID, b.Token) })
		s.received[b.ID] = receipt{"COMPLETE", hash(data)}
		s.again(diskError)
	})
}

func (s *shift) newFiles() {
	for what, calls := range map[string]string{"making": "openat", "syncing": "fsync"} {
		s.run(what+" a new file", func() {
			data := photo(s.t, 100)
			b := s.phone.begin(data, "")
			d := s.disk(fault{calls, "EIO", []string{s.sealed(b.ID)}})
			s.breaksCreate(b, data)
			d.heal()
			s.create(b, len(data))
			s.finish(b, data, 0)
		})
	}
	s.run("syncing the folder of a new file", func() {
		data := photo(s.t, 100)
		b := s.phone.begin(data, "")
		s.synced(s.folder(), func() { s.breaksCreate(b, data) }, func() { s.create(b, len(data)) })
		s.finish(b, data, 0)
		s.again(diskError)
	})
}

func (s *shift) newKeys() {
	data := photo(s.t, 100)
	begin := vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(data)}}
	for what, f := range map[string]fault{
		"syncing":               {"fsync", "EIO", nil},
		"naming":                {"linkat", "EIO", nil},
		"tidying up after":      {"unlinkat", "EIO", nil},
		"syncing the folder of": {"fsync", "EIO", []string{s.key("open")}},
	} {
		s.run(what+" a new key", func() {
			s.sends() // the folder is there
			d := s.disk(f)
			s.refuses(s.phone.visitor, beginUpload, begin)
			d.heal()
			b := s.phone.begin(data, "")
			s.create(b, len(data))
			s.finish(b, data, 0)
			s.again(diskError)
		})
	}
}

func (s *shift) segments() {
	s.run("syncing a segment ends the writer", func() {
		data := photo(s.t, 200)
		b, at := s.partly(data)
		d := s.disk(fault{"fdatasync", "EIO", []string{s.sealed(b.ID)}})
		s.breaksPatch(b, data, at)
		require.Equal(s.t, at, s.offset(b.URL+b.ID, b.Token))
		s.sends()
		d.heal()
		s.breaksPatch(b, data, at)
		require.Equal(s.t, at, s.offset(b.URL+b.ID, b.Token), "a sync that failed is never taken for one that worked")
		s.sends()
		s.again(diskError)
		s.finish(b, data, at)
	})
	s.run("writing a segment", func() {
		data := photo(s.t, 200)
		b, at := s.partly(data)
		d := s.disk(fault{"pwrite64", "EIO", []string{s.sealed(b.ID)}})
		s.breaksPatch(b, data, at)
		d.heal()
		s.finish(b, data, at)
	})
	s.run("writing a segment and cutting it off ends the writer", func() {
		data := photo(s.t, 200)
		b, at := s.partly(data)
		d := s.disk(fault{"pwrite64,ftruncate", "EIO", []string{s.sealed(b.ID)}})
		s.breaksPatch(b, data, at)
		d.heal()
		s.breaksPatch(b, data, at)
		s.again(diskError)
		s.finish(b, data, at)
	})
	s.run("what came before a sync that failed is kept though its phone is put out", func() {
		s.report()
		data := photo(s.t, 200)
		b, at := s.partly(data)
		d := s.disk(fault{"fdatasync", "EIO", []string{s.sealed(b.ID)}})
		s.breaksPatch(b, data, at)
		d.heal()
		ask[struct{}](s.dispatcher, admitPhone, vars{"in": vars{"phoneID": s.phone.phone, "admit": false}})
		s.of.end()
		m := s.of.kept(1)[0]
		require.Equal(s.t, "INCOMPLETE", m.State)
		require.EqualValues(s.t, at, m.Size)
		require.Equal(s.t, hash(data[:at]), *m.Sha256)
		require.NotNil(s.t, m.DueAt)
		s.report()
	})
}

// reopened is a file of the process before, whose bytes may be in memory only.
func (s *shift) reopened() {
	s.run("syncing a file that is taken up again", func() {
		data := photo(s.t, 200)
		b, at := s.partly(data)
		s.stopped("")
		f := fault{"fdatasync", "EIO", []string{s.sealed(b.ID)}}
		s.startAs("strace", f.flags(filepath.Join(s.t.TempDir(), "calls"), append([]string{"-D", binary(s.t)}, s.args...)...)...)
		s.breaks(http.MethodHead, b.URL+b.ID, b.Token, nil)
		s.breaksPatch(b, data, at)
		s.sends()
		s.again(diskError)
		s.finish(b, data, at)
	})
}

func (s *shift) sealing() {
	s.run("destroying the key of an open file", func() {
		data := photo(s.t, 200)
		b, at := s.partly(data)
		d := s.disk(fault{"pwrite64", "EIO", []string{s.key("open", b.ID+".key")}})
		s.finish(b, data, at)
		d.heal()
		require.FileExists(s.t, s.key("open", b.ID+".key"))
		s.again(diskError)
		require.NoFileExists(s.t, s.key("open", b.ID+".key"), "it is destroyed at the next start")
	})
}

func (s *shift) recordings() {
	clip := footage(s.t, webrtc.MimeTypeH264, "320x240", 400)
	s.run("syncing a recording", func() {
		s.report()
		x := s.phone.film(film{mime: webrtc.MimeTypeH264}, clip)
		screen := s.of.watched(s.dispatcher)
		screen.sees(s.t, 30)
		x.hasSent(s.t, 2*pictureRate)
		id := of("RECORDING", s.of.session(mediaFields).Media.Nodes)[0].ID
		sent := x.sent.Load()
		d := s.disk(fault{"fdatasync", "EIO", []string{s.sealed(id)}})
		s.of.unrecorded(s.signIn(policy.Manager))
		screen.sees(s.t, 30)
		d.heal()
		m := s.of.kept(1)[0]
		require.Equal(s.t, "INCOMPLETE", m.State)
		file := requirePlays(s.t, s.media(s.dispatcher.open(m.ID)))
		require.GreaterOrEqual(s.t, seconds(s.t, file), float64(sent)/pictureRate-1)
		screen.sees(s.t, 30)
		s.received[m.ID] = receipt{m.State, *m.Sha256}
		x.close()
		s.recordsAgain(clip)
		s.again(diskError)
	})
	s.run("making a recording", func() {
		s.report()
		d := s.disk(fault{"fsync", "EIO", []string{s.folder()}})
		x := s.phone.film(film{mime: webrtc.MimeTypeH264}, clip)
		screen := s.of.watched(s.dispatcher)
		s.of.unrecorded(s.signIn(policy.Manager))
		screen.sees(s.t, 30)
		d.heal()
		left := s.of
		x.close()
		s.recordsAgain(clip)
		left.kept(1) // nothing is left of the other, in the end
		s.again(diskError)
	})
}

// unrecorded waits until it is said that live video goes on unrecorded.
func (r *report) unrecorded(manager *visitor) {
	r.t.Helper()
	eventually(r.t, func() string {
		for _, e := range entries(r.journaled(manager), "LIVE_UNRECORDED") {
			if *e.SessionID == r.id {
				return ""
			}
		}
		return "nobody says that it is not recorded"
	})
}

// recorded publishes anew, ends the report, and answers the whole recording.
func (r *report) recorded(c *caller, clip clip) (m mediaView) {
	r.t.Helper()
	x := c.film(film{mime: webrtc.MimeTypeH264}, clip)
	x.hasSent(r.t, pictureRate)
	r.end()
	eventually(r.t, func() string {
		for _, m = range of("RECORDING", r.session(mediaFields).Media.Nodes) {
			if m.State == "COMPLETE" {
				return ""
			}
		}
		return "it is not recorded"
	})
	x.close()
	requirePlays(r.t, r.media(r.dispatcher.open(m.ID)))
	return m
}

// faults is how often something fails at a moment that nobody chose.
func faults() int {
	if *long {
		return 200
	}
	return 5
}

// anything lets calls of any kind fail, on any file, while a file comes in.
func (s *shift) anything(r *rand.Rand) {
	kinds := []string{
		"fdatasync", "fsync", "fsync,fdatasync", "pwrite64", "pwrite64,ftruncate", "linkat", "unlinkat", "mkdirat",
		"fsync,fdatasync,pwrite64,ftruncate,linkat,unlinkat,mkdirat",
	}
	s.run("anything, while a file comes in", func() {
		for n := range faults() {
			if n%killsAReport == 0 {
				s.report()
			}
			data := photo(s.t, 300+r.IntN(200))
			b := s.phone.begin(data, "")
			s.through(r, fault{kinds[r.IntN(len(kinds))], "EIO", nil}, b, data)
			s.received[b.ID] = receipt{"COMPLETE", hash(data)}
		}
		s.again("")
	})
}

// through sends a file in pieces, while calls fail from one of its requests on.
// What was acknowledged before is there after.
func (s *shift) through(r *rand.Rand, f fault, b bearer, data []byte) {
	s.t.Helper()
	size, acknowledged, begins := len(data), 0, r.IntN(6)
	var d *tracer
	request := func(method, path string, body []byte, header ...string) answer {
		if begins--; begins == -1 {
			d = s.disk(f)
		}
		a, err := s.tus(method, path, b.Token, body, header...)
		require.NoError(s.t, err)
		if a.status < http.StatusInternalServerError {
			return a
		}
		switch {
		case d == nil:
			require.FailNow(s.t, "it is refused though nothing failed", "%s", a.body)
		case !d.over:
			d.end()
		default: // the writer has ended
			s.again("")
		}
		return answer{}
	}
	for tries := 0; acknowledged < size; tries++ {
		require.Less(s.t, tries, 200, "the upload does not end")
		a := request(http.MethodHead, b.URL+b.ID, nil)
		if a.status == http.StatusNotFound {
			require.Zero(s.t, acknowledged)
			request(http.MethodPost, b.URL, nil, "Upload-Length", strconv.Itoa(size))
			continue
		}
		if a.status != http.StatusOK {
			continue
		}
		offset, err := strconv.Atoi(a.header.Get("Upload-Offset"))
		require.NoError(s.t, err)
		require.GreaterOrEqual(s.t, offset, acknowledged, "acknowledged bytes are lost")
		if acknowledged = offset; acknowledged == size {
			break
		}
		to := min(acknowledged+evidence.MinChunk+r.IntN(100_000), size)
		if a = request(http.MethodPatch, b.URL+b.ID, data[acknowledged:to], "Upload-Offset", strconv.Itoa(acknowledged)); a.status == http.StatusNoContent {
			acknowledged = to
		}
	}
	if d != nil {
		d.end()
	}
}

const allCases = `{cases{nodes{id}}}`

// recordsAgain is the same report, once there is no fault, and then another.
func (s *shift) recordsAgain(clip clip) {
	s.t.Helper()
	m := s.of.recorded(s.phone, clip)
	s.received[m.ID] = receipt{m.State, *m.Sha256}
	s.report()
}

// database is about SQLite, whose calls are ours.
func (s *shift) database() {
	path := filepath.Join(s.Config.Data, "genba.db")
	for what, call := range map[string]string{"syncing": "fsync", "writing": "pwrite64"} {
		s.run(what+" the database's log", func() {
			data := photo(s.t, 100)
			b, at := s.partly(data)
			before := string(s.dispatcher.graphql(allCases, nil).Data)
			d := s.disk(fault{call, "EIO", []string{path + "-wal"}})
			s.refuses(s.dispatcher, openCase, vars{"in": vars{"place": "ここ"}})
			s.refuses(s.phone.visitor, beginUpload, vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(data)}})
			s.refuses(s.phone.visitor, position, vars{"in": vars{"latitude": 35, "longitude": 139, "accuracy": 12.5, "capturedAt": time.Now().Format(time.RFC3339Nano)}})
			s.refuses(s.dispatcher, endSession, vars{"in": vars{"sessionID": s.of.id, "reason": "DONE"}})
			s.breaksPatch(b, data, at)
			s.breaks(http.MethodHead, b.URL+b.ID, b.Token, nil)
			require.Equal(s.t, before, string(s.dispatcher.graphql(allCases, nil).Data), "what is there can be read")
			d.heal()
			require.Equal(s.t, len(data), s.offset(b.URL+b.ID, b.Token))
			s.received[b.ID] = receipt{"COMPLETE", hash(data)}
			require.Equal(s.t, before, string(s.dispatcher.graphql(allCases, nil).Data))
			s.phone.locate(35, 139)
			s.sends()
			s.of.end()
			s.again(diskErrorSQLite)
			s.report()
		})
	}
	s.run("syncing the database at the end", func() {
		d := s.disk(fault{"fsync", "EIO", []string{path}})
		s.sends()
		s.stopped("")
		d.heal()
		s.start()
		s.again("")
	})
}

// TestFailingDiskAtStart lets the first start of all fail: it ends and says why,
// and the next one goes on from there.
func TestFailingDiskAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, keys := filepath.Join(dir, "data"), filepath.Join(dir, "keys")
	serving := append([]string{binary(t), "serve", "--demo", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}, folders(dir)...)
	for _, on := range []string{dir, keys, data, filepath.Join(data, "genba.db"), filepath.Join(data, "genba.db-wal")} {
		f := fault{"fsync", "EIO", []string{on}}
		o := ended(t, nil, "strace", f.flags(filepath.Join(t.TempDir(), "calls"), serving...)...)
		require.Equal(t, 1, o.code, o.out+o.err)
		require.Regexp(t, diskError+"|"+diskErrorSQLite, o.err)
	}
	p := serve(t, dir)
	p.reported(p.signIn(policy.Dispatcher)).answered().upload(photo(t, 100), "")
	require.NoError(t, p.terminate(), "%s", p.complaints)
	require.Zero(t, genba(t, nil, append([]string{"verify"}, folders(dir)...)...).code)
}

// TestFailingDiskInPurge lets one step of the destruction after the other fail.
// What is left is destroyed the next time.
func TestFailingDiskInPurge(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	ticks := &clock{}
	ticks.advance(-9 * 24 * time.Hour)
	h := open(t, c, ticks)
	r := h.reported(h.signIn(policy.Dispatcher))
	b := r.answered().upload(photo(t, 100), "")
	r.end()
	r.kept(1)
	h.close()
	agencies, err := os.ReadDir(filepath.Join(c.Keys, "due"))
	require.NoError(t, err)
	require.Len(t, agencies, 1)
	folder, sealed := filepath.Join(c.Keys, "due", agencies[0].Name()), filepath.Join(c.Data, "files", agencies[0].Name())
	days, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, days, 1)
	due := filepath.Join(folder, days[0].Name())

	where := []string{"--data", c.Data, "--keys", c.Keys}
	for _, f := range []struct {
		fault
		left string
	}{
		{fault{"pwrite64,unlinkat", "EIO", []string{due, filepath.Join(sealed, b.ID)}}, "purged 0, failed 1"},
		{fault{"fsync", "EIO", []string{due, sealed}}, "purged 0, failed 1"},
		{fault{"fsync", "EIO", []string{due, filepath.Join(c.Data, "genba.db-wal")}}, "purged 0, failed 1"},
		{fault{"unlinkat", "EIO", []string{due}}, "purged 1, failed 0"}, // the key opens nothing any more
		{fault{"fsync", "EIO", []string{folder}}, "due 0"},
	} {
		log := filepath.Join(t.TempDir(), "calls")
		o := ended(t, nil, "strace", f.flags(log, append([]string{binary(t), "purge"}, where...)...)...)
		require.Contains(t, o.out, f.left, "%v %s", f, o.err)
		require.Regexp(t, diskError+"|"+diskErrorSQLite, o.err)
		calls, err := os.ReadFile(log)
		require.NoError(t, err)
		for _, path := range f.on {
			require.Regexp(t, regexp.QuoteMeta(path)+`.*\(INJECTED\)`, string(calls))
		}
	}
	o := genba(t, nil, append([]string{"purge"}, where...)...)
	require.Zero(t, o.code, o.err)
	require.Empty(t, files(t, filepath.Join(c.Data, "files")))
	require.Empty(t, files(t, filepath.Join(c.Keys, "due")))
	require.NoFileExists(t, due)
	o = genba(t, nil, append([]string{"verify"}, where...)...)
	require.Zero(t, o.code, o.out+o.err)
}
