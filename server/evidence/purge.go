package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// purgeBatch is how many due files are read at a time.
	purgeBatch = 200
	// sweepEvery is how long after a sweep the next is made, unless files were
	// purged.
	sweepEvery = 10 * time.Minute
	// sweepBatch is how many names are looked up at a time.
	sweepBatch = 500
)

// PurgeReport counts what a purge did.
type PurgeReport struct {
	// Due is how many files were due, Purged how many are gone now, Failed how
	// many could not be destroyed and will be tried again.
	Due, Purged, Failed int
	// Keys is how many due days' keys were destroyed.
	Keys int
	// Orphans is how many sealed files and keys without a row were removed.
	Orphans int
	// Cases is how many cases' facts were erased.
	Cases int
}

// ledgerRow is what stays of a purged file: what was destroyed, when it was due
// and when it was done; never what it showed.
type ledgerRow struct {
	MediaID  string `gorm:"primaryKey"`
	AgencyID string
	Kind     Kind
	SHA256   []byte `gorm:"column:sha256"`
	DueAt    time.Time
	PurgedAt time.Time
}

func (ledgerRow) TableName() string { return "retention_ledger" }

// dueDay is a day on which files of an agency become due.
type dueDay struct{ agency, day string }

// sweepState remembers keys without a row from one sweep to the next: such a
// key may belong to a file that another process is just beginning.
type sweepState struct {
	mu       sync.Mutex
	suspects map[string]bool
	// destroyed are keys of due days whose entries could not be journaled yet.
	destroyed []dueDay
	// boot and at are when the last sweep was.
	boot string
	at   time.Duration
}

// due tells whether it is time for a sweep, and if so notes it as made.
func (s *sweepState) due(clock database.Clock) bool {
	boot, at := clock.Boot()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boot == boot && s.boot != "" && at-s.at < sweepEvery {
		return false
	}
	s.boot, s.at = boot, at
	return true
}

// PurgeDue lists the files that are due now and not yet gone, oldest first, at
// most limit.
func (e *Evidence) PurgeDue(ctx context.Context, limit int) ([]*MediaFile, error) {
	return e.dueFiles(ctx, e.DB.Now(), nil, limit)
}

func (e *Evidence) dueFiles(ctx context.Context, now time.Time, except []string, limit int) ([]*MediaFile, error) {
	var due []*MediaFile
	q := e.DB.Read(ctx).Where("due_at <= ?", now)
	if len(except) > 0 {
		q = q.Where("id NOT IN ?", except)
	}
	if err := q.Order("due_at, id").Limit(limit).Find(&due).Error; err != nil {
		return nil, fmt.Errorf("read due files: %w", err)
	}
	return due, nil
}

// Purge destroys what is due (第6の4): each due day's key first, so that no copy
// in any backup opens, then the sealed bytes, then the row, in one transaction
// with its ledger entry and with what it means for exports that asked for it. Then it sweeps what no row points to, every ten
// minutes, and erases the facts of cases whose last due time has passed. Every
// step may be repeated, by several nodes at once too; a failure is counted,
// keeps its row and does not stop the rest; on a full disk destroying makes the
// room for what is written about it. While the clock is in doubt nothing is
// destroyed and the error is ClockDoubted.
func (e *Evidence) Purge(ctx context.Context) (PurgeReport, error) {
	var rep PurgeReport
	believed, failures := e.Anchor(ctx)
	if failures != nil && !believed {
		return rep, failures
	}
	now := e.DB.Now()
	if !believed {
		var due int64
		if err := e.DB.Read(ctx).Model(&MediaFile{}).Where("due_at <= ?", now).Count(&due).Error; err != nil {
			return rep, fmt.Errorf("count due files: %w", err)
		}
		rep.Due = int(due)
		return rep, problem.Wrap(problem.ClockDoubted, errDoubted)
	}
	for _, step := range []func(context.Context, time.Time, *PurgeReport) error{e.purgeKeys, e.purgeFiles, e.journalKeys, e.sweepOrphans, e.eraseCases} {
		failures = errors.Join(failures, step(ctx, now, &rep))
	}
	if rep.Purged > 0 || rep.Cases > 0 {
		e.stale.Store(true)
	}
	return rep, errors.Join(failures, e.truncateLog(ctx))
}

