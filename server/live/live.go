// Package live owns the video that is happening now: WebRTC in over WHIP, out
// over WHEP, one room a session, and the fragments of its recording. It knows
// sessions and the holders of bearers only as strings; who they are, whether
// they may, where a recording is kept and what an event means to a case is left
// to whoever passes Options.
//
// A packet is read, decrypted, encrypted for each viewer and sent by one
// goroutine, many packets at a time; it goes untouched but for its numbering.
// Another goroutine takes it through a jitter buffer into fragments of at most
// half a second, each handed over before the next is made. Forwarding asks no
// database and waits for no disk. Sound is declined: the voice call goes on.
//
// The server is ICE-lite on one port for UDP and TCP: it answers connectivity
// checks and never sends first to an address that SDP names.
//
// A room's lock comes before a transport's, and that before the port's.
package live

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Verb says what a bearer is for.
type Verb string

// The verbs of media bearers.
const (
	Publish Verb = "PUBLISH" // WHIP
	Watch   Verb = "WATCH"   // WHEP
)

// Peer is who holds a bearer.
type Peer struct {
	// ID names the credential (a phone, or LOGIN/VIEWING): what a resource is
	// bound to and what CutPeer cuts.
	ID string
	// Until is when the bearer stops being good for new requests; zero is never.
	// A stream under way goes on until it is closed or cut.
	Until time.Time
}

// Track is the kind of recording a publisher's stream makes.
type Track struct {
	ContentType string // "video/mp4" or "video/webm"
	Codec       string // "h264" or "vp8"
}

// Fragment is one playable piece of a recording. The bytes of all fragments in
// order are a playable file at any moment.
type Fragment struct {
	Data     []byte
	Init     bool          // the header of the file: no pictures; always the first
	Key      bool          // begins with a keyframe
	Gap      bool          // pictures between this fragment and the one before were lost
	Start    time.Duration // on the stream's own clock, from the first picture
	Duration time.Duration
	Wall     time.Time // server's time at which its first picture came in
}

// Recording takes the fragments of one stream in order. Append returns after
// the bytes are sealed and synced; after an error nothing more is appended.
// Close finishes the file; it is called once, also after a failed Append.
type Recording interface {
	Append(Fragment) error
	Close() error
}

// EventKind is what happened to a stream.
type EventKind string

// The events. The first four and UNRECORDED are about the publisher.
const (
	Connected    EventKind = "CONNECTED"     // first accepted picture data
	Stalled      EventKind = "STALLED"       // nothing came for 2 s
	Resumed      EventKind = "RESUMED"       // packets again after STALLED
	Ended        EventKind = "ENDED"         // stream over; Reason says why
	Unrecorded   EventKind = "UNRECORDED"    // forwarding goes on without a recording
	ViewerJoined EventKind = "VIEWER_JOINED" // a viewer's transport is up
	ViewerLeft   EventKind = "VIEWER_LEFT"
)

// Reasons of ENDED, VIEWER_LEFT and UNRECORDED.
const (
	ReasonClosed   = "CLOSED"    // the session was closed or the credential cut
	ReasonDeleted  = "DELETED"   // the peer said goodbye
	ReasonReplaced = "REPLACED"  // the same peer published again
	ReasonSilent   = "SILENT"    // nothing came for 8 s
	ReasonLost     = "LOST"      // transport failed or never came up
	ReasonRefused  = "REFUSED"   // Accept refused the first packet
	ReasonShutdown = "SHUTDOWN"  // the server stops
	ReasonBroken   = "BROKEN"    // the peer's packets broke its handler
	ReasonStore    = "NOT_SAVED" // the recording could not be opened or written
)

// Event is a change of a stream's state.
type Event struct {
	Session, Peer string
	Kind          EventKind
	Reason        string
}

