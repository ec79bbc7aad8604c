package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/app"
	"genba/server/evidence"
)

// ownMounts is set in a process that sees file systems of its own.
const ownMounts = "OWN_MOUNTS"

// withOwnMounts runs the rest of a test in such a process, where it may mount
// what it likes: as root, or as whoever may make a user namespace.
func withOwnMounts(t *testing.T, rest func()) {
	t.Helper()
	if os.Getenv(ownMounts) != "" {
		require.NoError(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		rest()
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-long="+strconv.FormatBool(*long))
	c.Env = append(os.Environ(), ownMounts+"=yes")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}

// smallDisk is a file system of a few megabytes.
type smallDisk struct {
	t       testing.TB
	dir     string
	ballast string
}

const (
	diskSize = 48 << 20
	// reserve is less than what is kept for the database.
	reserve = diskSize / 25
)

func newSmallDisk(t testing.TB) *smallDisk {
	t.Helper()
	d := &smallDisk{t: t, dir: t.TempDir()}
	d.ballast = filepath.Join(d.dir, "ballast")
	require.NoError(t, syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(d.dir, syscall.MNT_DETACH)) })
	return d
}

// fill takes what is left, but for so many bytes.
func (d *smallDisk) fill(left int64) error {
	f, err := os.OpenFile(d.ballast, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := int64(0); ; {
		var s syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &s); err != nil {
			return err
		}
		more := int64(s.Bavail)*s.Bsize - left
		if more <= 0 {
			return nil
		}
		if err := syscall.Fallocate(int(f.Fd()), 0, size, more); err != nil {
			continue // somebody was faster
		}
		size += more
	}
}

// fillLater takes all that is left after a while, unknown to who writes.
func (d *smallDisk) fillLater(after time.Duration) (done chan error) {
	done = make(chan error, 1)
	time.AfterFunc(after, func() { done <- d.fill(0) })
	return done
}

// free gives it back. A program that is just being started may hold the file
// open for a moment, but not its bytes.
func (d *smallDisk) free() {
	d.t.Helper()
	require.NoError(d.t, os.Truncate(d.ballast, 0))
	require.NoError(d.t, os.Remove(d.ballast))
}

// crowd is a house on a small disk, and what it acknowledged.
type crowd struct {
	*house
	disk       *smallDisk
	config     app.Config
	ticks      *clock
	dispatcher *visitor
	of         *report
	phone      *caller
	shown      *report
	live       *screen
	received   map[string]receipt
}

// fills is how often the disk is filled at a moment that nobody chose.
func fills() int {
	if *long {
		return 100
	}
	return 10
}

// TestFullDisk fills the disk at many moments. Live video goes on, what was
// acknowledged is kept, what is due goes, and all is as before once there is
// room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	withOwnMounts(t, func() {
		eachEngine(t, func(t *testing.T, c app.Config) {
			d := newSmallDisk(t)
			c.Data, c.Keys = filepath.Join(d.dir, "data"), filepath.Join(d.dir, "keys")
			s := &crowd{disk: d, config: c, ticks: &clock{}, received: map[string]receipt{}}
			s.begin()
			s.filledAtEveryStep()
			s.filledAtAnyMoment()
			s.filledWhileRecording()
			s.filledAtTheStart()
			s.verify()
			s.filledWhenFilesAreDue()
			s.verify()
		})
	})
}

// begin opens the house. Somebody watches live video from now on.
func (s *crowd) begin() {
	s.house = open(s.disk.t, s.config, s.ticks)
	s.dispatcher = s.signIn(policy.Dispatcher)
	s.shown = s.reported(s.dispatcher)
	s.shown.answered().film(film{mime: webrtc.MimeTypeH264}, footage(s.t, webrtc.MimeTypeH264, "320x240", 400))
	s.live = s.shown.watched(s.dispatcher)
	s.live.sees(s.t, 30)
	s.report()
}

func (s *crowd) report() {
	s.t.Helper()
	s.of = s.reported(s.dispatcher)
	s.phone = s.of.answered()
}

// whileFull fills the disk, and lets something fail or not while live video
// goes on.
func (s *crowd) whileFull(try func()) {
	s.t.Helper()
	require.NoError(s.t, s.disk.fill(0))
	try()
	s.live.sees(s.t, 30)
	s.disk.free()
}

// tries an operation, which may be refused for no other reason than the disk.
func (s *crowd) tries(v *visitor, document string, variables vars) (done bool) {
	s.t.Helper()
	a := v.graphql(document, variables)
	for _, e := range a.Errors {
		require.Contains(s.t, []string{"INTERNAL", "DISK_FULL", "UNAVAILABLE"}, e.Extensions.Reason)
	}
	return len(a.Errors) == 0
}