// truncateLog makes SQLite forget what its write-ahead log still holds of
// deleted rows. Where a reader is in the way the next purge tries again.
func (e *Evidence) truncateLog(ctx context.Context) error {
	if e.DB.Dialect != database.SQLite || !e.stale.Load() {
		return nil
	}
	var busy, pages, moved int
	if err := e.DB.SQL().QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("truncate write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("truncate write-ahead log: readers are in the way")
	}
	e.stale.Store(false)
	return nil
}

// HasDue tells whether a file is due that is not yet gone, so that Purge need
// not walk the store every few seconds to be in time.
func (e *Evidence) HasDue(ctx context.Context) (bool, error) {
	due, err := e.PurgeDue(ctx, 1)
	return len(due) > 0, err
}

// purgeKeys destroys the keys of all days that have begun.
func (e *Evidence) purgeKeys(ctx context.Context, now time.Time, rep *PurgeReport) error {
	names, err := e.Keys.List(dueKeys)
	if err != nil {
		return err
	}
	var failures error
	for _, name := range names {
		agency, day, ok := strings.Cut(strings.TrimPrefix(name, dueKeys), "/")
		at, err := dueInstant(day)
		if !ok || err != nil || now.Before(at) {
			failures = errors.Join(failures, err)
			continue
		}
		if err := e.Keys.Destroy(name); err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		rep.Keys++
		e.sweep.mu.Lock()
		e.sweep.destroyed = append(e.sweep.destroyed, dueDay{agency, day})
		e.sweep.mu.Unlock()
	}
	_ = e.journalKeys(ctx, now, rep) // on a full disk it is their files that make room for it
	return failures
}

// journalKeys journals the keys that were destroyed and are not journaled yet.
func (e *Evidence) journalKeys(ctx context.Context, _ time.Time, _ *PurgeReport) error {
	e.sweep.mu.Lock()
	defer e.sweep.mu.Unlock()
	if len(e.sweep.destroyed) == 0 {
		return nil
	}
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		for _, d := range e.sweep.destroyed {
			e.Journal.Append(tx, journal.Entry{Agency: d.agency, Actor: policy.SystemActor(), Type: journal.DueKeyDestroyed, Payload: map[string]any{"day": d.day}})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal destroyed keys: %w", err)
	}
	e.sweep.destroyed = nil
	return nil
}

func (e *Evidence) purgeFiles(ctx context.Context, now time.Time, rep *PurgeReport) error {
	var failed []string
	for {
		due, err := e.dueFiles(ctx, now, failed, purgeBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, m := range due {
			if err := ctx.Err(); err != nil {
				return err
			}
			rep.Due++
			gone, err := e.purgeFile(ctx, now, m.ID)
			switch {
			case err != nil:
				e.Logger.ErrorContext(ctx, "media file not purged", "media", m.ID, "error", err)
				rep.Failed++
				failed = append(failed, m.ID)
				e.journalFailure(ctx, m)
			case gone:
				rep.Purged++
			default:
				failed = append(failed, m.ID) // another node has it
			}
		}
	}
}

// purgeFile destroys one file. It answers false when another node is at it.
func (e *Evidence) purgeFile(ctx context.Context, now time.Time, id string) (gone bool, err error) {
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		var m MediaFile
		found := tx.LockFree().Limit(1).Find(&m, "id = ? AND due_at <= ?", id, now)
		if found.Error != nil || found.RowsAffected == 0 {
			return found.Error
		}
		for _, name := range blobNames(&m) {
			if err := e.Store.Remove(name); err != nil {
				return err
			}
		}
		if err := e.Keys.Destroy(openKeyName(m.ID)); err != nil {
			return err
		}
		row := ledgerRow{MediaID: m.ID, AgencyID: m.AgencyID, Kind: m.Kind, SHA256: m.SHA256, DueAt: *m.DueAt, PurgedAt: tx.Now}
		if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return err
		}
		if err := tx.Delete(&MediaFile{}, "id = ?", m.ID).Error; err != nil {
			return err
		}
		if err := e.lose(tx, &m); err != nil {
			return err
		}
		e.Journal.Append(tx, e.entry(&m, policy.SystemActor(), journal.MediaPurged, map[string]any{
			"kind": m.Kind, "sha256": m.SHA256Hex(), "dueAt": m.DueAt,
		}))
		gone = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("purge media file: %w", err)
	}
	return gone, nil
}

func (e *Evidence) journalFailure(ctx context.Context, m *MediaFile) {
	if err := e.Journal.Refuse(ctx, e.entry(m, policy.SystemActor(), journal.PurgeFailed, map[string]any{"dueAt": m.DueAt})); err != nil {
		e.Logger.ErrorContext(ctx, "purge failure not journaled", "media", m.ID, "error", err)
	}
}

