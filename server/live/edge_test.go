package live_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

func TestNeverSendsFirst(t *testing.T) {
	victim, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer victim.Close()
	stream, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer stream.Close()
	h := newHouse(t)
	to := func(a net.Addr, kind string) string {
		ap := netip.MustParseAddrPort(a.String())
		return "a=candidate:1 1 " + kind + " 2130706431 " + ap.Addr().String() + " " + strings.Split(a.String(), ":")[1] + " typ host"
	}
	lines := to(victim.LocalAddr(), "udp") + "\r\n" + to(stream.Addr(), "tcp") + " tcptype passive\r\n"
	for path, direction := range map[string]string{"/whip/a": "sendonly", "/whep/a": "recvonly"} {
		res, b := h.do(t, "POST", path, "p", sdpKind, goodOffer(direction)+lines)
		require.Equal(t, 201, res.StatusCode, b)
		res, b = h.do(t, "PATCH", res.Header.Get("Location"), "p", fragKind,
			"a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\n"+lines, "If-Match", "*")
		require.Equal(t, 204, res.StatusCode, b)
	}
	// A checking agent sends its first request within tens of milliseconds.
	until := time.Now().Add(700 * time.Millisecond)
	require.NoError(t, victim.SetReadDeadline(until))
	_, _, err = victim.ReadFrom(make([]byte, 2000))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, stream.(*net.TCPListener).SetDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = stream.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestStrangersGetNoAnswer(t *testing.T) {
	h := newHouse(t)
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(h.Addr()))
	require.NoError(t, err)
	defer c.Close()
	hello := append([]byte{22, 254, 253}, make([]byte, 200)...)
	media := append([]byte{128, 96}, make([]byte, 200)...)
	for range 50 {
		for _, b := range [][]byte{hello, media, {}, {0, 1, 0, 0}} {
			_, err := c.Write(b)
			require.NoError(t, err)
		}
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = c.Read(make([]byte, 2000))
	require.True(t, errors.Is(err, os.ErrDeadlineExceeded), "%v", err)
}

func TestWrongFingerprintGivesNoPicture(t *testing.T) {
	h := newHouse(t)
	print := regexp.MustCompile(`a=fingerprint:sha-256 [0-9A-F]{2}`)
	x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s", tamper: func(o string) string {
		return print.ReplaceAllStringFunc(o, func(m string) string {
			if strings.HasSuffix(m, "00") {
				return strings.TrimSuffix(m, "00") + "01"
			}
			return m[:len(m)-2] + "00"
		})
	}})
	x.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
	wait(t, "phone still there", func() bool {
		s := x.pc.ConnectionState()
		return s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed
	})
	require.False(t, h.Live("s"))
	require.Nil(t, h.tape(0))
}

func TestFloodIsCut(t *testing.T) {
	h := newHouse(t)
	h.noTapes.Store(true)
	x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "flood"})
	v := mustScreen(t, h, "flood", "v")
	x.connected(t)
	began := time.Now()
	x.sending.Go(func() {
		p := rtp.Packet{Header: rtp.Header{Version: 2, Marker: true}, Payload: []byte{0x41, 0x9a, 1, 2, 3, 4}}
		for {
			for range 20 { // 10,000 a second
				p.SequenceNumber++
				p.Timestamp += 9
				if x.track.WriteRTP(&p) != nil {
					return
				}
			}
			select {
			case <-x.stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	v.sees(t, 3000)
	got, took := v.packets.Load(), time.Since(began).Seconds()
	require.Less(t, float64(got), 2000*took+1200, "ceiling and its burst")
}

func TestKeyframeRequests(t *testing.T) {
	h, x, v := stage(t)
	before, began := x.plis.Load(), time.Now()
	for range 200 {
		require.NoError(t, v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: v.ssrc.Load()}}))
	}
	wait(t, "phone is not asked", func() bool { return x.plis.Load() > before })
	v.sees(t, 60)
	require.LessOrEqual(t, float64(x.plis.Load()-before), 2+time.Since(began).Seconds()*2)
	require.True(t, h.Live("s"))
}

