package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// Bounds of the media port.
const (
	udpBuffer     = 4 << 20         // kernel buffer each way
	maxStreams    = 1024            // TCP connections at once, all peers and strangers
	streamSilence = 5 * time.Second // a TCP connection's first check must come in time
	maxStrangers  = 64              // TCP connections of one address whose first check has not come; carriers share addresses
	streamQueue   = 512             // packets that wait for a slow TCP connection; more are dropped
	portTries     = 8               // to find a number free for UDP and TCP alike
	maxHosts      = 16              // published addresses
	mtu           = 1600            // bytes of a packet
)

// port is where media comes in and goes out: UDP of each family and TCP on one
// number. A packet is told by its first byte (RFC 7983) and by where it came
// from; one goroutine a socket reads, decrypts and forwards.
type port struct {
	log    *slog.Logger
	now    func() time.Time // wall clock
	addr   netip.AddrPort
	hosts  []netip.AddrPort // what is published
	socks  []*socket
	listen *net.TCPListener
	aside  *sender // for whoever is not one of the reading goroutines
	asideM sync.Mutex
	tasks  sync.WaitGroup

	mu     sync.RWMutex
	agents map[string]*transport    // by our name in connectivity checks
	routes map[netip.AddrPort]*path // by UDP addresses that passed a check

	streamsMu sync.Mutex
	streams   map[*stream]struct{}
	strangers map[netip.Addr]int // streams by address whose first check has not come
	closed    bool
}

// socket is one UDP socket and the goroutine that reads it.
type socket struct {
	index int
	conn  *net.UDPConn
	in    *arrivals
	turn  sync.Mutex // held from the arrival of a batch until all it causes has gone
	out   *sender
}

// sender gathers what goes out by the UDP sockets. Whoever uses it does so
// alone, and flushes.
type sender struct {
	out []*departures
	// Scratch space of the packet path.
	touched []*room
	header  rtp.Header
	now     time.Time
	wall    time.Time
}

func newSender(socks []*socket) (*sender, error) {
	s := &sender{}
	for _, k := range socks {
		d, err := newDepartures(k.conn)
		if err != nil {
			return nil, err
		}
		s.out = append(s.out, d)
	}
	return s, nil
}

// flush sends what the rooms touched have to forward, and all that is gathered. A
// room that breaks costs itself.
func (s *sender) flush(p *port) {
	for _, r := range s.touched {
		p.guarded(nil, func() { r.fan(s) })
	}
	clear(s.touched)
	s.touched = s.touched[:0]
	for _, d := range s.out {
		p.guarded(nil, d.flush)
	}
}

// origin is where a packet came from.
type origin struct {
	socket *socket
	addr   netip.AddrPort
	stream *stream // instead of the two before
}

// path is one way to a peer.
type path struct {
	origin
	to      sockaddr
	owner   *transport
	checked time.Time // when its newest check passed, under port.mu
}

func newPath(t *transport, o origin) *path {
	p := &path{origin: o, owner: t}
	if o.stream == nil {
		p.to = newSockaddr(o.addr)
	}
	return p
}

// send writes one packet at once, past whatever is gathered.
func (p *path) send(b []byte) {
	if p.stream != nil {
		p.stream.send(b)
		return
	}
	// An error means the line is full or the peer gone: both end by other ways.
	_, _ = p.socket.conn.WriteToUDPAddrPort(b, p.addr)
}

// openPort opens HOST:PORT for UDP and TCP; start begins to read.
func openPort(address string, published []string, log *slog.Logger, now func() time.Time) (*port, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("media address %q: %w", address, err)
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("media port %q: %w", portText, err)
	}
	var ip netip.Addr
	switch host {
	case "":
		ip = netip.IPv6Unspecified()
	case "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if ip, err = netip.ParseAddr(host); err != nil {
			return nil, fmt.Errorf("media host %q is no address: %w", host, err)
		}
	}
	for try := 1; ; try++ {
		p, err := bind(ip.Unmap(), uint16(number), published)
		if err == nil {
			p.log, p.now = log, now
			return p, nil
		}
		if number != 0 || try == portTries {
			return nil, err
		}
	}
}