// Options are what the room needs from the house.
type Options struct {
	// Listen is HOST:PORT for UDP and TCP; port 0 picks a free one.
	Listen string
	// Addresses are published as host candidates. Default: the listen host, or
	// every address of this machine when it listens on all interfaces.
	Addresses []string
	// Clock gives the wall times on fragments and the age of bearers.
	Clock interface{ Now() time.Time }
	// Authorize says who holds the token, or refuses with a problem. It is
	// asked before a request's body is read.
	Authorize func(ctx context.Context, token string, verb Verb, session string) (Peer, error)
	// Accept is asked once, at a publisher's first media packet, before anything
	// is forwarded or recorded. An error closes the stream.
	Accept func(ctx context.Context, session, peer string) error
	// Record opens the recording of a stream; nil means forward unrecorded.
	Record func(ctx context.Context, session, peer string, t Track) (Recording, error)
	// Observe hears of state changes, without locks held. It must not block long.
	Observe func(Event)
	// WriteProblem answers a refusal.
	WriteProblem func(w http.ResponseWriter, r *http.Request, err error)
	Logger       *slog.Logger
}

// Bounds of the room. Times are wall times.
const (
	maxPeers          = 4096             // publishers and viewers on one server
	maxViewers        = 256              // of one session
	maxWaiting        = 16               // of one sign-in or phone that are not up: each may hold a handshake's place
	connectWait       = 15 * time.Second // from the answer to a working transport
	acceptWait        = 10 * time.Second // for Accept
	openWait          = 10 * time.Second // for Record
	closeWait         = 5 * time.Second  // for a recording's end
	stallAfter        = 2 * time.Second
	endAfter          = 8 * time.Second
	tickEvery         = 20 * time.Millisecond
	idleTick          = 100 * time.Millisecond // while no packets come
	slowTick          = time.Second
	keyframeEvery     = 500 * time.Millisecond // keyframe requests to one publisher
	maxBitrate        = 4_000_000              // bits a second from one publisher
	maxPacketRate     = 2000                   // packets a second from one publisher
	advisedKilobits   = 3500                   // what the answer asks a phone to stay under
	retransmitsPerSec = 1000                   // repairs to one viewer
)

// Server is the live room of one node. Make it with New; it is ready at once.
type Server struct {
	opt         Options
	log         *slog.Logger
	port        *port
	certificate tls.Certificate
	fingerprint string        // of the certificate, as SDP writes it
	handshakes  chan struct{} // a place for each that may go on at once

	mu        sync.Mutex
	rooms     map[string]*room
	resources map[string]*resource
	closed    bool

	cuts  atomic.Uint64 // counts Close and CutPeer, so that a request that raced one asks again
	tasks sync.WaitGroup
	quit  chan struct{}
	ticks sync.WaitGroup

	ticking sync.Mutex
	ticked  atomic.Int64 // when due was last done, see since
	slow    time.Time    // when the rest was, under ticking
	list    []*resource  // scratch of due
}

// New opens the sockets. The error says which could not be opened or which
// option is missing.
func New(o Options) (*Server, error) {
	if o.Clock == nil || o.Authorize == nil || o.WriteProblem == nil {
		return nil, errors.New("live needs Clock, Authorize and WriteProblem")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Accept == nil {
		o.Accept = func(context.Context, string, string) error { return nil }
	}
	if o.Record == nil {
		o.Record = func(context.Context, string, string, Track) (Recording, error) { return nil, nil }
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	cert, print, err := newCertificate()
	if err != nil {
		return nil, err
	}
	port, err := openPort(o.Listen, o.Addresses, o.Logger, o.Clock.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opt: o, log: o.Logger, port: port, certificate: cert, fingerprint: print,
		handshakes: make(chan struct{}, handshakes),
		rooms:      map[string]*room{}, resources: map[string]*resource{}, quit: make(chan struct{}),
	}
	s.ticks.Go(s.tick)
	port.start(s.due)
	return s, nil
}

// tick does by time what no packet does: where none comes there is silence to be
// noticed.
func (s *Server) tick() {
	t := time.NewTicker(idleTick)
	defer t.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-t.C:
			s.due(monotonic())
		}
	}
}

