package journal

import (
	"context"
	"sync"
	"time"

	"genba/server/database"
)

const (
	refusalsAMinute = 10
	maxRefusalKeys  = 10_000
)

// refusals counts what each known person or link was refused in this minute.
type refusals struct {
	mu   sync.Mutex
	seen map[string]*refusal
}

type refusal struct {
	since   time.Time
	written int
	skipped int
	entry   Entry
}

// Refuse writes a refusal in a transaction of its own, so that it stands though
// the refused work was rolled back. Of one subject at most ten a minute are
// written; the rest are counted and summarised by FlushRefusals.
func (j *Journal) Refuse(ctx context.Context, e Entry) error {
	if !j.refusals.admit(e, j.db.Now()) {
		return nil
	}
	return j.db.InTx(context.WithoutCancel(ctx), func(tx *database.Tx) error {
		j.Append(tx, e)
		return nil
	})
}

func (r *refusals) admit(e Entry, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := e.Agency + " " + string(e.Subject.Kind) + " " + e.Subject.ID
	s := r.seen[key]
	if s == nil {
		if len(r.seen) >= maxRefusalKeys {
			return false
		}
		s = &refusal{since: now, entry: e}
		r.seen[key] = s
	}
	if s.written >= refusalsAMinute {
		s.skipped++
		return false
	}
	s.written++
	return true
}

// FlushRefusals closes the minutes that are over: what was not written one by
// one becomes one entry with its count. Call it every minute and at the end.
func (j *Journal) FlushRefusals(ctx context.Context, all bool) error {
	now := j.db.Now()
	var due []*refusal
	j.refusals.mu.Lock()
	for k, s := range j.refusals.seen {
		if all || now.Sub(s.since) >= time.Minute || now.Before(s.since) {
			delete(j.refusals.seen, k)
			if s.skipped > 0 {
				due = append(due, s)
			}
		}
	}
	j.refusals.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	return j.db.InTx(ctx, func(tx *database.Tx) error {
		for _, s := range due {
			e := s.entry
			e.Payload = map[string]any{"type": e.Type, "more": s.skipped, "since": s.since}
			e.Type = RefusalsSummarised
			j.Append(tx, e)
		}
		return nil
	})
}
