package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"genba/server/app"
)

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var all sync.WaitGroup
	for _, head := range []string{
		"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n",
		"POST /graphql HTTP/1.1\r\nContent-Type: text/plain\r\n", // refused without being read
		"POST /whip/x HTTP/1.1\r\n",
		"PATCH /files/x HTTP/1.1\r\n",
		"POST /nowhere HTTP/1.1\r\n",
	} {
		all.Go(func() {
			c, err := net.Dial("tcp", h.address())
			if !assertNo(t, err) {
				return
			}
			defer c.Close()
			_, err = fmt.Fprintf(c, "%sHost: localhost\r\nContent-Length: 1000\r\n\r\n{", head)
			assertNo(t, err)
			assertNo(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err = io.Copy(io.Discard, bufio.NewReader(c)) // until the server hangs up
			assertNo(t, err)
		})
	}
	all.Wait()
}

func TestOutboxAnswersToItsOwnNameOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for host, status := range map[string]int{"evil.example": http.StatusNotFound, "evil.example:80": http.StatusNotFound, "localhost": http.StatusOK, h.address(): http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.address()+"/outbox.json", nil)
		require.NoError(t, err)
		r.Host = host
		res, err := h.http.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, status, res.StatusCode, host)
	}
}

func assertNo(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Errorf("held open: %v", err)
	}
	return err == nil
}

// visitors is a listener that connections of any address come to.
type visitors struct{ come chan net.Conn }

func (v *visitors) Accept() (net.Conn, error) {
	c, open := <-v.come
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (v *visitors) Close() error   { close(v.come); return nil }
func (v *visitors) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection from an address.
type from struct {
	net.Conn
	address string
	closed  bool
}

func (f *from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.address), 1))
}
func (f *from) Close() error { f.closed = true; return nil }

func TestOneHostHoldsOnlySoManyConnections(t *testing.T) {
	v := &visitors{make(chan net.Conn, 2)}
	l := app.Guarded(v, netip.MustParsePrefix("198.51.100.0/24"))
	// enters tells whether a connection from an address is served: another one
	// that always is comes after it.
	enters := func(address string) (net.Conn, bool) {
		f := &from{address: address}
		v.come <- f
		v.come <- &from{address: "127.0.0.1"}
		c, err := l.Accept()
		require.NoError(t, err)
		if f.closed {
			return nil, false
		}
		_, err = l.Accept()
		require.NoError(t, err)
		return c, true
	}
	var first net.Conn
	for n := range app.MaxConnections {
		c, in := enters(fmt.Sprintf("2001:db8:1:2::%x", n))
		require.True(t, in)
		if n == 0 {
			first = c
		}
	}
	_, in := enters("2001:db8:1:2:ffff::1")
	require.False(t, in, "one /64 is one host")
	for _, other := range []string{"2001:db8:1:3::1", "192.0.2.1", "::ffff:192.0.2.1"} {
		_, in = enters(other)
		require.True(t, in, other)
	}
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "given back once")
	_, in = enters("2001:db8:1:2::1")
	require.True(t, in)
	_, in = enters("2001:db8:1:2::2")
	require.False(t, in)
	for range app.MaxConnections + 1 {
		_, in = enters("198.51.100.7")
		require.True(t, in, "the proxy speaks for others")
	}
	require.NoError(t, l.Close())
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
