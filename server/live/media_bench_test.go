package live_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

// The load generator speaks plain WHIP and WHEP, so it can be pointed at any
// server on this machine; without an address it starts ours and a plain pion
// forwarder, one after the other, and compares.
var (
	mediaWHIP    = flag.String("media.whip", "", "WHIP address of another server, {p} is the publisher's number")
	mediaWHEP    = flag.String("media.whep", "", "WHEP address of it")
	mediaToken   = flag.String("media.token", "p", "bearer for both; {n} is a number of each peer's own")
	mediaPID     = flag.Int("media.pid", 0, "its process")
	mediaSeconds = flag.Int("media.seconds", 6, "how long is measured")
	mediaRounds  = flag.Int("media.rounds", 3, "how often; medians are told")
	mediaCases   = flag.String("media.cases", "1x1 1x10 1x50 1x100 10x2 20x2 100x1", "publishers x viewers of each")
)

// BenchmarkMedia publishes 720p30 H.264 at 2 Mbit/s, paced as phones do, and
// watches it. Its figures
// are of the server alone: processor time a delivered packet, the time from the
// last packet of a picture sent to received, memory a viewer, processor time and
// time of a join to the first keyframe. Ours records to a file that is synced for
// each fragment; the plain forwarder records nothing.
func BenchmarkMedia(b *testing.B) {
	c := makeClip(b, webrtc.MimeTypeH264, "1280x720", 10, 2000)
	sides := []string{"ours", "plain"}
	if *mediaWHIP != "" {
		sides = []string{"other"}
	}
	for size := range strings.FieldsSeq(*mediaCases) {
		publishers, viewers, ok := strings.Cut(size, "x")
		require.True(b, ok, size)
		p, err := strconv.Atoi(publishers)
		require.NoError(b, err)
		v, err := strconv.Atoi(viewers)
		require.NoError(b, err)
		b.Run(size, func(b *testing.B) {
			all := map[string][]figures{}
			for range *mediaRounds {
				for _, side := range sides {
					all[side] = append(all[side], load(b, side, c, p, v))
				}
			}
			middle := map[string]figures{}
			for side, list := range all {
				middle[side] = medians(list)
				middle[side].tell(b, size, side)
			}
			if o, p := middle["ours"], middle["plain"]; p.cpu > 0 {
				b.ReportMetric(o.cpu/p.cpu, "cpu-ratio")
				b.ReportMetric(o.p99/p.p99, "p99-ratio")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// figures of one run. Times are in milliseconds, cpu in microseconds a packet.
type figures struct{ cpu, p50, p95, p99, lost, kilobytes, joinCPU, join, megabytes float64 }

func (f figures) tell(b *testing.B, size, side string) {
	b.Logf("%-6s %-5s cpu %6.1f us/packet  latency p50 %.2f p95 %.2f p99 %.2f ms  lost %.3f %%  %4.0f KB/viewer  %5.1f MB  join %.2f ms cpu, %.0f ms to a keyframe",
		size, side, f.cpu, f.p50, f.p95, f.p99, f.lost, f.kilobytes, f.megabytes, f.joinCPU, f.join)
}

func medians(list []figures) figures {
	at := func(get func(figures) float64) float64 {
		var all []float64
		for _, f := range list {
			all = append(all, get(f))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return figures{
		at(func(f figures) float64 { return f.cpu }), at(func(f figures) float64 { return f.p50 }), at(func(f figures) float64 { return f.p95 }),
		at(func(f figures) float64 { return f.p99 }), at(func(f figures) float64 { return f.lost }), at(func(f figures) float64 { return f.kilobytes }),
		at(func(f figures) float64 { return f.joinCPU }), at(func(f figures) float64 { return f.join }), at(func(f figures) float64 { return f.megabytes }),
	}
}

// load runs one case against a fresh server of that kind.
func load(b *testing.B, side string, c clip, publishers, viewers int) figures {
	whip, whep, pid := *mediaWHIP, *mediaWHEP, *mediaPID
	if side != "other" {
		exe, err := os.Executable()
		require.NoError(b, err)
		cmd := exec.Command(exe, "-test.run=^$", "-test.bench=^BenchmarkMediaServer$", "-test.benchtime=1x")
		cmd.Env = append(os.Environ(), "MEDIA_SERVER="+side, "MEDIA_FOLDER="+b.TempDir())
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		require.NoError(b, err)
		out, err := cmd.StdoutPipe()
		require.NoError(b, err)
		require.NoError(b, cmd.Start())
		defer func() {
			_ = in.Close() // the server ends with its input
			_, _ = io.Copy(io.Discard, out)
			require.NoError(b, cmd.Wait())
		}()
		var address string
		for address == "" {
			var line string
			_, err := fmt.Fscanln(out, &line)
			if strings.HasPrefix(line, "127.0.0.1:") {
				address = line
				break
			}
			require.NotErrorIs(b, err, io.EOF, "the server ended")
		}
		whip, whep, pid = "http://"+address+"/whip/{p}", "http://"+address+"/whep/{p}", cmd.Process.Pid
	}
	m := &meter{sent: map[uint64]time.Time{}}
	var phones []*loadPhone
	for p := range publishers {
		phones = append(phones, newLoadPhone(b, m, c, strings.ReplaceAll(whip, "{p}", fmt.Sprint("cam", p)), uint64(p)<<32))
	}
	defer func() {
		for _, x := range phones {
			x.close()
		}
	}()
	time.Sleep(1500 * time.Millisecond) // the load settles: this is a measurement, not a test
	memory, busy, began := residentKB(b, pid), busyOf(b, pid), time.Now()
	var screens []*loadScreen
	defer func() {
		for _, s := range screens {
			s.close()
		}
	}()
	for p := range publishers {
		for range viewers {
			screens = append(screens, newLoadScreen(b, m, strings.ReplaceAll(whep, "{p}", fmt.Sprint("cam", p))))
		}
	}
	var joins []float64
	for _, s := range screens {
		wait(b, "a viewer sees nothing", func() bool { return s.first.Load() > 0 })
		joins = append(joins, float64(s.first.Load())/1e6)
	}
	joined, joinTook := busyOf(b, pid)-busy, time.Since(began)
	time.Sleep(time.Second)
	m.reset()
	var before int64
	for _, s := range screens {
		before += s.packets.Load()
		s.gaps.Store(0)
	}
	busy, began = busyOf(b, pid), time.Now()
	time.Sleep(time.Duration(*mediaSeconds) * time.Second)
	used, took := busyOf(b, pid)-busy, time.Since(began)
	after := residentKB(b, pid)
	var got, gaps int64
	for _, s := range screens {
		got += s.packets.Load()
		gaps += s.gaps.Load()
	}
	got -= before
	require.Positive(b, got)
	lat := m.latencies()
	require.NotEmpty(b, lat)
	slices.Sort(joins)
	at := func(q float64) float64 { return lat[min(len(lat)-1, int(q*float64(len(lat))))].Seconds() * 1000 }
	n := float64(len(screens))
	forwarding := used.Seconds() / took.Seconds() * joinTook.Seconds() // what it would have cost without joins
	return figures{
		cpu: float64(used.Microseconds()) / float64(got), p50: at(.5), p95: at(.95), p99: at(.99),
		lost: 100 * float64(gaps) / float64(got+gaps), kilobytes: (after - memory) / n, megabytes: after / 1024,
		joinCPU: max(0, joined.Seconds()-forwarding) * 1000 / n, join: joins[len(joins)/2],
	}
}

// busyOf is the processor time a process has used.
func busyOf(b *testing.B, pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	require.NoError(b, err)
	system, err := strconv.ParseInt(fields[12], 10, 64)
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func residentKB(b *testing.B, pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err)
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(b, err)
	return n
}

// meter knows when the last packet of each picture was sent, and how long it took.
type meter struct {
	mu   sync.Mutex
	sent map[uint64]time.Time
	took []time.Duration
}

func (m *meter) send(n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[n] = time.Now()
	delete(m.sent, n-300)
}

func (m *meter) receive(n uint64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.sent[n]; ok {
		m.took = append(m.took, at.Sub(t))
	}
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = nil
}

func (m *meter) latencies() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.took)
	return m.took
}

// stamp is a unit of user data that numbers a picture.
func stamp(n uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{0, 0, 0, 1, 6, 5, 24}, "genba-bench-0001"...), n)
}

// loadPhone publishes with an ordinary peer, a picture at a time.
type loadPhone struct {
	pc   *webrtc.PeerConnection
	stop chan struct{}
	done sync.WaitGroup
}

func post(b *testing.B, url, offer string, number *atomic.Int64) string {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(offer))
	require.NoError(b, err)
	req.Header.Set("Authorization", "Bearer "+strings.ReplaceAll(*mediaToken, "{n}", fmt.Sprint(number.Add(1))))
	req.Header.Set("Content-Type", sdpKind)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, res.StatusCode, string(answer))
	return string(answer)
}

var peers atomic.Int64

func newLoadPhone(b *testing.B, m *meter, c clip, url string, number uint64) *loadPhone {
	var me webrtc.MediaEngine
	require.NoError(b, me.RegisterDefaultCodecs())
	reg := &interceptor.Registry{}
	require.NoError(b, webrtc.ConfigureRTCPReports(reg))
	require.NoError(b, webrtc.ConfigureNack(&me, reg))
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&me), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(loopbackEngine(webrtc.NetworkTypeUDP4))).NewPeerConnection(webrtc.Configuration{})
	require.NoError(b, err)
	x := &loadPhone{pc: pc, stop: make(chan struct{})}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}, "video", "phone")
	require.NoError(b, err)
	tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	require.NoError(b, err)
	var key atomic.Bool
	x.done.Go(func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, k := range packets {
				if _, ok := k.(*rtcp.PictureLossIndication); ok {
					key.Store(true)
				}
			}
		}
	})
	offer, err := pc.CreateOffer(nil)
	require.NoError(b, err)
	done := webrtc.GatheringCompletePromise(pc)
	require.NoError(b, pc.SetLocalDescription(offer))
	<-done
	require.NoError(b, pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: post(b, url, pc.LocalDescription().SDP, &peers)}))
	wait(b, "a phone does not connect", func() bool { return pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
	x.done.Go(func() {
		split := &codecs.H264Payloader{}
		seq, ts, next := rtp.NewRandomSequencer(), uint32(number), time.Now()
		for i := int(number>>32) * 7 % len(c.frames); ; i = (i + 1) % len(c.frames) {
			for key.Load() && !c.keys[i] {
				i = (i + 1) % len(c.frames)
			}
			if c.keys[i] {
				key.Store(false)
			}
			number++
			parts := split.Payload(1160, append(stamp(number), c.frames[i]...))
			for n, part := range parts {
				p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq.NextSequenceNumber(), Timestamp: ts, Marker: n == len(parts)-1}, Payload: part}
				if n == len(parts)-1 {
					m.send(number)
				}
				if track.WriteRTP(&p) != nil {
					return
				}
				if n%3 == 2 { // as phones pace: no more than some 5 Mbit/s at any time
					time.Sleep(5 * time.Millisecond)
				}
			}
			ts += 3000
			next = next.Add(time.Second / 30)
			select {
			case <-x.stop:
				return
			case <-time.After(time.Until(next)):
			}
		}
	})
	return x
}

