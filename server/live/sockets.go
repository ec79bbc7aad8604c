package live

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// Bounds of the media port.
const (
	udpBuffer       = 4 << 20         // kernel buffer each way
	maxStreams      = 1024            // TCP connections at once, all peers and strangers
	streamSilence   = 5 * time.Second // a TCP connection's first check must come in time
	streamQueue     = 512             // packets read ahead on a TCP connection
	streamWriteRoom = 1 << 20         // bytes waiting for a slow TCP connection; more is dropped
	portTries       = 8               // to find a number free for UDP and TCP alike
	maxHosts        = 16              // published addresses
)

// sockets is the media port: UDP of each family and TCP on one number.
type sockets struct {
	addr  netip.AddrPort
	hosts []netip.AddrPort // what is published
	udp   *udpMux
	tcp   ice.TCPMux
	limit *limitedListener
}

// udpMux narrows what the ICE stack gathers to one address a family: what it
// publishes is replaced by hosts in any case, and each extra address costs every
// peer a goroutine.
type udpMux struct {
	v4, v6 ice.UDPMux
	addrs  []net.Addr
}

func (m *udpMux) family(a net.Addr) ice.UDPMux {
	if u, ok := a.(*net.UDPAddr); ok && u.IP.To4() == nil {
		return m.v6
	}
	return m.v4
}

func (m *udpMux) GetConn(ufrag string, a net.Addr) (net.PacketConn, error) {
	mux := m.family(a)
	if mux == nil {
		return nil, errors.New("address family is not served")
	}
	return mux.GetConn(ufrag, a)
}

func (m *udpMux) RemoveConnByUfrag(ufrag string) {
	for _, mux := range []ice.UDPMux{m.v4, m.v6} {
		if mux != nil {
			mux.RemoveConnByUfrag(ufrag)
		}
	}
}

func (m *udpMux) GetListenAddresses() []net.Addr { return m.addrs }

func (m *udpMux) Close() error {
	var errs []error
	for _, mux := range []ice.UDPMux{m.v4, m.v6} {
		if mux != nil {
			errs = append(errs, mux.Close())
		}
	}
	return errors.Join(errs...)
}

// quiet is the media stack's logger: its lines hold addresses of callers.
func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.Writer = io.Discard
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// listen opens HOST:PORT for UDP and TCP.
func listen(address string, published []string) (*sockets, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("media address %q: %w", address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
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
		s, err := open(ip.Unmap(), uint16(port), published)
		if err == nil || port != 0 || try == portTries {
			return s, err
		}
	}
}

func open(ip netip.Addr, port uint16, published []string) (*sockets, error) {
	s := &sockets{udp: &udpMux{}}
	var opened []io.Closer
	fail := func(err error) (*sockets, error) {
		for _, c := range opened {
			_ = c.Close()
		}
		return nil, err
	}
	open4, open6 := ip.Is4() || ip.IsUnspecified(), ip.Is6()
	bind := func(network string, a netip.Addr) error {
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, port)))
		if err != nil {
			return fmt.Errorf("open media port: %w", err)
		}
		// The kernel may give less; the stack works with what it gets.
		_ = c.SetReadBuffer(udpBuffer)
		_ = c.SetWriteBuffer(udpBuffer)
		port = c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: quiet().NewLogger("ice")})
		opened = append(opened, mux)
		shown := a
		if network == "udp4" {
			s.udp.v4 = mux
			if a.IsUnspecified() {
				shown = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			}
		} else {
			s.udp.v6 = mux
			if a.IsUnspecified() {
				shown = netip.IPv6Loopback()
			}
		}
		s.udp.addrs = append(s.udp.addrs, net.UDPAddrFromAddrPort(netip.AddrPortFrom(shown, port)))
		return nil
	}
	if open4 {
		a := ip
		if ip.IsUnspecified() {
			a = netip.IPv4Unspecified()
		}
		if err := bind("udp4", a); err != nil {
			return fail(err)
		}
	}
	if open6 {
		// A machine without IPv6 still serves all its interfaces.
		if err := bind("udp6", ip); err != nil && !open4 {
			return fail(err)
		}
	}
	network := "tcp"
	if s.udp.v6 == nil {
		network, ip = "tcp4", v4of(ip)
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	if err != nil {
		return fail(fmt.Errorf("open media port: %w", err))
	}
	s.limit = &limitedListener{TCPListener: l, open: map[net.Conn]struct{}{}}
	s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: s.limit, Logger: quiet().NewLogger("ice"), ReadBufferSize: streamQueue, WriteBufferSize: streamWriteRoom,
		FirstStunBindTimeout: streamSilence, AliveDurationForConnFromStun: streamSilence,
	})
	s.addr = netip.AddrPortFrom(ip, port)
	if s.hosts, err = hosts(ip, port, published); err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
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

func (s *sockets) close() error {
	s.limit.closeAll()
	return errors.Join(s.udp.Close(), ignoreClosed(s.tcp.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// limitedListener refuses connections over the bound instead of letting silent
// ones keep honest ones out, and can hang up on all of them.
type limitedListener struct {
	*net.TCPListener
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// limitedConn tells its listener when it is gone.
type limitedConn struct {
	*net.TCPConn
	l *limitedListener
}

func (c *limitedConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.mu.Unlock()
	return ignoreClosed(c.TCPConn.Close())
}

// Accept gives the next connection that fits under the bound.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		t, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{TCPConn: t, l: l}
		l.mu.Lock()
		full := l.closed || len(l.open) >= maxStreams
		if !full {
			l.open[c] = struct{}{}
		}
		l.mu.Unlock()
		if !full {
			return c, nil
		}
		_ = t.Close()
	}
}

func (l *limitedListener) closeAll() {
	l.mu.Lock()
	l.closed = true
	all := make([]net.Conn, 0, len(l.open))
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	_ = l.TCPListener.Close()
}
