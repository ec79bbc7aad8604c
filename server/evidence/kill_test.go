package evidence_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/database/dbtest"
	"genba/server/evidence"
)

// kills multiplies the killed processes: -kills 20 is the long form.
var kills = flag.Int("kills", 1, "how many times as many processes are killed")

const (
	killedUploads    = 50
	killedRecordings = 20
	killedPurges     = 20
)

// childSpec tells a killed process what to do with the data folder.
type childSpec struct {
	Dir, DSN string
	Do       string // "serve", "record" or "purge"
	Wall     time.Time
	Session  string
	Phone    policy.Actor
}

// runChild is a process that is going to be killed.
func runChild(text string) error {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	ctx := context.Background()
	clock := dbtest.NewClock()
	clock.Advance(spec.Wall.Sub(clock.Now()))
	db, err := database.Open(ctx, spec.DSN, clock)
	if err != nil {
		return err
	}
	h, err := build(spec.Dir, db)
	if err != nil {
		return err
	}
	if spec.Do == "purge" {
		fmt.Println("purging")
		rep, err := h.Purge(ctx)
		if err == nil {
			fmt.Println("done", rep.Purged)
			select {}
		}
		return err
	}
	if err := h.Recover(ctx); err != nil {
		return err
	}
	if spec.Do == "record" {
		return recordForEver(ctx, h, spec)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, h.mux())
}

// recordForEver tells the number of each fragment once it is acknowledged.
func recordForEver(ctx context.Context, h *house, spec childSpec) error {
	r, err := h.Record(ctx, spec.Phone, spec.Session, "video/mp4")
	if err != nil {
		return err
	}
	fmt.Println(r.ID())
	if err := r.Append(initFragment(spec.Wall)); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := r.Append(fragment(n, spec.Wall)); err != nil {
			return err
		}
		fmt.Println(n + 1)
	}
}

type child struct {
	*exec.Cmd
	lines     *bufio.Scanner
	complaint *bytes.Buffer
}

func (s *scene) spawn(spec childSpec) *child {
	s.t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(s.t, err)
	c := &child{Cmd: exec.Command(os.Args[0]), complaint: &bytes.Buffer{}}
	c.Env = append(os.Environ(), childVariable+"="+string(text))
	c.Stderr = c.complaint
	out, err := c.StdoutPipe()
	require.NoError(s.t, err)
	c.lines = bufio.NewScanner(out)
	require.NoError(s.t, c.Start())
	return c
}

func (c *child) line(t *testing.T) string {
	t.Helper()
	require.True(t, c.lines.Scan(), "the process ended: %s", c.complaint)
	return c.lines.Text()
}

// kill kills, and answers what the process had still said.
func (c *child) kill(t *testing.T) (rest []string) {
	t.Helper()
	require.NoError(t, c.Process.Kill())
	for c.lines.Scan() {
		rest = append(rest, c.lines.Text())
	}
	require.Error(t, c.Wait())
	return rest
}

func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func wait(d time.Duration) { <-time.After(d) }

func killScene(t *testing.T, dsn string) (*scene, childSpec) {
	t.Helper()
	s := newScene(t, dbtest.Open(t, dsn))
	return s, childSpec{Dir: s.dir, DSN: dsn, Wall: s.db.Clock.Now(), Session: s.session.ID, Phone: s.phone}
}

func eachKilled(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); fn(t, dbtest.SQLiteDSN(t)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); fn(t, dbtest.PostgresDSN(t)) })
}

func TestKilledInUploads(t *testing.T) {
	eachKilled(t, func(t *testing.T, dsn string) {
		s, spec := killScene(t, dsn)
		spec.Do = "serve"
		r := seeded(t)
		uploads := map[string][]byte{}
		var process *child
		address := ""
		start := func() {
			process = s.spawn(spec)
			address = process.line(t)
		}
		start()
		request := func(method, path, token string, header map[string]string, body []byte) (answer, error) {
			return send(method, "http://"+address+path, token, header, body)
		}
		for n := range killedUploads * *kills {
			if n > 0 && n%100 == 0 {
				s.session, s.phone = s.join(s.newSession())
			}
			data := photoOf(t, 5_000+r.IntN(900_000))
			u := s.begin(len(data))
			uploads[u.File.ID] = data
			path := evidence.FilesPath + u.File.ID
			killer := make(chan struct{})
			victim := process
			go func(delay time.Duration) {
				defer close(killer)
				wait(delay)
				_ = victim.Process.Kill()
			}(time.Duration(r.IntN(30)) * time.Millisecond)
			acknowledged := int64(0)
			killed := false
			for tries := 0; acknowledged < int64(len(data)); tries++ {
				require.Less(t, tries, 200, "upload %d does not end", n)
				a, err := request(http.MethodHead, path, u.Token, nil, nil)
				if err == nil && a.status == http.StatusNotFound {
					_, err = request(http.MethodPost, evidence.FilesPath, u.Token, map[string]string{"Upload-Length": strconv.Itoa(len(data))}, nil)
					if err == nil {
						continue
					}
				}
				if err == nil {
					require.Equal(t, http.StatusOK, a.status, a.reason)
					require.GreaterOrEqual(t, a.offset, acknowledged, "acknowledged bytes are lost")
					acknowledged = a.offset
					if acknowledged == int64(len(data)) {
						break
					}
					end := min(acknowledged+int64(evidence.MinChunk+r.IntN(300_000)), int64(len(data)))
					a, err = request(http.MethodPatch, path, u.Token, patchHeader(acknowledged), data[acknowledged:end])
				}
				if err != nil {
					require.False(t, killed, "the new process does not answer: %v %s", err, process.complaint)
					<-killer
					process.reap(t)
					start()
					killed = true
					continue
				}
				if a.status == http.StatusNoContent {
					acknowledged = a.offset
				}
			}
			<-killer
			if !killed {
				process.reap(t)
				start()
			}
		}
		process.kill(t)
		next, err := build(s.dir, s.db)
		require.NoError(t, err)
		require.NoError(t, next.Recover(s.ctx()))
		for id, data := range uploads {
			m := s.row(id)
			require.Equal(t, evidence.Complete, m.State)
			require.True(t, bytes.Equal(data, s.original(m)))
		}
		var counted int
		require.NoError(t, s.db.Read(s.ctx()).Model(&cases.Session{}).Select("sum(photos_now)").Scan(&counted).Error)
		require.Equal(t, len(uploads), counted, "each counted once")
		open, err := s.keys.List("open/")
		require.NoError(t, err)
		require.Empty(t, open)
		s.requireJournalWhole()
	})
}

