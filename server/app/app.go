// Package app wires the rooms together: it reads the settings, opens every room
// in order, hands each what it needs of the others, serves HTTP, runs the jobs,
// and takes everything down again. The command line and the tests build the
// same App.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"genba/graph"
	"genba/policy"
	"genba/server/blob"
	"genba/server/bus"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/drill"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/live"
	"genba/server/notify"
	"genba/server/operations"
	"genba/server/statistics"
)

const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 30 * time.Second
	maxHeader       = 32 << 10
	shutdownTimeout = 10 * time.Second
	serverKey       = "server"
)

// App is one running installation. Make it with New, run it with Run, and Close
// it when Run is not used.
type App struct {
	Config     Config
	DB         *database.DB
	Keys       *blob.Keys
	Journal    *journal.Journal
	People     *identity.Identity
	Cases      *cases.Cases
	Notify     *notify.Notify
	Evidence   *evidence.Evidence
	Statistics *statistics.Statistics
	Operations *operations.Operations
	Live       *live.Server

	log      *slog.Logger
	policy   *policy.Policy
	bus      *bus.Bus
	bearers  *identity.Bearers
	streams  *streams
	listener net.Listener
	handler  http.Handler
	done     chan struct{}
	closing  sync.Once
	work     sync.WaitGroup // what commits have left to do
	demo     *Demo
	gateway  *notify.Gateway // nil: SMS leaves by none
	// demoTerminal is where console requests without a proof come from; empty where
	// there is no such exception.
	demoTerminal string
	strict       bool
	faults       faults
	mailedAt     time.Time // when the last mail with checkpoints left
	hatch        *hatch
	players      *drill.Players
	hurry        bool

	// serverKey signs what travels with a page and comes back
	serverKey interface{ MAC(data []byte) []byte }
}

// Option changes what New builds.
type Option func(*App, *options)

type options struct{ channel notify.Channel }

// WithChannel sends messages through c instead of what the settings say.
func WithChannel(c notify.Channel) Option { return func(_ *App, o *options) { o.channel = c } }

// WithStrictTerminals asks every console for its terminal's proof in demo mode,
// too.
func WithStrictTerminals() Option { return func(a *App, _ *options) { a.strict = true } }

// WithHurriedCallers leaves the played callers of drills no time to think.
func WithHurriedCallers() Option { return func(a *App, _ *options) { a.hurry = true } }

