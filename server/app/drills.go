package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"genba/server/drill"
	"genba/server/operations"
	"genba/server/problem"
)

// hatch is a listener that only this program reaches: the played callers of
// drills ask the same server as everybody, whatever stands before it.
type hatch struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHatch() *hatch { return &hatch{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept waits for the next connection.
func (l *hatch) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (l *hatch) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr names it.
func (l *hatch) Addr() net.Addr { return hatchAddr{} }

type hatchAddr struct{}

func (hatchAddr) Network() string { return "hatch" }
func (hatchAddr) String() string  { return "127.0.0.1:0" }

// hatchConn comes from this machine.
type hatchConn struct{ net.Conn }

// RemoteAddr is this machine.
func (hatchConn) RemoteAddr() net.Addr { return hatchAddr{} }

func (l *hatch) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	theirs, ours := net.Pipe()
	select {
	case l.conns <- hatchConn{ours}:
		return theirs, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// openStage makes who plays the callers of drills (第11).
func (a *App) openStage() {
	at := a.Live.Addr()
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	a.hatch = newHatch()
	a.players = drill.New(drill.Options{
		Client: &http.Client{
			Transport:     &http.Transport{DialContext: a.hatch.dial, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Base: a.URL, Media: at, Now: a.DB.Now, Hurry: a.hurry, Log: a.log,
		Over: func(id string) {
			a.afterCommit("end played caller", func(ctx context.Context) error { return a.Operations.PlayOver(ctx, id) })
		},
	})
	a.Operations.UseStage(a.players)
	a.Notify.OnDrill(a.play)
}

// play hands a message of a drill to its played caller; false where it is for a
// real phone.
func (a *App) play(ctx context.Context, agency, session, number, body string) (bool, error) {
	c, err := a.Operations.Played(ctx, agency, session, number)
	if err != nil || c == nil {
		return false, err
	}
	if c.State != operations.CallerPlaying {
		return true, nil // the drill is over: nobody reads it
	}
	err = a.players.Play(drill.Call{
		ID: c.ID, Script: c.Script, Message: body,
		LateSMS: c.Does(operations.LateSMS), CameraDenied: c.Does(operations.CameraDenied), WeakNetwork: c.Does(operations.WeakNetwork),
		Code: func(ctx context.Context) (string, error) { return a.codeOf(ctx, agency, session) },
	})
	if err != nil && !errors.Is(err, drill.ErrNoLink) { // a corrective message asks for nothing
		return true, err
	}
	return true, nil
}

// codeOf is the access code that the dispatcher would read aloud.
func (a *App) codeOf(ctx context.Context, agency, session string) (string, error) {
	links, err := a.Cases.Links(ctx, agency, []string{session})
	if err != nil {
		return "", err
	}
	of := links[session]
	if len(of) == 0 {
		return "", problem.New(problem.NotFound)
	}
	code, err := a.Cases.Code(of[len(of)-1])
	if err != nil || code == nil {
		return "", errors.Join(err, problem.New(problem.CodeRequired))
	}
	return *code, nil
}