func (x *loadPhone) close() {
	close(x.stop)
	_ = x.pc.GracefulClose()
	x.done.Wait()
}

// loadScreen watches with as little of a peer as a server takes for one, so that
// it costs little beside the server: it decrypts only what may hold a stamp.
type loadScreen struct {
	conn    *net.UDPConn
	buffer  *packetio.Buffer
	dtls    *dtls.Conn
	keys    atomic.Pointer[srtp.Context]
	out     *srtp.Context
	began   time.Time
	first   atomic.Int64 // time from the request to the first keyframe
	packets atomic.Int64
	gaps    atomic.Int64
	ssrc    atomic.Uint32
	stop    chan struct{}
	done    sync.WaitGroup
}

func attribute(sdp, name string) string {
	_, rest, _ := strings.Cut(sdp, "a="+name+":")
	v, _, _ := strings.Cut(rest, "\r\n")
	return v
}

func newLoadScreen(b *testing.B, m *meter, url string) *loadScreen {
	cert, err := selfsign.GenerateSelfSigned()
	require.NoError(b, err)
	sum := sha256.Sum256(cert.Certificate[0])
	print := strings.ToUpper(hex.EncodeToString(sum[:]))
	for i := 2; i < len(print); i += 3 {
		print = print[:i] + ":" + print[i:]
	}
	offer := strings.NewReplacer(strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), print, "setup:actpass", "setup:active").Replace(goodOffer("recvonly"))
	s := &loadScreen{began: time.Now(), buffer: packetio.NewBuffer(), stop: make(chan struct{})}
	answer := post(b, url, offer, &peers)
	var address string
	for line := range strings.SplitSeq(answer, "\r\n") {
		f := strings.Fields(strings.TrimPrefix(line, "a=candidate:"))
		if strings.HasPrefix(line, "a=candidate:") && strings.EqualFold(f[2], "udp") && strings.HasPrefix(f[4], "127.") && address == "" {
			address = net.JoinHostPort(f[4], f[5])
		}
	}
	to, err := net.ResolveUDPAddr("udp4", address)
	require.NoError(b, err)
	s.conn, err = net.DialUDP("udp4", nil, to)
	require.NoError(b, err)
	_ = s.conn.SetReadBuffer(1 << 20)
	user, password := attribute(answer, "ice-ufrag")+":abcdefgh", attribute(answer, "ice-pwd")
	check := func() {
		q, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(user), stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x7e, 0, 0, 1}},
			stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
			stun.NewShortTermIntegrity(password), stun.Fingerprint)
		if err == nil {
			_, _ = s.conn.Write(q.Raw)
		}
	}
	passed := make(chan struct{})
	s.done.Go(func() { s.read(m, passed) })
	check()
	for waiting := true; waiting; {
		select {
		case <-passed:
			waiting = false
		case <-time.After(50 * time.Millisecond):
			require.Less(b, time.Since(s.began), patience, "no answer to a check")
			check()
		}
	}
	s.dtls, err = dtls.ClientWithOptions(screenRecords{s}, to, dtls.WithCertificates(cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM))
	require.NoError(b, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(b, s.dtls.HandshakeContext(ctx))
	state, ok := s.dtls.ConnectionState()
	require.True(b, ok)
	k := srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	require.NoError(b, k.ExtractSessionKeysFromDTLS(&state, true))
	in, err := srtp.CreateContext(k.Keys.RemoteMasterKey, k.Keys.RemoteMasterSalt, k.Profile)
	require.NoError(b, err)
	s.out, err = srtp.CreateContext(k.Keys.LocalMasterKey, k.Keys.LocalMasterSalt, k.Profile)
	require.NoError(b, err)
	s.keys.Store(in)
	s.done.Go(func() {
		report := time.NewTicker(time.Second)
		defer report.Stop()
		for {
			if ssrc := s.ssrc.Load(); ssrc != 0 {
				packets := []rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc}}}}
				if s.first.Load() == 0 {
					packets = append(packets, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
				}
				if raw, err := rtcp.Marshal(packets); err == nil {
					if e, err := s.out.EncryptRTCP(nil, raw, nil); err == nil {
						_, _ = s.conn.Write(e)
					}
				}
			}
			check()
			select {
			case <-s.stop:
				return
			case <-report.C:
			}
		}
	})
	return s
}