// Open opens the database and the rooms that need no network: what the commands
// beside serve work with.
func Open(ctx context.Context, c Config, clock database.Clock, log *slog.Logger, opts ...Option) (_ *App, err error) {
	a := &App{Config: c, log: log, done: make(chan struct{})}
	var o options
	for _, set := range opts {
		set(a, &o)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	dsn := c.Database
	if dsn == "" {
		dsn = filepath.Join(c.Data, "genba.db")
	}
	if a.Keys, err = blob.OpenKeys(c.Keys); err != nil {
		return nil, fmt.Errorf("open key store: %w", err)
	}
	key, err := a.Keys.Ensure(serverKey)
	if err != nil {
		return nil, fmt.Errorf("open server key: %w", err)
	}
	store, err := blob.OpenStore(filepath.Join(c.Data, "files"))
	if err != nil {
		return nil, fmt.Errorf("open sealed files: %w", err)
	}
	if a.DB, err = database.Open(ctx, dsn, clock); err != nil {
		return nil, err
	}
	if err = a.DB.Migrate(ctx); err != nil {
		return nil, err
	}
	if a.policy, err = policy.New(); err != nil {
		return nil, err
	}
	if a.bus, err = bus.Open(""); err != nil {
		return nil, err
	}
	a.Journal = journal.New(a.DB, a.bus)
	a.serverKey, a.bearers = key, identity.NewBearers(key, clock)
	if a.People, err = identity.New(a.DB, a.Journal); err != nil {
		return nil, err
	}
	a.Cases = cases.New(a.DB, a.Journal, a.People, a.bearers, a.Keys)
	a.People.OnLeaving(a.Cases.PassOn)
	if o.channel == nil {
		if o.channel, err = a.channel(); err != nil {
			return nil, err
		}
	}
	a.gateway = gatewayOf(o.channel)
	a.Notify = notify.New(a.DB, a.Journal, a.Cases, a.People, o.channel, func() string { return a.URL() }, log)
	a.Statistics = statistics.New(a.DB)
	a.Operations = operations.New(a.DB, a.Journal, a.People, a.Cases)
	a.Evidence, err = evidence.New(evidence.Config{
		DB: a.DB, Journal: a.Journal, Cases: a.Cases, Identity: a.People, Bearers: a.bearers, Store: store, Keys: a.Keys,
		WriteProblem: writeProblem, Head: recordingHead, Logger: log,
		May: func(actor policy.Actor) bool { return a.policy.Can(actor, actor.Agency, policy.Media, policy.Open) },
	})
	return a, err
}

// New builds everything that serve needs, recovers what an earlier run left
// open, and listens; nothing is answered before Run.
func New(ctx context.Context, c Config, clock database.Clock, log *slog.Logger, opts ...Option) (_ *App, err error) {
	a, err := Open(ctx, c, clock, log, opts...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	var config net.ListenConfig
	if a.listener, err = config.Listen(ctx, "tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if a.Config.PublicURL == "" {
		_, port, _ := net.SplitHostPort(a.listener.Addr().String())
		a.Config.PublicURL = "http://localhost:" + port
	}
	a.streams = newStreams(a)
	var addresses []string
	if c.MediaAddress != "" {
		addresses = []string{c.MediaAddress}
	}
	a.Live, err = live.New(live.Options{
		Listen: c.Media, Addresses: addresses, Clock: clock, Authorize: a.streams.authorize, Accept: a.streams.accept,
		Record: a.streams.record, Observe: a.streams.observe, WriteProblem: writeProblem, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	a.Cases.Beside(a.afterCommit)
	if passkeys, err := identity.NewPasskeys(a.URL(), a.serverKey); err != nil {
		log.WarnContext(ctx, "nobody can sign in with a passkey: the public address has no name", "error", err)
	} else {
		a.People.UsePasskeys(passkeys)
	}
	a.Notify.OnTrouble(func(agency string) { a.alarm(agency, operations.Messages) })
	a.People.OnCut(a.streams.leave)
	a.Cases.OnOver(a.streams.over)
	a.Cases.OnHeld(a.streams.held)
	a.Cases.OnCut(a.streams.cut)
	a.Cases.OnShareOver(a.streams.shareOver)
	if _, err = a.Evidence.Anchor(ctx); err != nil {
		return nil, err
	}
	if left := a.Evidence.Recover(ctx); left != nil {
		log.ErrorContext(ctx, "some files could not be recovered; the next start tries again", "error", left)
	}
	if err = a.Cases.SweepLinkKeys(ctx); err != nil {
		return nil, err
	}
	a.openStage()
	if err = a.Operations.EndRestartedDrills(ctx); err != nil {
		return nil, err
	}
	if err = a.checkOwnCheckpoints(ctx); err != nil {
		return nil, err
	}
	if err = a.wireAudit(); err != nil {
		return nil, err
	}
	if c.Demo {
		if a.demo, err = a.makeDemo(ctx); err != nil {
			return nil, err
		}
		if a.demo.Terminal != nil && !a.strict {
			a.demoTerminal = a.demo.Terminal.ID
		}
	}
	a.handler, err = a.routes(graph.NewHandler(&graph.Resolver{
		Policy: a.policy, Bus: a.bus, Journal: a.Journal, People: a.People, Bearers: a.bearers, Cases: a.Cases, Notify: a.Notify,
		Evidence: a.Evidence, Statistics: a.Statistics, Operations: a.Operations, Streams: a.streams,
	}, graph.Options{Dev: c.Dev, WriteProblem: writeProblem}))
	return a, err
}

// URL is the public address.
func (a *App) URL() string { return a.Config.PublicURL }

// Demo is what demo mode made, or nil.
func (a *App) Demo() *Demo { return a.demo }

// Run serves until the context ends, then drains: no new work is taken, what is
// under way gets ten seconds, recordings are finished, jobs end.
func (a *App) Run(ctx context.Context) error {
	jobs, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	for _, job := range a.jobs() {
		running.Go(func() { job(jobs) })
	}
	s := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	proxy, _ := parseNetwork(a.Config.TrustedProxy) // checked when it was read; none is no network
	listener := newGuarded(a.listener, proxy)
	failed := make(chan error, 1)
	go func() {
		if a.Config.TLSCert != "" {
			failed <- s.ServeTLS(listener, a.Config.TLSCert, a.Config.TLSKey)
		} else {
			failed <- s.Serve(listener)
		}
	}()
	go func() { _ = s.Serve(a.hatch) }() // it ends with the server
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	close(a.done)
	a.players.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = errors.Join(ignoreClosed(err), a.Live.Shutdown(last))
	if drained := s.Shutdown(last); drained != nil {
		err = errors.Join(err, s.Close())
	}
	stop()
	running.Wait()
	a.work.Wait() // jobs commit, too
	err = errors.Join(err, a.Journal.FlushRefusals(last, true))
	return errors.Join(err, a.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close releases what New or Open opened. Run does it itself.
func (a *App) Close() error {
	var err error
	a.closing.Do(func() {
		if a.players != nil {
			a.players.Close()
			_ = a.hatch.Close() // never fails
		}
		if a.listener != nil {
			_ = a.listener.Close() // the server may have closed it already
		}
		if a.Live != nil {
			last, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
			defer cancel()
			err = a.Live.Shutdown(last)
		}
		if a.streams != nil {
			a.streams.stop()
		}
		if a.bus != nil {
			a.bus.Close()
		}
		if a.DB != nil {
			err = errors.Join(err, a.DB.Close())
		}
	})
	return err
}

// afterCommit runs what a commit or a refusal has left to do, beside the request.
// Run waits for it.
func (a *App) afterCommit(what string, f func(ctx context.Context) error) {
	a.work.Go(func() {
		if err := f(context.Background()); err != nil {
			a.log.Error(what, "error", err)
		}
	})
}
