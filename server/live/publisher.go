package live

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// rembEvery is how often a phone is told the ceiling of its bit rate.
const rembEvery = time.Second

// monotonic is the time that waits are measured with; wall times come from the
// Clock of Options.
func monotonic() time.Time { return time.Now() }

// publisher is who sends the session's video.
type publisher struct {
	*resource
	format   format
	started  atomic.Bool // its first track is being read
	accepted atomic.Bool
	closed   atomic.Bool
	ssrc     atomic.Uint32
	last     atomic.Pointer[time.Time] // newest packet, or when the transport came up
	dropped  atomic.Uint64             // packets over the ceilings

	ring ring // under room.mu

	recMu sync.Mutex
	rec   *recorder

	// Only the goroutine that reads the track uses what follows.
	high    int64
	begun   bool
	bits    bucket
	packets bucket

	keyMu     sync.Mutex
	keyWanted bool
	keyAsked  time.Time
}

func newPublisher(x *resource) *publisher {
	p := &publisher{
		resource: x, format: x.formats[0],
		bits: newBucket(maxBitrate, maxBitrate), packets: newBucket(maxPacketRate, maxPacketRate/2),
	}
	x.release = p.release
	return p
}

// listen sets the stack's callbacks; it is called before negotiation.
func (p *publisher) listen() {
	p.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		if !p.started.CompareAndSwap(false, true) {
			return // one picture a session
		}
		p.ssrc.Store(uint32(t.SSRC()))
		broken := func() { p.endLater(ReasonBroken) }
		p.server.spawn(func() { p.read(t) }, broken)
		p.server.spawn(func() { // the stack sees sender reports only while somebody reads
			b := make([]byte, mtu)
			for {
				if _, _, err := r.Read(b); err != nil {
					return
				}
			}
		}, broken)
	})
}

// read takes packets until the transport ends.
func (p *publisher) read(t *webrtc.TrackRemote) {
	b := make([]byte, mtu)
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		if !p.ingest(b[:n]) {
			return
		}
	}
}

// ingest takes one RTP packet; false means the stream is over.
func (p *publisher) ingest(b []byte) bool {
	var in rtp.Packet
	if p.closed.Load() {
		return false
	}
	now := monotonic()
	if !p.packets.take(1, now) || !p.bits.take(float64(8*len(b)), now) {
		p.dropped.Add(1)
		return true
	}
	if in.Unmarshal(b) != nil || in.PayloadType != p.format.payload {
		p.dropped.Add(1)
		return true
	}
	if !p.begun && len(in.Payload) == 0 {
		return true // probing is no media: it neither begins a stream nor keeps one that has not begun
	}
	p.last.Store(&now)
	pkt := &packet{ts: in.Timestamp, marker: in.Marker, at: now, wall: p.server.opt.Clock.Now()}
	pkt.payload = append(make([]byte, 0, len(in.Payload)), in.Payload...)
	pkt.key = isKey(p.format.codec, pkt.payload)
	if !p.begun {
		if !p.accept() {
			return false
		}
		p.begun, p.high = true, 1<<20+int64(in.SequenceNumber)
	}
	pkt.ext = p.high + int64(int16(in.SequenceNumber-uint16(p.high)))
	p.high = max(p.high, pkt.ext)
	if pkt.key {
		p.keyMu.Lock()
		p.keyWanted = false
		p.keyMu.Unlock()
	}
	p.room.forward(p, pkt)
	p.recMu.Lock()
	rec := p.rec
	p.recMu.Unlock()
	if rec != nil {
		rec.push(pkt)
	}
	return true
}

// accept asks whether the first packet may have an effect, and starts the
// recording.
func (p *publisher) accept() bool {
	ctx, cancel := context.WithTimeout(context.Background(), acceptWait)
	err := p.server.opt.Accept(ctx, p.session, p.peer)
	cancel()
	if err != nil {
		p.server.log.Info("live stream not accepted", "session", p.session, "error", err)
		p.endLater(ReasonRefused)
		return false
	}
	now := monotonic()
	p.last.Store(&now)
	rec := newRecorder(p.format,
		func(ctx context.Context) (Recording, error) {
			return p.server.opt.Record(ctx, p.session, p.peer, p.format.codec.track())
		},
		p.wantKey, p.unrecorded)
	// Told first, so that the end of it cannot be told before.
	p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Connected})
	p.recMu.Lock()
	over := p.closed.Load()
	if !over {
		p.rec = rec
		p.accepted.Store(true)
		p.server.spawn(rec.run, func() {})
	}
	p.recMu.Unlock()
	if over {
		p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Ended, Reason: p.reason})
	}
	return !over
}

// unrecorded takes the recorder away; forwarding goes on.
func (p *publisher) unrecorded(err error) {
	p.recMu.Lock()
	p.rec = nil
	p.recMu.Unlock()
	p.server.log.Error("live stream goes on unrecorded", "session", p.session, "error", err)
	p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Unrecorded, Reason: ReasonStore})
}

// wantKey asks the phone for a keyframe, at most once in keyframeEvery; a wish
// that comes too early is kept.
func (p *publisher) wantKey() {
	ssrc := p.ssrc.Load()
	now := monotonic()
	p.keyMu.Lock()
	p.keyWanted = true
	send := ssrc != 0 && now.Sub(p.keyAsked) >= keyframeEvery
	if send {
		p.keyWanted, p.keyAsked = false, now
	}
	p.keyMu.Unlock()
	if send {
		p.writeRTCP(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
	}
}

func (p *publisher) writeRTCP(pkt rtcp.Packet) {
	if err := p.pc.WriteRTCP([]rtcp.Packet{pkt}); err != nil {
		p.server.log.Debug("send feedback", "error", err)
	}
}

// watch notices silence and sends what is due.
func (p *publisher) watch() {
	select {
	case <-p.up:
	case <-p.over:
		return
	}
	now := monotonic()
	p.last.CompareAndSwap(nil, &now)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	advise := slices.Contains(p.format.feedback, "goog-remb")
	var stalled bool
	var reported time.Time
	for {
		select {
		case <-p.over:
			return
		case <-tick.C:
		}
		now := monotonic()
		silent := now.Sub(*p.last.Load())
		if silent >= endAfter {
			p.endLater(ReasonSilent)
			return
		}
		if is := silent >= stallAfter; is != stalled && p.accepted.Load() {
			stalled = is
			kind := Resumed
			if is {
				kind = Stalled
			}
			p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: kind})
		}
		p.keyMu.Lock()
		due := p.keyWanted
		p.keyMu.Unlock()
		if due {
			p.wantKey()
		}
		if ssrc := p.ssrc.Load(); ssrc != 0 && advise && now.Sub(reported) >= rembEvery {
			reported = now
			p.writeRTCP(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: advisedKilobits * 1000, SSRCs: []uint32{ssrc}})
		}
	}
}

// release stops forwarding at once and finishes the recording.
func (p *publisher) release(reason string) {
	p.room.mu.Lock()
	if p.room.publisher == p {
		p.room.publisher = nil
	}
	p.room.mu.Unlock()
	p.recMu.Lock()
	p.closed.Store(true)
	rec, was := p.rec, p.accepted.Swap(false)
	p.rec = nil
	p.recMu.Unlock()
	if rec != nil {
		rec.stop()
	}
	if n := p.dropped.Load(); n > 0 {
		p.server.log.Warn("live stream over its ceilings", "session", p.session, "dropped", n)
	}
	if was {
		p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Ended, Reason: reason})
	}
}
