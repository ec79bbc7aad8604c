package live_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

// FuzzOffer sends descriptions and fragments to the entry points as a holder of
// a bearer would: no panic, no answer that is not one of ours.
func FuzzOffer(f *testing.F) {
	for _, s := range []string{
		"", "v=0", goodOffer("sendonly"), goodOffer("sendrecv"), goodOffer("recvonly"),
		strings.ReplaceAll(goodOffer("sendonly"), "\r\n", "\n"),
		strings.ReplaceAll(goodOffer("sendonly"), "H264", "VP8"),
		strings.ReplaceAll(goodOffer("sendonly"), "a=mid:0", "a=mid:"+strings.Repeat("x", 300)),
		strings.ReplaceAll(goodOffer("sendonly"), "102", "72"),
		strings.ReplaceAll(goodOffer("sendonly"), "a=ice-ufrag:abcdefgh", "a=ice-ufrag:../../etc\x00"),
		goodOffer("sendonly") + "a=ssrc:99999999999 cname:x\r\na=extmap:300 x\r\n",
		goodOffer("sendonly") + "a=simulcast:send 1;2\r\na=rid:1 send\r\n",
		"a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n",
		"a=ice-ufrag:newfragm\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\n",
	} {
		f.Add(s)
	}
	h := newHouse(f)
	f.Fuzz(func(t *testing.T, body string) {
		send := func(method, path, kind, match string) *http.Response {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer p")
			r.Header.Set("Content-Type", kind)
			if match != "" {
				r.Header.Set("If-Match", match)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Result()
		}
		for _, path := range []string{"/whip/f", "/whep/f"} {
			res := send("POST", path, sdpKind, "")
			require.Contains(t, []int{201, 422, 413}, res.StatusCode)
			if res.StatusCode == 201 {
				require.Contains(t, []int{200, 204, 400, 422, 413}, send("PATCH", res.Header.Get("Location"), fragKind, "*").StatusCode)
			}
		}
		res := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/whip/f", strings.NewReader(goodOffer("sendonly")))
		r.Header.Set("Authorization", "Bearer p")
		r.Header.Set("Content-Type", sdpKind)
		h.ServeHTTP(res, r)
		require.Equal(t, 201, res.Code)
		at := res.Header().Get("Location")
		require.Contains(t, []int{200, 204, 400, 422, 413}, send("PATCH", at, fragKind, "*").StatusCode)
		require.Equal(t, 200, send("DELETE", at, "", "").StatusCode)
		h.Close("f")
	})
}

// FuzzMedia sends payloads through reordering, depacketizing and the containers:
// no panic, and what comes out is a file of the right shape.
func FuzzMedia(f *testing.F) {
	sps := []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0xc8}
	pps := []byte{0x68, 0xce, 0x38, 0x80}
	idr := []byte{0x65, 0x88, 0x84, 0x00, 0x33}
	stap := []byte{0x78, 0, byte(len(sps))}
	stap = append(append(append(append(stap, sps...), 0, byte(len(pps))), pps...), 0, byte(len(idr)))
	stap = append(stap, idr...)
	join := func(ps ...[]byte) []byte {
		var out []byte
		for _, p := range ps {
			out = append(append(out, byte(len(p))), p...)
		}
		return out
	}
	key := append([]byte{20}, stap...)
	delta := append([]byte{20}, 0x41, 0x9a, 0x01)
	f.Add("h264", join(key, delta, delta))
	f.Add("h264", join(key, append([]byte{4}, 0x7c, 0x85, 1, 2), append([]byte{16}, 0x7c, 0x45, 3)))
	f.Add("h264", join([]byte{20, 0x78, 0, 200, 1}, []byte{23, 0x7c}, []byte{8, 0x1c, 0xff, 0xff}))
	f.Add("vp8", join([]byte{20, 0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0, 1, 2}, []byte{20, 0x10, 0x11, 0, 0, 5}, []byte{23, 0x90, 0x80, 0x80}))
	f.Add("vp8", join([]byte{20, 0x10}, []byte{28, 0xff, 0xff, 0xff, 0xff, 0xff}))
	f.Fuzz(func(t *testing.T, codec string, stream []byte) {
		if codec != "vp8" {
			codec = "h264"
		}
		var payloads [][]byte
		for len(stream) > 0 {
			n := min(int(stream[0]), len(stream)-1)
			payloads = append(payloads, stream[1:1+n])
			stream = stream[1+n:]
		}
		out := live.Feed(codec, payloads)
		if len(out) == 0 {
			return
		}
		if codec == "h264" {
			file, err := mp4.DecodeFile(bytes.NewReader(bytes.Join(out, nil)))
			require.NoError(t, err)
			require.NotNil(t, file.Init)
		}
		var info []live.FragmentInfo
		for _, b := range out[1:] {
			info = append(info, live.FragmentInfo{Size: int64(len(b)), Key: true})
		}
		kind := map[string]string{"h264": "video/mp4", "vp8": "video/webm"}[codec]
		_, err := live.Head(kind, out[0], info)
		require.NoError(t, err)
	})
}

// FuzzPackets gives the packet path anything where strangers' bytes come in:
// connectivity checks, RTP and RTCP of a peer, DTLS. Nothing breaks, and a viewer
// is sent no more than came in.
func FuzzPackets(f *testing.F) {
	rtp := append([]byte{0x80, 102, 0, 1, 0, 0, 0, 1, 0, 0, 0, 77}, 0x65, 0x88, 0x84)
	f.Add(byte(0), []byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add(byte(1), []byte{})
	f.Add(byte(2), rtp)
	f.Add(byte(2), append([]byte{0xbf, 102 | 0x80}, rtp[2:]...))
	f.Add(byte(2), append([]byte{0x90, 102, 0, 9, 0, 0, 0, 1, 0, 0, 0, 77, 0xbe, 0xde, 0, 1, 0x31, 0, 7, 0}, 0x41, 1))
	f.Add(byte(3), []byte{0x80, 200, 0, 6, 0, 0, 0, 77, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3})
	f.Add(byte(4), []byte{0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 77, 0, 5, 0xff, 0xff})
	f.Add(byte(4), []byte{0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 77})
	f.Add(byte(5), []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	f.Add(byte(5), []byte{0x80, 102})
	x := newPath(f, 1)
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		require.NoError(t, x.Send(2))
		before := x.Forwarded()
		x.Throw(kind, b)
		require.LessOrEqual(t, x.Forwarded()-before, 257, "one packet, or one request for repair")
	})
}

// FuzzHead gives it anything as a header fragment.
func FuzzHead(f *testing.F) {
	f.Add("video/mp4", []byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x10moov\x00\x00\x00\x08mvex"))
	f.Add("video/webm", []byte{0x1a, 0x45, 0xdf, 0xa3, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add("text/html", []byte("<p>"))
	f.Fuzz(func(t *testing.T, kind string, init []byte) {
		_, _ = live.Head(kind, init, []live.FragmentInfo{{Size: 10, Key: true, Duration: 1e9}})
	})
}
