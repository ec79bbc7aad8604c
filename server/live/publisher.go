package live

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Timing of what a phone is told.
const (
	rembEvery   = time.Second // the ceiling of its bit rate
	reportEvery = time.Second // what arrived
	feedEvery   = 100 * time.Millisecond
)

// started is what times on the packet path are counted from.
var started = time.Now()

// monotonic is the time that waits are measured with; wall times come from the
// Clock of Options.
func monotonic() time.Time { return time.Now() }

// since is a time as a number that fits an atomic.
func since(t time.Time) int64 { return int64(t.Sub(started)) }

// publisher is who sends the session's video.
type publisher struct {
	*resource
	format   format
	accepted atomic.Bool
	closed   atomic.Bool
	ssrc     atomic.Uint32
	last     atomic.Int64  // time of the newest packet, or of when the transport came up
	dropped  atomic.Uint64 // packets over the ceilings

	// Under room.mu.
	ring    ring
	slabs   slabs
	asked   bool // Accept has been asked
	high    int64
	had     [ringSize / 64]uint64 // which of the newest numbers have come
	count   int64                 // packets kept
	bits    bucket
	packets bucket
	inbound inbound
	pending []*packet // arrived in this batch, not yet forwarded

	recMu sync.Mutex
	rec   *recorder

	keyMu     sync.Mutex
	keyWanted bool
	keyAsked  time.Time

	telling sync.Mutex
	stalled atomic.Bool
	told    bool // what was told of stalled, under telling

	remb, report, feed time.Time // when each was last sent; the ticking goroutine's
}

func newPublisher(x *resource) *publisher {
	p := &publisher{
		resource: x, format: x.formats[0],
		bits: newBucket(maxBitrate, maxBitrate), packets: newBucket(maxPacketRate, maxPacketRate/2),
	}
	p.inbound = newInbound(slices.Contains(p.format.feedback, "nack"), p.offer.transportCC > 0 && slices.Contains(p.format.feedback, "transport-cc"))
	x.release = p.release
	x.join = p.joined
	return p
}

// listen takes what the transport brings; it is called before negotiation.
func (p *publisher) listen() {
	p.transport.receive = p.receive
	p.transport.feedback = p.control
}

// joined is called when the transport works.
func (p *publisher) joined() { p.last.CompareAndSwap(0, since(monotonic())) }

// receive takes one RTP packet. b is good only for the time of the call.
func (p *publisher) receive(h *rtp.Header, b []byte, out *sender) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.closed.Load() || r.publisher != p {
		return
	}
	payload, ok := payloadOf(b)
	if !ok {
		return
	}
	if !p.packets.take(1, out.now) || !p.bits.take(float64(8*len(b)), out.now) {
		p.dropped.Add(1)
		return
	}
	if p.inbound.feed != nil { // padding and probes are reported too: the phone measures the line with them
		if e := h.GetExtension(uint8(p.offer.transportCC)); len(e) >= 2 {
			p.inbound.feed.Record(h.SSRC, binary.BigEndian.Uint16(e), out.now.Sub(started).Microseconds())
		}
	}
	ssrc := p.ssrc.Load()
	if h.PayloadType != p.format.payload || ssrc != 0 && h.SSRC != ssrc {
		p.dropped.Add(1)
		return
	}
	if !p.asked && len(payload) == 0 {
		return // probing is no media: it neither begins a stream nor keeps one that has not begun
	}
	p.last.Store(since(out.now))
	if !p.asked {
		p.asked, p.high = true, 1<<20+int64(h.SequenceNumber)-1
		p.ssrc.Store(h.SSRC)
		p.server.spawn(func() { p.accept() }, func() { p.endLater(ReasonBroken) })
	}
	ext := p.high + int64(int16(h.SequenceNumber-uint16(p.high)))
	if !p.fresh(ext) {
		p.dropped.Add(1)
		return
	}
	missing := p.inbound.arrived(ext, p.high, h.Timestamp, out.now)
	p.high = max(p.high, ext)
	if len(missing) > 0 && p.accepted.Load() {
		p.transport.write(nack(h.SSRC, missing))
	}
	pkt := p.slabs.packet(payload)
	p.count++
	pkt.ext, pkt.count, pkt.ts, pkt.marker, pkt.at, pkt.wall = ext, p.count, h.Timestamp, h.Marker, out.now, out.wall
	pkt.key = isKey(p.format.codec, payload)
	if pkt.key {
		p.keyMu.Lock()
		p.keyWanted = false
		p.keyMu.Unlock()
	}
	p.ring.put(pkt)
	if !p.accepted.Load() {
		return // the ring keeps it until the answer
	}
	if len(p.pending) == 0 {
		out.touched = append(out.touched, r)
	}
	p.pending = append(p.pending, pkt)
}

