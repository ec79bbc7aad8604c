package live

import (
	"crypto/rand"
	"sync"
	"time"
)

// Timing of transports.
const (
	lostAfter = 8 * time.Second // no packet of any kind from a viewer: gone

	restartsPerSec, restartBurst = 0.5, 10 // ICE restarts of one resource
)

// resource is one WHIP or WHEP resource: a peer's transport and how it was
// agreed. What flows over it is the business of the publisher or viewer.
type resource struct {
	server    *Server
	room      *room
	id        string
	session   string
	peer      string
	verb      Verb
	born      time.Time
	transport *transport
	publisher *publisher // who uses it: one of the two
	viewer    *viewer

	mu         sync.Mutex // one negotiation at a time
	offer      *offer
	formats    []format
	etag       string
	version    int
	candidates int
	restarts   bucket

	up      chan struct{} // closed when the transport works
	upOnce  sync.Once
	over    chan struct{} // closed when end begins
	reason  string        // why; set before over is closed
	ending  sync.Once
	join    func()              // called when the transport works
	release func(reason string) // stops what flows; called once
}

// secret is an unguessable name of 130 bits.
func secret() string { return rand.Text() }

// connect makes the resource's transport, which waits for the peer's first
// check.
func (x *resource) connect() {
	t := newTransport(x.server.port, x.server.certificate, x.offer.fingerprint)
	t.broken = func() { x.endLater(ReasonBroken) }
	t.begin = func() {
		x.server.spawn(func() {
			if reason := x.shake(); reason != "" {
				x.endLater(reason)
			}
		}, t.broken)
	}
	x.transport = t
}

// shake shakes hands, lets the media flow and waits for the peer's goodbye. It
// returns why the resource ends, "" where that is known.
func (x *resource) shake() string {
	select {
	case x.server.handshakes <- struct{}{}:
	case <-x.over:
		return ""
	}
	var once sync.Once
	done := func() { once.Do(func() { <-x.server.handshakes }) }
	defer done()
	err := x.transport.run(func() {
		done()
		x.upOnce.Do(func() { close(x.up) })
		x.join()
	})
	if err != nil {
		x.server.log.Debug("live handshake failed", "session", x.session, "error", err)
		return ReasonLost
	}
	return ReasonDeleted
}

// tick does what is due by time.
func (x *resource) tick(now, wall time.Time) {
	switch {
	case x.isOver():
	case !x.isUp():
		if now.Sub(x.born) >= connectWait {
			x.endLater(ReasonLost)
		}
	case x.publisher != nil:
		x.publisher.tick(now)
	default:
		x.viewer.tick(now, wall)
	}
}

// isUp tells whether the transport has worked.
func (x *resource) isUp() bool {
	select {
	case <-x.up:
		return true
	default:
		return false
	}
}

// isOver tells whether the end has begun.
func (x *resource) isOver() bool {
	select {
	case <-x.over:
		return true
	default:
		return false
	}
}

// negotiate answers the offer, the first one or one with new ICE credentials.
func (x *resource) negotiate() credentials {
	x.version++
	x.etag = `"` + secret() + `"`
	return x.transport.session(x.offer.ufrag)
}

// endLater is end for callers on the packet path, which end waits for.
func (x *resource) endLater(reason string) {
	if x.isOver() {
		return
	}
	x.server.spawn(func() { x.end(reason) }, func() {})
}

// end stops what flows, hangs up and forgets the resource. Whoever calls it
// returns when nothing flows any more.
func (x *resource) end(reason string) {
	x.ending.Do(func() {
		x.reason = reason
		close(x.over)
		x.release(reason)
		x.server.forget(x)
		x.transport.close()
		x.server.port.settle()
	})
}
