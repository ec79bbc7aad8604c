package app_test

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/policy"
	"genba/server/database/dbtest"
	"genba/server/evidence"
)

var long = flag.Bool("long", false, "kill the server 1,000 times in uploads and 200 times in recordings; let the disk fail 400 times and fill up 200 times")

// Kills on each engine, and how often a new report is begun.
func killsInUploads() int {
	if *long {
		return 500
	}
	return 25
}

func killsInRecordings() int {
	if *long {
		return 100
	}
	return 10
}

const killsAReport = 100

// eachServer runs fn with a server of its own on each engine. What it leaves
// verifies.
func eachServer(t *testing.T, fn func(t *testing.T, p *process, r *rand.Rand)) {
	t.Helper()
	run := func(t *testing.T, more ...string) {
		t.Parallel()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		p := serve(t, t.TempDir(), more...)
		fn(t, p, rand.New(rand.NewPCG(seed, 0)))
		require.NoError(t, p.terminate(), "%s", p.complaints)
		o := genba(t, nil, append([]string{"verify", "--data", p.Config.Data, "--keys", p.Config.Keys}, more...)...)
		require.Zero(t, o.code, o.out+o.err)
	}
	t.Run("sqlite", func(t *testing.T) { run(t) })
	t.Run("postgres", func(t *testing.T) { run(t, "--database", dbtest.PostgresDSN(t)) })
}

// killLater kills the process after a while, unknown to who talks to it.
func (p *process) killLater(after time.Duration) (done chan struct{}) {
	done = make(chan struct{})
	victim := p.command.Process
	time.AfterFunc(after, func() {
		defer close(done)
		_ = victim.Kill() // fails only where it ended already, which start finds out
	})
	return done
}

// restart reaps a process that was killed, and starts it again.
func (p *process) restart(killed chan struct{}) {
	p.t.Helper()
	<-killed
	require.Error(p.t, p.wait(), "it ended by itself")
	p.start()
}

func TestKilledInUploads(t *testing.T) {
	eachServer(t, func(t *testing.T, p *process, r *rand.Rand) {
		dispatcher := p.signIn(policy.Dispatcher)
		var of *report
		var c *caller
		for n := range killsInUploads() {
			if n%killsAReport == 0 {
				of = p.reported(dispatcher)
				c = of.answered()
			}
			data := photo(t, 100+r.IntN(200))
			b := c.begin(data, "")
			killed := p.killLater(time.Duration(r.IntN(60)) * time.Millisecond)
			p.uploadThrough(r, b, data, killed)
			m := ask[struct{ MediaFile mediaView }](dispatcher, `query($id: ID!){mediaFile(id:$id){state size sha256}}`, vars{"id": b.ID}).MediaFile
			require.Equal(t, "COMPLETE", m.State)
			require.Equal(t, hash(data), *m.Sha256)
		}
		s := of.session("counts{photosNow} link{used}")
		require.Equal(t, 1+(killsInUploads()-1)%killsAReport, s.Counts.PhotosNow, "each is counted once")
		require.Equal(t, 1, s.Link.Used)
	})
}

// uploadThrough sends a file in pieces, through a kill. What was acknowledged
// before is there after.
func (p *process) uploadThrough(r *rand.Rand, b bearer, data []byte, killed chan struct{}) {
	p.t.Helper()
	size, acknowledged, restarted := int64(len(data)), int64(0), false
	for tries := 0; acknowledged < size || !restarted; tries++ {
		require.Less(p.t, tries, 200, "the upload does not end")
		if acknowledged == size {
			p.restart(killed)
			restarted = true
		}
		a, err := p.tus(http.MethodHead, b.URL+b.ID, b.Token, nil)
		if err == nil && a.status == http.StatusNotFound {
			require.Zero(p.t, acknowledged)
			a, err = p.tus(http.MethodPost, b.URL, b.Token, nil, "Upload-Length", strconv.FormatInt(size, 10))
			if err == nil {
				require.Equal(p.t, http.StatusCreated, a.status, string(a.body))
				continue
			}
		}
		if err == nil {
			require.Equal(p.t, http.StatusOK, a.status, "%s", a.header)
			offset, bad := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
			require.NoError(p.t, bad)
			require.GreaterOrEqual(p.t, offset, acknowledged, "acknowledged bytes are lost")
			if acknowledged = offset; acknowledged == size {
				continue
			}
			end := min(acknowledged+int64(evidence.MinChunk+r.IntN(100_000)), size)
			a, err = p.tus(http.MethodPatch, b.URL+b.ID, b.Token, data[acknowledged:end], "Upload-Offset", strconv.FormatInt(acknowledged, 10))
			if err == nil {
				require.Equal(p.t, http.StatusNoContent, a.status, string(a.body))
				acknowledged, bad = strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
				require.NoError(p.t, bad)
			}
		}
		if err != nil {
			require.False(p.t, restarted, "the new process does not answer: %v", err)
			p.restart(killed)
			restarted = true
		}
	}
}

func TestKilledInRecordings(t *testing.T) {
	eachServer(t, func(t *testing.T, p *process, r *rand.Rand) {
		dispatcher := p.signIn(policy.Dispatcher)
		known := map[string]bool{}
		var of *report
		var c *caller
		for n := range killsInRecordings() {
			if n%killsAReport == 0 {
				of = p.reported(dispatcher)
				c = of.answered()
			}
			mime := []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP8}[n%2]
			x, a, err := p.newCamera(c.publish(), film{mime: mime})
			require.NoError(t, err)
			require.NotNil(t, x, "%d %s", a.status, a.body)
			x.connected(t)
			x.play(footage(t, mime, "320x240", 400))
			x.hasSent(t, int64(pictureRate+r.IntN(pictureRate)))
			sent := x.sent.Load()
			p.restart(p.killLater(0))
			x.close()
			var found []mediaView
			for _, m := range of.session(mediaFields).Media.Nodes {
				if !known[m.ID] {
					known[m.ID] = true
					found = append(found, m)
				}
			}
			require.Len(t, found, 1, "one recording")
			require.Equal(t, "COMPLETE", found[0].State)
			file := requirePlays(t, p.media(dispatcher.open(found[0].ID)))
			require.Greater(t, seconds(t, file), float64(sent)/pictureRate-1, "more than a second is lost")
		}
		require.Equal(t, 1, of.session("link{used}").Link.Used)
	})
}
