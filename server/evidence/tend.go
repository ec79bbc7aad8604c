package evidence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"genba/policy"
	"genba/server/blob"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// tendEvery is how often Run looks after what is unfinished.
	tendEvery = 10 * time.Second
	// idleUpload is when the file of a silent upload is closed; the upload may
	// still go on.
	idleUpload = 10 * time.Minute
	// abandonedAfter is how long after its beginning an upload that nobody can
	// go on with is cleared up: no bearer for a still lives longer, and the
	// phone's are stopped when their session ends.
	abandonedAfter = 2 * identity.BearerLife
	// leftBatch is how many such uploads are read at a time.
	leftBatch = 100
	// previewBatch is how many pending previews are read at a time.
	previewBatch = 50
)

// Run makes previews as pictures come in and tends what is unfinished, until
// ctx ends.
func (e *Evidence) Run(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	e.kick()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-e.previews:
			err = e.MakePreviews(ctx)
		case <-tick.C:
			err = e.Tend(ctx)
			e.kick()
		}
		if err != nil && ctx.Err() == nil {
			e.Logger.ErrorContext(ctx, "evidence left unfinished", "error", err)
		}
	}
}

// kick wakes the maker of previews.
func (e *Evidence) kick() {
	select {
	case e.previews <- struct{}{}:
	default:
	}
}

// Tend finishes what an earlier failure left: closed recordings and whole
// uploads that are not sealed yet. It closes the files of silent uploads, and
// clears up those that nobody can go on with: a row that stayed open would
// never be due.
func (e *Evidence) Tend(ctx context.Context) error {
	e.mu.Lock()
	var recordings []*Recording
	for _, r := range e.recording {
		recordings = append(recordings, r)
	}
	var uploads []*receiving
	for _, r := range e.uploads {
		uploads = append(uploads, r)
	}
	e.mu.Unlock()
	var failed error
	for _, r := range recordings {
		failed = errors.Join(failed, r.tend(ctx))
	}
	for _, r := range uploads {
		failed = errors.Join(failed, r.tend(ctx))
	}
	return errors.Join(failed, e.tendLeft(ctx))
}

// tendLeft forgets stills that were announced but never came whole, and seals
// uploads of sessions that are over, where sealing them at the end failed.
func (e *Evidence) tendLeft(ctx context.Context) error {
	var left []*MediaFile
	over := e.DB.Read(ctx).Model(&cases.Session{}).Select("id").Where("state IN ?", []cases.State{cases.Ended, cases.Revoked, cases.Expired, cases.Failed})
	err := e.DB.Read(ctx).Where("state = ? AND node = ? AND created_at <= ?", Receiving, e.Node, e.DB.Now().Add(-abandonedAfter)).
		Where("kind = ? OR kind <> ? AND session_id IN (?)", KindSnapshot, KindRecording, over).
		Order("id").Limit(leftBatch).Find(&left).Error
	if err != nil {
		return fmt.Errorf("read uploads left: %w", err)
	}
	var failed error
	for _, m := range left {
		failed = errors.Join(failed, e.clear(ctx, m))
	}
	return failed
}

func (e *Evidence) clear(ctx context.Context, m *MediaFile) error {
	r, err := e.receive(ctx, m.ID)
	if err != nil {
		if problem.Is(err, problem.NotFound) || problem.Is(err, problem.SessionEnded) {
			return nil // done meanwhile
		}
		return err
	}
	if m.Kind != KindSnapshot {
		return r.stop(ctx)
	}
	return r.abandon(ctx)
}

// abandon forgets a still that never came whole; a whole one is sealed.
func (r *receiving) abandon(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.over != nil {
		return nil
	}
	err := r.openFile(false)
	if err != nil && !errors.Is(err, errNotCreated) && !unreadable(err) {
		return err
	}
	if err == nil && r.file.Size() == r.media.DeclaredSize {
		return r.finish(ctx, true)
	}
	if err := r.e.discard(ctx, &r.media, problem.New(problem.Timeout)); err != nil {
		return err
	}
	r.over = problem.New(problem.NotFound)
	r.close()
	return nil
}

func (r *Recording) tend(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		return nil
	}
	return r.seal(ctx)
}

func (r *receiving) tend(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.over != nil {
		return nil
	}
	if r.file != nil && r.file.Size() == r.media.DeclaredSize {
		if err := r.finish(ctx, true); !waits(err) {
			return err
		}
		return nil
	}
	if r.e.DB.Now().Sub(r.used) >= idleUpload {
		r.close()
	}
	return nil
}

// waits tells whether a whole upload is only waiting: for the dispatcher to
// admit its phone, or for the session's end to seal it.
func waits(err error) bool {
	for _, reason := range []problem.Reason{problem.SessionEnded, problem.PhoneWaiting, problem.PhoneRefused, problem.LinkUnusable} {
		if problem.Is(err, reason) {
			return true
		}
	}
	return false
}

