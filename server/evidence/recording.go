package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// headEvery is how often the chain head of a growing recording is journaled.
	headEvery = 10 * time.Second
	// headWait bounds one attempt to journal it; a slow database is not waited for.
	headWait = 5 * time.Second
	// maxFragment bounds the bytes of one fragment.
	maxFragment = 16 << 20
)

// Fragment is one playable piece of a recording.
type Fragment struct {
	Data []byte
	// Init marks the header of the file; it is the first.
	Init bool
	// Key says that it begins with a keyframe, Gap that pictures before it were
	// lost.
	Key, Gap bool
	// Start and Duration are on the stream's own clock.
	Start, Duration time.Duration
	// Wall is the server's time at which its first picture came in.
	Wall time.Time
}

// FragmentInfo is what is known of a fragment without its bytes.
type FragmentInfo struct {
	// Offset is its place in the recording as received.
	Offset, Size    int64
	Init, Key, Gap  bool
	Start, Duration time.Duration
	Wall            time.Time
}

// fragmentMeta stands sealed beside a fragment's first segment; the segments
// that continue it say how many bytes are still to come.
type fragmentMeta struct {
	Init     bool  `json:"init,omitempty"`
	Key      bool  `json:"key,omitempty"`
	Gap      bool  `json:"gap,omitempty"`
	Start    int64 `json:"start"` // µs
	Duration int64 `json:"dur"`   // µs
	Wall     int64 `json:"wall"`  // µs since 1970
	Size     int64 `json:"size"`
	More     bool  `json:"more,omitempty"`
}

// Recording writes one recording. Append returns once the fragment is sealed
// and synced; after an error nothing more is appended. It is safe for
// concurrent use.
type Recording struct {
	e     *Evidence
	media MediaFile
	key   *blob.Key

	mu        sync.Mutex
	file      *blob.File
	fragments []FragmentInfo
	failed    error
	closed    bool
	sealed    bool
	at        time.Time
	headAt    time.Time
	heads     sync.WaitGroup
	writing   chan struct{} // one journaled head at a time
}

// Record begins the recording of a session's live video; contentType is
// "video/mp4" or "video/webm". Whoever publishes has been accepted by cases.
// DiskFull means that live video goes on unrecorded.
func (e *Evidence) Record(ctx context.Context, actor policy.Actor, session, contentType string) (*Recording, error) {
	if contentType != "video/mp4" && contentType != "video/webm" {
		return nil, problem.New(problem.UnsupportedType)
	}
	m := &MediaFile{SessionID: session, PhoneID: actor.ID, Kind: KindRecording, Capture: CaptureNow, ContentType: contentType}
	if err := e.open(ctx, actor, m, "", journal.RecordingStarted); err != nil {
		return nil, err
	}
	r := &Recording{e: e, media: *m, headAt: e.DB.Clock.Now(), writing: make(chan struct{}, 1)}
	e.mu.Lock()
	e.recording[m.ID] = r
	e.mu.Unlock()
	if err := r.create(); err != nil {
		return nil, errors.Join(err, r.Close()) // where nothing can be cleared up now, Tend does it
	}
	return r, nil
}

func (r *Recording) create() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key, r.failed = r.e.key(&r.media)
	if r.failed == nil {
		r.file, r.failed = r.e.Store.Create(blobName(&r.media), r.key)
	}
	r.failed = diskProblem(r.failed)
	return r.failed
}

// ID is the media file's.
func (r *Recording) ID() string { return r.media.ID }

// Append seals and syncs one fragment.
func (r *Recording) Append(f Fragment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return blob.ErrStopped
	}
	if r.failed != nil {
		return r.failed
	}
	if r.failed = r.append(f); r.failed != nil {
		return r.failed
	}
	if now := r.e.DB.Clock.Now(); now.Sub(r.headAt) >= headEvery {
		r.headAt = now
		r.journalHead()
	}
	return nil
}

