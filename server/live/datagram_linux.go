package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of what goes to the kernel at once.
const (
	readBatch    = 64      // datagrams in one read
	writeBatch   = 256     // messages in one write
	writeRoom    = 1 << 20 // bytes of one write
	mostSegments = 48      // datagrams of one address in one message; the kernel allows 64 in 64 KB
	mostMessage  = 60_000  // bytes of one message
	sendPatience = 10 * time.Millisecond
)

// mmsghdr is the kernel's struct mmsghdr: a message and how much of it went.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// sockaddr is an address as the kernel wants it, IPv4 or IPv6.
type sockaddr struct {
	raw  unix.RawSockaddrInet6
	size uint32
}

func newSockaddr(a netip.AddrPort) sockaddr {
	var s sockaddr
	if a.Addr().Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		v4.Family, v4.Addr, s.size = unix.AF_INET, a.Addr().As4(), unix.SizeofSockaddrInet4
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&v4.Port))[:], a.Port())
		return s
	}
	s.raw.Family, s.raw.Addr, s.size = unix.AF_INET6, a.Addr().As16(), unix.SizeofSockaddrInet6
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&s.raw.Port))[:], a.Port())
	if zone := a.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			s.raw.Scope_id = uint32(i.Index)
		}
	}
	return s
}

func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&s.raw.Port))[:]) // at the same place in both families
	if s.raw.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr).Unmap(), port)
}

// arrivals reads datagrams of one socket, many at a time. One goroutine uses it.
type arrivals struct {
	raw     syscall.RawConn
	headers [readBatch]mmsghdr
	vectors [readBatch]unix.Iovec
	names   [readBatch]sockaddr
	space   [readBatch][mtu]byte
}

func newArrivals(c *net.UDPConn) (*arrivals, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read media port: %w", err)
	}
	a := &arrivals{raw: raw}
	for i := range a.headers {
		a.vectors[i].Base = &a.space[i][0]
		a.vectors[i].SetLen(mtu)
		a.headers[i].header.Iov = &a.vectors[i]
		a.headers[i].header.SetIovlen(1)
		a.headers[i].header.Name = (*byte)(unsafe.Pointer(&a.names[i].raw))
	}
	return a, nil
}

// run reads until the socket is closed and calls took after each read with the
// number of datagrams. A read that brings less than it could has emptied the
// socket, and the system tells of what comes after: there is no second look.
func (a *arrivals) run(took func(n int)) {
	_ = a.raw.Read(func(fd uintptr) bool {
		for {
			for i := range a.headers {
				a.headers[i].header.Namelen = unix.SizeofSockaddrInet6
			}
			n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&a.headers[0])), readBatch, unix.MSG_DONTWAIT, 0, 0)
			switch {
			case e == unix.EINTR, e == unix.ECONNREFUSED: // a peer's port is closed: no reason to stop reading
				continue
			case e != 0:
				return false
			}
			if took(int(n)); n < readBatch {
				return false
			}
		}
	})
}

// packet is the i-th datagram of the last read, good until the next, and where
// it came from. One too large for the buffer has no bytes.
func (a *arrivals) packet(i int) ([]byte, netip.AddrPort) {
	n := a.headers[i].length
	if a.headers[i].header.Flags&unix.MSG_TRUNC != 0 {
		n = 0
	}
	return a.space[i][:n], a.names[i].addrPort()
}

// departures sends datagrams of one socket, many at a time: consecutive ones of
// one size to one address as one message, which the kernel takes apart. One
// goroutine uses it at a time.
type departures struct {
	raw      syscall.RawConn
	conn     *net.UDPConn
	segments bool // the kernel takes messages apart
	count    int  // messages
	used     int  // bytes of space
	space    []byte
	to       [writeBatch]*sockaddr
	size     [writeBatch]int // of each datagram of a message but the last
	parts    [writeBatch]int
	closed   [writeBatch]bool // its last datagram was a shorter one
	vectors  [writeBatch]unix.Iovec
	headers  [writeBatch]mmsghdr
	control  [writeBatch][32]byte

	at   int
	went int
	fail unix.Errno
	give func(fd uintptr) bool
}