func TestViewerRepairs(t *testing.T) {
	_, x, v := stage(t)
	v.sees(t, 30)
	// The screen's own bookkeeping is told that it misses packets it has: each
	// answer is a packet more on the wire, seen as a transport counter.
	received := func() uint64 {
		for _, s := range v.pc.GetStats() {
			if c, ok := s.(webrtc.TransportStats); ok {
				return c.BytesReceived
			}
		}
		return 0
	}
	x.halt()
	last := uint16(v.lastSeq.Load())
	before := received()
	pairs := rtcp.NackPairsFromSequenceNumbers([]uint16{last - 3, last - 2, last - 1})
	for range 30 {
		require.NoError(t, v.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: v.ssrc.Load(), Nacks: pairs}}))
	}
	wait(t, "no repair came", func() bool { return received() > before+30*3*100 })
}

func TestUnitsOfOnePictureCostNoMoreThanTheirBytes(t *testing.T) {
	sets := []byte{4, 0x78, 0, 7, 0x67, 0x42, 0x00, 0x0a, 0xf8, 0x41, 0xa2, 0, 4, 0x68, 0xce, 0x38, 0x80} // 128 by 96
	payloads := [][]byte{sets}
	for range 500 { // small units, each in two fragments, before a large one
		payloads = append(payloads, []byte{0, 0x7c, 0x86, 1}, []byte{0, 0x7c, 0x46, 1})
	}
	large := append([]byte{0, 0x7c, 0x05}, make([]byte, 1200)...)
	payloads = append(payloads, []byte{0, 0x7c, 0x85, 0x88})
	for range 1000 {
		payloads = append(payloads, large)
	}
	payloads = append(payloads, []byte{16, 0x7c, 0x45, 1})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NotEmpty(t, live.Feed("h264", payloads))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "for 1.2 MB")
}

func TestNumberIsForwardedOnce(t *testing.T) {
	x := newPath(t, 1)
	require.NoError(t, x.Send(10))
	require.Equal(t, 10, x.Forwarded())
	// All the way round, by packets that are opened and not kept: the same number
	// again would be the viewer's key on other bytes.
	require.NoError(t, x.SendAs(103, 30000, 77))
	require.NoError(t, x.SendAs(103, 60000, 77))
	require.NoError(t, x.SendAs(102, 10, 77))
	require.NoError(t, x.SendAs(102, 5, 77))
	require.Equal(t, 10, x.Forwarded())
	require.NoError(t, x.SendAs(102, 13, 77))
	require.NoError(t, x.SendAs(102, 12, 77))
	require.Equal(t, 12, x.Forwarded(), "late is not twice")
	require.NoError(t, x.SendAs(102, 20000, 77))
	require.NoError(t, x.SendAs(102, 17000, 77))
	require.Equal(t, 13, x.Forwarded(), "too late to be told from twice")
}

func TestPeerUsesFewSources(t *testing.T) {
	x := newPath(t, 1)
	require.NoError(t, x.Send(1))
	for n := range uint32(1000) {
		require.NoError(t, x.SendAs(103, 1, 1000+n))
	}
	require.LessOrEqual(t, x.Dropped(), 8)
	require.NoError(t, x.Send(1))
	require.Equal(t, 2, x.Forwarded())
}

// claim is one peer's connectivity check, of the answer to its offer.
func claim(t *testing.T, answer string) []byte {
	t.Helper()
	line := func(key string) string {
		_, rest, found := strings.Cut(answer, "a="+key+":")
		require.True(t, found)
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	_, ours, _ := strings.Cut(goodOffer("sendonly"), "a=ice-ufrag:")
	ours, _, _ = strings.Cut(ours, "\r\n")
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(line("ice-ufrag")+":"+ours),
		stun.NewShortTermIntegrity(line("ice-pwd")), stun.Fingerprint)
	require.NoError(t, err)
	return m.Raw
}

