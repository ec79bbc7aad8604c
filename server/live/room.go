package live

import "sync"

// room is one session's meeting point: at most one publisher, and viewers.
type room struct {
	session string
	holders int // resources in it, under Server.mu

	mu        sync.Mutex
	publisher *publisher
	viewers   []*viewer
}

// fan forwards what the publisher has sent in this batch to everybody, viewer
// by viewer, so that one viewer's packets lie together.
func (r *room) fan(out *sender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.publisher
	if p == nil || len(p.pending) == 0 {
		return
	}
	defer func() {
		clear(p.pending)
		p.pending = p.pending[:0]
	}()
	for _, v := range r.viewers {
		v.send(p, p.pending, out)
	}
	p.recMu.Lock()
	defer p.recMu.Unlock()
	if p.rec != nil {
		p.rec.push(p.pending)
	}
}

// join adds a viewer whose transport is up and starts it at the last keyframe;
// false when the viewer is over already.
func (r *room) join(v *viewer, out *sender) bool {
	r.mu.Lock()
	if v.isOver() {
		r.mu.Unlock()
		return false
	}
	p := r.publisher
	r.viewers = append(r.viewers, v)
	fresh := false
	if p != nil && p.accepted.Load() {
		replay := p.ring.sinceKey(out.now)
		v.send(p, replay, out)
		v.after = p.count // what waits to be forwarded was among it
		fresh = len(replay) > 0 && out.now.Sub(p.ring.keyAt) < keyframeEvery
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
	for i, w := range r.viewers {
		if w == v {
			last := len(r.viewers) - 1
			r.viewers[i], r.viewers[last] = r.viewers[last], nil
			r.viewers = r.viewers[:last]
			return true
		}
	}
	return false
}
