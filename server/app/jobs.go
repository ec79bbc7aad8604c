package app

import (
	"context"
	"errors"
	"time"

	"genba/server/problem"
)

const (
	expireEvery = time.Second
	askAgain    = time.Second     // whoever may no more watches no longer than this
	purgeEvery  = 5 * time.Second // due files go within a minute (第6の4)
	tendEvery   = time.Minute
	sweepEvery  = 10 * time.Minute // what no row points to, and cases whose last due time has passed
	keysEvery   = time.Hour
	staffEvery  = 5 * time.Second
)

// jobs are what runs beside the requests, each until its context ends.
func (a *App) jobs() []func(context.Context) {
	return []func(context.Context){
		a.Notify.Run,
		a.Evidence.Run,
		a.every("expire links", expireEvery, func(ctx context.Context) error { _, err := a.Cases.ExpireDue(ctx); return err }),
		a.every("expire shares", expireEvery, a.Cases.ExpireShares),
		a.every("purge", purgeEvery, a.purgeDue),
		a.every("sweep", sweepEvery, a.purge),
		a.every("anchor clock", tendEvery, func(ctx context.Context) error { _, err := a.Evidence.Anchor(ctx); return err }),
		a.every("ask viewers again", askAgain, a.streams.recheck),
		a.every("end live video at the data cap", askAgain, a.streams.capData),
		a.every("hear other processes", askAgain, a.Journal.RingForeign),
		a.every("end receptions", askAgain, a.People.EndReceptions),
		a.every("close viewings", tendEvery, a.Evidence.CloseExpired),
		a.every("summarise refusals", tendEvery, func(ctx context.Context) error { return a.Journal.FlushRefusals(ctx, false) }),
		a.every("sweep link keys", keysEvery, a.Cases.SweepLinkKeys),
		a.every("remind of access codes", tendEvery, func(ctx context.Context) error { _, err := a.People.RemindCallerCodes(ctx); return err }),
		a.every("officers' phones, code and reports", staffEvery, a.tendStaff),
		a.every("forget reports", sweepEvery, a.Operations.Forget),
		a.every("raise export alarms", tendEvery, func(ctx context.Context) error { _, err := a.Evidence.AlarmExports(ctx); return err }),
		a.every("close writings", tendEvery, a.Evidence.CloseWritings),
		a.every("checkpoint", checkpointEvery, a.checkpoint),
		a.every("look for faults", probeEvery, a.LookForFaults),
	}
}

// tendStaff changes the officers' access code at its hour, ends registrations
// that nobody matched, chases usage reports and sends leak reports on to the
// manager (第4の4).
func (a *App) tendStaff(ctx context.Context) error {
	_, rotated := a.Cases.RotateStaffCodes(ctx)
	_, expired := a.Cases.ExpireStaff(ctx)
	_, chased := a.Operations.Chase(ctx)
	_, escalated := a.Operations.Escalate(ctx)
	return errors.Join(rotated, expired, chased, escalated)
}

// purgeDue purges as soon as something is due.
func (a *App) purgeDue(ctx context.Context) error {
	due, err := a.Evidence.HasDue(ctx)
	if err != nil || !due {
		return err
	}
	return a.purge(ctx)
}

func (a *App) purge(ctx context.Context) error {
	report, err := a.Evidence.Purge(ctx)
	if report.Purged > 0 || report.Failed > 0 || report.Cases > 0 {
		a.log.InfoContext(ctx, "purged", "due", report.Due, "purged", report.Purged, "failed", report.Failed, "orphans", report.Orphans, "cases", report.Cases)
	}
	if problem.Is(err, problem.ClockDoubted) {
		return nil // journaled as an alarm; overdue files are withheld meanwhile
	}
	return err
}

// every runs a job at once and then again and again. A failure is logged and
// the next turn tries anew.
func (a *App) every(what string, pause time.Duration, f func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		t := time.NewTicker(pause)
		defer t.Stop()
		for {
			if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
				a.log.ErrorContext(ctx, what, "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}
}

// DueWork does at once what the jobs would do by and by: links that ran out,
// officers' phones and reports, files and facts that are due, reminders.
func (a *App) DueWork(ctx context.Context) error {
	if _, err := a.Cases.ExpireDue(ctx); err != nil {
		return err
	}
	if err := errors.Join(a.tendStaff(ctx), a.Operations.Forget(ctx), a.Cases.ExpireShares(ctx)); err != nil {
		return err
	}
	if _, err := a.People.RemindCallerCodes(ctx); err != nil {
		return err
	}
	return a.purge(ctx)
}
