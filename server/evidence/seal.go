package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"genba/server/blob"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// sealing is what is known of a file when its bytes are all there, or are all
// that will ever be.
type sealing struct {
	state    State
	reason   string
	entry    journal.Type
	content  content
	metadata *CaptureMetadata
	gaps     int
	// at is when it was acquired; zero is now.
	at time.Time
	// accept asks cases to accept it: the session is open, the phone is bound.
	accept bool
}

// seal makes a file complete in one transaction: row, due time, key wrapped by
// its due day's, the session's counts, the journal entry. Repeated after a
// crash it answers what the first time wrote. The open key is destroyed after
// the commit.
func (e *Evidence) seal(ctx context.Context, id string, f *blob.File, key *blob.Key, s sealing) (*MediaFile, error) {
	var m *MediaFile
	err := e.DB.InTx(ctx, func(tx *database.Tx) (err error) {
		if m, err = find(tx.Lock(), id); err != nil || m.State != Receiving {
			return err
		}
		if s.accept {
			if err := e.accept(tx, m); err != nil {
				return err
			}
		}
		if err := e.fill(tx, m, f, key, s); err != nil {
			return err
		}
		if err := tx.Save(m).Error; err != nil {
			return err
		}
		if err := e.count(tx, m); err != nil {
			return err
		}
		e.Journal.Append(tx, e.entry(m, m.uploader(), s.entry, map[string]any{
			"kind": m.Kind, "capture": m.Capture, "state": m.State, "reason": m.Reason, "contentType": m.ContentType, "size": m.Size,
			"sha256": m.SHA256Hex(), "chain": fmt.Sprintf("%x", m.Chain), "segments": m.Segments, "acquiredAt": m.AcquiredAt, "dueAt": m.DueAt,
			"sources": m.SourceIDs,
		}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("seal media file: %w", err)
	}
	if err := e.Keys.Destroy(openKeyName(id)); err != nil {
		// The row is complete; Recover destroys what is left.
		e.Logger.ErrorContext(ctx, "open key not destroyed", "media", id, "error", err)
	}
	if m.Preview == PreviewPending {
		e.kick()
	}
	return m, nil
}

func (e *Evidence) fill(tx *database.Tx, m *MediaFile, f *blob.File, key *blob.Key, s sealing) error {
	at := s.at
	if at.IsZero() {
		at = e.believedAt(tx.Now)
	}
	sources, err := sourceDues(tx.DB, m.SourceIDs)
	if err != nil {
		return err
	}
	due, day := EarliestDue(at, sources...)
	m.State, m.Reason, m.ContentType = s.state, s.reason, s.content.Type
	if f != nil {
		sum, chain := f.SHA256(), f.Chain()
		m.Size, m.SHA256, m.Chain, m.Segments = f.Size(), sum[:], chain[:], f.Segments()
	}
	m.Width, m.Height, m.DurationMs, m.Gaps = s.content.Width, s.content.Height, s.content.Duration.Milliseconds(), s.gaps
	m.AcquiredAt, m.DueAt, m.DueDay = &at, &due, day
	if s.content.Kind != "" && m.Kind != KindSnapshot {
		m.Kind = s.content.Kind
	}
	m.Preview = PreviewNone
	switch {
	case s.content.Previewable:
		m.Preview = PreviewPending
	case m.Kind == KindPhoto || m.Kind == KindSnapshot:
		m.Preview = PreviewImpossible
	}
	if key == nil {
		return nil
	}
	if m.MetadataSealed, err = sealJSON(key, s.metadata); err != nil {
		return err
	}
	dayKey, err := e.Keys.Ensure(dueKeyName(m.AgencyID, day))
	if err != nil {
		return err
	}
	m.KeyWrapped, err = dayKey.Wrap(key)
	return err
}

func sealJSON(key *blob.Key, c *CaptureMetadata) ([]byte, error) {
	if c == nil || *c == (CaptureMetadata{}) {
		return nil, nil
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return key.Seal(plain)
}

// sourceDues answers the due times of the files that another was made from,
// purged ones included. One that is still open has none yet; it will be due no
// earlier than what is made from it now.
func sourceDues(q *gorm.DB, ids []string) ([]time.Time, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var dues, purged []time.Time
	if err := q.Model(&MediaFile{}).Where("id IN ? AND due_at IS NOT NULL", ids).Pluck("due_at", &dues).Error; err != nil {
		return nil, fmt.Errorf("read due times of sources: %w", err)
	}
	if err := q.Model(&ledgerRow{}).Where("media_id IN ?", ids).Pluck("due_at", &purged).Error; err != nil {
		return nil, fmt.Errorf("read due times of sources: %w", err)
	}
	return append(dues, purged...), nil
}

// discard forgets a file that was never acquired: nothing came, or what came is
// no media file. Bytes and key go before the row, so that a crash leaves a row
// from which the step is repeated.
func (e *Evidence) discard(ctx context.Context, m *MediaFile, cause error) error {
	for _, name := range blobNames(m) {
		if err := e.Store.Remove(name); err != nil {
			return fmt.Errorf("discard media file: %w", err)
		}
	}
	if err := e.Keys.Destroy(openKeyName(m.ID)); err != nil {
		return fmt.Errorf("discard media file: %w", err)
	}
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		gone := tx.Delete(&MediaFile{}, "id = ? AND state = ?", m.ID, Receiving)
		if gone.Error != nil || gone.RowsAffected == 0 {
			return gone.Error
		}
		reason := ""
		if cause != nil {
			reason = ReasonNotSaved
		}
		var p *problem.Error
		if errors.As(cause, &p) {
			reason = string(p.Reason())
		}
		e.Journal.Append(tx, e.entry(m, m.uploader(), journal.UploadRefused, map[string]any{"reason": reason, "declared": m.DeclaredSize}))
		return nil
	})
	if err != nil {
		return fmt.Errorf("discard media file: %w", err)
	}
	return nil
}

// unreadable tells whether a file's sealed bytes were changed, or its key lost,
// while it was open.
func unreadable(err error) bool {
	var damaged *blob.DamagedError
	return errors.As(err, &damaged) || errors.Is(err, blob.ErrNoKey)
}

// sealUnreadable gives a file that cannot be read on a due time like the rest:
// INCOMPLETE, with the reason. Its bytes stay as they are until then.
func (e *Evidence) sealUnreadable(ctx context.Context, m *MediaFile) error {
	key, err := e.key(m)
	if err != nil && !errors.Is(err, blob.ErrNoKey) {
		return err
	}
	e.Logger.ErrorContext(ctx, "open media file is damaged", "media", m.ID)
	_, err = e.seal(ctx, m.ID, nil, key, sealing{state: Incomplete, reason: ReasonDamaged, entry: journal.MediaIncomplete, content: content{Type: m.ContentType}})
	return err
}