// due does for all resources what has become due: for publishers often, because
// they are asked for what is missing, for the rest once a second. Whoever reads
// packets calls it too, which spares a goroutine's waking up.
func (s *Server) due(now time.Time) {
	if since(now)-s.ticked.Load() < int64(tickEvery) || !s.ticking.TryLock() {
		return
	}
	defer s.ticking.Unlock()
	s.ticked.Store(since(now))
	rest := now.Sub(s.slow) >= slowTick
	if rest {
		s.slow = now
	}
	s.mu.Lock()
	for _, x := range s.resources {
		if rest || x.publisher != nil {
			s.list = append(s.list, x)
		}
	}
	s.mu.Unlock()
	for _, x := range s.list {
		s.port.guarded(x.transport, func() { x.tick(now, s.opt.Clock.Now()) })
	}
	clear(s.list)
	s.list = s.list[:0]
}

// Addr is the address the media port listens on, with the real port.
func (s *Server) Addr() netip.AddrPort { return s.port.addr }

// Close cuts the session's publisher and viewers and finishes the recording.
// No packet of the session is forwarded after it returns.
func (s *Server) Close(session string) {
	s.cuts.Add(1)
	s.cut(ReasonClosed, func(x *resource) bool { return x.session == session })
}

// CutPeer cuts everything the credential holds, in every session, and what
// credentials below it hold: LOGIN cuts each LOGIN/VIEWING.
func (s *Server) CutPeer(peer string) {
	s.cuts.Add(1)
	s.cut(ReasonClosed, func(x *resource) bool { return x.peer == peer || strings.HasPrefix(x.peer, peer+"/") })
}

// Viewers lists the credentials that watch now or are about to, each once.
func (s *Server) Viewers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	watching := map[string]struct{}{}
	for _, x := range s.resources {
		if x.verb != Watch {
			continue
		}
		select {
		case <-x.over: // on its way out
		default:
			watching[x.peer] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(watching))
}

// Shutdown finishes every recording, closes every peer and the sockets, and
// waits for it all until ctx ends. The server takes no request afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.cut(ReasonShutdown, func(*resource) bool { return true })
		s.tasks.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	if first {
		close(s.quit)
		s.ticks.Wait()
		s.port.close()
	}
	return ctx.Err()
}

// cut ends all resources that match and waits until none of them forwards.
func (s *Server) cut(reason string, match func(*resource) bool) {
	s.mu.Lock()
	var hit []*resource
	for _, x := range s.resources {
		if match(x) {
			hit = append(hit, x)
		}
	}
	s.mu.Unlock()
	var all sync.WaitGroup
	for _, x := range hit {
		all.Go(func() { x.end(reason) })
	}
	all.Wait()
}

// waiting counts the resources of a credential's holder that are not up, whatever
// they look at. s.mu is held.
func (s *Server) waiting(peer string) (n int) {
	holder, _, _ := strings.Cut(peer, "/")
	for _, x := range s.resources {
		if h, _, _ := strings.Cut(x.peer, "/"); h == holder && !x.isUp() {
			n++
		}
	}
	return n
}

// spawn runs f in a goroutine that Shutdown waits for and that cannot take the
// process with it: broken is called when f panics.
func (s *Server) spawn(f func(), broken func()) {
	s.tasks.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				s.log.Error("live peer broke", "panic", v)
				broken()
			}
		}()
		f()
	})
}

func (s *Server) room(session string) *room {
	r := s.rooms[session]
	if r == nil {
		r = &room{session: session}
		s.rooms[session] = r
	}
	return r
}

// forget drops a resource and its room when it was the last one there.
func (s *Server) forget(x *resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resources[x.id] != x {
		return
	}
	delete(s.resources, x.id)
	x.room.holders--
	if x.room.holders == 0 {
		delete(s.rooms, x.session)
	}
}
