package live_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/stretchr/testify/require"

	"genba/server/live"
)

// stage is a house with a phone that plays and a screen that sees it.
func stage(t *testing.T, change ...func(*live.Options)) (*house, *phone, *screen) {
	t.Helper()
	h := newHouse(t, change...)
	c := makeClip(t, webrtc.MimeTypeH264, "320x240", 2, 300)
	x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
	x.play(true, c)
	v := mustScreen(t, h, "s", "v")
	v.sees(t, 10)
	return h, x, v
}

func TestStreamLife(t *testing.T) {
	t.Run("close stops every packet at once", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		h.Close("s")
		seen := v.packets.Load()
		wait(t, "viewer is not told", func() bool {
			s := v.pc.ConnectionState()
			return s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateDisconnected
		})
		// What was on the wire at that moment may still have been read.
		require.LessOrEqual(t, v.packets.Load(), seen+8)
		require.True(t, h.has(live.Ended, live.ReasonClosed))
		_, closed := h.tape(0).snapshot()
		require.True(t, closed)
	})
	t.Run("cut credential loses its stream, others wait", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		h.CutPeer("other")
		v.sees(t, 10)
		h.CutPeer("p")
		require.False(t, h.Live("s"))
		require.Equal(t, webrtc.PeerConnectionStateConnected, v.pc.ConnectionState())
		h.CutPeer("v")
		wait(t, "viewer has not left", func() bool { return h.has(live.ViewerLeft, live.ReasonClosed) })
	})
	t.Run("silence is shown, then ends the stream", func(t *testing.T) {
		t.Parallel()
		h, x, _ := stage(t)
		x.halt()
		began := time.Now()
		wait(t, "not stalled", func() bool { return h.has(live.Stalled, "") })
		require.InDelta(t, 2, time.Since(began).Seconds(), 1)
		wait(t, "not ended", func() bool { return h.has(live.Ended, live.ReasonSilent) })
		require.InDelta(t, 8, time.Since(began).Seconds(), 1.5)
		wait(t, "recording open", func() bool { _, closed := h.tape(0).snapshot(); return closed })
	})
	t.Run("goodbye of the phone ends the stream", func(t *testing.T) {
		t.Parallel()
		h, x, v := stage(t)
		res, _ := h.do(t, "DELETE", x.location, "p", "", "")
		require.Equal(t, 200, res.StatusCode)
		require.True(t, h.has(live.Ended, live.ReasonDeleted))
		res, _ = h.do(t, "DELETE", v.location, "v", "", "")
		require.Equal(t, 200, res.StatusCode)
		wait(t, "viewer has not left", func() bool { return h.has(live.ViewerLeft, live.ReasonDeleted) })
	})
	t.Run("same phone again replaces its stream for the same viewers", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		ssrc := v.ssrc.Load()
		again := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
		again.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
		wait(t, "not replaced", func() bool { return h.has(live.Ended, live.ReasonReplaced) })
		wait(t, "second stream not live", func() bool { return h.Live("s") })
		before := v.lastTS.Load()
		v.sees(t, 60)
		require.Equal(t, ssrc, v.ssrc.Load())
		require.Zero(t, v.jumps.Load(), "numbers go on")
		require.Less(t, int32(v.lastTS.Load()-before), int32(90000*10), "time goes on")
		require.Greater(t, int32(v.lastTS.Load()-before), int32(0))
		_, status, _ := newPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "other", session: "s"})
		require.Equal(t, 409, status)
	})
	t.Run("stream that is not accepted has no effect", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.reject.Store(true)
		x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
		v := mustScreen(t, h, "s", "v")
		x.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
		wait(t, "phone is not cut", func() bool { return x.pc.ConnectionState() == webrtc.PeerConnectionStateClosed })
		require.Zero(t, v.packets.Load())
		require.Nil(t, h.tape(0))
		require.False(t, h.has(live.Connected, ""))
		require.False(t, h.Live("s"))
	})
	t.Run("viewer that vanishes is dropped, others see on", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		h.gate = newGate(t)
		gone := mustScreen(t, h, "s", "gone")
		gone.sees(t, 10)
		h.gate.dead.Store(true)
		began := time.Now()
		wait(t, "still there", func() bool { return h.has(live.ViewerLeft, live.ReasonLost) })
		require.InDelta(t, 9, time.Since(began).Seconds(), 2)
		v.sees(t, 30)
	})
	t.Run("phone that never connects gives its place up", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		res, _ := h.do(t, "POST", "/whip/s", "p1", sdpKind, goodOffer("sendonly"))
		require.Equal(t, 201, res.StatusCode)
		wait(t, "place is taken", func() bool {
			res, _ := h.do(t, "POST", "/whip/s", "p2", sdpKind, goodOffer("sendonly"))
			return res.StatusCode == 201
		})
		require.False(t, h.has(live.Ended, ""), "it never began")
	})
	t.Run("event handler may close the session", func(t *testing.T) {
		t.Parallel()
		var h *house
		var closed atomic.Bool
		h = newHouse(t, func(o *live.Options) {
			inner := o.Observe
			o.Observe = func(e live.Event) {
				inner(e)
				if e.Kind == live.Connected {
					h.Close(e.Session)
					closed.Store(true)
				}
			}
		})
		x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
		x.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
		wait(t, "not closed", closed.Load)
		wait(t, "not ended", func() bool { return h.has(live.Ended, live.ReasonClosed) })
		require.False(t, h.Live("s"))
	})
}