func (r *Recording) append(f Fragment) error {
	if len(f.Data) == 0 {
		return problem.New(problem.BadInput)
	}
	if len(f.Data) > maxFragment {
		return problem.New(problem.TooLarge)
	}
	if err := r.e.admit(); err != nil {
		return err
	}
	info := FragmentInfo{Offset: r.file.Size(), Size: int64(len(f.Data)), Init: f.Init, Key: f.Key, Gap: f.Gap, Start: f.Start, Duration: f.Duration, Wall: f.Wall}
	meta := info.meta()
	for data := f.Data; len(data) > 0; {
		n := min(len(data), blob.MaxSegment)
		text, err := json.Marshal(meta)
		if err != nil {
			return fmt.Errorf("describe fragment: %w", err)
		}
		if err := r.file.Append(data[:n], text); err != nil {
			return diskProblem(err)
		}
		data = data[n:]
		meta = fragmentMeta{More: true, Size: int64(len(data))}
	}
	r.fragments = append(r.fragments, info)
	return nil
}

func (i FragmentInfo) meta() fragmentMeta {
	return fragmentMeta{Init: i.Init, Key: i.Key, Gap: i.Gap, Start: i.Start.Microseconds(), Duration: i.Duration.Microseconds(), Wall: i.Wall.UnixMicro(), Size: i.Size}
}

// index reads the fragments of a sealed recording. One whose last segments are
// missing, torn off by a crash, is left out.
func index(segments []blob.Segment) ([]FragmentInfo, error) {
	var all []FragmentInfo
	have := int64(0)
	for _, s := range segments {
		var m fragmentMeta
		if err := json.Unmarshal(s.Meta, &m); err != nil {
			return nil, fmt.Errorf("read index of recording: %w", err)
		}
		if !m.More {
			all = append(all, FragmentInfo{
				Offset: s.Offset, Size: m.Size, Init: m.Init, Key: m.Key, Gap: m.Gap, Start: time.Duration(m.Start) * time.Microsecond,
				Duration: time.Duration(m.Duration) * time.Microsecond, Wall: time.UnixMicro(m.Wall).UTC(),
			})
		}
		have = s.Offset + s.Size
	}
	if n := len(all); n > 0 && all[n-1].Offset+all[n-1].Size > have {
		all = all[:n-1]
	}
	return all, nil
}

// journalHead journals the chain head aside: live video waits for no database.
// While one attempt is under way the next is left out.
func (r *Recording) journalHead() {
	select {
	case r.writing <- struct{}{}:
	default:
		return
	}
	chain, segments, size := r.file.Chain(), r.file.Segments(), r.file.Size()
	r.heads.Go(func() {
		defer func() { <-r.writing }()
		ctx, cancel := context.WithTimeout(context.Background(), headWait)
		defer cancel()
		err := r.e.DB.InTx(ctx, func(tx *database.Tx) error {
			r.e.Journal.Append(tx, r.e.entry(&r.media, r.media.uploader(), journal.RecordingProgress, map[string]any{
				"chain": fmt.Sprintf("%x", chain), "segments": segments, "size": size,
			}))
			return nil
		})
		if err != nil {
			r.e.Logger.Warn("chain head not journaled", "media", r.media.ID, "error", err)
		}
	})
}

// Close seals the recording: COMPLETE, or INCOMPLETE when an Append failed. One
// without any fragment leaves nothing. An error means that the database could
// not be told; the file is kept and sealed later by Tend or Recover. Closing
// twice is no error.
func (r *Recording) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.at = r.e.believedAt(r.e.DB.Now())
	}
	r.heads.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), finishWait)
	defer cancel()
	return r.seal(ctx)
}