func (s *loadScreen) read(m *meter, passed chan struct{}) {
	b := make([]byte, 2000)
	var last uint16
	var number uint64
	var header rtp.Header
	plain := make([]byte, 0, 2000)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			return
		}
		switch {
		case n > 0 && b[0] == 0: // a full agent checks, too
			q := &stun.Message{Raw: b[:n]}
			if q.Decode() != nil || q.Type != stun.BindingRequest {
				continue
			}
			to := s.conn.RemoteAddr().(*net.UDPAddr)
			a, err := stun.Build(q, stun.BindingSuccess, &stun.XORMappedAddress{IP: to.IP, Port: to.Port}, stun.NewShortTermIntegrity("abcdefghijklmnopqrstuvwxyz"), stun.Fingerprint)
			if err == nil {
				_, _ = s.conn.Write(a.Raw)
			}
		case n > 0 && b[0] < 4:
			select {
			case <-passed:
			default:
				close(passed)
			}
		case n > 0 && b[0] >= 20 && b[0] < 64:
			_, _ = s.buffer.Write(b[:n], nil)
		case n > 12 && b[0] >= 128 && b[0] < 192 && (b[1] < 192 || b[1] >= 224):
			seq := binary.BigEndian.Uint16(b[2:])
			if jump := int16(seq - last); s.packets.Load() > 0 && jump > 1 {
				s.gaps.Add(int64(jump) - 1)
			}
			last = seq
			s.ssrc.CompareAndSwap(0, binary.BigEndian.Uint32(b[8:]))
			s.packets.Add(1)
			keys := s.keys.Load()
			if keys == nil {
				continue
			}
			if n < 120 || s.first.Load() == 0 {
				if p, err := keys.DecryptRTP(plain, b[:n], &header); err == nil {
					p = p[header.MarshalSize():]
					if len(p) >= 27 && p[0] == 6 {
						number = binary.BigEndian.Uint64(p[19:])
					}
					if s.first.Load() == 0 && len(p) > 1 && (p[0]&31 == 5 || p[0]&31 == 28 && p[1]&31 == 5) && b[1]&128 != 0 {
						s.first.Store(int64(time.Since(s.began)))
					}
				}
			}
			if b[1]&128 != 0 && number != 0 {
				m.receive(number, time.Now())
				number = 0
			}
		}
	}
}

