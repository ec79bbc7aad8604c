package live

import "sync"

// room is one session's meeting point: at most one publisher, and viewers.
type room struct {
	session string
	holders int // resources in it, under Server.mu

	mu        sync.Mutex
	publisher *publisher
	viewers   map[*viewer]struct{}
}

// forward gives a packet to everybody in the room; nobody is waited for.
func (r *room) forward(p *publisher, pkt *packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.publisher != p {
		return
	}
	p.ring.put(pkt)
	for v := range r.viewers {
		v.push(item{from: p, packet: pkt})
	}
}

// join adds a viewer whose transport is up and starts it at the last keyframe;
// false when the viewer is over already.
func (r *room) join(v *viewer) bool {
	r.mu.Lock()
	select {
	case <-v.over:
		r.mu.Unlock()
		return false
	default:
	}
	p := r.publisher
	r.viewers[v] = struct{}{}
	fresh := false
	if p != nil {
		now := monotonic()
		replay := p.ring.sinceKey(now)
		for _, pkt := range replay {
			v.push(item{from: p, packet: pkt})
		}
		fresh = len(replay) > 0 && now.Sub(p.ring.keyAt) < keyframeEvery
	}
	r.mu.Unlock()
	if p != nil && !fresh {
		p.wantKey()
	}
	return true
}

func (r *room) leave(v *viewer) (joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, joined = r.viewers[v]
	delete(r.viewers, v)
	return joined
}

// askKeyframe passes a viewer's wish on to whoever publishes.
func (r *room) askKeyframe() {
	r.mu.Lock()
	p := r.publisher
	r.mu.Unlock()
	if p != nil {
		p.wantKey()
	}
}

// repair finds a packet the publisher sent lately.
func (r *room) repair(p *publisher, ext int64) *packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.publisher != p {
		return nil
	}
	return p.ring.get(ext)
}
