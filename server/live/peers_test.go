package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"genba/server/live"
	"genba/server/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// tape is a recording in memory.
type tape struct {
	mu     sync.Mutex
	track  live.Track
	frags  []live.Fragment
	closed bool
	fail   atomic.Bool // Append fails
	slow   atomic.Bool // Append never returns until unblock
	gate   chan struct{}
}

func (t *tape) Append(f live.Fragment) error {
	if t.slow.Load() {
		<-t.gate
	}
	if t.fail.Load() {
		return errors.New("disk full")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frags = append(t.frags, f)
	return nil
}

func (t *tape) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return nil
}

func (t *tape) snapshot() ([]live.Fragment, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]live.Fragment(nil), t.frags...), t.closed
}

// house is a live room behind a real HTTP server. A token is "ID" for anything,
// "late:ID" for a bearer that is over.
type house struct {
	*live.Server
	http *httptest.Server

	mu     sync.Mutex
	tapes  []*tape
	events []live.Event

	reject  atomic.Bool // Accept refuses
	noTapes atomic.Bool // Record gives none
	broken  atomic.Bool // Record fails
	cutOff  atomic.Bool // Authorize refuses everybody
	gate    *gate       // the network of the next screen, if not the usual
}

func newHouse(tb testing.TB, change ...func(*live.Options)) *house {
	tb.Helper()
	h := &house{}
	o := live.Options{
		Listen: "127.0.0.1:0",
		Clock:  wallClock{},
		Authorize: func(_ context.Context, token string, _ live.Verb, session string) (live.Peer, error) {
			if token == "nobody" || h.cutOff.Load() {
				return live.Peer{}, problem.New(problem.Unauthenticated)
			}
			if id, late := strings.CutPrefix(token, "late:"); late {
				return live.Peer{ID: id, Until: time.Now().Add(-time.Second)}, nil
			}
			return live.Peer{ID: token, Until: time.Now().Add(time.Minute)}, nil
		},
		Accept: func(context.Context, string, string) error {
			if h.reject.Load() {
				return problem.New(problem.SessionEnded)
			}
			return nil
		},
		Record: func(_ context.Context, _, _ string, t live.Track) (live.Recording, error) {
			if h.broken.Load() {
				return nil, errors.New("no room")
			}
			if h.noTapes.Load() {
				return nil, nil
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			x := &tape{track: t, gate: make(chan struct{})}
			h.tapes = append(h.tapes, x)
			return x, nil
		},
		Observe: func(e live.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
		WriteProblem: func(w http.ResponseWriter, _ *http.Request, err error) {
			p := problem.Of(err)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(p.Status())
			fmt.Fprintf(w, `{"reason":%q}`, p.Reason())
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	s, err := live.New(o)
	require.NoError(tb, err)
	h.Server = s
	h.http = httptest.NewServer(s)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(tb, s.Shutdown(ctx))
		h.http.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func (h *house) has(kind live.EventKind, reason string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == kind && (reason == "" || e.Reason == reason) {
			return true
		}
	}
	return false
}

func (h *house) tape(i int) *tape {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i >= len(h.tapes) {
		return nil
	}
	return h.tapes[i]
}

func (h *house) do(tb testing.TB, method, path, token, kind, body string, headers ...string) (*http.Response, string) {
	tb.Helper()
	req, err := http.NewRequest(method, h.http.URL+path, strings.NewReader(body))
	require.NoError(tb, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(tb, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(tb, err)
	return res, string(b)
}

// eventually polls until why is empty; why says what is not yet true.
func eventually(tb testing.TB, why func() string) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for {
		w := why()
		if w == "" {
			return
		}
		if time.Now().After(deadline) {
			require.FailNow(tb, "never happened", w)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func wait(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	eventually(tb, func() string {
		if ok() {
			return ""
		}
		return what
	})
}

// clip is encoded video, a picture an element.
type clip struct {
	mime   string
	frames [][]byte
	keys   []bool
}

func run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &errs
	require.NoErrorf(tb, c.Run(), "%s %v: %s", name, args, errs.String())
	return out.String() + errs.String()
}

// makeClip encodes a moving test picture at 30 frames a second.
func makeClip(tb testing.TB, mime, size string, seconds, rate int) clip {
	tb.Helper()
	source := fmt.Sprintf("testsrc2=size=%s:rate=30:duration=%d", size, seconds)
	common := []string{"-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-b:v", fmt.Sprintf("%dk", rate), "-g", "30"}
	if mime == webrtc.MimeTypeVP8 {
		file := filepath.Join(tb.TempDir(), "clip.ivf")
		run(tb, "ffmpeg", append(common, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", file)...)
		f, err := os.Open(file)
		require.NoError(tb, err)
		defer f.Close()
		r, _, err := ivfreader.NewWith(f)
		require.NoError(tb, err)
		c := clip{mime: mime}
		for {
			b, _, err := r.ParseNextFrame()
			if errors.Is(err, io.EOF) {
				return c
			}
			require.NoError(tb, err)
			c.frames = append(c.frames, b)
			c.keys = append(c.keys, b[0]&1 == 0)
		}
	}
	file := filepath.Join(tb.TempDir(), "clip.h264")
	run(tb, "ffmpeg", append(common, "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency",
		"-bf", "0", "-x264-params", "aud=1:slices=1", file)...)
	b, err := os.ReadFile(file)
	require.NoError(tb, err)
	c := clip{mime: mime}
	for _, au := range bytes.Split(b, []byte{0, 0, 0, 1, 9})[1:] {
		// Without the delimiter, as a phone sends it.
		_, rest, ok := bytes.Cut(au, []byte{0, 0, 1})
		require.True(tb, ok)
		au = append([]byte{0, 0, 0, 1}, rest...)
		c.frames = append(c.frames, au)
		c.keys = append(c.keys, bytes.Contains(au, []byte{0, 0, 1, 0x67}))
	}
	require.NotEmpty(tb, c.frames)
	return c
}

// weather is what happens to a phone's packets on the way.
type weather struct {
	interceptor.NoOp
	loss    float64
	shuffle bool

	mu   sync.Mutex
	rnd  *rand.Rand
	back func() // a packet held back
}

func (w *weather) NewInterceptor(string) (interceptor.Interceptor, error) { return w, nil }

func (w *weather) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.rnd.Float64() < w.loss {
			return len(payload), nil
		}
		if w.shuffle && w.back == nil && w.rnd.Float64() < 0.1 {
			kept, body := h.Clone(), append([]byte(nil), payload...)
			w.back = func() { _, _ = next.Write(&kept, body, a) }
			return len(payload), nil
		}
		n, err := next.Write(h, payload, a)
		if w.back != nil && w.rnd.Float64() < 0.5 {
			w.back()
			w.back = nil
		}
		return n, err
	})
}

// phone publishes a clip over WHIP with an ordinary peer.
type phone struct {
	tb       testing.TB
	pc       *webrtc.PeerConnection
	track    *webrtc.TrackLocalStaticRTP
	location string
	etag     string
	answer   string
	offer    string
	wantKey  atomic.Bool
	plis     atomic.Int64
	sent     atomic.Int64
	stop     chan struct{}
	stopOnce sync.Once
	sending  sync.WaitGroup
	payload  rtp.Payloader
}

func loopbackEngine(networks ...webrtc.NetworkType) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
	e.SetNetworkTypes(networks)
	return e
}

type phoneSetup struct {
	mime     string
	token    string
	session  string
	weather  *weather
	audio    bool
	deaf     bool // never repairs what is lost
	tamper   func(offer string) string
	networks []webrtc.NetworkType
}

func newPhone(tb testing.TB, h *house, p phoneSetup) (*phone, int, string) {
	tb.Helper()
	if p.networks == nil {
		p.networks = []webrtc.NetworkType{webrtc.NetworkTypeUDP4}
	}
	var me webrtc.MediaEngine
	require.NoError(tb, me.RegisterDefaultCodecs())
	reg := &interceptor.Registry{}
	if p.weather != nil {
		p.weather.rnd = rand.New(rand.NewPCG(1, 1))
		reg.Add(p.weather)
	}
	if !p.deaf {
		resp, err := nack.NewResponderInterceptor()
		require.NoError(tb, err)
		reg.Add(resp)
	}
	require.NoError(tb, webrtc.ConfigureRTCPReports(reg))
	require.NoError(tb, webrtc.ConfigureTWCCHeaderExtensionSender(&me, reg))
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&me), webrtc.WithSettingEngine(loopbackEngine(p.networks...)), webrtc.WithInterceptorRegistry(reg))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	require.NoError(tb, err)
	capability := webrtc.RTPCodecCapability{MimeType: p.mime, ClockRate: 90000}
	x := &phone{tb: tb, pc: pc, stop: make(chan struct{})}
	x.payload = &codecs.VP8Payloader{EnablePictureID: true}
	if p.mime == webrtc.MimeTypeH264 {
		capability.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
		x.payload = &codecs.H264Payloader{}
	}
	tb.Cleanup(x.close)
	if p.audio {
		_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		require.NoError(tb, err)
	}
	x.track, err = webrtc.NewTrackLocalStaticRTP(capability, "video", "phone")
	require.NoError(tb, err)
	tr, err := pc.AddTransceiverFromTrack(x.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	require.NoError(tb, err)
	if p.mime == webrtc.MimeTypeVP8 {
		feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}, {Type: "goog-remb"}}
		require.NoError(tb, tr.SetCodecPreferences([]webrtc.RTPCodecParameters{{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: p.mime, ClockRate: 90000, RTCPFeedback: feedback}}}))
	}
	x.sending.Go(func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, k := range packets {
				if _, ok := k.(*rtcp.PictureLossIndication); ok {
					x.plis.Add(1)
					x.wantKey.Store(true)
				}
			}
		}
	})
	offer, err := pc.CreateOffer(nil)
	require.NoError(tb, err)
	done := webrtc.GatheringCompletePromise(pc)
	require.NoError(tb, pc.SetLocalDescription(offer))
	<-done
	x.offer = pc.LocalDescription().SDP
	if p.tamper != nil {
		x.offer = p.tamper(x.offer)
	}
	res, body := h.do(tb, "POST", "/whip/"+p.session, p.token, "application/sdp", x.offer)
	x.location, x.etag, x.answer = res.Header.Get("Location"), res.Header.Get("ETag"), body
	if res.StatusCode == http.StatusCreated {
		require.NoError(tb, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}))
	}
	return x, res.StatusCode, body
}