// sweepOrphans removes sealed files that no row points to, and open keys that
// no open file has any more.
func (e *Evidence) sweepOrphans(ctx context.Context, _ time.Time, rep *PurgeReport) error {
	if due := e.sweep.due(e.DB.Clock); !due && rep.Purged == 0 {
		return nil
	}
	var names []string
	var failures error
	sweep := func() {
		n, err := e.sweepFiles(ctx, names)
		rep.Orphans += n
		failures = errors.Join(failures, err)
		names = names[:0]
	}
	for name, err := range e.Store.Names() {
		if err != nil {
			failures = errors.Join(failures, err)
			break
		}
		if names = append(names, name); len(names) == sweepBatch {
			sweep()
		}
	}
	sweep()
	n, err := e.sweepKeys(ctx)
	rep.Orphans += n
	return errors.Join(failures, err)
}

// sweepFiles removes those of the names that have no row. Rows are made before
// their files, so a name without one has none for ever.
func (e *Evidence) sweepFiles(ctx context.Context, names []string) (removed int, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	states, err := e.states(ctx, names)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if _, there := states[mediaOf(name)]; there {
			continue
		}
		if rmErr := e.Store.Remove(name); rmErr != nil {
			err = errors.Join(err, rmErr)
			continue
		}
		removed++
	}
	return removed, err
}

// states reads the states of the files that names belong to.
func (e *Evidence) states(ctx context.Context, names []string) (map[string]State, error) {
	var ids []string
	for _, name := range names {
		if id, err := identity.ParseID(mediaOf(name)); err == nil {
			ids = append(ids, id)
		}
	}
	states := map[string]State{}
	if len(ids) == 0 {
		return states, nil
	}
	var rows []MediaFile
	if err := e.DB.Read(ctx).Select("id", "state").Find(&rows, "id IN ?", ids).Error; err != nil {
		return nil, fmt.Errorf("look for orphans: %w", err)
	}
	for _, m := range rows {
		states[m.ID] = m.State
	}
	return states, nil
}

func (e *Evidence) sweepKeys(ctx context.Context) (destroyed int, err error) {
	names, err := e.Keys.List(openKeys)
	if err != nil {
		return 0, err
	}
	e.sweep.mu.Lock()
	defer e.sweep.mu.Unlock()
	suspects := map[string]bool{}
	for batch := range slices.Chunk(names, sweepBatch) {
		states, stateErr := e.states(ctx, batch)
		if stateErr != nil {
			return destroyed, errors.Join(err, stateErr)
		}
		for _, name := range batch {
			state, there := states[mediaOf(name)]
			switch {
			case there && state == Receiving || e.isBeginning(mediaOf(name)):
			case !there && !e.sweep.suspects[name]:
				suspects[name] = true
			default:
				if dErr := e.Keys.Destroy(name); dErr != nil {
					err = errors.Join(err, dErr)
					continue
				}
				destroyed++
			}
		}
	}
	e.sweep.suspects = suspects
	return destroyed, err
}

// eraseCases erases the facts of cases whose last due time has passed: that of
// their last file, and D+8 of their end where they have none.
func (e *Evidence) eraseCases(ctx context.Context, now time.Time, rep *PurgeReport) error {
	forgotten, err := e.Cases.Forgotten(ctx, now.AddDate(0, 0, -RetentionDays), purgeBatch)
	if err != nil {
		return err
	}
	var failures error
	for _, k := range forgotten {
		if due, _ := Due(k.Ended()); now.Before(due) {
			continue
		}
		erased, err := e.eraseCase(ctx, k)
		failures = errors.Join(failures, err)
		if erased {
			rep.Cases++
		}
	}
	return failures
}

func (e *Evidence) eraseCase(ctx context.Context, k *cases.Case) (erased bool, err error) {
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		var files int64
		if err := tx.Model(&MediaFile{}).Where("agency_id = ? AND case_id = ?", k.AgencyID, k.ID).Count(&files).Error; err != nil || files > 0 {
			return err
		}
		if err := e.Cases.Erase(tx, k.ID); err != nil {
			return err
		}
		erased = true
		return nil
	})
	if problem.Is(err, problem.Conflict) {
		return false, nil // a session was opened meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("erase case: %w", err)
	}
	return erased, nil
}
