//go:build !linux

package live

import (
	"net"
	"net/netip"
)

// sockaddr is where a datagram goes.
type sockaddr struct{ to netip.AddrPort }

func newSockaddr(a netip.AddrPort) sockaddr { return sockaddr{to: a} }

// arrivals reads datagrams of one socket, here one at a time. One goroutine uses
// it.
type arrivals struct {
	conn  *net.UDPConn
	space [mtu + 1]byte
	n     int
	from  netip.AddrPort
}

func newArrivals(c *net.UDPConn) (*arrivals, error) { return &arrivals{conn: c}, nil }

// run reads until the socket is closed and calls took after each read with the
// number of datagrams.
func (a *arrivals) run(took func(n int)) {
	for {
		n, from, err := a.conn.ReadFromUDPAddrPort(a.space[:])
		switch {
		case err == nil:
			a.n, a.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			took(1)
		case isClosed(err):
			return
		}
	}
}

// packet is the i-th datagram of the last read, good until the next, and where
// it came from. One too large for the buffer has no bytes.
func (a *arrivals) packet(int) ([]byte, netip.AddrPort) {
	if a.n > mtu {
		return nil, a.from
	}
	return a.space[:a.n], a.from
}

// departures sends datagrams of one socket, here one at a time.
type departures struct {
	conn  *net.UDPConn
	space [2 * mtu]byte
}

func newDepartures(c *net.UDPConn) (*departures, error) { return &departures{conn: c}, nil }

// next is room for a datagram of up to size bytes; done takes it as written.
func (d *departures) next(size int) []byte { return d.space[0:0:min(size, len(d.space))] }

// done sends the n bytes written to what next gave.
func (d *departures) done(to *sockaddr, n int) {
	// An error means the line is full or the peer gone: both end by other ways.
	_, _ = d.conn.WriteToUDPAddrPort(d.space[:n], to.to)
}

// flush is for systems that gather.
func (d *departures) flush() {}