func TestRecordingTrouble(t *testing.T) {
	t.Run("failed write keeps the picture going", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		wait(t, "nothing recorded", func() bool { f, _ := h.tape(0).snapshot(); return len(f) > 1 })
		h.tape(0).fail.Store(true)
		wait(t, "not said", func() bool { return h.has(live.Unrecorded, live.ReasonStore) })
		_, closed := h.tape(0).snapshot()
		require.True(t, closed)
		v.sees(t, 30)
		require.True(t, h.Live("s"))
	})
	t.Run("recording that cannot be opened keeps the picture going", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.broken.Store(true)
		x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
		x.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
		v := mustScreen(t, h, "s", "v")
		v.sees(t, 30)
		require.True(t, h.has(live.Unrecorded, live.ReasonStore))
	})
	t.Run("no recording wanted", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.noTapes.Store(true)
		x := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "p", session: "s"})
		x.play(true, makeClip(t, webrtc.MimeTypeH264, "320x240", 1, 300))
		v := mustScreen(t, h, "s", "v")
		v.sees(t, 30)
		require.False(t, h.has(live.Unrecorded, ""))
	})
	t.Run("stuck disk holds nobody", func(t *testing.T) {
		t.Parallel()
		h, _, v := stage(t)
		h.tape(0).slow.Store(true)
		v.sees(t, 60)
		close(h.tape(0).gate)
		h.Close("s")
		checkRecording(t, h.tape(0), 10)
	})
}

func TestRestartICE(t *testing.T) {
	h, x, v := stage(t)
	offer, err := x.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	require.NoError(t, err)
	done := webrtc.GatheringCompletePromise(x.pc)
	require.NoError(t, x.pc.SetLocalDescription(offer))
	<-done
	fresh := x.pc.LocalDescription().SDP
	res, body := h.do(t, "PATCH", x.location, "p", fragKind, iceLines(fresh), "If-Match", "*")
	require.Equal(t, 200, res.StatusCode, body)
	require.NoError(t, x.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: withICE(x.answer, body)}))
	v.sees(t, 120)
	require.Equal(t, webrtc.PeerConnectionStateConnected, x.pc.ConnectionState())
	require.False(t, h.has(live.Ended, ""))
	require.False(t, h.has(live.Stalled, ""))
}

func TestShutdown(t *testing.T) {
	h, _, _ := stage(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, h.Shutdown(ctx))
	_, closed := h.tape(0).snapshot()
	require.True(t, closed)
	require.True(t, h.has(live.Ended, live.ReasonShutdown))
	res, _ := h.do(t, "POST", "/whip/s", "p", sdpKind, goodOffer("sendonly"))
	require.Equal(t, 503, res.StatusCode)
}

func TestViewersAreListedWhileTheyWatch(t *testing.T) {
	h, _, v := stage(t)
	again := mustScreen(t, h, "s", "v")
	again.sees(t, 10)
	other := mustScreen(t, h, "s", "w")
	require.Equal(t, []string{"v", "w"}, h.Viewers(), "each once, and no publisher")
	again.close()
	other.close()
	wait(t, "nobody has left", func() bool { return len(h.Viewers()) == 1 })
	require.Equal(t, []string{"v"}, h.Viewers())
	v.close()
	wait(t, "somebody still watches", func() bool { return len(h.Viewers()) == 0 })
}

func TestStreamWithoutMediaHoldsNoPlace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	squatter := mustPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "squatter", session: "s"})
	squatter.connected(t)
	squatter.sending.Go(func() {
		for n := uint16(0); ; n++ {
			select {
			case <-squatter.stop:
				return
			case <-time.After(100 * time.Millisecond):
				_ = squatter.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 3000}}) // until it is cut
			}
		}
	})
	wait(t, "who sends nothing keeps the caller out", func() bool {
		p, status, _ := newPhone(t, h, phoneSetup{mime: webrtc.MimeTypeH264, token: "caller", session: "s"})
		if status != http.StatusCreated {
			p.close()
		}
		return status == http.StatusCreated
	})
}
