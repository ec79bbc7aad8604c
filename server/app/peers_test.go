package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
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
)

const pictureRate = 30

// clip is encoded video, a picture an element.
type clip struct {
	frames [][]byte
	keys   []bool
}

type clipKey struct {
	mime, size string
	rate       int
}

var clips struct {
	sync.Mutex
	made map[clipKey]clip
}

// program runs a program that must succeed, and answers what it wrote.
func program(t testing.TB, stdin []byte, name string, args ...string) (out, complaints []byte) {
	t.Helper()
	var o, e bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(stdin), &o, &e
	require.NoErrorf(t, c.Run(), "%s %v: %s", name, args, e.String())
	return o.Bytes(), e.Bytes()
}

// footage is two seconds of a moving test picture with a keyframe each second.
func footage(t testing.TB, mime, size string, kilobits int) clip {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	key := clipKey{mime, size, kilobits}
	if c, ok := clips.made[key]; ok {
		return c
	}
	args := []string{
		"-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=%d:duration=2", size, pictureRate),
		"-pix_fmt", "yuv420p", "-b:v", fmt.Sprintf("%dk", kilobits), "-g", fmt.Sprint(pictureRate),
	}
	var c clip
	if mime == webrtc.MimeTypeVP8 {
		raw, _ := program(t, nil, "ffmpeg", append(args, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf", "-")...)
		r, _, err := ivfreader.NewWith(bytes.NewReader(raw))
		require.NoError(t, err)
		for {
			frame, _, err := r.ParseNextFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			c.frames, c.keys = append(c.frames, frame), append(c.keys, frame[0]&1 == 0)
		}
	} else {
		raw, _ := program(t, nil, "ffmpeg", append(args, "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency",
			"-bf", "0", "-x264-params", "aud=1:slices=1", "-f", "h264", "-")...)
		for _, unit := range bytes.Split(raw, []byte{0, 0, 0, 1, 9})[1:] {
			_, rest, ok := bytes.Cut(unit, []byte{0, 0, 1}) // without the delimiter, as a phone sends it
			require.True(t, ok)
			frame := append([]byte{0, 0, 0, 1}, rest...)
			c.frames, c.keys = append(c.frames, frame), append(c.keys, bytes.Contains(frame, []byte{0, 0, 1, 0x67}))
		}
	}
	require.Len(t, c.frames, 2*pictureRate)
	if clips.made == nil {
		clips.made = map[clipKey]clip{}
	}
	clips.made[key] = c
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

func loopbackEngine() webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	return e
}

// offer makes the whole offer of a peer.
func offer(pc *webrtc.PeerConnection) (string, error) {
	o, err := pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	done := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(o); err != nil {
		return "", err
	}
	<-done
	return pc.LocalDescription().SDP, nil
}

// signal sends an offer by WHIP or WHEP and takes the answer.
func (h *house) signal(pc *webrtc.PeerConnection, b bearer) (answer, error) {
	sdp, err := offer(pc)
	if err != nil {
		return answer{}, err
	}
	a, err := h.send(http.MethodPost, b.URL, []byte(sdp), "Authorization", "Bearer "+b.Token, "Content-Type", "application/sdp")
	if err != nil || a.status != http.StatusCreated {
		return a, err
	}
	return a, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(a.body)})
}

// camera publishes by WHIP.
type camera struct {
	pc       *webrtc.PeerConnection
	track    *webrtc.TrackLocalStaticRTP
	payload  rtp.Payloader
	location string

	wantKey atomic.Bool
	sent    atomic.Int64 // pictures
	stop    chan struct{}
	once    sync.Once

	stopping sync.Once
	work     sync.WaitGroup
}

type film struct {
	mime    string
	weather *weather
	deaf    bool // never repairs what is lost
}

