package evidence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// clockTolerance is how far wall and boot clock may drift apart between two
	// anchors.
	clockTolerance = 5 * time.Minute
	// anchorEvery is how often an anchor is stored at most.
	anchorEvery = time.Minute
	// bootsRemembered bounds the anchors of earlier boots.
	bootsRemembered = 100
)

// anchor says where wall and boot clock of one boot stood when the wall clock
// was last believed.
type anchor struct {
	BootID  string `gorm:"primaryKey"`
	Wall    time.Time
	BootNs  int64
	Doubted bool
}

func (anchor) TableName() string { return "clock_anchors" }

// clockState is the newest that is known of time.
type clockState struct {
	mu sync.Mutex
	// floor is the latest instant that has certainly passed.
	floor time.Time
	// own is this boot's anchor.
	own *anchor
	// doubted is what the last Anchor found.
	doubted bool
}

// latest is the wall clock, but never earlier than what has passed already: a
// clock set back brings no overdue file back.
func (e *Evidence) latest() time.Time {
	now := e.DB.Now()
	id, boot := e.DB.Clock.Boot()
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	at := e.clock.floor
	if own := e.clock.own; own != nil && own.BootID == id {
		at = later(at, own.Wall.Add(boot-time.Duration(own.BootNs)))
	}
	return later(at, now)
}

// believedAt corrects a reading of the wall clock that has left the boot clock
// since this boot's anchor: what is acquired while the clock is wrong gets the
// due time that is right.
func (e *Evidence) believedAt(wall time.Time) time.Time {
	id, boot := e.DB.Clock.Boot()
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	own := e.clock.own
	if own == nil || own.BootID != id {
		return later(wall, e.clock.floor)
	}
	reckoned := own.Wall.Add(boot - time.Duration(own.BootNs))
	if wall.Sub(reckoned).Abs() <= clockTolerance {
		return wall
	}
	return database.Instant(reckoned)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Anchor tells whether the wall clock is believed, and if so stores where it
// stands; call it at the start and every minute. It is believed when it moved
// with the boot clock, within five minutes, since this boot's last anchor, when
// the kernel says that it is synchronised, when nothing is stored yet, or when
// a manager confirmed it. In doubt an alarm is journaled once, and Purge
// destroys nothing. An error may come with what was found: then it could only
// not be stored.
func (e *Evidence) Anchor(ctx context.Context) (believed bool, err error) {
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		believed, err = e.anchor(tx, false, policy.SystemActor())
		return err
	})
	if err != nil {
		return believed, fmt.Errorf("anchor clock: %w", err)
	}
	return believed, nil
}

// ClockInDoubt is what the last Anchor, or Purge, found: an alarm that stands
// until the clock is believed again.
func (e *Evidence) ClockInDoubt() bool {
	e.clock.mu.Lock()
	defer e.clock.mu.Unlock()
	return e.clock.doubted
}

// ConfirmClock lets a manager say that the wall clock is right.
func (e *Evidence) ConfirmClock(ctx context.Context, actor policy.Actor) error {
	if actor.Role != policy.Manager && actor.Kind != policy.Operator && actor.Kind != policy.System {
		return problem.New(problem.Forbidden)
	}
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		_, err := e.anchor(tx, true, actor)
		return err
	})
	if err != nil {
		return fmt.Errorf("confirm clock: %w", err)
	}
	return nil
}

func (e *Evidence) anchor(tx *database.Tx, confirmed bool, actor policy.Actor) (bool, error) {
	id, boot := e.DB.Clock.Boot()
	var all []anchor
	if err := tx.Lock().Order("wall DESC").Limit(bootsRemembered).Find(&all).Error; err != nil {
		return false, err
	}
	now := anchor{BootID: id, Wall: tx.Now, BootNs: int64(boot)}
	var own *anchor
	for i := range all {
		if all[i].Wall = all[i].Wall.UTC(); all[i].BootID == id {
			own = &all[i]
		}
	}
	if confirmed {
		// What an earlier, wrong clock had anchored ahead of now counts no more.
		if err := tx.Delete(&anchor{}, "wall > ?", tx.Now).Error; err != nil {
			return false, err
		}
		all = nil
		e.clock.forget()
	}
	empty, err := e.empty(tx, len(all) > 0)
	if err != nil {
		return false, err
	}
	believed := confirmed || empty || e.DB.Clock.Synchronised() || own != nil && now.follows(*own)
	was := own != nil && own.Doubted
	fresh := own != nil && believed && !was && !confirmed && now.follows(*own) && now.BootNs-own.BootNs < int64(anchorEvery)
	switch {
	case fresh: // stored less than a minute ago
	case believed:
		own = &now
	case own == nil:
		// The first of an unbelieved boot: it says only that the alarm was given.
		own = &anchor{BootID: id, Wall: firstWall, BootNs: int64(boot)}
	}
	own.Doubted = !believed
	e.clock.learn(*own, all)
	if fresh {
		return true, nil
	}
	if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(own).Error; err != nil {
		return believed, err
	}
	if was != own.Doubted {
		e.journalBelief(tx, actor, believed, *own)
	}
	return believed, nil
}

// firstWall marks an anchor that never was believed; no clock follows it.
var firstWall = time.Unix(0, 0).UTC()

// follows tells whether a was reached from an earlier anchor of the same boot
// by both clocks alike.
func (a anchor) follows(from anchor) bool {
	apart := a.Wall.Sub(from.Wall) - time.Duration(a.BootNs-from.BootNs)
	return a.BootNs >= from.BootNs && apart.Abs() <= clockTolerance
}

// empty tells whether nothing is stored that a wrong clock could harm.
func (e *Evidence) empty(tx *database.Tx, anchors bool) (bool, error) {
	if anchors {
		return false, nil
	}
	var n int64
	err := tx.Model(&MediaFile{}).Limit(1).Count(&n).Error
	return n == 0, err
}

func (c *clockState) learn(own anchor, all []anchor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubted = own.Doubted
	if !own.Wall.Equal(firstWall) {
		c.own = &own
	}
	for _, a := range all {
		c.floor = later(c.floor, a.Wall)
	}
}

func (c *clockState) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor, c.own = time.Time{}, nil
}

func (e *Evidence) journalBelief(tx *database.Tx, actor policy.Actor, believed bool, own anchor) {
	t := journal.ClockDoubted
	if believed {
		t = journal.ClockBelieved
	}
	e.Journal.Append(tx, journal.Entry{Actor: actor, Type: t, Payload: map[string]any{"wall": tx.Now, "lastBelieved": own.Wall}})
}

// errDoubted is what Purge answers while the clock is in doubt.
var errDoubted = errors.New("evidence: the wall clock is in doubt; overdue files are withheld, nothing is destroyed")