// fresh notes a number and tells whether it is its first packet. A second one
// would be encrypted under the number that viewers have had already, which gives
// their keys away; the decryption's own window does not see it where the phone
// takes the number all the way round by packets that are not kept.
func (p *publisher) fresh(ext int64) bool {
	if ext <= p.high-ringSize {
		return false
	}
	for n := max(p.high+1, ext-ringSize+1); n <= ext; n++ {
		p.had[n%ringSize/64] &^= 1 << (n % 64)
	}
	word, bit := &p.had[ext%ringSize/64], uint64(1)<<(ext%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// payloadOf is what an RTP packet carries, without header and padding.
func payloadOf(b []byte) ([]byte, bool) {
	n := headerSize + 4*int(b[0]&15)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return nil, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		end -= int(b[end-1])
	}
	if n > end {
		return nil, false
	}
	return b[n:end], true
}

// control takes the phone's own reports. A goodbye in them ends nothing: silence
// does.
func (p *publisher) control(packets []rtcp.Packet, out *sender) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	for _, k := range packets {
		if r, ok := k.(*rtcp.SenderReport); ok {
			p.inbound.sender(r, out.now)
		}
	}
}

// accept asks whether the first packet may have an effect. Then it starts the
// recording, and sends on what has come meanwhile.
func (p *publisher) accept() {
	ctx, cancel := context.WithTimeout(context.Background(), acceptWait)
	err := p.server.opt.Accept(ctx, p.session, p.peer)
	cancel()
	if err != nil {
		p.server.log.Info("live stream not accepted", "session", p.session, "error", err)
		p.endLater(ReasonRefused)
		return
	}
	rec := newRecorder(p.format,
		func(ctx context.Context) (Recording, error) {
			return p.server.opt.Record(ctx, p.session, p.peer, p.format.codec.track())
		},
		p.wantKey, p.unrecorded)
	// Told first, so that the end of it cannot be told before.
	p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Connected})
	p.last.Store(since(monotonic()))
	over := false
	p.server.port.do(func(out *sender) {
		p.room.mu.Lock()
		defer p.room.mu.Unlock()
		p.recMu.Lock()
		defer p.recMu.Unlock()
		if over = p.closed.Load(); over {
			return
		}
		p.rec = rec
		p.accepted.Store(true)
		p.server.spawn(rec.run, func() {})
		p.pending = append(p.pending, p.ring.all()...)
		if len(p.pending) > 0 {
			out.touched = append(out.touched, p.room)
		}
	})
	if over {
		p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: Ended, Reason: p.reason})
	}
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
		p.transport.write(&rtcp.PictureLossIndication{MediaSSRC: ssrc})
	}
}

// tick notices silence and sends what is due.
func (p *publisher) tick(now time.Time) {
	last := p.last.Load()
	if last == 0 {
		return
	}
	silent := time.Duration(since(now) - last)
	if silent >= endAfter {
		p.endLater(ReasonSilent)
		return
	}
	if is := silent >= stallAfter; p.accepted.Load() && p.stalled.Swap(is) != is {
		p.server.spawn(p.tell, func() {})
	}
	p.keyMu.Lock()
	due := p.keyWanted
	p.keyMu.Unlock()
	if due {
		p.wantKey()
	}
	ssrc := p.ssrc.Load()
	if ssrc == 0 {
		return
	}
	packets := p.reports(ssrc, now)
	if now.Sub(p.remb) >= rembEvery && slices.Contains(p.format.feedback, "goog-remb") {
		p.remb = now
		packets = append(packets, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: advisedKilobits * 1000, SSRCs: []uint32{ssrc}})
	}
	for _, k := range packets {
		p.transport.write(k)
	}
}

// reports are what the phone is to be told now of what it sent.
func (p *publisher) reports(ssrc uint32, now time.Time) (packets []rtcp.Packet) {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	if missing := p.inbound.overdue(now); len(missing) > 0 {
		packets = append(packets, nack(ssrc, missing))
	}
	if p.inbound.feed != nil && now.Sub(p.feed) >= feedEvery {
		p.feed = now
		if p.inbound.feed.PacketsHeld() > 0 {
			packets = append(packets, p.inbound.feed.BuildFeedbackPacket()...)
		}
	}
	if now.Sub(p.report) >= reportEvery {
		p.report = now
		packets = append(packets, p.inbound.report(ssrc, now))
	}
	return packets
}

// tell says whether the stream is stalled, in the order in which it is.
func (p *publisher) tell() {
	p.telling.Lock()
	defer p.telling.Unlock()
	is := p.stalled.Load()
	if is == p.told || !p.accepted.Load() {
		return
	}
	p.told = is
	kind := Resumed
	if is {
		kind = Stalled
	}
	p.server.opt.Observe(Event{Session: p.session, Peer: p.peer, Kind: kind})
}

// release stops forwarding at once and finishes the recording.
func (p *publisher) release(reason string) {
	p.room.mu.Lock()
	if p.room.publisher == p {
		p.room.publisher = nil
	}
	p.recMu.Lock()
	p.closed.Store(true)
	rec, was := p.rec, p.accepted.Swap(false)
	p.rec, p.pending = nil, nil
	p.recMu.Unlock()
	p.room.mu.Unlock()
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
