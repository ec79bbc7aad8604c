package evidence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// uploadSegment is how many bytes of an upload are sealed at a time.
	uploadSegment = 256 << 10
	// uploadFlush is when less is sealed, on an uplink that needs longer.
	uploadFlush = 5 * time.Second
	// sealers bounds how many segments are sealed and synced at once, and with
	// it the memory that fifty slow phones may take.
	sealers = 4
	// finishWait bounds the work after the last byte, which goes on though the
	// phone hangs up.
	finishWait = time.Minute
	// maxBegins bounds what one phone may announce in beginWindow, the refused
	// included.
	maxBegins   = 600
	beginWindow = 10 * time.Minute
)

// BeginUpload is what a phone announces before it sends a file.
type BeginUpload struct {
	// Resume names an upload of the same phone that shall go on.
	Resume  string
	Kind    Kind
	Capture Capture
	// Size is in bytes, 1 to MaxFile.
	Size int64
	// Name is the file's name on the phone; it is stored sealed.
	Name string
}

// Upload is where the bytes of a begun file go.
type Upload struct {
	File *MediaFile
	// Token is the bearer for /files/, good until ExpiresAt.
	Token     string
	ExpiresAt time.Time
}

// Begin announces a file of the actor's own session: a row RECEIVING, its key,
// and a bearer for its bytes. TooLarge, QuotaFull, DiskFull, SessionEnded and
// what cases refuses.
func (e *Evidence) Begin(ctx context.Context, actor policy.Actor, in BeginUpload) (*Upload, error) {
	if actor.Session == "" {
		return nil, problem.New(problem.Forbidden)
	}
	u, err := e.beginUpload(ctx, actor, in)
	var refusal *problem.Error
	if errors.As(err, &refusal) {
		return nil, errors.Join(err, e.Journal.Refuse(ctx, journal.Entry{
			Agency: actor.Agency, Actor: actor, Type: journal.UploadRefused, SessionID: actor.Session,
			Subject: journal.Subject{Kind: policy.Session, ID: actor.Session}, Payload: map[string]any{"reason": refusal.Reason(), "declared": in.Size},
		}))
	}
	return u, err
}

func (e *Evidence) beginUpload(ctx context.Context, actor policy.Actor, in BeginUpload) (*Upload, error) {
	if in.Kind != KindPhoto && in.Kind != KindVideo || in.Capture != CaptureNow && in.Capture != CaptureBefore {
		return nil, problem.New(problem.BadInput)
	}
	if in.Resume != "" {
		return e.resume(ctx, actor, in)
	}
	if !e.begins.Allow(actor.ID) {
		return nil, problem.New(problem.RateLimited)
	}
	e.begins.Add(actor.ID)
	m := &MediaFile{SessionID: actor.Session, PhoneID: actor.ID, Kind: in.Kind, Capture: in.Capture, DeclaredSize: in.Size}
	return e.begin(ctx, actor, m, in.Name)
}

// BeginSnapshot announces a still taken by a user from live video, or from the
// files named, of a session of the own agency. It will be due with the earliest
// of its sources. One of live video is made from the recordings under way; once
// the session is over there is no live video, and BAD_INPUT answers a still that
// names no source: it would outlive what it shows.
func (e *Evidence) BeginSnapshot(ctx context.Context, actor policy.Actor, session string, sources []string, size int64) (*Upload, error) {
	if actor.Kind != policy.User || len(sources) > MaxSources {
		return nil, problem.New(problem.BadInput)
	}
	for _, id := range sources {
		m, err := e.File(ctx, actor, id)
		if err != nil {
			return nil, err
		}
		if m.SessionID != session {
			return nil, problem.New(problem.NotFound)
		}
		if err := e.visible(ctx, actor, m); err != nil {
			return nil, err
		}
	}
	if len(sources) == 0 {
		var err error
		if sources, err = e.underWay(ctx, actor, session); err != nil {
			return nil, err
		}
	}
	m := &MediaFile{SessionID: session, Kind: KindSnapshot, Capture: CaptureNow, DeclaredSize: size, SourceIDs: sources}
	return e.begin(ctx, actor, m, "")
}

// underWay lists the recordings that a session's live video is going into.
func (e *Evidence) underWay(ctx context.Context, actor policy.Actor, session string) (ids []string, err error) {
	s, err := e.Cases.Session(ctx, actor.Agency, session)
	if err != nil {
		return nil, err
	}
	if s.State.Over() {
		return nil, problem.New(problem.BadInput)
	}
	err = e.DB.Read(ctx).Model(&MediaFile{}).Where("session_id = ? AND kind = ? AND state = ?", s.ID, KindRecording, Receiving).
		Order("id").Limit(MaxSources).Pluck("id", &ids).Error
	if err != nil {
		return nil, fmt.Errorf("read recordings under way: %w", err)
	}
	return ids, nil
}