func mustPhone(tb testing.TB, h *house, p phoneSetup) *phone {
	tb.Helper()
	x, status, body := newPhone(tb, h, p)
	require.Equal(tb, http.StatusCreated, status, body)
	return x
}

// play sends the clips one after the other, each from its first picture on, 30
// pictures a second; again and again when loop is set.
func (x *phone) play(loop bool, clips ...clip) {
	x.sending.Go(func() {
		seq := rtp.NewRandomSequencer()
		ts := rand.Uint32()
		next := time.Now()
		for first := true; loop || first; first = false {
			for _, c := range clips {
				for i := 0; i < len(c.frames); i++ {
					if x.wantKey.Load() && !c.keys[i] {
						j := i
						for j < len(c.frames) && !c.keys[j] {
							j++
						}
						if j < len(c.frames) {
							i = j
						}
					}
					if c.keys[i] {
						x.wantKey.Store(false)
					}
					parts := x.payload.Payload(1160, c.frames[i])
					for n, part := range parts {
						p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq.NextSequenceNumber(), Timestamp: ts, Marker: n == len(parts)-1}, Payload: part}
						if x.track.WriteRTP(&p) != nil {
							return
						}
					}
					x.sent.Add(1)
					ts += 3000
					next = next.Add(time.Second / 30)
					select {
					case <-x.stop:
						return
					case <-time.After(time.Until(next)):
					}
				}
			}
		}
	})
}