// filledAtEveryStep takes one step of a report after the other on a full disk,
// and again when there is room.
func (s *crowd) filledAtEveryStep() {
	data := photo(s.t, 300)
	begin := vars{"in": vars{"kind": "PHOTO", "capture": "NOW", "size": len(data)}}
	s.whileFull(func() { s.tries(s.dispatcher, openCase, vars{"in": vars{"place": "ここ"}}) })
	s.of = s.reported(s.dispatcher)
	s.phone = s.of.caller()
	s.whileFull(func() { s.tries(s.phone.visitor, openLink, vars{"in": vars{"secret": s.of.secret}}) })
	s.phone.tap()
	joined := false
	s.whileFull(func() { joined = s.tries(s.phone.visitor, join, vars{"in": s.phone.joining()}) })
	if !joined {
		s.phone.agree()
	}
	s.whileFull(func() { require.Equal(s.t, "DISK_FULL", s.phone.refused(beginUpload, begin)) })
	b := s.phone.begin(data, "")
	s.whileFull(func() {
		a, err := s.tus(http.MethodPost, b.URL, b.Token, nil, "Upload-Length", strconv.Itoa(len(data)))
		require.NoError(s.t, err)
		require.Equal(s.t, "DISK_FULL", a.reason())
	})
	path, at := s.create(b, len(data)), 0
	for at < len(data) {
		s.whileFull(func() {
			require.Equal(s.t, "DISK_FULL", s.patch(path, b.Token, at, data[at:]).reason())
			require.Equal(s.t, at, s.offset(path, b.Token))
		})
		to := min(at+len(data)/3+1, len(data))
		require.Equal(s.t, http.StatusNoContent, s.patch(path, b.Token, at, data[at:to]).status)
		at = to
	}
	s.received[b.ID] = receipt{"COMPLETE", hash(data)}
	told := false
	s.whileFull(func() {
		told = s.tries(s.phone.visitor, position, vars{"in": vars{"latitude": 35, "longitude": 139, "accuracy": 12.5, "capturedAt": s.clock.Now().Format(time.RFC3339Nano)}})
	})
	if !told { // a phone that was heard waits a second
		s.phone.locate(35, 139)
	}
	s.whileFull(func() { s.tries(s.dispatcher, endSession, vars{"in": vars{"sessionID": s.of.id, "reason": "DONE"}}) })
	s.of.end()
	s.report()
}

// filledAtAnyMoment fills the disk while something comes in.
func (s *crowd) filledAtAnyMoment() {
	seed := rand.Uint64()
	s.t.(*testing.T).Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range fills() {
		data := photo(s.t, 200+r.IntN(200))
		b := s.phone.begin(data, "")
		full := s.disk.fillLater(time.Duration(r.IntN(100)) * time.Millisecond)
		s.upload(r, b, data, full)
		s.received[b.ID] = receipt{"COMPLETE", hash(data)}
	}
}

// upload sends a file in pieces, over a disk that is full for a while. What was
// acknowledged before is there after.
func (s *crowd) upload(r *rand.Rand, b bearer, data []byte, full chan error) {
	s.t.Helper()
	size, acknowledged, over := len(data), 0, false
	relieve := func(a answer) {
		require.Contains(s.t, []string{"DISK_FULL", "INTERNAL"}, a.reason(), "%d %s", a.status, a.body)
		require.False(s.t, over, "it is refused though there is room: %s", a.body)
		require.NoError(s.t, <-full)
		s.live.sees(s.t, 30)
		s.disk.free()
		over = true
	}
	for acknowledged < size {
		a, err := s.tus(http.MethodHead, b.URL+b.ID, b.Token, nil)
		require.NoError(s.t, err)
		switch a.status {
		case http.StatusNotFound:
			require.Zero(s.t, acknowledged)
			a, err = s.tus(http.MethodPost, b.URL, b.Token, nil, "Upload-Length", strconv.Itoa(size))
			require.NoError(s.t, err)
			if a.status != http.StatusCreated {
				relieve(a)
			}
			continue
		case http.StatusOK:
		default:
			relieve(a)
			continue
		}
		offset, err := strconv.Atoi(a.header.Get("Upload-Offset"))
		require.NoError(s.t, err)
		require.GreaterOrEqual(s.t, offset, acknowledged, "acknowledged bytes are lost")
		if acknowledged = offset; acknowledged == size {
			break
		}
		to := min(acknowledged+evidence.MinChunk+r.IntN(100_000), size)
		if a = s.patch(b.URL+b.ID, b.Token, acknowledged, data[acknowledged:to]); a.status == http.StatusNoContent {
			acknowledged = to
			continue
		}
		relieve(a)
	}
	if !over {
		require.NoError(s.t, <-full)
		s.disk.free()
	}
}