func (s *loadScreen) close() {
	close(s.stop)
	_ = s.dtls.Close()
	_ = s.conn.Close()
	_ = s.buffer.Close()
	s.done.Wait()
}

// screenRecords is the screen as its handshake sees it.
type screenRecords struct{ s *loadScreen }

func (r screenRecords) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := r.s.buffer.Read(b, nil)
	return n, r.s.conn.RemoteAddr(), err
}
func (r screenRecords) WriteTo(b []byte, _ net.Addr) (int, error) { return r.s.conn.Write(b) }
func (r screenRecords) Close() error                              { return nil }
func (r screenRecords) LocalAddr() net.Addr                       { return r.s.conn.LocalAddr() }
func (r screenRecords) SetDeadline(at time.Time) error            { return r.s.buffer.SetReadDeadline(at) }

func (r screenRecords) SetReadDeadline(at time.Time) error { return r.s.buffer.SetReadDeadline(at) }
func (r screenRecords) SetWriteDeadline(time.Time) error   { return nil }

// BenchmarkMediaServer is the server of one case, in a process of its own until
// its input ends. On its own it does nothing.
func BenchmarkMediaServer(b *testing.B) {
	side := os.Getenv("MEDIA_SERVER")
	if side == "" || b.N > 1 {
		return
	}
	mux := http.NewServeMux()
	if side == "plain" {
		plainForwarder(b, mux)
	} else {
		var n atomic.Int64
		s, err := live.New(live.Options{
			Listen: "127.0.0.1:0", Clock: wallClock{},
			Authorize: func(context.Context, string, live.Verb, string) (live.Peer, error) {
				return live.Peer{ID: fmt.Sprint(n.Add(1))}, nil
			},
			Record: func(_ context.Context, session, _ string, _ live.Track) (live.Recording, error) {
				f, err := os.Create(filepath.Join(os.Getenv("MEDIA_FOLDER"), session))
				return syncedFile{f}, err
			},
			WriteProblem: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, err.Error(), http.StatusBadRequest)
			},
		})
		require.NoError(b, err)
		mux.Handle("/", s)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = http.Serve(l, mux) }()
	fmt.Println()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// syncedFile is a recording on disk.
