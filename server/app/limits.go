package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"genba/server/identity"
)

// Bounds of what one host may hold open.
const (
	// bodyTimeout is how long a request's body may take, 64 KiB at most; tus sets
	// its own for each piece of a file.
	bodyTimeout = 10 * time.Second
	// maxConnections is of one address, or of one IPv6 /64: carriers put hundreds
	// of phones behind one.
	maxConnections = 512
)

// timely gives a request's body until bodyTimeout to come in, read or not.
func timely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			c := http.NewResponseController(w)
			_ = c.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in a test has none
			r.Body = &timedBody{r.Body, c}
		}
		next.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

// Read takes the deadline away with the last byte: what the answer takes is
// another matter.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}

// guarded closes what one host opens beyond maxConnections. This machine and the
// trusted proxy, which speak for others, are not counted.
type guarded struct {
	net.Listener
	proxy netip.Prefix

	mu   sync.Mutex
	open map[string]int
}

func newGuarded(l net.Listener, proxy netip.Prefix) *guarded {
	return &guarded{Listener: l, proxy: proxy, open: map[string]int{}}
}

// exempt tells whether a host is not counted; one without an IP address, as a
// test's, is not.
func (g *guarded) exempt(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return true
	}
	a = a.Unmap()
	return a.IsLoopback() || g.proxy.IsValid() && g.proxy.Contains(a)
}

// Accept waits for the next connection of a host that may have one more.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(c.RemoteAddr().String())
		if g.exempt(host) {
			return c, nil
		}
		client := identity.Address(identity.WithAddress(context.Background(), host))
		g.mu.Lock()
		full := g.open[client] >= maxConnections
		if !full {
			g.open[client]++
		}
		g.mu.Unlock()
		if full {
			_ = c.Close() // without a word: it would cost more than theirs
			continue
		}
		return &countedConn{Conn: c, leave: sync.OnceFunc(func() { g.leave(client) })}, nil
	}
}

func (g *guarded) leave(client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[client]--; g.open[client] <= 0 {
		delete(g.open, client)
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back, once.
func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