// filledWhileRecording leaves the database what is kept for it.
func (s *crowd) filledWhileRecording() {
	clip := footage(s.t, webrtc.MimeTypeH264, "320x240", 400)
	x := s.phone.film(film{mime: webrtc.MimeTypeH264}, clip)
	x.hasSent(s.t, 2*pictureRate)
	sent := x.sent.Load()
	require.NoError(s.t, s.disk.fill(reserve))
	s.of.unrecorded(s.signIn(policy.Manager))
	s.live.sees(s.t, 30)
	recordings := of("RECORDING", s.of.session(mediaFields).Media.Nodes)
	require.Len(s.t, recordings, 1)
	m := recordings[0]
	require.Equal(s.t, "INCOMPLETE", m.State)
	require.GreaterOrEqual(s.t, seconds(s.t, requirePlays(s.t, s.media(s.dispatcher.open(m.ID)))), float64(sent)/pictureRate-1)
	s.received[m.ID] = receipt{m.State, *m.Sha256}
	s.disk.free()
	x.close()
	m = s.of.recorded(s.phone, clip)
	s.received[m.ID] = receipt{m.State, *m.Sha256}
	s.shown.kept(1) // what could not be written on a full disk is written now
	s.report()
}

// filledAtTheStart starts with nothing left, and with what is kept for the
// database.
func (s *crowd) filledAtTheStart() {
	s.live.close()
	s.house.close()
	require.NoError(s.t, s.disk.fill(0))
	if a, err := app.New(context.Background(), s.config, s.ticks, slog.Default()); err == nil {
		require.NoError(s.t, a.Close())
	}
	s.disk.free()
	require.NoError(s.t, s.disk.fill(reserve))
	s.house = open(s.disk.t, s.config, s.ticks)
	s.disk.free()
	s.house.close()
	s.begin()
}

// filledWhenFilesAreDue lets everything become due on a full disk.
func (s *crowd) filledWhenFilesAreDue() {
	s.shown.end()
	s.shown.kept(1)
	require.NoError(s.t, s.disk.fill(0))
	s.ticks.advance(9 * 24 * time.Hour)
	eventually(s.t, func() string {
		left := files(s.t, filepath.Join(s.config.Data, "files"))
		maps.Copy(left, files(s.t, filepath.Join(s.config.Keys, "due")))
		for path := range left {
			return path + " is still there"
		}
		return ""
	})
	s.disk.free()
	eventually(s.t, func() string {
		if err := s.DueWork(context.Background()); err != nil {
			return err.Error()
		}
		return ""
	})
	gone := len(s.received)
	clear(s.received)
	s.dispatcher = s.signIn(policy.Dispatcher)
	all := s.journaled(s.signIn(policy.Manager))
	require.Len(s.t, entries(all, "DUE_KEY_DESTROYED"), 1)
	require.GreaterOrEqual(s.t, len(entries(all, "MEDIA_PURGED")), gone)
	s.report()
	data := photo(s.t, 100)
	s.received[s.phone.upload(data, "").ID] = receipt{"COMPLETE", hash(data)}
}

// verify looks for everything that was acknowledged.
func (s *crowd) verify() {
	s.t.Helper()
	for id, was := range s.received {
		m := ask[struct{ MediaFile mediaView }](s.dispatcher, `query($id: ID!){mediaFile(id:$id){state sha256}}`, vars{"id": id}).MediaFile
		require.Equal(s.t, was, receipt{m.State, *m.Sha256})
	}
	kept, err := s.Evidence.Verify(s.t.Context())
	require.NoError(s.t, err)
	require.GreaterOrEqual(s.t, kept.Files, len(s.received))
	require.Empty(s.t, kept.Faults)
	chains, err := s.Journal.Verify(s.t.Context())
	require.NoError(s.t, err)
	require.Empty(s.t, chains.Faults)
	if s.config.Database == "" {
		var said string
		require.NoError(s.t, s.DB.SQL().QueryRowContext(s.t.Context(), "PRAGMA integrity_check").Scan(&said))
		require.Equal(s.t, "ok", said)
	}
}