func (r *Recording) seal(ctx context.Context) error {
	if r.sealed {
		return nil
	}
	if err := r.e.sealRecording(ctx, &r.media, r.key, r.file, r.fragments, r.at, r.failed); err != nil {
		return err
	}
	r.sealed = true
	r.e.mu.Lock()
	delete(r.e.recording, r.media.ID)
	r.e.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

func (e *Evidence) sealRecording(ctx context.Context, m *MediaFile, key *blob.Key, f *blob.File, fragments []FragmentInfo, at time.Time, failed error) error {
	if len(fragments) == 0 {
		return e.discard(ctx, m, failed)
	}
	s := sealing{state: Complete, entry: journal.RecordingSealed, at: at, content: content{Type: m.ContentType, Kind: KindRecording}}
	if failed != nil {
		s.state, s.reason = Incomplete, ReasonNotSaved
		if problem.Is(failed, problem.DiskFull) {
			s.reason = string(problem.DiskFull)
		}
	}
	for _, i := range fragments {
		s.content.Duration = max(s.content.Duration, i.Start+i.Duration)
		if i.Gap {
			s.gaps++
		}
	}
	if err := e.storeHead(m, key, f, fragments); err != nil {
		// Without it the recording still plays from its beginning.
		e.Logger.ErrorContext(ctx, "recording has no head", "media", m.ID, "error", err)
	}
	_, err := e.seal(ctx, m.ID, f, key, s)
	return err
}

func (e *Evidence) storeHead(m *MediaFile, key *blob.Key, f *blob.File, fragments []FragmentInfo) error {
	r, err := f.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	head, err := e.head(m, r, fragments)
	if err != nil || head == nil {
		return err
	}
	return e.storeDerived(headName(m), key, head)
}

// storeDerived seals bytes made from a file beside it, in place of what an
// attempt before a crash may have left.
func (e *Evidence) storeDerived(name string, key *blob.Key, data []byte) error {
	if err := e.Store.Remove(name); err != nil {
		return err
	}
	f, err := e.Store.Create(name, key)
	if err != nil {
		return diskProblem(err)
	}
	for len(data) > 0 && err == nil {
		n := min(len(data), blob.MaxSegment)
		err = f.Append(data[:n], nil)
		data = data[n:]
	}
	return diskProblem(errors.Join(err, f.Close()))
}

// head makes the head of a recording from its init fragment.
func (e *Evidence) head(m *MediaFile, r io.ReaderAt, fragments []FragmentInfo) ([]byte, error) {
	if e.Head == nil || len(fragments) == 0 || !fragments[0].Init {
		return nil, nil
	}
	init := make([]byte, fragments[0].Size)
	if _, err := r.ReadAt(init, fragments[0].Offset); err != nil {
		return nil, fmt.Errorf("read init fragment: %w", err)
	}
	return e.Head(m.ContentType, init, played(fragments))
}

// played are the fragments that hold pictures.
func played(fragments []FragmentInfo) []FragmentInfo {
	var out []FragmentInfo
	for _, f := range fragments {
		if !f.Init {
			out = append(out, f)
		}
	}
	return out
}

// pin is a recording as one Viewing sees it: it does not grow while it is
// looked at, so that places in it stay where they are.
type pin struct {
	expires   time.Time
	head      []byte
	fragments []FragmentInfo
}

// pinned answers how a Viewing sees a recording, open or sealed.
func (e *Evidence) pinned(v *Viewing, open func() (*pin, error)) (*pin, error) {
	e.mu.Lock()
	p := e.pins[v.ID]
	e.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := open()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if first := e.pins[v.ID]; first != nil {
		return first, nil
	}
	now := e.DB.Now()
	for id, old := range e.pins {
		if !now.Before(old.expires) {
			delete(e.pins, id)
		}
	}
	p.expires = v.ExpiresAt
	e.pins[v.ID] = p
	return p, nil
}

// view joins the head, in place of the init fragment, and the fragments.
func (p *pin) view(r io.ReaderAt) *joined {
	j := &joined{}
	if p.head != nil {
		j.add(bytes.NewReader(p.head), 0, int64(len(p.head)))
	}
	for _, f := range p.fragments {
		if !f.Init || p.head == nil {
			j.add(r, f.Offset, f.Size)
		}
	}
	return j
}

// openRecording is the recording of that id that is being written here.
func (e *Evidence) openRecording(id string) *Recording {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recording[id]
}

// snapshot reads what a growing recording holds now.
func (r *Recording) snapshot() (*blob.Reader, []FragmentInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed || r.file == nil {
		return nil, nil, problem.New(problem.Unavailable)
	}
	reader, err := r.file.Reader()
	return reader, r.fragments[:len(r.fragments):len(r.fragments)], err
}