type syncedFile struct{ *os.File }

func (f syncedFile) Append(x live.Fragment) error {
	if _, err := f.Write(x.Data); err != nil {
		return err
	}
	return f.Sync()
}

// plainForwarder is the plainest forwarder that pion makes: a track for each
// publisher, which it copies to each viewer; a keyframe is asked for at a join.
func plainForwarder(b *testing.B, mux *http.ServeMux) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b, err)
	_ = c.SetReadBuffer(4 << 20)
	_ = c.SetWriteBuffer(4 << 20)
	engine := loopbackEngine(webrtc.NetworkTypeUDP4)
	engine.SetICEUDPMux(webrtc.NewICEUDPMux(nil, c))
	type stream struct {
		track *webrtc.TrackLocalStaticRTP
		pc    *webrtc.PeerConnection
		ssrc  webrtc.SSRC
	}
	var streams sync.Map
	serve := func(verb string, dress func(name string, pc *webrtc.PeerConnection) error) {
		mux.HandleFunc("POST /"+verb+"/{name}", func(w http.ResponseWriter, r *http.Request) {
			fail := func(err error) bool {
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadRequest)
				}
				return err != nil
			}
			var me webrtc.MediaEngine
			if fail(me.RegisterDefaultCodecs()) {
				return
			}
			pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(&me), webrtc.WithSettingEngine(engine), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).NewPeerConnection(webrtc.Configuration{})
			if fail(err) || fail(dress(r.PathValue("name"), pc)) {
				return
			}
			offer, err := io.ReadAll(r.Body)
			if fail(err) || fail(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)})) {
				return
			}
			answer, err := pc.CreateAnswer(nil)
			if fail(err) {
				return
			}
			done := webrtc.GatheringCompletePromise(pc)
			if fail(pc.SetLocalDescription(answer)) {
				return
			}
			<-done
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, pc.LocalDescription().SDP)
		})
	}
	serve("whip", func(name string, pc *webrtc.PeerConnection) error {
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			out, err := webrtc.NewTrackLocalStaticRTP(t.Codec().RTPCodecCapability, "video", name)
			if err != nil {
				return
			}
			streams.Store(name, &stream{out, pc, t.SSRC()})
			buf := make([]byte, 1600)
			for {
				n, _, err := t.Read(buf)
				if err != nil {
					return
				}
				_, _ = out.Write(buf[:n])
			}
		})
		return nil
	})
	serve("whep", func(name string, pc *webrtc.PeerConnection) error {
		x, ok := streams.Load(name)
		if !ok {
			return fmt.Errorf("no stream %q", name)
		}
		s := x.(*stream)
		sender, err := pc.AddTrack(s.track)
		if err != nil {
			return err
		}
		ask := func() { _ = s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(s.ssrc)}}) }
		pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
			if state == webrtc.ICEConnectionStateConnected {
				time.AfterFunc(20*time.Millisecond, ask)
			}
		})
		go func() {
			for {
				packets, _, err := sender.ReadRTCP()
				if err != nil {
					return
				}
				for _, k := range packets {
					if _, ok := k.(*rtcp.PictureLossIndication); ok {
						ask()
					}
				}
			}
		}()
		return nil
	})
	runtime.KeepAlive(c)
}