// newCamera answers nil where the house refuses.
func (h *house) newCamera(b bearer, f film) (*camera, answer, error) {
	var engine webrtc.MediaEngine
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return nil, answer{}, err
	}
	chain := &interceptor.Registry{}
	if f.weather != nil {
		f.weather.rnd = rand.New(rand.NewPCG(1, 1))
		chain.Add(f.weather)
	}
	if !f.deaf {
		repair, err := nack.NewResponderInterceptor()
		if err != nil {
			return nil, answer{}, err
		}
		chain.Add(repair)
	}
	if err := webrtc.ConfigureRTCPReports(chain); err != nil {
		return nil, answer{}, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithSettingEngine(loopbackEngine()), webrtc.WithInterceptorRegistry(chain))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, answer{}, err
	}
	c := &camera{pc: pc, stop: make(chan struct{}), payload: &codecs.VP8Payloader{EnablePictureID: true}}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	codec := webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: f.mime, ClockRate: 90000, RTCPFeedback: feedback}}
	if f.mime == webrtc.MimeTypeH264 {
		c.payload = &codecs.H264Payloader{}
		codec.PayloadType, codec.SDPFmtpLine = 106, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
	}
	a, err := c.announce(h, b, codec)
	if err != nil || a.status != http.StatusCreated {
		return nil, a, errors.Join(err, pc.GracefulClose())
	}
	c.location = a.header.Get("Location")
	return c, a, nil
}

func (c *camera) announce(h *house, b bearer, codec webrtc.RTPCodecParameters) (a answer, err error) {
	if c.track, err = webrtc.NewTrackLocalStaticRTP(codec.RTPCodecCapability, "video", "phone"); err != nil {
		return a, err
	}
	tr, err := c.pc.AddTransceiverFromTrack(c.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return a, err
	}
	if err := tr.SetCodecPreferences([]webrtc.RTPCodecParameters{codec}); err != nil {
		return a, err
	}
	c.work.Go(func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					c.wantKey.Store(true)
				}
			}
		}
	})
	return h.signal(c.pc, b)
}

// film publishes with a new bearer and, once the line is up, plays the clips
// again and again.
func (c *caller) film(f film, played ...clip) *camera {
	c.t.Helper()
	x, a, err := c.newCamera(c.publish(), f)
	require.NoError(c.t, err)
	require.NotNil(c.t, x, "%d %s", a.status, a.body)
	c.t.Cleanup(x.close)
	x.connected(c.t)
	x.play(played...)
	return x
}

func (c *camera) connected(t testing.TB) {
	t.Helper()
	eventually(t, func() string {
		if s := c.pc.ConnectionState(); s != webrtc.PeerConnectionStateConnected {
			return "the phone is " + s.String()
		}
		return ""
	})
}

// sentDuring tells how many pictures had been sent before and after f.
func (c *camera) sentDuring(f func()) (least, most int64) {
	least = c.sent.Load()
	f()
	return least, c.sent.Load()
}

// play sends the clips, thirty pictures a second, and begins at a keyframe where
// it is asked for one.
func (c *camera) play(played ...clip) {
	c.work.Go(func() {
		seq, ts, next := rtp.NewRandomSequencer(), rand.Uint32(), time.Now()
		for {
			for _, p := range played {
				for i := 0; i < len(p.frames); i++ {
					if c.wantKey.Load() {
						for j := i; j < len(p.frames); j++ {
							if p.keys[j] {
								i = j
								break
							}
						}
					}
					if p.keys[i] {
						c.wantKey.Store(false)
					}
					parts := c.payload.Payload(1160, p.frames[i])
					for n, part := range parts {
						packet := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq.NextSequenceNumber(), Timestamp: ts, Marker: n == len(parts)-1}, Payload: part}
						if c.track.WriteRTP(&packet) != nil {
							return
						}
					}
					if len(parts) > 0 {
						c.sent.Add(1)
					}
					ts += 90000 / pictureRate
					next = next.Add(time.Second / pictureRate)
					select {
					case <-c.stop:
						return
					case <-time.After(time.Until(next)):
					}
				}
			}
		}
	})
}

// hasSent waits until so many pictures left the phone.
func (c *camera) hasSent(t testing.TB, pictures int64) {
	t.Helper()
	eventually(t, func() string {
		if n := c.sent.Load(); n < pictures {
			return fmt.Sprintf("%d of %d pictures sent, %s", n, pictures, c.pc.ConnectionState())
		}
		return ""
	})
}

// halt stops the pictures; the line stays.
func (c *camera) halt() { c.stopping.Do(func() { close(c.stop) }) }