func (x *phone) connected(tb testing.TB) {
	tb.Helper()
	wait(tb, "phone is not connected", func() bool { return x.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
}

func (x *phone) halt() { x.stopOnce.Do(func() { close(x.stop) }) }

func (x *phone) close() {
	x.halt()
	require.NoError(x.tb, x.pc.GracefulClose())
	x.sending.Wait()
}

// gate is a network that can fall silent both ways.
type gate struct {
	net.PacketConn
	dead atomic.Bool
}

func newGate(tb testing.TB) *gate {
	tb.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(tb, err)
	return &gate{PacketConn: c}
}

func (g *gate) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := g.PacketConn.ReadFrom(b)
		if err != nil || !g.dead.Load() {
			return n, a, err
		}
	}
}

func (g *gate) WriteTo(b []byte, a net.Addr) (int, error) {
	if g.dead.Load() {
		return len(b), nil
	}
	return g.PacketConn.WriteTo(b, a)
}

// screen watches over WHEP.
type screen struct {
	tb       testing.TB
	pc       *webrtc.PeerConnection
	location string
	answer   string

	packets atomic.Int64
	jumps   atomic.Int64 // sequence numbers that did not follow on
	lastTS  atomic.Uint32
	lastSeq atomic.Uint32
	keys    atomic.Int64
	mimes   sync.Map
	reading sync.WaitGroup
	ssrc    atomic.Uint32
}

