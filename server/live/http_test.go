package live_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

const sdpKind, fragKind = "application/sdp", "application/trickle-ice-sdpfrag"

// goodOffer is a phone's offer without a phone.
func goodOffer(direction string) string {
	return strings.Join([]string{
		"v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
		"m=video 9 UDP/TLS/RTP/SAVPF 102", "c=IN IP4 0.0.0.0",
		"a=ice-ufrag:abcdefgh", "a=ice-pwd:abcdefghijklmnopqrstuvwxyz",
		"a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), "a=setup:actpass",
		"a=mid:0", "a=" + direction, "a=rtcp-mux", "a=rtpmap:102 H264/90000", "a=rtcp-fb:102 nack",
		"a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", "",
	}, "\r\n")
}

func TestRefusals(t *testing.T) {
	h := newHouse(t)
	audio := strings.NewReplacer("m=video", "m=audio", "H264/90000", "opus/48000/2").Replace(goodOffer("sendonly"))
	for _, c := range []struct {
		name, method, path, token, kind, body string
		status                                int
		reason                                string
	}{
		{"no bearer", "POST", "/whip/a", "", sdpKind, goodOffer("sendonly"), 401, "UNAUTHENTICATED"},
		{"unknown bearer", "POST", "/whip/a", "nobody", sdpKind, goodOffer("sendonly"), 401, "UNAUTHENTICATED"},
		{"bearer that is over", "POST", "/whip/a", "late:p", sdpKind, goodOffer("sendonly"), 401, "UNAUTHENTICATED"},
		{"bearer asked before the type", "POST", "/whip/a", "nobody", "text/plain", "", 401, "UNAUTHENTICATED"},
		{"bearer asked before the size", "POST", "/whip/a", "nobody", sdpKind, strings.Repeat("x", 1<<20), 401, "UNAUTHENTICATED"},
		{"wrong type", "POST", "/whip/a", "p", "application/json", "{}", 415, "UNSUPPORTED_TYPE"},
		{"too large", "POST", "/whip/a", "p", sdpKind, strings.Repeat("x", 64<<10+1), 413, "TOO_LARGE"},
		{"no SDP", "POST", "/whip/a", "p", sdpKind, "hello", 422, "SDP_REFUSED"},
		{"empty", "POST", "/whip/a", "p", sdpKind, "", 422, "SDP_REFUSED"},
		{"sound only", "POST", "/whip/a", "p", sdpKind, audio, 422, "SDP_REFUSED"},
		{"publisher that only receives", "POST", "/whip/a", "p", sdpKind, goodOffer("recvonly"), 422, "SDP_REFUSED"},
		{"viewer that only sends", "POST", "/whep/a", "p", sdpKind, goodOffer("sendonly"), 422, "SDP_REFUSED"},
		{"codec nobody has", "POST", "/whip/a", "p", sdpKind, strings.ReplaceAll(goodOffer("sendonly"), "H264", "H265"), 422, "SDP_REFUSED"},
		{"passive DTLS on both sides", "POST", "/whip/a", "p", sdpKind, strings.ReplaceAll(goodOffer("sendonly"), "actpass", "passive"), 422, "SDP_REFUSED"},
		{"five sections", "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly") + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 4), 422, "SDP_REFUSED"},
		{"41 candidates", "POST", "/whip/a", "p", sdpKind, goodOffer("sendonly") + strings.Repeat("a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n", 41), 422, "SDP_REFUSED"},
		{"GET of an endpoint", "GET", "/whip/a", "p", "", "", 405, "METHOD_NOT_ALLOWED"},
		{"GET of a resource", "GET", "/whip/a/b", "p", "", "", 405, "METHOD_NOT_ALLOWED"},
		{"POST to a resource", "POST", "/whep/a/b", "p", sdpKind, "", 405, "METHOD_NOT_ALLOWED"},
		{"resource that is not there", "DELETE", "/whip/a/b", "p", "", "", 404, "NOT_FOUND"},
		{"resource without bearer", "DELETE", "/whip/a/b", "", "", "", 401, "UNAUTHENTICATED"},
		{"no session", "POST", "/whip/", "p", sdpKind, "", 404, "NOT_FOUND"},
		{"session name too long", "POST", "/whip/" + strings.Repeat("a", 129), "p", sdpKind, "", 404, "NOT_FOUND"},
		{"other path", "POST", "/whop/a", "p", sdpKind, "", 404, "NOT_FOUND"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := h.do(t, c.method, c.path, c.token, c.kind, c.body)
			require.Equal(t, c.status, res.StatusCode, body)
			require.Contains(t, body, `"`+c.reason+`"`)
			if c.status == 401 {
				require.Equal(t, "Bearer", res.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestResource(t *testing.T) {
	h := newHouse(t)
	res, answer := h.do(t, "POST", "/whip/s1", "p1", sdpKind, goodOffer("sendonly"))
	require.Equal(t, http.StatusCreated, res.StatusCode, answer)
	at, tag := res.Header.Get("Location"), res.Header.Get("ETag")
	require.Regexp(t, regexp.MustCompile(`^/whip/s1/[A-Z2-7]{26}$`), at)
	require.Equal(t, sdpKind, res.Header.Get("Content-Type"))
	require.Contains(t, answer, "a=ice-lite")
	require.Contains(t, answer, "a=setup:passive")
	require.Contains(t, answer, "a=recvonly")
	require.Contains(t, answer, " 127.0.0.1 ")
	require.Contains(t, answer, "tcptype passive")
	require.NotContains(t, answer, "typ srflx")

	candidate := "a=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n"
	patch := func(token, kind, body string, headers ...string) (int, string) {
		res, b := h.do(t, "PATCH", at, token, kind, body, headers...)
		return res.StatusCode, b
	}
	t.Run("candidate without If-Match", func(t *testing.T) {
		status, _ := patch("p1", fragKind, candidate)
		require.Equal(t, http.StatusPreconditionRequired, status)
	})
	t.Run("candidate with old If-Match", func(t *testing.T) {
		status, _ := patch("p1", fragKind, candidate, "If-Match", `"old"`)
		require.Equal(t, http.StatusPreconditionFailed, status)
	})
	t.Run("candidate taken", func(t *testing.T) {
		status, b := patch("p1", fragKind, candidate, "If-Match", tag)
		require.Equal(t, http.StatusNoContent, status, b)
	})
	t.Run("candidate by a name is not looked up", func(t *testing.T) {
		status, _ := patch("p1", fragKind, strings.ReplaceAll(candidate, "10.0.0.1", "metadata.local"), "If-Match", tag)
		require.Equal(t, http.StatusNoContent, status)
	})
	t.Run("too many candidates", func(t *testing.T) {
		status, _ := patch("p1", fragKind, candidate+strings.Repeat("a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n", 39), "If-Match", tag)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	})
	t.Run("junk fragment", func(t *testing.T) {
		for _, junk := range []string{"", "hello", "a=candidate:x\r\n", "a=ice-ufrag:abcd\r\n", "a=ice-ufrag:a b\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyz\r\n"} {
			status, b := patch("p1", fragKind, junk, "If-Match", tag)
			require.Equal(t, http.StatusBadRequest, status, junk+b)
		}
	})
	t.Run("wrong type", func(t *testing.T) {
		status, _ := patch("p1", sdpKind, candidate, "If-Match", tag)
		require.Equal(t, http.StatusUnsupportedMediaType, status)
	})
	t.Run("other credential sees none", func(t *testing.T) {
		status, _ := patch("p2", fragKind, candidate, "If-Match", tag)
		require.Equal(t, http.StatusNotFound, status)
		res, _ := h.do(t, "DELETE", at, "p2", "", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode)
		res, _ = h.do(t, "DELETE", strings.Replace(at, "/s1/", "/s2/", 1), "p1", "", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode)
		res, _ = h.do(t, "DELETE", strings.Replace(at, "/whip/", "/whep/", 1), "p1", "", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode)
	})
	t.Run("new ICE credentials give ours and a new tag", func(t *testing.T) {
		body := strings.ReplaceAll(candidate, "abcdefgh\r", "newfragm\r")
		res, b := h.do(t, "PATCH", at, "p1", fragKind, body, "If-Match", "*")
		require.Equal(t, http.StatusOK, res.StatusCode, b)
		require.Contains(t, b, "a=ice-ufrag:")
		require.NotEqual(t, tag, res.Header.Get("ETag"))
		status, _ := patch("p1", fragKind, candidate, "If-Match", tag)
		require.Equal(t, http.StatusPreconditionFailed, status)
	})
	t.Run("restarts without end are slowed", func(t *testing.T) {
		limited := false
		for i := 0; i < 20 && !limited; i++ {
			body := strings.ReplaceAll(candidate, "abcdefgh\r", strings.Repeat("x", 5+i)+"\r")
			status, _ := patch("p1", fragKind, body, "If-Match", "*")
			limited = status == http.StatusTooManyRequests
		}
		require.True(t, limited)
	})
	t.Run("options", func(t *testing.T) {
		res, _ := h.do(t, "OPTIONS", "/whip/s1", "", "", "")
		require.Equal(t, http.StatusNoContent, res.StatusCode)
		require.Equal(t, sdpKind, res.Header.Get("Accept-Post"))
		res, _ = h.do(t, "OPTIONS", at, "", "", "")
		require.Equal(t, fragKind, res.Header.Get("Accept-Patch"))
	})
	t.Run("deleted once", func(t *testing.T) {
		res, _ := h.do(t, "DELETE", at, "p1", "", "", "If-Match", `"old"`)
		require.Equal(t, http.StatusPreconditionFailed, res.StatusCode)
		res, _ = h.do(t, "DELETE", at, "p1", "", "")
		require.Equal(t, http.StatusOK, res.StatusCode)
		res, _ = h.do(t, "DELETE", at, "p1", "", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode)
	})
}

func TestOffers(t *testing.T) {
	h := newHouse(t)
	t.Run("one publisher a session", func(t *testing.T) {
		res, _ := h.do(t, "POST", "/whip/one", "p1", sdpKind, goodOffer("sendonly"))
		require.Equal(t, http.StatusCreated, res.StatusCode)
		first := res.Header.Get("Location")
		res, b := h.do(t, "POST", "/whip/one", "p2", sdpKind, goodOffer("sendonly"))
		require.Equal(t, http.StatusConflict, res.StatusCode)
		require.Contains(t, b, "PUBLISHER_PRESENT")
		res, _ = h.do(t, "POST", "/whip/one", "p1", sdpKind, goodOffer("sendrecv"))
		require.Equal(t, http.StatusCreated, res.StatusCode)
		res, _ = h.do(t, "DELETE", first, "p1", "", "")
		require.Equal(t, http.StatusNotFound, res.StatusCode, "the first was replaced")
	})
	t.Run("H.264 is preferred and sound declined", func(t *testing.T) {
		offer := strings.Replace(goodOffer("sendonly"), "m=video 9 UDP/TLS/RTP/SAVPF 102", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtpmap:111 opus/48000/2\r\na=sendonly\r\na=rtcp-mux\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 102", 1)
		offer = strings.Replace(offer, "BUNDLE 0", "BUNDLE a 0", 1) + "a=rtpmap:96 VP8/90000\r\n"
		res, answer := h.do(t, "POST", "/whip/two", "p1", sdpKind, offer)
		require.Equal(t, http.StatusCreated, res.StatusCode, answer)
		require.Contains(t, answer, "m=audio 0 UDP/TLS/RTP/SAVPF 111")
		require.Contains(t, answer, "m=video 9 UDP/TLS/RTP/SAVPF 102\r\n")
		require.Less(t, strings.Index(answer, "m=audio"), strings.Index(answer, "m=video"))
		require.Contains(t, answer, "a=group:BUNDLE 0\r\n")
	})
	t.Run("viewer without the publisher's codec", func(t *testing.T) {
		res, _ := h.do(t, "POST", "/whip/three", "p1", sdpKind, goodOffer("sendonly"))
		require.Equal(t, http.StatusCreated, res.StatusCode)
		offer := strings.NewReplacer("H264", "VP8", "a=fmtp", "a=nothing").Replace(goodOffer("recvonly"))
		res, b := h.do(t, "POST", "/whep/three", "v", sdpKind, offer)
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, b)
		res, b = h.do(t, "POST", "/whep/four", "v", sdpKind, offer)
		require.Equal(t, http.StatusCreated, res.StatusCode, b)
	})
	t.Run("session closed while the offer was answered", func(t *testing.T) {
		var h *house
		calls := 0
		h = newHouse(t, func(o *live.Options) {
			inner := o.Authorize
			o.Authorize = func(ctx context.Context, token string, v live.Verb, s string) (live.Peer, error) {
				if calls++; calls == 1 {
					p, err := inner(ctx, token, v, s)
					h.cutOff.Store(true)
					h.Close(s)
					return p, err
				}
				return inner(ctx, token, v, s)
			}
		})
		res, _ := h.do(t, "POST", "/whip/five", "p1", sdpKind, goodOffer("sendonly"))
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		h.cutOff.Store(false)
		res, _ = h.do(t, "POST", "/whip/five", "p2", sdpKind, goodOffer("sendonly"))
		require.Equal(t, http.StatusCreated, res.StatusCode, "nothing was left behind")
	})
}

func TestOpensAndClosesLeaveNothing(t *testing.T) {
	h := newHouse(t)
	base := runtime.NumGoroutine()
	for range 100 {
		for path, direction := range map[string]string{"/whip/s": "sendonly", "/whep/s": "recvonly"} {
			res, b := h.do(t, "POST", path, "p", sdpKind, goodOffer(direction))
			require.Equal(t, http.StatusCreated, res.StatusCode, b)
			res, _ = h.do(t, "DELETE", res.Header.Get("Location"), "p", "", "")
			require.Equal(t, http.StatusOK, res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	wait(t, "goroutines stay behind", func() bool { return runtime.NumGoroutine() <= base+2 })
}

func TestHolderHasFewThatAreNotUp(t *testing.T) {
	h := newHouse(t)
	var first string
	for n := range 16 {
		res, b := h.do(t, "POST", fmt.Sprintf("/whep/s%d", n), fmt.Sprintf("login/%d", n), sdpKind, goodOffer("recvonly"))
		require.Equal(t, http.StatusCreated, res.StatusCode, b)
		if first == "" {
			first = res.Header.Get("Location")
		}
	}
	res, _ := h.do(t, "POST", "/whep/s", "login/17", sdpKind, goodOffer("recvonly"))
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	res, b := h.do(t, "POST", "/whep/s", "other/1", sdpKind, goodOffer("recvonly"))
	require.Equal(t, http.StatusCreated, res.StatusCode, b)
	res, _ = h.do(t, "DELETE", first, "login/0", "", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	res, b = h.do(t, "POST", "/whep/s", "login/17", sdpKind, goodOffer("recvonly"))
	require.Equal(t, http.StatusCreated, res.StatusCode, b)
}

func TestTCPOnly(t *testing.T) {
	h := newHouse(t)
	c := makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300)
	x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s", audio: true, networks: []webrtc.NetworkType{webrtc.NetworkTypeTCP4}})
	x.play(true, c)
	v := mustScreen(t, h, "s", "v")
	v.sees(t, 60)
	require.Contains(t, x.answer, "m=audio 0")
}