func (e *Evidence) begin(ctx context.Context, actor policy.Actor, m *MediaFile, name string) (*Upload, error) {
	if m.DeclaredSize < 1 {
		return nil, problem.New(problem.BadInput)
	}
	if m.DeclaredSize > MaxFile {
		return nil, problem.New(problem.TooLarge)
	}
	if err := e.open(ctx, actor, m, name, journal.UploadBegun); err != nil {
		return nil, err
	}
	return e.bearer(actor, m), nil
}

// open makes the row and the key of a file that is about to come in.
func (e *Evidence) open(ctx context.Context, actor policy.Actor, m *MediaFile, name string, entry journal.Type) error {
	if err := e.welcome(ctx, actor, m); err != nil {
		return err
	}
	if err := e.admit(); err != nil {
		return err
	}
	m.ID, m.State, m.Preview, m.Node = identity.NewID(), Receiving, PreviewNone, e.Node
	m.SourceIDs = append([]string{}, m.SourceIDs...)
	m.UploaderKind, m.UploaderID, m.UploaderRole = actor.Kind, actor.ID, actor.Role
	e.setBeginning(m.ID, true)
	defer e.setBeginning(m.ID, false)
	key, err := e.Keys.Ensure(openKeyName(m.ID))
	if err != nil {
		return fmt.Errorf("key of new file: %w", err)
	}
	err = e.insert(ctx, actor, m, key, cleanName(name), entry)
	if err != nil {
		return errors.Join(err, e.Keys.Destroy(openKeyName(m.ID)))
	}
	return nil
}

// setBeginning keeps the sweep from a key whose row is not committed yet.
func (e *Evidence) setBeginning(id string, yes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if yes {
		e.beginning[id] = true
		return
	}
	delete(e.beginning, id)
}

func (e *Evidence) isBeginning(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.beginning[id]
}

func (e *Evidence) insert(ctx context.Context, actor policy.Actor, m *MediaFile, key *blob.Key, name string, entry journal.Type) error {
	if name != "" {
		sealed, err := key.Seal([]byte(name))
		if err != nil {
			return fmt.Errorf("seal name: %w", err)
		}
		m.NameSealed = sealed
	}
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		if err := e.place(tx, actor, m); err != nil {
			return err
		}
		if err := e.quota(tx, m); err != nil {
			return err
		}
		m.CreatedAt = e.believedAt(tx.Now)
		if err := tx.Create(m).Error; err != nil {
			return fmt.Errorf("store media file: %w", err)
		}
		e.Journal.Append(tx, e.entry(m, actor, entry, map[string]any{"kind": m.Kind, "capture": m.Capture, "declared": m.DeclaredSize, "sources": m.SourceIDs}))
		return nil
	})
	if err != nil {
		return fmt.Errorf("begin media file: %w", err)
	}
	return nil
}

// quota refuses what is over the bounds that the agency set for a session. The
// session is locked.
func (e *Evidence) quota(tx *database.Tx, m *MediaFile) error {
	if m.Kind == KindRecording {
		return nil
	}
	a, err := e.Identity.Agency(tx.Context(), m.AgencyID)
	if err != nil {
		return err
	}
	if m.DeclaredSize > int64(a.Settings.FileMegabytes)*megabyte && m.Kind != KindSnapshot {
		return problem.New(problem.TooLarge)
	}
	files, bytes, err := sent(tx.DB, m.SessionID)
	if err != nil {
		return err
	}
	if m.UploaderKind == policy.Caller {
		if err := e.withinData(tx.Context(), m.AgencyID, m.SessionID, m.DeclaredSize); err != nil {
			return err
		}
	}
	if files >= int64(a.Settings.SessionFiles) || bytes+m.DeclaredSize > int64(a.Settings.SessionMegabytes)*megabyte {
		return problem.New(problem.QuotaFull)
	}
	return nil
}

// sent counts a session's uploads and their bytes; those still coming count as
// announced.
func sent(q *gorm.DB, session string) (files, bytes int64, err error) {
	var row struct{ Files, Bytes int64 }
	err = q.Model(&MediaFile{}).Where("session_id = ? AND kind <> ?", session, KindRecording).
		Select("count(*) AS files, coalesce(sum(CASE WHEN state = 'RECEIVING' THEN declared_size ELSE size END), 0) AS bytes").Scan(&row).Error
	if err != nil {
		return 0, 0, fmt.Errorf("count uploads: %w", err)
	}
	return row.Files, row.Bytes, nil
}

