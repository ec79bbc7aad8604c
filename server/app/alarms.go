package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"genba/server/operations"
)

const (
	probeEvery   = 30 * time.Second
	probeTimeout = 5 * time.Second
	probeBytes   = 64 << 10
	probeName    = "probe"
)

// faults is what the house notices of itself between two looks (第10).
type faults struct {
	// database says that the database did not answer: that can be written down only
	// once it does again.
	database atomic.Bool
}

// LookForFaults opens a fault for whatever does not work: the place of the files,
// the media port, the clock, and the database once it answers again. What fails
// in use (a recording, a gateway) raises its alarm where it fails.
func (a *App) LookForFaults(ctx context.Context) error {
	if err := a.DB.Ping(ctx); err != nil {
		a.faults.database.Store(true)
		return fmt.Errorf("the database does not answer: %w", err)
	}
	var failed error
	raise := func(part operations.Part, fault error) {
		if fault != nil {
			a.log.ErrorContext(ctx, "a fault was noticed", "part", part, "error", fault)
			failed = errors.Join(failed, a.Operations.Alarm(ctx, "", part))
		}
	}
	if a.faults.database.Swap(false) {
		raise(operations.Database, errors.New("the database did not answer for a while"))
	}
	raise(operations.Storage, a.probeFiles())
	raise(operations.Live, a.probeMedia(ctx))
	if a.Evidence.ClockInDoubt() {
		raise(operations.Clock, errors.New("the clock is in doubt"))
	}
	return failed
}

// probeFiles writes a little where the files are kept, and takes it away again.
func (a *App) probeFiles() (err error) {
	if err := a.Evidence.HasRoom(); err != nil {
		return err
	}
	f, err := os.CreateTemp(a.Config.Data, probeName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, f.Sync(), f.Close())
}

// probeMedia knocks at the media port.
func (a *App) probeMedia(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	at := a.Live.Addr()
	host := at.Addr().String()
	if at.Addr().IsUnspecified() {
		host = "localhost"
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(at.Port())))
	if err != nil {
		return err
	}
	return c.Close()
}

// alarm raises a fault of one agency beside whatever noticed it.
func (a *App) alarm(agency string, part operations.Part) {
	a.afterCommit("raise alarm", func(ctx context.Context) error { return a.Operations.Alarm(ctx, agency, part) })
}

// unrecorded is a video report whose live video goes on without a recording.
func (a *App) unrecorded(ctx context.Context, session string) error {
	agency, err := a.Cases.AgencyOf(ctx, session)
	if err != nil {
		return err
	}
	return a.Operations.Alarm(ctx, agency, operations.Recording)
}