// reap reaps a process that was killed already.
func (c *child) reap(t *testing.T) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		require.ErrorIs(t, err, os.ErrProcessDone)
	}
	for c.lines.Scan() {
		continue
	}
	require.Error(t, c.Wait())
}

func (s *scene) requireJournalWhole() {
	s.t.Helper()
	rep, err := s.journal.Verify(s.ctx())
	require.NoError(s.t, err)
	require.Empty(s.t, rep.Faults)
}

func TestKilledInRecordings(t *testing.T) {
	eachKilled(t, func(t *testing.T, dsn string) {
		s, spec := killScene(t, dsn)
		spec.Do = "record"
		r := seeded(t)
		acknowledged := map[string]int{}
		for range killedRecordings * *kills {
			process := s.spawn(spec)
			id := process.line(t)
			n := 0
			for range 1 + r.IntN(5) {
				n = s.number(process.line(t))
			}
			wait(time.Duration(r.IntN(3000)) * time.Microsecond)
			for _, line := range process.kill(t) {
				n = s.number(line)
			}
			acknowledged[id] = n
		}
		next, err := build(s.dir, s.db)
		require.NoError(t, err)
		require.NoError(t, next.Recover(s.ctx()))
		for id, n := range acknowledged {
			m := s.row(id)
			require.Equal(t, evidence.Complete, m.State)
			require.GreaterOrEqual(t, m.DurationMs, int64(n)*500, "an acknowledged fragment is lost")
			var want []byte
			for i := range n {
				want = append(want, fragment(i, spec.Wall).Data...)
			}
			got := s.original(m)[len("INIT"):]
			require.True(t, bytes.HasPrefix(got, want))
			s.Evidence = next.Evidence
			s.server.Config.Handler = next.mux()
			o := s.open(m)
			a := s.media(id, o.Grant, "")
			require.Equal(t, http.StatusOK, a.status, a.reason)
			require.True(t, bytes.HasPrefix(a.body, []byte("head of video/mp4: INIT")))
			require.Contains(t, string(a.body), string(want))
		}
		s.requireJournalWhole()
	})
}

func (s *scene) number(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(s.t, err)
	return n
}

// kept counts rows and ledger entries as they stand at one moment.
func (s *scene) kept() (rows, ledger int64) {
	s.t.Helper()
	require.NoError(s.t, s.db.Snapshot(s.ctx(), func(ctx context.Context) error {
		q := s.db.Read(ctx)
		return errors.Join(q.Model(&evidence.MediaFile{}).Count(&rows).Error, q.Table("retention_ledger").Count(&ledger).Error)
	}))
	return rows, ledger
}

func TestKilledInPurges(t *testing.T) {
	eachKilled(t, func(t *testing.T, dsn string) {
		s, spec := killScene(t, dsn)
		spec.Do = "purge"
		const files = 60
		hashes := map[string]bool{}
		for range files {
			hashes[s.upload(photoOf(t, 20_000)).SHA256Hex()] = true
		}
		s.end()
		s.run(8 * 24 * time.Hour)
		spec.Wall = s.db.Clock.Now()
		r := seeded(t)
		done := false
		for range killedPurges * *kills {
			process := s.spawn(spec)
			require.Equal(t, "purging", process.line(t))
			wait(time.Duration(r.IntN(40)) * time.Millisecond)
			for _, line := range process.kill(t) {
				done = done || strings.HasPrefix(line, "done")
			}
			rows, ledger := s.kept()
			require.EqualValues(t, files, rows+ledger, "each file is either a row or in the ledger")
		}
		t.Logf("finished while being killed: %t", done)
		// The database may still hold a row for a process that is dead: the next
		// purge takes it.
		require.Eventually(t, func() bool {
			s.purge()
			due, err := s.HasDue(s.ctx())
			return err == nil && !due
		}, 30*time.Second, 50*time.Millisecond)
		rows, ledger := s.kept()
		require.Zero(t, rows)
		require.EqualValues(t, files, ledger)
		for name, err := range s.store.Names() {
			require.NoError(t, err)
			t.Errorf("%s is still there", name)
		}
		s.requireJournalWhole()
	})
}
