//go:build linux

package live

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Refuse sends datagrams of one size to one address by a socket whose kernel
// refuses to take messages apart, as it does where the datagrams are larger than
// the line takes. It tells whether later messages are still gathered.
func Refuse(to *net.UDPAddr, datagrams int) (gathers bool, err error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return false, err
	}
	defer c.Close()
	d, err := newDepartures(c)
	if err != nil {
		return false, err
	}
	var raw syscall.RawConn
	if raw, err = c.SyscallConn(); err != nil {
		return false, err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }); e != nil || err != nil {
		return false, err
	}
	before := d.segments
	address := newSockaddr(to.AddrPort())
	for range datagrams {
		d.done(&address, len(append(d.next(100), make([]byte, 100)...)))
	}
	d.flush()
	return d.segments == before, nil
}