func bind(ip netip.Addr, number uint16, published []string) (_ *port, err error) {
	p := &port{agents: map[string]*transport{}, routes: map[netip.AddrPort]*path{}, streams: map[*stream]struct{}{}, strangers: map[netip.Addr]int{}}
	defer func() {
		if err != nil {
			p.closeSockets()
		}
	}()
	udp := func(network string, a netip.Addr) error {
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, number)))
		if err != nil {
			return fmt.Errorf("open media port: %w", err)
		}
		// The kernel may give less; the room works with what it gets.
		_ = c.SetReadBuffer(udpBuffer)
		_ = c.SetWriteBuffer(udpBuffer)
		number = c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		p.socks = append(p.socks, &socket{index: len(p.socks), conn: c})
		return nil
	}
	four, six := ip.Is4() || ip.IsUnspecified(), ip.Is6()
	if four {
		if err := udp("udp4", v4of(ip)); err != nil {
			return nil, err
		}
	}
	network := "tcp"
	if six {
		// A machine without IPv6 still serves all its interfaces.
		if err := udp("udp6", ip); err != nil {
			if !four {
				return nil, err
			}
			network, ip = "tcp4", v4of(ip)
		}
	} else {
		network = "tcp4"
	}
	if p.listen, err = net.ListenTCP(network, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, number))); err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	p.addr = netip.AddrPortFrom(ip, number)
	if p.hosts, err = hosts(ip, number, published); err != nil {
		return nil, err
	}
	for _, s := range p.socks {
		if s.in, err = newArrivals(s.conn); err != nil {
			return nil, err
		}
		if s.out, err = newSender(p.socks); err != nil {
			return nil, err
		}
	}
	p.aside, err = newSender(p.socks)
	return p, err
}

func v4of(ip netip.Addr) netip.Addr {
	if ip.Is6() && ip.IsUnspecified() {
		return netip.IPv4Unspecified()
	}
	return ip
}

// hosts is what the answers publish: the given addresses, or the listen host,
// or every address of the machine, loopback last.
func hosts(ip netip.Addr, port uint16, published []string) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	add := func(a netip.Addr) {
		if h := netip.AddrPortFrom(a.Unmap().WithZone(""), port); len(out) < maxHosts && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, p := range published {
		a, err := netip.ParseAddr(p)
		if err != nil {
			return nil, fmt.Errorf("published media address %q: %w", p, err)
		}
		add(a)
	}
	switch {
	case len(out) > 0:
	case !ip.IsUnspecified():
		add(ip)
	default:
		all, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses: %w", err)
		}
		var loopback []netip.Addr
		for _, a := range all {
			p, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			addr, _ := netip.AddrFromSlice(p.IP)
			addr = addr.Unmap()
			switch {
			case ip.Is4() && addr.Is6(), addr.IsLinkLocalUnicast():
			case addr.IsLoopback():
				loopback = append(loopback, addr)
			default:
				add(addr)
			}
		}
		for _, a := range loopback {
			add(a)
		}
	}
	return out, nil
}

// start reads; due is called after each batch.
func (p *port) start(due func(now time.Time)) {
	for _, s := range p.socks {
		p.tasks.Go(func() {
			s.in.run(func(n int) {
				p.batch(s, n)
				due(s.out.now)
			})
		})
	}
	p.tasks.Go(p.accept)
}

// batch takes what one read brought and sends all it causes.
func (p *port) batch(s *socket, n int) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.out.now, s.out.wall = monotonic(), p.now()
	for i := range n {
		b, from := s.in.packet(i)
		p.arrived(b, origin{socket: s, addr: from}, s.out)
	}
	s.out.flush(p)
}

// do runs f with a sender for whoever is not a reading goroutine. Nothing may be
// locked that the packet path locks.
func (p *port) do(f func(out *sender)) {
	p.asideM.Lock()
	defer p.asideM.Unlock()
	p.aside.now, p.aside.wall = monotonic(), p.now()
	p.guarded(nil, func() {
		f(p.aside)
		p.aside.flush(p)
	})
}

// settle waits until what was on its way out when it was called has gone.
func (p *port) settle() {
	for _, s := range p.socks {
		s.turn.Lock()
		s.turn.Unlock() //nolint:staticcheck // the wait is the purpose
	}
	p.asideM.Lock()
	p.asideM.Unlock() //nolint:staticcheck // the wait is the purpose
}

// guarded runs f; a stranger's bytes that break it cost their sender's stream
// and not the server.
func (p *port) guarded(t *transport, f func()) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("live peer broke", "panic", v)
			if t != nil {
				t.broken()
			}
		}
	}()
	f()
}

// arrived sorts a packet by its first byte. Only connectivity checks may come
// from anywhere; the rest comes from an address that passed one.
func (p *port) arrived(b []byte, from origin, out *sender) {
	if len(b) == 0 {
		return
	}
	if b[0] < 4 {
		p.guarded(nil, func() { p.check(b, from) })
		return
	}
	t := p.route(from)
	if t == nil {
		return
	}
	switch {
	case b[0] >= 20 && b[0] < 64:
		t.hello(b)
	case b[0] >= 128 && b[0] < 192 && len(b) >= 12:
		defer func() {
			if v := recover(); v != nil {
				p.log.Error("live peer broke", "panic", v)
				t.broken()
			}
		}()
		t.media(b, out)
	}
}