func newScreen(tb testing.TB, h *house, session, token string, mimes ...string) (*screen, int, string) {
	tb.Helper()
	var me webrtc.MediaEngine
	if len(mimes) == 0 {
		mimes = []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264}
	}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for i, m := range mimes {
		c := webrtc.RTPCodecCapability{MimeType: m, ClockRate: 90000, RTCPFeedback: feedback}
		if m == webrtc.MimeTypeH264 {
			c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
		}
		require.NoError(tb, me.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(100 + i), RTPCodecCapability: c}, webrtc.RTPCodecTypeVideo))
	}
	reg := &interceptor.Registry{}
	require.NoError(tb, webrtc.ConfigureRTCPReports(reg))
	require.NoError(tb, webrtc.ConfigureNack(&me, reg))
	engine := loopbackEngine(webrtc.NetworkTypeUDP4)
	if h.gate != nil {
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: h.gate})
		tb.Cleanup(func() { require.NoError(tb, mux.Close()) })
		engine.SetICEUDPMux(mux)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&me), webrtc.WithSettingEngine(engine), webrtc.WithInterceptorRegistry(reg))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	require.NoError(tb, err)
	x := &screen{tb: tb, pc: pc}
	tb.Cleanup(x.close)
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	require.NoError(tb, err)
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		x.ssrc.Store(uint32(t.SSRC()))
		x.reading.Go(func() {
			for {
				if _, _, err := r.ReadRTCP(); err != nil {
					return
				}
			}
		})
		x.reading.Go(func() { x.read(t) })
	})
	offer, err := pc.CreateOffer(nil)
	require.NoError(tb, err)
	done := webrtc.GatheringCompletePromise(pc)
	require.NoError(tb, pc.SetLocalDescription(offer))
	<-done
	res, body := h.do(tb, "POST", "/whep/"+session, token, "application/sdp", pc.LocalDescription().SDP)
	x.location, x.answer = res.Header.Get("Location"), body
	if res.StatusCode == http.StatusCreated {
		require.NoError(tb, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}))
	}
	return x, res.StatusCode, body
}

func mustScreen(tb testing.TB, h *house, session, token string, mimes ...string) *screen {
	tb.Helper()
	x, status, body := newScreen(tb, h, session, token, mimes...)
	require.Equal(tb, http.StatusCreated, status, body)
	return x
}

func (x *screen) read(t *webrtc.TrackRemote) {
	var last uint16
	for first := true; ; first = false {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		x.mimes.Store(t.Codec().MimeType, true)
		if !first && p.SequenceNumber != last+1 {
			x.jumps.Add(1)
		}
		last = p.SequenceNumber
		x.lastTS.Store(p.Timestamp)
		x.lastSeq.Store(uint32(p.SequenceNumber))
		if b := p.Payload; len(b) > 1 && (b[0]&0x1f == 24 || b[0]&0x1f == 7 || b[0]&0x1f == 5) {
			x.keys.Add(1)
		}
		x.packets.Add(1)
	}
}

func (x *screen) sees(tb testing.TB, more int64) {
	tb.Helper()
	from := x.packets.Load()
	eventually(tb, func() string {
		if n := x.packets.Load(); n < from+more {
			return fmt.Sprintf("%d of %d packets", n-from, more)
		}
		return ""
	})
}

func (x *screen) close() {
	require.NoError(x.tb, x.pc.GracefulClose())
	x.reading.Wait()
}

// iceLines is the trickle fragment of a description.
func iceLines(sdp string) string {
	var out []string
	for line := range strings.SplitSeq(sdp, "\r\n") {
		for _, p := range []string{"a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:", "a=candidate:"} {
			if strings.HasPrefix(line, p) {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "\r\n") + "\r\n"
}

// withICE is an answer with the credentials of a fragment.
func withICE(answer, fragment string) string {
	fresh := map[string]string{}
	for line := range strings.SplitSeq(fragment, "\r\n") {
		if k, _, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(k, "a=ice-") {
			fresh[k] = line
		}
	}
	lines := strings.Split(answer, "\r\n")
	for i, line := range lines {
		if k, _, ok := strings.Cut(line, ":"); ok && fresh[k] != "" {
			lines[i] = fresh[k]
		}
	}
	return strings.Join(lines, "\r\n")
}