func (e *Evidence) resume(ctx context.Context, actor policy.Actor, in BeginUpload) (*Upload, error) {
	m, err := find(e.DB.Read(ctx), in.Resume)
	if err != nil {
		return nil, err
	}
	if m.AgencyID != actor.Agency || m.SessionID != actor.Session || m.PhoneID != actor.ID {
		return nil, problem.New(problem.NotFound)
	}
	if m.State == Incomplete {
		return nil, problem.New(problem.SessionEnded)
	}
	if m.DeclaredSize != in.Size || m.Capture != in.Capture {
		return nil, problem.New(problem.SizeMismatch)
	}
	return e.bearer(actor, m), nil
}

// cleanName makes a name harmless to show: it never becomes part of a path.
func cleanName(name string) string {
	return cleanText(strings.NewReplacer("/", "_", "\\", "_").Replace(name), MaxName)
}

// receiving is an upload that is open in this process.
type receiving struct {
	e     *Evidence
	id    string
	media MediaFile

	mu   sync.Mutex
	key  *blob.Key
	file *blob.File
	// over says why it takes no more bytes; done that it is sealed.
	over error
	done bool
	used time.Time
}

// receive finds an open upload, from memory or from its row. One that is sealed
// is answered as done.
func (e *Evidence) receive(ctx context.Context, id string) (*receiving, error) {
	e.mu.Lock()
	r := e.uploads[id]
	e.mu.Unlock()
	if r != nil {
		return r, nil
	}
	m, err := find(e.DB.Read(ctx), id)
	if err != nil {
		return nil, err
	}
	if m.Kind == KindRecording {
		return nil, problem.New(problem.NotFound)
	}
	r = &receiving{e: e, id: id, media: *m, used: e.DB.Now()}
	switch m.State {
	case Complete:
		r.done = true
		return r, nil
	case Incomplete:
		return nil, problem.New(problem.SessionEnded)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.uploads[id]; other != nil {
		return other, nil
	}
	e.uploads[id] = r
	return r, nil
}

func (e *Evidence) forget(r *receiving) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.uploads[r.id] == r {
		delete(e.uploads, r.id)
	}
}

// openFile opens the sealed file, or makes it when create is set. r.mu is held.
func (r *receiving) openFile(create bool) error {
	if r.over != nil || r.done || r.file != nil {
		return r.over
	}
	var err error
	if r.key == nil {
		if r.key, err = r.e.key(&r.media); err != nil {
			// Sealed meanwhile, perhaps: the next request reads the row anew.
			r.e.forget(r)
			return err
		}
	}
	name := blobName(&r.media)
	file, err := r.e.Store.Reopen(name, r.key)
	if errors.Is(err, blob.ErrNotFound) {
		if !create {
			return errNotCreated
		}
		file, err = r.e.Store.Create(name, r.key)
	}
	if err != nil {
		return diskProblem(err)
	}
	r.file = file
	return nil
}

// errNotCreated says that an upload was announced but not created yet.
var errNotCreated = errors.New("evidence: upload not created")

var buffers = sync.Pool{New: func() any { return new([uploadSegment]byte) }}

// offset is how many bytes are acknowledged. r.mu is held.
func (r *receiving) offset() int64 {
	switch {
	case r.done:
		return r.media.DeclaredSize
	case r.file == nil:
		return 0
	}
	return r.file.Size()
}

// append seals and syncs the next bytes.
func (r *receiving) append(data []byte) error {
	r.e.sealing <- struct{}{}
	defer func() { <-r.e.sealing }()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return r.over
	}
	if err := r.e.admit(); err != nil {
		return err
	}
	if err := r.openFile(false); err != nil {
		return err
	}
	r.used = r.e.DB.Now()
	if r.file.Size() == 0 {
		if _, err := sniff(data); err != nil {
			return r.refuse(err)
		}
	}
	return diskProblem(r.file.Append(data, nil))
}

// refuse ends an upload that is no media file. r.mu is held.
func (r *receiving) refuse(cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), finishWait)
	defer cancel()
	r.over = cause
	r.close()
	return errors.Join(cause, r.e.discard(ctx, &r.media, cause))
}

func (r *receiving) close() {
	if r.file != nil {
		if err := r.file.Close(); err != nil {
			r.e.Logger.Error("upload not closed", "media", r.id, "error", err)
		}
		r.file = nil
	}
	r.e.forget(r)
}

// complete seals an upload whose bytes are all there.
func (r *receiving) complete(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.over != nil {
		return r.over
	}
	return r.finish(ctx, true)
}