func (p *port) route(from origin) *transport {
	if from.stream != nil {
		return from.stream.transport
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if w := p.routes[from.addr]; w != nil {
		return w.owner
	}
	return nil
}

// claim gives an address to a path whose peer has just passed a check from it.
// It stays with the peer that has it and still shows itself there: a check can be
// sent in anybody's name, and would take that peer's media away.
func (p *port) claim(w *path) bool {
	now := monotonic()
	p.mu.Lock()
	defer p.mu.Unlock()
	if had := p.routes[w.addr]; had != nil && had.owner != w.owner && now.Sub(had.checked) < lostAfter {
		return false
	}
	p.routes[w.addr], w.checked = w, now
	return true
}

// close hangs up on everybody.
func (p *port) close() {
	p.closeSockets()
	p.tasks.Wait()
}

func (p *port) closeSockets() {
	for _, s := range p.socks {
		_ = s.conn.Close()
	}
	if p.listen != nil {
		_ = p.listen.Close()
	}
	p.streamsMu.Lock()
	p.closed = true
	all := make([]*stream, 0, len(p.streams))
	for s := range p.streams {
		all = append(all, s)
	}
	p.streamsMu.Unlock()
	for _, s := range all {
		s.close()
	}
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

// stream is a TCP connection that carries packets, each after its length (RFC
// 4571, RFC 6544).
type stream struct {
	conn      *net.TCPConn
	transport *transport // whose it is; only the reading goroutine uses it
	queue     chan []byte
	over      chan struct{}
	once      sync.Once
	from      netip.Addr
	familiar  bool // its first check has come, or it is over; under port.streamsMu
}

// accept takes TCP connections. Over the bounds they are refused: silent ones
// cannot keep honest ones out for longer than streamSilence, nor those of one
// address the rest.
func (p *port) accept() {
	for {
		c, err := p.listen.AcceptTCP()
		if err != nil {
			if isClosed(err) {
				return
			}
			time.Sleep(50 * time.Millisecond) // out of descriptors: others may end
			continue
		}
		s := &stream{conn: c, queue: make(chan []byte, streamQueue), over: make(chan struct{}), from: remote(c)}
		p.streamsMu.Lock()
		full := p.closed || len(p.streams) >= maxStreams || p.strangers[s.from] >= maxStrangers
		if !full {
			p.streams[s] = struct{}{}
			p.strangers[s.from]++
		}
		p.streamsMu.Unlock()
		if full {
			_ = c.Close()
			continue
		}
		p.tasks.Go(func() { p.read(s) })
		p.tasks.Go(s.write)
	}
}

// remote is where a connection comes from.
func remote(c *net.TCPConn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// familiar takes a connection off the count of strangers; p.streamsMu is held.
func (p *port) familiar(s *stream) {
	if s.familiar {
		return
	}
	s.familiar = true
	if p.strangers[s.from]--; p.strangers[s.from] == 0 {
		delete(p.strangers, s.from)
	}
}

func (p *port) read(s *stream) {
	defer func() {
		s.close()
		p.streamsMu.Lock()
		delete(p.streams, s)
		p.familiar(s)
		p.streamsMu.Unlock()
	}()
	if s.conn.SetReadDeadline(monotonic().Add(streamSilence)) != nil {
		return
	}
	b := make([]byte, mtu)
	for {
		if _, err := io.ReadFull(s.conn, b[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > mtu {
			return
		}
		if _, err := io.ReadFull(s.conn, b[:n]); err != nil {
			return
		}
		known := s.transport != nil
		p.do(func(out *sender) { p.arrived(b[:n], origin{stream: s}, out) })
		if s.transport == nil {
			return // its first packet was no check of a peer of ours
		}
		if known {
			continue
		}
		p.streamsMu.Lock()
		p.familiar(s)
		p.streamsMu.Unlock()
		if s.conn.SetReadDeadline(time.Time{}) != nil {
			return
		}
	}
}

// send queues a packet, or drops it: a slow connection holds nobody.
func (s *stream) send(b []byte) {
	framed := make([]byte, 2+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	copy(framed[2:], b)
	select {
	case s.queue <- framed:
	default:
	}
}

func (s *stream) write() {
	for {
		select {
		case b := <-s.queue:
			if _, err := s.conn.Write(b); err != nil {
				s.close()
				return
			}
		case <-s.over:
			return
		}
	}
}

// close hangs up. What the kernel has not sent yet is thrown away, because a slow
// peer that was cut would go on seeing for as long as it takes to drain.
func (s *stream) close() {
	s.once.Do(func() {
		close(s.over)
		_ = s.conn.SetLinger(0)
		_ = s.conn.Close()
	})
}