func newDepartures(c *net.UDPConn) (*departures, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("write media port: %w", err)
	}
	d := &departures{raw: raw, conn: c, space: make([]byte, writeRoom)}
	_ = raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		d.segments = err == nil
	})
	for i := range d.headers {
		d.headers[i].header.Iov = &d.vectors[i]
		d.headers[i].header.SetIovlen(1)
	}
	d.give = func(fd uintptr) bool {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&d.headers[d.at])), uintptr(d.count-d.at), unix.MSG_DONTWAIT, 0, 0)
		d.went, d.fail = int(n), e
		return true
	}
	return d, nil
}

// next is room for a datagram of up to size bytes; done takes it as written.
func (d *departures) next(size int) []byte {
	if d.count == writeBatch || d.used+size > writeRoom {
		d.flush()
	}
	return d.space[d.used : d.used : d.used+size]
}

// done sends the n bytes written to what next gave, with the next flush.
func (d *departures) done(to *sockaddr, n int) {
	i := d.count - 1
	if i >= 0 && d.segments && d.to[i] == to && !d.closed[i] && n <= d.size[i] && d.parts[i] < mostSegments &&
		int(d.vectors[i].Len)+n <= mostMessage {
		d.parts[i]++
		d.closed[i] = n < d.size[i]
		d.vectors[i].SetLen(int(d.vectors[i].Len) + n)
	} else {
		i = d.count
		d.to[i], d.size[i], d.parts[i], d.closed[i] = to, n, 1, false
		d.vectors[i].Base = &d.space[d.used]
		d.vectors[i].SetLen(n)
		d.count++
	}
	d.used += n
}

// flush hands everything to the kernel. What it does not take within
// sendPatience is dropped: nobody waits for a full line.
func (d *departures) flush() {
	for i := range d.count {
		h := &d.headers[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&d.to[i].raw)), d.to[i].size
		h.Control = nil
		h.SetControllen(0)
		if d.parts[i] > 1 {
			c := &d.control[i]
			m := (*unix.Cmsghdr)(unsafe.Pointer(c))
			m.Level, m.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			m.SetLen(unix.CmsgLen(2))
			binary.NativeEndian.PutUint16(c[unix.CmsgLen(0):], uint16(d.size[i]))
			h.Control = &c[0]
			h.SetControllen(unix.CmsgSpace(2))
		}
	}
	var patience time.Time
	for d.at = 0; d.at < d.count; {
		if err := d.raw.Write(d.give); err != nil {
			break // closed
		}
		switch {
		case d.fail == 0:
			d.at += max(1, d.went)
		case d.fail == unix.EINTR:
		case d.fail == unix.EAGAIN:
			if patience.IsZero() {
				patience = time.Now().Add(sendPatience)
			}
			if !d.wait(patience) {
				d.at = d.count
			}
		case d.parts[d.at] > 1:
			// An interface that cannot take messages apart. EINVAL is none: it says
			// that these datagrams are larger than this line takes in one piece,
			// which is what their sender chose.
			if d.fail == unix.EIO || d.fail == unix.ENOTSUP {
				d.segments = false
			}
			d.apart(d.at)
			d.at++
		default: // a peer that cannot be reached
			d.at++
		}
	}
	d.count, d.used = 0, 0
}

// wait tells whether the socket takes more before then.
func (d *departures) wait(until time.Time) bool {
	if d.conn.SetWriteDeadline(until) != nil {
		return false
	}
	first := true
	err := d.raw.Write(func(uintptr) bool { // the second call comes when there is room
		was := first
		first = false
		return !was
	})
	_ = d.conn.SetWriteDeadline(time.Time{})
	return err == nil
}

// apart sends a message's datagrams one by one.
func (d *departures) apart(i int) {
	b := unsafe.Slice(d.vectors[i].Base, int(d.vectors[i].Len))
	to := d.to[i].addrPort()
	for len(b) > 0 {
		n := min(d.size[i], len(b))
		if _, err := d.conn.WriteToUDPAddrPort(b[:n], to); errors.Is(err, net.ErrClosed) {
			return
		}
		b = b[n:]
	}
}