// finish inspects and seals. r.mu is held and all bytes are there.
func (r *receiving) finish(ctx context.Context, accept bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWait)
	defer cancel()
	c, meta, err := r.inspect()
	var p *problem.Error
	if errors.As(err, &p) && accept {
		return r.refuse(err)
	}
	if err != nil {
		return err
	}
	m, err := r.e.seal(ctx, r.id, r.file, r.key, sealing{
		state: Complete, entry: journal.MediaReceived, content: c, metadata: meta, accept: accept && r.media.Kind != KindSnapshot,
	})
	if err != nil {
		return err
	}
	r.media, r.done = *m, true
	r.close()
	return nil
}

func (r *receiving) inspect() (content, *CaptureMetadata, error) {
	reader, err := r.file.Reader()
	if err != nil {
		return content{}, nil, err
	}
	defer reader.Close()
	c, err := inspect(reader, reader.Size())
	if err != nil {
		return content{}, nil, err
	}
	if r.media.Kind == KindSnapshot && c.Kind != KindPhoto {
		return content{}, nil, problem.New(problem.UnsupportedType)
	}
	meta := readMetadata(newSection(reader), c.Type)
	if !c.Created.IsZero() {
		taken := c.Created.Format(time.RFC3339)
		meta.CapturedAt, meta.TakenAt, meta.ZoneKnown = &c.Created, &taken, true
	}
	return c, &meta, nil
}

// stop seals what has arrived when the session is over: whole files of
// a phone that was let in as COMPLETE, the rest as INCOMPLETE; where nothing
// came, nothing stays.
func (r *receiving) stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.over != nil {
		return nil
	}
	err := r.openFile(false)
	if unreadable(err) {
		r.over = problem.New(problem.SessionEnded)
		r.close()
		return r.e.sealUnreadable(ctx, &r.media)
	}
	if err != nil && !errors.Is(err, errNotCreated) {
		return err
	}
	r.over = problem.New(problem.SessionEnded)
	if r.file == nil || r.file.Size() == 0 {
		r.close()
		return r.e.discard(ctx, &r.media, r.over)
	}
	bound, err := r.e.bound(ctx, &r.media)
	if err != nil {
		r.over = nil
		return err
	}
	if bound && r.file.Size() == r.media.DeclaredSize {
		err := r.finish(ctx, false)
		var p *problem.Error
		if err == nil || !errors.As(err, &p) {
			return err
		}
	}
	c := content{}
	if head := make([]byte, min(r.file.Size(), sniffBytes)); r.peek(head) == nil {
		c.Type, _ = sniff(head)
	}
	_, err = r.e.seal(ctx, r.id, r.file, r.key, sealing{state: Incomplete, reason: ReasonSessionEnded, entry: journal.MediaIncomplete, content: c})
	if err != nil {
		r.over = nil
		return err
	}
	r.close()
	return nil
}

func (r *receiving) peek(head []byte) error {
	reader, err := r.file.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	_, err = reader.ReadAt(head, 0)
	return err
}

// diskProblem tells a full disk from other failures.
func diskProblem(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.Wrap(problem.DiskFull, err)
	}
	return err
}

// OnSessionEnded seals every upload of a session that has ended: nothing more
// is accepted, and what came stays like the rest (第4の3(2)). It may be repeated.
func (e *Evidence) OnSessionEnded(ctx context.Context, session string) error {
	var ids []string
	err := e.DB.Read(ctx).Model(&MediaFile{}).
		Where("session_id = ? AND state = ? AND kind <> ? AND node = ?", session, Receiving, KindRecording, e.Node).Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("read open uploads: %w", err)
	}
	var failed error
	for _, id := range ids {
		r, err := e.receive(ctx, id)
		if err == nil {
			err = r.stop(ctx)
		}
		if err != nil && !problem.Is(err, problem.NotFound) && !problem.Is(err, problem.SessionEnded) {
			failed = errors.Join(failed, fmt.Errorf("seal upload %s: %w", id, err))
		}
	}
	return failed
}

// OnPhoneCut stops the uploads of a phone that was refused. What came stays
// until the session's end seals it.
func (e *Evidence) OnPhoneCut(phone string) {
	e.mu.Lock()
	var cut []*receiving
	for _, r := range e.uploads {
		if r.media.PhoneID == phone {
			cut = append(cut, r)
		}
	}
	e.mu.Unlock()
	for _, r := range cut {
		r.mu.Lock()
		if !r.done && r.over == nil {
			r.over = problem.New(problem.PhoneRefused)
			r.close()
		}
		r.mu.Unlock()
	}
}
