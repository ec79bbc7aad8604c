// Package drill owns how a caller of a drill is played (第11): it takes the link
// out of a message as a phone would, opens the page's operations over HTTP,
// agrees, reports positions, publishes a bundled clip by WHIP and sends bundled
// photos by tus, and fails on demand. What a drill is, who started it and where
// its messages may go belongs to operations; to the rest of the house a played
// caller is a caller like any other.
package drill

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"sync"
	"time"
)

// Bounds of a played caller.
const (
	maxCalls      = 24               // played at once; more wait for no turn and are not played
	callLife      = 2 * time.Hour    // a forgotten call ends by itself
	lateMessage   = 75 * time.Second // past the advice at 30 and 60 seconds
	takesToTap    = 3 * time.Second
	takesToAgree  = 4 * time.Second
	takesToAim    = 3 * time.Second
	lookEvery     = time.Second
	positionEvery = 4 * time.Second
)

// Options are what the room needs of the server that it calls.
type Options struct {
	// Client carries requests to our own server, whatever stands before it.
	Client *http.Client
	// Base is the public address.
	Base func() string
	// Media is the server's media port as this machine reaches it.
	Media netip.AddrPort
	// Over is told when a call is over.
	Over func(id string)
	Now  func() time.Time
	// Hurry leaves the caller no time to think, for tests.
	Hurry bool
	Log   *slog.Logger
}

// Call is one caller to be played.
type Call struct {
	ID     string
	Script string
	// Message is the text that the caller's phone received.
	Message string
	// Code asks for the access code that the dispatcher reads aloud, where one
	// applies.
	Code func(ctx context.Context) (string, error)

	LateSMS, CameraDenied, WeakNetwork bool
}

// Players plays callers. It is safe for concurrent use.
type Players struct {
	o Options

	mu     sync.Mutex
	calls  map[string]*call
	closed bool
	work   sync.WaitGroup
}

type call struct {
	gate *gate
	stop context.CancelFunc
}

// New opens the room.
func New(o Options) *Players { return &Players{o: o, calls: map[string]*call{}} }

var linkForm = regexp.MustCompile(`#([0-9A-Za-z]{22})\b`)

// ErrNoLink says that a message holds no link.
var ErrNoLink = errors.New("drill: the message holds no link")

// Play begins to play a caller; one that is played already goes on with the new
// link.
func (p *Players) Play(c Call) error {
	found := linkForm.FindStringSubmatch(c.Message)
	if found == nil {
		return ErrNoLink
	}
	p.Stop(c.ID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.calls) >= maxCalls {
		return errors.New("drill: no more callers can be played")
	}
	ctx, stop := context.WithTimeout(context.Background(), callLife)
	one := &call{gate: newGate(), stop: stop}
	p.calls[c.ID] = one
	p.work.Go(func() {
		defer stop()
		x := &phone{o: p.o, call: c, secret: found[1], gate: one.gate}
		if err := x.play(ctx); err != nil && ctx.Err() == nil {
			p.o.Log.WarnContext(ctx, "a caller of a drill could not go on", "error", err)
		}
		p.mu.Lock()
		last := p.calls[c.ID] == one
		if last {
			delete(p.calls, c.ID)
		}
		p.mu.Unlock()
		if last && p.o.Over != nil {
			p.o.Over(c.ID)
		}
	})
	return nil
}

// Pause makes a caller fall silent: nothing more is sent until Resume.
func (p *Players) Pause(id string) { p.with(id, func(c *call) { c.gate.close() }) }

// Resume lets a caller go on.
func (p *Players) Resume(id string) { p.with(id, func(c *call) { c.gate.open() }) }

// Stop ends a call; nobody is told.
func (p *Players) Stop(id string) {
	p.with(id, func(c *call) {
		delete(p.calls, id)
		c.stop()
	})
}

func (p *Players) with(id string, f func(*call)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.calls[id]; c != nil {
		f(c)
	}
}

// Close ends all calls and waits for them.
func (p *Players) Close() {
	p.mu.Lock()
	p.closed = true
	for id, c := range p.calls {
		delete(p.calls, id)
		c.stop()
	}
	p.mu.Unlock()
	p.work.Wait()
}

// gate is open, or holds whoever wants to pass.
type gate struct {
	mu     sync.Mutex
	passes chan struct{} // closed while the gate is open
	held   chan struct{} // closed while it is not
}

func newGate() *gate {
	g := &gate{passes: make(chan struct{}), held: make(chan struct{})}
	close(g.passes)
	return g
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.passes:
		g.passes = make(chan struct{})
		close(g.held)
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.passes:
	default:
		g.held = make(chan struct{})
		close(g.passes)
	}
}

func (g *gate) states() (passes, held <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passes, g.held
}

// pass waits until the gate is open.
func (g *gate) pass(ctx context.Context) error {
	passes, _ := g.states()
	select {
	case <-passes:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait lets a time pass during which the gate is open at its end.
func (x *phone) wait(ctx context.Context, d time.Duration) error {
	if x.o.Hurry {
		d = min(d, 50*time.Millisecond)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return x.gate.pass(ctx)
}
