package live

import "time"

// headerSize is what our RTP headers take: no extension, no contributing source.
const headerSize = 12

// packet is one RTP packet of a publisher. Ring, viewers and recorder share it;
// it is never changed once made, but for the room before its payload.
type packet struct {
	ext     int64  // sequence number without wrap-around
	count   int64  // which packet of its publisher it is, in order of arrival
	ts      uint32 // RTP timestamp
	marker  bool
	key     bool // carries a part of a keyframe that tells so
	payload []byte
	raw     []byte    // room for a header, and the payload; under room.mu
	at      time.Time // arrival, monotonic
	wall    time.Time // arrival, by the server's Clock
}

// slabs makes packets out of larger pieces of memory, so that one costs no
// allocation. A piece goes when the last of its packets is forgotten.
type slabs struct {
	packets []packet
	bytes   []byte
}

// Sizes of the pieces: some 50 packets of a phone.
const (
	slabPackets = 64
	slabBytes   = 64 << 10
)

// packet makes one with a copy of the payload.
func (s *slabs) packet(payload []byte) *packet {
	size := headerSize + len(payload)
	if len(s.packets) == 0 {
		s.packets = make([]packet, slabPackets)
	}
	if len(s.bytes) < size {
		s.bytes = make([]byte, max(slabBytes, size))
	}
	p := &s.packets[0]
	s.packets = s.packets[1:]
	p.raw = s.bytes[:size:size]
	s.bytes = s.bytes[size:]
	p.payload = p.raw[headerSize:]
	copy(p.payload, payload)
	return p
}

// What is kept for repair and for viewers that join: ringAge, but at most so many
// packets, which is one second at the ceiling.
const (
	ringSize = 2048
	ringAge  = 2500 * time.Millisecond
)

// replayAge is the age up to which the last keyframe is worth replaying to a
// viewer who joins; replayMax bounds the burst.
const (
	replayAge = 2 * time.Second
	replayMax = 1024
)

// ring keeps the newest packets of a publisher by number.
type ring struct {
	slots      [ringSize]*packet
	newest     int64
	oldest     int64 // nothing is kept before it
	frameTS    uint32
	frameStart int64 // first packet seen of the newest frame
	keyStart   int64 // first packet of the newest keyframe, 0 for none
	keyTS      uint32
	keyAt      time.Time
}

func (r *ring) put(p *packet) {
	if p.ext <= r.newest-ringSize {
		return
	}
	if r.newest == 0 {
		r.oldest = p.ext
	}
	r.oldest = max(min(r.oldest, p.ext), p.ext-ringSize+1)
	for ; r.oldest < p.ext; r.oldest++ {
		old := &r.slots[r.oldest%ringSize]
		if *old != nil && (*old).ext == r.oldest && p.at.Sub((*old).at) < ringAge {
			break
		}
		*old = nil
	}
	r.slots[p.ext%ringSize] = p
	if p.ext > r.newest {
		r.newest = p.ext
		if p.ts != r.frameTS || r.frameStart == 0 {
			r.frameTS, r.frameStart = p.ts, p.ext
		}
	}
	if p.key && (r.keyStart == 0 || p.ts != r.keyTS) && p.ts == r.frameTS {
		r.keyStart, r.keyTS, r.keyAt = r.frameStart, p.ts, p.at
	}
}

func (r *ring) get(ext int64) *packet {
	if ext < 0 {
		return nil
	}
	if p := r.slots[ext%ringSize]; p != nil && p.ext == ext {
		return p
	}
	return nil
}

// all gives what is kept, in order.
func (r *ring) all() []*packet {
	var out []*packet
	for ext := max(0, r.newest-ringSize+1); ext <= r.newest; ext++ {
		if p := r.get(ext); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// sinceKey gives what a new viewer needs to start at the last keyframe; nothing
// when that is too old or too much.
func (r *ring) sinceKey(now time.Time) []*packet {
	if r.keyStart == 0 || now.Sub(r.keyAt) > replayAge || r.newest-r.keyStart >= replayMax {
		return nil
	}
	var out []*packet
	for ext := r.keyStart; ext <= r.newest; ext++ {
		if p := r.get(ext); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// bucket is a ceiling on a rate, with a burst of what it holds.
type bucket struct {
	rate, depth, level float64
	last               time.Time
}

func newBucket(perSecond, burst float64) bucket {
	return bucket{rate: perSecond, depth: burst, level: burst}
}

// take tells whether n more fit now.
func (b *bucket) take(n float64, now time.Time) bool {
	if !b.last.IsZero() {
		b.level = min(b.depth, b.level+b.rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.level < n {
		return false
	}
	b.level -= n
	return true
}

// Bounds of the jitter buffer in front of the recorder.
const (
	reorderHold = 500 * time.Millisecond // how long a missing packet is waited for
	reorderMax  = 1024                   // packets held meanwhile
)

// reorder puts packets in order for the recorder; viewers never wait for it.
type reorder struct {
	next  int64 // number expected
	begun bool
	held  map[int64]*packet
	since time.Time // when the gap before next was seen
}

func (o *reorder) push(p *packet) {
	if o.held == nil {
		o.held = map[int64]*packet{}
	}
	if !o.begun {
		o.begun, o.next = true, p.ext
	}
	if p.ext < o.next {
		return
	}
	if len(o.held) == 0 {
		o.since = p.at
	}
	o.held[p.ext] = p
}

// pop gives the next packet that is due. lost tells that packets before it
// never came. nil means none is due yet.
func (o *reorder) pop(now time.Time, flush bool) (p *packet, lost bool) {
	if len(o.held) == 0 {
		return nil, false
	}
	if p = o.held[o.next]; p == nil {
		if !flush && len(o.held) < reorderMax && now.Sub(o.since) < reorderHold {
			return nil, false
		}
		lowest := int64(-1)
		for ext := range o.held {
			if lowest < 0 || ext < lowest {
				lowest = ext
			}
		}
		p, lost = o.held[lowest], true
	}
	delete(o.held, p.ext)
	o.next = p.ext + 1
	if len(o.held) > 0 {
		o.since = now
		for _, q := range o.held {
			if q.at.Before(o.since) {
				o.since = q.at
			}
		}
	}
	return p, lost
}