// Recover finishes what the process before left when it ended, whatever way it
// ended: open recordings are closed with the time of their last synced
// fragment, whole uploads are sealed, parts of ended sessions are sealed as
// INCOMPLETE, keys of sealed files are destroyed. Call it once, before anything
// is served. Failures are collected and do not stop the rest.
func (e *Evidence) Recover(ctx context.Context) error {
	var open []*MediaFile
	if err := e.DB.Read(ctx).Where("state = ? AND node = ?", Receiving, e.Node).Order("id").Find(&open).Error; err != nil {
		return fmt.Errorf("read open files: %w", err)
	}
	var failed error
	for _, m := range open {
		err := e.recoverFile(ctx, m)
		if unreadable(err) {
			err = e.sealUnreadable(ctx, m)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("recover media file %s: %w", m.ID, err))
		}
	}
	_, err := e.sweepKeys(ctx)
	return errors.Join(failed, err)
}

func (e *Evidence) recoverFile(ctx context.Context, m *MediaFile) error {
	if m.Kind == KindRecording {
		return e.recoverRecording(ctx, m)
	}
	s, err := e.Cases.Session(ctx, m.AgencyID, m.SessionID)
	if err != nil {
		return err
	}
	r, err := e.receive(ctx, m.ID)
	if err != nil {
		return err
	}
	if s.State.Over() && m.Kind != KindSnapshot {
		return r.stop(ctx)
	}
	r.mu.Lock()
	err = r.openFile(false)
	whole := err == nil && r.offset() == m.DeclaredSize
	r.mu.Unlock()
	if errors.Is(err, errNotCreated) {
		return nil
	}
	if !whole {
		return err
	}
	err = r.complete(ctx)
	var p *problem.Error
	if errors.As(err, &p) && p.Reason() != problem.Internal {
		return nil // refused as no media file, and said so in the journal
	}
	return err
}

func (e *Evidence) recoverRecording(ctx context.Context, m *MediaFile) error {
	key, err := e.key(m)
	if err != nil {
		return err
	}
	f, err := e.Store.Reopen(blobName(m), key)
	if errors.Is(err, blob.ErrNotFound) {
		return e.discard(ctx, m, nil)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	reader, err := f.Reader()
	if err != nil {
		return err
	}
	fragments, err := index(reader.Segments())
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	at := m.CreatedAt
	for _, i := range fragments {
		at = later(at, database.Instant(i.Wall))
	}
	return e.sealRecording(ctx, m, key, f, fragments, at, nil)
}

// MakePreviews makes the previews that are pending, at most two at a time.
func (e *Evidence) MakePreviews(ctx context.Context) error {
	var failed []string
	var failures error
	for {
		var pending []*MediaFile
		q := e.DB.Read(ctx).Where("preview = ? AND node = ? AND (due_at IS NULL OR due_at > ?)", PreviewPending, e.Node, e.latest())
		if len(failed) > 0 {
			q = q.Where("id NOT IN ?", failed)
		}
		if err := q.Order("id").Limit(previewBatch).Find(&pending).Error; err != nil {
			return errors.Join(failures, fmt.Errorf("read pending previews: %w", err))
		}
		if len(pending) == 0 || ctx.Err() != nil {
			return errors.Join(failures, ctx.Err())
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		free := make(chan struct{}, previewWorkers)
		for _, m := range pending {
			free <- struct{}{}
			wg.Go(func() {
				defer func() { <-free }()
				if err := e.makePreview(ctx, m); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, m.ID)
					failures = errors.Join(failures, fmt.Errorf("preview of %s: %w", m.ID, err))
				}
			})
		}
		wg.Wait()
	}
}

func (e *Evidence) makePreview(ctx context.Context, m *MediaFile) error {
	key, err := e.key(m)
	if err != nil {
		return err
	}
	r, err := e.Store.Reader(blobName(m), key)
	if err != nil {
		return err
	}
	defer r.Close()
	state, entry := PreviewReady, journal.PreviewMade
	picture, err := decodeInChild(ctx, newSection(r))
	switch {
	case (errors.Is(err, errNoPreview) || unreadable(err)) && ctx.Err() == nil:
		state, entry = PreviewImpossible, journal.PreviewImpossible
	case err != nil:
		return err
	default:
		if err := e.storeDerived(previewName(m), key, picture); err != nil {
			return err
		}
	}
	there := false
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		changed := tx.Model(&MediaFile{}).Where("id = ? AND preview = ?", m.ID, PreviewPending).Update("preview", state)
		if changed.Error != nil || changed.RowsAffected == 0 {
			return changed.Error
		}
		there = true
		e.Journal.Append(tx, e.entry(m, policy.SystemActor(), entry, nil))
		return nil
	})
	if err == nil && !there {
		return e.Store.Remove(previewName(m)) // purged meanwhile
	}
	return err
}