func TestAddressStaysWithThePeerThatHasIt(t *testing.T) {
	h := newHouse(t)
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(h.Addr()))
	require.NoError(t, err)
	defer c.Close()
	answered := func(answer string) bool {
		_, err := c.Write(claim(t, answer))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
		_, err = c.Read(make([]byte, 2000))
		return err == nil
	}
	first, a := h.do(t, "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly"))
	require.Equal(t, 201, first.StatusCode, a)
	res, b := h.do(t, "POST", "/whip/b", "q", sdpKind, goodOffer("sendonly"))
	require.Equal(t, 201, res.StatusCode, b)
	require.True(t, answered(a))
	require.False(t, answered(b), "a check in another peer's name")
	require.True(t, answered(a))
	res, _ = h.do(t, "DELETE", first.Header.Get("Location"), "p", "", "")
	require.Equal(t, 200, res.StatusCode)
	require.True(t, answered(b), "the first has gone")
}

func TestCutThrowsAwayWhatASlowConnectionHasNotTaken(t *testing.T) {
	h := newHouse(t)
	res, answer := h.do(t, "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly"))
	require.Equal(t, 201, res.StatusCode, answer)
	c, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(h.Addr()))
	require.NoError(t, err)
	defer c.Close()
	check := claim(t, answer)
	_, err = c.Write(append([]byte{0, byte(len(check))}, check...))
	require.NoError(t, err)
	b := make([]byte, 2000)
	_, err = c.Read(b)
	require.NoError(t, err)
	h.Close("a")
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.Copy(io.Discard, c)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestStrangersOfOneAddressLeaveRoom(t *testing.T) {
	h := newHouse(t)
	dial := func(from string) *net.TCPConn {
		c, err := net.DialTCP("tcp4", &net.TCPAddr{IP: net.ParseIP(from)}, net.TCPAddrFromAddrPort(h.Addr()))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	refused := func(c *net.TCPConn) bool {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		_, err := c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	var last *net.TCPConn
	for range 64 {
		last = dial("127.0.0.2")
	}
	require.False(t, refused(last))
	require.True(t, refused(dial("127.0.0.2")))
	require.False(t, refused(dial("127.0.0.3")), "another address")
	require.NoError(t, last.Close())
	wait(t, "no room again", func() bool { return !refused(dial("127.0.0.2")) })
}

func TestAddresses(t *testing.T) {
	t.Run("all interfaces, both families", func(t *testing.T) {
		h := newHouse(t, func(o *live.Options) { o.Listen = ":0" })
		res, answer := h.do(t, "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly"))
		require.Equal(t, 201, res.StatusCode)
		require.Contains(t, answer, " 127.0.0.1 ")
		x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "b"})
		x.connected(t)
	})
	t.Run("published address", func(t *testing.T) {
		h := newHouse(t, func(o *live.Options) { o.Addresses = []string{"203.0.113.7", "2001:db8::7"} })
		_, answer := h.do(t, "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly"))
		require.Contains(t, answer, " 203.0.113.7 ")
		require.Contains(t, answer, " 2001:db8::7 ")
		require.NotContains(t, answer, "127.0.0.1 "+"typ")
	})
	t.Run("same number for UDP and TCP", func(t *testing.T) {
		h := newHouse(t)
		c, err := net.Dial("tcp", h.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.Close())
	})
	t.Run("bad settings are refused", func(t *testing.T) {
		base := live.Options{
			Clock:        wallClock{},
			Authorize:    func(context.Context, string, live.Verb, string) (live.Peer, error) { return live.Peer{}, nil },
			WriteProblem: func(http.ResponseWriter, *http.Request, error) {},
		}
		for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:x", "nowhere.invalid:1", "127.0.0.1:70000"} {
			o := base
			o.Listen = bad
			_, err := live.New(o)
			require.Error(t, err, bad)
		}
		o := base
		o.Listen, o.Addresses = "127.0.0.1:0", []string{"example.org"}
		_, err := live.New(o)
		require.Error(t, err)
		_, err = live.New(live.Options{Listen: "127.0.0.1:0"})
		require.Error(t, err)
	})
}

func TestHeadRefusesWhatIsNoHeader(t *testing.T) {
	for _, kind := range []string{"video/mp4", "video/webm", "image/png"} {
		_, err := live.Head(kind, []byte("no header at all"), nil)
		require.Error(t, err, kind)
	}
	_, err := live.Head("video/mp4", nil, []live.FragmentInfo{{Size: -1}})
	require.Error(t, err)
}
