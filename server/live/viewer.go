package live

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Bounds of a viewer.
const (
	viewerQueue = 2048 // packets that may wait for one viewer; a replay fits
	repairQueue = 64   // requests for repair that may wait
	repairMax   = 256  // packets one request may name
)

// item is a packet on its way to a viewer.
type item struct {
	from   *publisher
	packet *packet
}

// viewer is who watches. Its goroutine alone writes to its transport, so one
// that is slow holds nobody.
type viewer struct {
	*resource
	sender  *webrtc.RTPSender
	queue   chan item
	repairs chan []uint16
	bound   chan struct{}
	bindOne sync.Once
	context webrtc.TrackLocalContext // set before bound is closed
	done    chan struct{}            // closed when nothing is written any more

	// Only run uses what follows: the numbering goes on when the publisher
	// changes.
	from    *publisher
	payload uint8
	base    int64 // ext of the publisher's first packet here
	baseTS  uint32
	out     int64 // our number for base
	outTS   uint32
	last    int64 // newest number sent
	lastTS  uint32
	lastAt  time.Time
	budget  bucket
}

func newViewer(x *resource) *viewer {
	v := &viewer{
		resource: x, queue: make(chan item, viewerQueue), repairs: make(chan []uint16, repairQueue),
		bound: make(chan struct{}), done: make(chan struct{}),
		last: 1 << 20, budget: newBucket(retransmitsPerSec, retransmitsPerSec/2),
	}
	x.release = v.release
	return v
}

// Bind, Unbind and the names make a viewer the stack's local track: it picks the
// payload type for each publisher among all that were agreed.
func (v *viewer) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	v.bindOne.Do(func() {
		v.context = c
		close(v.bound)
	})
	return codecs[0], nil
}

// Unbind is told when the transport goes; the resource's end does the rest.
func (v *viewer) Unbind(webrtc.TrackLocalContext) error { return nil }

// ID names the track.
func (v *viewer) ID() string { return "video" }

// RID is empty: one encoding.
func (v *viewer) RID() string { return "" }

// StreamID names the stream.
func (v *viewer) StreamID() string { return "live" }

// Kind is video.
func (v *viewer) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// listen gives the stack the track; it is called before negotiation.
func (v *viewer) listen() error {
	s, err := v.pc.AddTrack(v)
	v.sender = s
	return err
}

// watch joins the room when the transport is up.
func (v *viewer) watch() {
	for _, ready := range []chan struct{}{v.up, v.bound} {
		select {
		case <-ready:
		case <-v.over:
			return
		}
	}
	v.sender.GetParameters() // waits until the stack has finished binding, or first packets fall on the floor
	if !v.room.join(v) {
		return
	}
	broken := func() { v.endLater(ReasonBroken) }
	v.server.spawn(v.run, broken)
	v.server.spawn(v.listenFeedback, broken)
}

// push hands over a packet, or drops it for this viewer alone.
func (v *viewer) push(i item) {
	select {
	case v.queue <- i:
	default:
	}
}

// run writes to the transport until the end; it tells of both.
func (v *viewer) run() {
	v.server.opt.Observe(Event{Session: v.session, Peer: v.peer, Kind: ViewerJoined})
	v.pump()
	v.server.opt.Observe(Event{Session: v.session, Peer: v.peer, Kind: ViewerLeft, Reason: v.reason})
}

func (v *viewer) pump() {
	defer close(v.done)
	for {
		select {
		case <-v.over:
			return
		default:
		}
		select {
		case <-v.over:
			return
		case i := <-v.queue:
			v.send(i)
		case wanted := <-v.repairs:
			v.repair(wanted)
		}
	}
}

// send numbers a packet for this viewer and writes it.
func (v *viewer) send(i item) {
	if i.from != v.from {
		v.follow(i)
	}
	if v.payload == 0 || i.packet.ext < v.base {
		return
	}
	n := v.out + i.packet.ext - v.base
	if n > v.last {
		v.last, v.lastTS, v.lastAt = n, v.outTS+i.packet.ts-v.baseTS, i.packet.at
	}
	v.write(n, i.packet)
}

func (v *viewer) write(n int64, p *packet) {
	h := rtp.Header{
		Version: 2, Marker: p.marker, PayloadType: v.payload, SequenceNumber: uint16(n),
		Timestamp: v.outTS + p.ts - v.baseTS, SSRC: uint32(v.context.SSRC()),
	}
	// An error means the transport is down or full; its end comes by its own way.
	_, _ = v.context.WriteStream().WriteRTP(&h, p.payload)
}

// follow goes on with another publisher's packets where the last one stopped.
func (v *viewer) follow(i item) {
	v.from, v.payload = i.from, v.choose(i.from.format)
	v.base, v.baseTS = i.packet.ext, i.packet.ts
	v.out, v.outTS = v.last+1, i.packet.ts
	if !v.lastAt.IsZero() {
		v.outTS = v.lastTS + uint32(max(1, ticks(i.packet.at.Sub(v.lastAt))))
	}
}

// choose picks the agreed payload type that fits a publisher best, 0 for none.
func (v *viewer) choose(f format) uint8 {
	best, points := uint8(0), -1
	for _, g := range v.formats {
		if g.codec != f.codec {
			continue
		}
		n := 0
		if g.mode >= f.mode {
			n += 2
		}
		if len(g.profile) > 1 && g.profile[:2] == f.profile[:2] {
			n++
		}
		if n > points {
			best, points = g.payload, n
		}
	}
	return best
}

// repair sends again what the viewer misses and the ring still has.
func (v *viewer) repair(wanted []uint16) {
	if v.from == nil || v.payload == 0 {
		return
	}
	now := monotonic()
	for _, seq := range wanted {
		n := v.last + int64(int16(seq-uint16(v.last)))
		if n > v.last || n < v.out {
			continue
		}
		p := v.room.repair(v.from, v.base+n-v.out)
		if p == nil {
			continue
		}
		if !v.budget.take(1, now) {
			return
		}
		v.write(n, p)
	}
}

// listenFeedback reads the viewer's RTCP until the transport ends.
func (v *viewer) listenFeedback() {
	for {
		packets, _, err := v.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.room.askKeyframe()
			case *rtcp.TransportLayerNack:
				var wanted []uint16
				for _, n := range p.Nacks {
					if wanted = append(wanted, n.PacketList()...); len(wanted) > repairMax {
						break
					}
				}
				select {
				case v.repairs <- slices.Clip(wanted):
				default:
				}
			}
		}
	}
}

// release leaves the room and waits until nothing is written.
func (v *viewer) release(string) {
	if !v.room.leave(v) {
		return
	}
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-v.done:
	case <-t.C: // stuck in the kernel; hanging up frees it
	}
}
