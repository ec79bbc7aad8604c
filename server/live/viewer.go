package live

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// repairMax is how many packets one request for repair may name.
const repairMax = 256

// viewer is who watches. Each is written to past the others: one whose line is
// full loses packets and holds nobody.
type viewer struct {
	*resource
	ssrc uint32

	// Under room.mu. The numbering goes on when the publisher changes.
	from    *publisher
	payload uint8
	base    int64 // ext of the publisher's first packet here
	baseTS  uint32
	out     int64 // our number for base
	outTS   uint32
	last    int64 // newest number sent
	lastTS  uint32
	lastAt  time.Time
	packets uint32
	octets  uint32
	budget  bucket
	after   int64      // packets of from up to this one were replayed
	header  rtp.Header // scratch of encrypting
}

func newViewer(x *resource) *viewer {
	v := &viewer{
		resource: x, ssrc: rand.Uint32() | 1,
		last: 1 << 20, budget: newBucket(retransmitsPerSec, retransmitsPerSec/2),
	}
	x.release = v.release
	x.join = v.joined
	return v
}

// listen takes what the transport brings; it is called before negotiation.
func (v *viewer) listen() { v.transport.feedback = v.control }

// joined enters the room when the transport works.
func (v *viewer) joined() {
	v.server.opt.Observe(Event{Session: v.session, Peer: v.peer, Kind: ViewerJoined})
	in := false
	v.server.port.do(func(out *sender) { in = v.room.join(v, out) })
	if !in {
		v.server.opt.Observe(Event{Session: v.session, Peer: v.peer, Kind: ViewerLeft, Reason: v.reason})
	}
}

// send numbers packets for this viewer and writes them.
func (v *viewer) send(from *publisher, packets []*packet, out *sender) {
	if len(packets) == 0 {
		return
	}
	if from != v.from {
		v.follow(from, packets[0])
	}
	if v.payload == 0 {
		return
	}
	t := v.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range packets {
		if p.ext < v.base || p.count <= v.after {
			continue
		}
		n := v.out + p.ext - v.base
		if n > v.last {
			v.last, v.lastTS, v.lastAt = n, v.outTS+p.ts-v.baseTS, p.at
		}
		v.write(n, p, out)
	}
}

// write encrypts a packet under the viewer's own numbers. The transport is
// locked, and so is the room, whose packets lend their first bytes to one
// header at a time.
func (v *viewer) write(n int64, p *packet, out *sender) {
	t := v.transport
	if t.out == nil || t.chosen == nil {
		return
	}
	b := p.raw
	b[0], b[1] = 2<<6, v.payload
	if p.marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	binary.BigEndian.PutUint32(b[4:], v.outTS+p.ts-v.baseTS)
	binary.BigEndian.PutUint32(b[8:], v.ssrc)
	v.packets++
	v.octets += uint32(len(b) - headerSize)
	w := t.chosen
	if w.stream != nil {
		if e, err := t.out.EncryptRTP(nil, b, &v.header); err == nil {
			w.stream.send(e)
		}
		return
	}
	line := out.out[w.socket.index]
	if e, err := t.out.EncryptRTP(line.next(len(b)+overhead), b, &v.header); err == nil {
		line.done(&w.to, len(e))
	}
}

// follow goes on with another publisher's packets where the last one stopped.
func (v *viewer) follow(from *publisher, first *packet) {
	v.from, v.payload, v.after = from, v.choose(from.format), 0
	v.base, v.baseTS = first.ext, first.ts
	v.out, v.outTS = v.last+1, first.ts
	if !v.lastAt.IsZero() {
		v.outTS = v.lastTS + uint32(max(1, ticks(first.at.Sub(v.lastAt))))
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

// control takes the viewer's feedback.
func (v *viewer) control(packets []rtcp.Packet, out *sender) {
	if p := v.heard(packets, out); p != nil {
		p.wantKey()
	}
}

// heard sends what is asked for, and gives whom a keyframe is wanted from.
func (v *viewer) heard(packets []rtcp.Packet, out *sender) (ask *publisher) {
	r := v.room
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range packets {
		switch k := k.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			ask = r.publisher
		case *rtcp.TransportLayerNack:
			v.repair(k.Nacks, out)
		}
	}
	return ask
}

// repair sends again what the viewer misses and the ring still has.
func (v *viewer) repair(pairs []rtcp.NackPair, out *sender) {
	if v.from == nil || v.payload == 0 || v.room.publisher != v.from {
		return
	}
	t := v.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	named := 0
	for _, pair := range pairs {
		for bit := range 17 {
			if bit > 0 && pair.LostPackets&(1<<(bit-1)) == 0 {
				continue
			}
			if named++; named > repairMax {
				return
			}
			seq := pair.PacketID + uint16(bit)
			n := v.last + int64(int16(seq-uint16(v.last)))
			if n > v.last || n < v.out {
				continue
			}
			p := v.from.ring.get(v.base + n - v.out)
			if p == nil {
				continue
			}
			if !v.budget.take(1, out.now) {
				return
			}
			v.write(n, p, out)
		}
	}
}

// tick reports to the viewer what was sent when (RFC 3550, 6.4), and drops one
// that has gone without a word.
func (v *viewer) tick(now, wall time.Time) {
	if v.transport.quietFor(now) >= lostAfter {
		v.endLater(ReasonLost)
		return
	}
	r := v.room
	r.mu.Lock()
	sent := !v.lastAt.IsZero()
	report := rtcp.SenderReport{
		SSRC: v.ssrc, NTPTime: ntp(wall), RTPTime: v.lastTS + uint32(ticks(now.Sub(v.lastAt))),
		PacketCount: v.packets, OctetCount: v.octets,
	}
	r.mu.Unlock()
	if sent {
		v.transport.write(&report)
	}
}

// ntp is a time as RTCP writes it: seconds since 1900 in 32 bits, and their
// fraction in as many.
func ntp(t time.Time) uint64 {
	const since1900 = 2_208_988_800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// release leaves the room; nothing is written after it.
func (v *viewer) release(reason string) {
	if v.room.leave(v) {
		v.server.opt.Observe(Event{Session: v.session, Peer: v.peer, Kind: ViewerLeft, Reason: reason})
	}
}