func (c *camera) close() {
	c.halt()
	c.once.Do(func() {
		_ = c.pc.GracefulClose() // the house may have closed it already
		c.work.Wait()
	})
}

// screen watches by WHEP.
type screen struct {
	pc       *webrtc.PeerConnection
	location string
	packets  atomic.Int64
	last     atomic.Int64 // when the newest packet came, in ns since 1970
	keys     atomic.Int64
	once     sync.Once
	reading  sync.WaitGroup
}

func (h *house) newScreen(b bearer) (*screen, answer, error) {
	var engine webrtc.MediaEngine
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for i, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264} {
		c := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000, RTCPFeedback: feedback}
		if mime == webrtc.MimeTypeH264 {
			c.SDPFmtpLine = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
		}
		if err := engine.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(100 + i), RTPCodecCapability: c}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, answer{}, err
		}
	}
	chain := &interceptor.Registry{}
	if err := errors.Join(webrtc.ConfigureRTCPReports(chain), webrtc.ConfigureNack(&engine, chain)); err != nil {
		return nil, answer{}, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&engine), webrtc.WithSettingEngine(loopbackEngine()), webrtc.WithInterceptorRegistry(chain))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, answer{}, err
	}
	s := &screen{pc: pc}
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		return nil, answer{}, errors.Join(err, pc.GracefulClose())
	}
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		s.reading.Go(func() {
			for {
				if _, _, err := r.ReadRTCP(); err != nil {
					return
				}
			}
		})
		s.reading.Go(func() {
			for {
				p, _, err := t.ReadRTP()
				if err != nil {
					return
				}
				s.note(t.Codec().MimeType, p.Payload)
			}
		})
	})
	a, err := h.signal(pc, b)
	if err != nil || a.status != http.StatusCreated {
		return nil, a, errors.Join(err, pc.GracefulClose())
	}
	s.location = a.header.Get("Location")
	return s, a, nil
}

// note counts a packet, and whether a keyframe begins with it.
func (s *screen) note(mime string, payload []byte) {
	s.packets.Add(1)
	s.last.Store(time.Now().UnixNano())
	if mime == webrtc.MimeTypeH264 {
		if len(payload) > 0 && (payload[0]&0x1f == 24 || payload[0]&0x1f == 7) { // parameter sets come first
			s.keys.Add(1)
		}
		return
	}
	var v codecs.VP8Packet
	if body, err := v.Unmarshal(payload); err == nil && v.S == 1 && v.PID == 0 && len(body) > 0 && body[0]&1 == 0 {
		s.keys.Add(1)
	}
}

// watched is the report on a visitor's screen.
func (r *report) watched(v *visitor) *screen {
	r.t.Helper()
	s, a, err := r.newScreen(r.watch(v))
	require.NoError(r.t, err)
	require.NotNil(r.t, s, "%d %s", a.status, a.body)
	r.t.Cleanup(s.close)
	return s
}

// sees waits for more packets, a keyframe among them.
func (s *screen) sees(t testing.TB, more int64) {
	t.Helper()
	from, keys := s.packets.Load(), s.keys.Load()
	eventually(t, func() string {
		if n := s.packets.Load() - from; n < more || s.keys.Load() == keys {
			return fmt.Sprintf("%d of %d packets, %d keyframes", n, more, s.keys.Load()-keys)
		}
		return ""
	})
}

// requireDark says that no packet came later than a second after a moment, and
// that the transport went down.
func (s *screen) requireDark(t testing.TB, since time.Time) {
	t.Helper()
	eventually(t, func() string {
		switch state := s.pc.ConnectionState(); state {
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateDisconnected:
			return ""
		default:
			return "the screen is still " + state.String()
		}
	})
	require.Less(t, time.Unix(0, s.last.Load()).Sub(since), time.Second, "the last packet came too late")
}

func (s *screen) close() {
	s.once.Do(func() {
		_ = s.pc.GracefulClose() // the house may have closed it already
		s.reading.Wait()
	})
}

// codecName is how a MIME type names its codec.
func codecName(mime string) string { return strings.TrimPrefix(mime, "video/") }
