package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"genba/policy"
	"genba/server/blob"
	"genba/server/identity"
	"genba/server/problem"
)

// MediaPath is where files are shown.
const MediaPath = "/media/"

// extensions of the names we give; nobody's own name goes into a header.
var extensions = map[string]string{
	"image/jpeg": ".jpg", "video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov", "video/3gpp": ".3gp", "video/3gpp2": ".3g2",
}

// shown is what of a file is served.
type shown struct {
	contentType string
	preview     bool
}

// showable says what of a file may be looked at. Originals of pictures never
// are: they leave only in an export.
func showable(m *MediaFile) (shown, error) {
	if m.Reason == ReasonDamaged {
		return shown{}, problem.New(problem.NoPreview)
	}
	switch m.Kind {
	case KindPhoto, KindSnapshot:
		switch m.Preview {
		case PreviewReady:
			return shown{"image/jpeg", true}, nil
		case PreviewPending:
			return shown{}, problem.New(problem.Unavailable)
		}
		return shown{}, problem.New(problem.NoPreview)
	case KindVideo:
		if m.State == Complete {
			return shown{contentType: m.ContentType}, nil
		}
	case KindRecording:
		return shown{contentType: m.ContentType}, nil
	}
	return shown{}, problem.New(problem.NoPreview)
}

// Media is the endpoint that shows files, to be mounted at MediaPath:
// GET or HEAD MediaPath{id}?grant=… with Range, under a grant from Open. It
// serves re-encoded previews, checked video and recordings, each answer inert:
// nosniff, no-store, a sandbox, our own name. Every read asks whether the grant
// still lives and the file is not due.
func (e *Evidence) Media() http.Handler { return http.HandlerFunc(e.serveMedia) }

func (e *Evidence) serveMedia(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if err := e.show(w, r); err != nil {
		e.WriteProblem(w, r, err)
	}
}

func (e *Evidence) show(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return problem.New(problem.MethodNotAllowed)
	}
	id, ok := strings.CutPrefix(r.URL.Path, MediaPath)
	if !ok {
		return problem.New(problem.NotFound)
	}
	v, m, err := e.admitted(r.Context(), id, r.URL.Query().Get("grant"))
	if err != nil {
		return err
	}
	what, err := showable(m)
	if err != nil {
		return err
	}
	body, size, reader, err := e.body(r.Context(), v, m, what)
	if err != nil {
		return err
	}
	defer reader.Close()
	g := e.enter(v, m, body)
	defer e.leave(g)
	w.Header().Set("Content-Type", what.contentType)
	w.Header().Set("Content-Disposition", `inline; filename="`+m.ID+extensions[what.contentType]+`"`)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(g, 0, size))
	if err := e.served(r.Context(), v.ID, g.bytes.Load()); err != nil {
		e.Logger.ErrorContext(r.Context(), "viewing not counted", "viewing", v.ID, "error", err)
	}
	return nil
}

// admitted asks everything again that the grant was given for.
func (e *Evidence) admitted(ctx context.Context, id, grant string) (*Viewing, *MediaFile, error) {
	b, err := e.Bearers.Open(grant, identity.UseMedia)
	if err != nil {
		return nil, nil, problem.Wrap(problem.GrantInvalid, err)
	}
	var v Viewing
	found := e.DB.Read(ctx).Limit(1).Find(&v, "id = ?", b.Object)
	if found.Error != nil {
		return nil, nil, fmt.Errorf("read viewing: %w", found.Error)
	}
	if found.RowsAffected == 0 || v.MediaID != id || v.ClosedAt != nil || !e.DB.Now().Before(v.ExpiresAt) {
		return nil, nil, problem.New(problem.GrantInvalid)
	}
	actor, err := e.stillThere(ctx, &v)
	if problem.Is(err, problem.Unauthenticated) || err == nil && v.UserID != "" && actor.ID != v.UserID {
		return nil, nil, problem.New(problem.GrantInvalid)
	}
	if err != nil {
		return nil, nil, err
	}
	if v.ShareID != "" {
		if e.May != nil && actor.Kind == policy.User && !e.May(actor) {
			return nil, nil, problem.New(problem.Forbidden)
		}
		share, _, err := e.Cases.Received(ctx, actor, v.ShareID)
		if err != nil {
			return nil, nil, err
		}
		m, err := e.sharedFile(ctx, share, id)
		return &v, m, err
	}
	m, err := e.File(ctx, actor, id)
	if err != nil {
		return nil, nil, err
	}
	return &v, m, e.stillShown(ctx, actor, m)
}

// stillThere asks again who looks: the sign-in, or the officer's issued phone.
func (e *Evidence) stillThere(ctx context.Context, v *Viewing) (policy.Actor, error) {
	if v.StaffMemberID != "" {
		return e.Cases.Watching(ctx, v.LoginID)
	}
	return e.Identity.StillSignedIn(ctx, v.LoginID)
}

// grant is one answer being served. Its reads fail once it is dead.
type grant struct {
	e       *Evidence
	body    io.ReaderAt
	login   string
	share   string
	expires time.Time
	media   *MediaFile
	dead    atomic.Bool
	bytes   atomic.Int64
}

func (e *Evidence) enter(v *Viewing, m *MediaFile, body io.ReaderAt) *grant {
	g := &grant{e: e, body: body, login: v.LoginID, share: v.ShareID, expires: v.ExpiresAt, media: m}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.grants[g.login] == nil {
		e.grants[g.login] = map[*grant]bool{}
	}
	e.grants[g.login][g] = true
	return g
}

func (e *Evidence) leave(g *grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.grants[g.login], g)
	if len(e.grants[g.login]) == 0 {
		delete(e.grants, g.login)
	}
}

// ReadAt reads while the grant lives and the file is not due.
func (g *grant) ReadAt(p []byte, off int64) (int, error) {
	if g.dead.Load() || !g.e.DB.Clock.Now().Before(g.expires) {
		return 0, problem.New(problem.GrantInvalid)
	}
	if g.e.overdue(g.media) {
		return 0, problem.New(problem.Withheld)
	}
	n, err := g.body.ReadAt(p, off)
	g.bytes.Add(int64(n))
	return n, err
}

// body opens what a Viewing is served of a file.
func (e *Evidence) body(ctx context.Context, v *Viewing, m *MediaFile, what shown) (body io.ReaderAt, size int64, r *blob.Reader, err error) {
	if m.State == Receiving {
		body, size, r, err = e.growing(v, m)
		if !problem.Is(err, problem.Unavailable) {
			return body, size, r, err
		}
		// Sealed meanwhile, perhaps.
		now, err := find(e.DB.Read(ctx), m.ID)
		if err != nil {
			return nil, 0, nil, err
		}
		if *m = *now; m.State == Receiving {
			return nil, 0, nil, problem.New(problem.Unavailable)
		}
	}
	key, err := e.key(m)
	if err != nil {
		return nil, 0, nil, err
	}
	name := blobName(m)
	if what.preview {
		name = previewName(m)
	}
	r, err = e.Store.Reader(name, key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, 0, nil, problem.Wrap(problem.Gone, err)
	}
	if err != nil {
		return nil, 0, nil, fmt.Errorf("open media file: %w", err)
	}
	if chain := r.Chain(); !what.preview && !bytes.Equal(chain[:], m.Chain) {
		return nil, 0, nil, errors.Join(fmt.Errorf("media file %s is not what was received: its chain differs", m.ID), r.Close())
	}
	if m.Kind != KindRecording {
		return r, r.Size(), r, nil
	}
	return e.recorded(v, r, func() (*pin, error) {
		fragments, err := index(r.Segments())
		if err != nil {
			return nil, err
		}
		head, err := e.readHead(m, key)
		return &pin{head: head, fragments: fragments}, err
	})
}

// growing opens a recording that is being written here; Unavailable where it is
// not, or not any more.
func (e *Evidence) growing(v *Viewing, m *MediaFile) (io.ReaderAt, int64, *blob.Reader, error) {
	rec := e.openRecording(m.ID)
	if rec == nil {
		return nil, 0, nil, problem.New(problem.Unavailable)
	}
	r, fragments, err := rec.snapshot()
	if err != nil {
		return nil, 0, nil, err
	}
	return e.recorded(v, r, func() (*pin, error) {
		head, err := e.head(m, r, fragments)
		return &pin{head: head, fragments: fragments}, err
	})
}

// recorded is a recording as the Viewing sees it; r is closed on an error.
func (e *Evidence) recorded(v *Viewing, r *blob.Reader, open func() (*pin, error)) (io.ReaderAt, int64, *blob.Reader, error) {
	p, err := e.pinned(v, open)
	if err != nil {
		return nil, 0, nil, errors.Join(err, r.Close())
	}
	j := p.view(r)
	return j, j.size, r, nil
}

func newSection(r *blob.Reader) *io.SectionReader { return io.NewSectionReader(r, 0, r.Size()) }

// readHead reads the head made when the recording was sealed; nil where it has
// none.
func (e *Evidence) readHead(m *MediaFile, key *blob.Key) ([]byte, error) {
	r, err := e.Store.Reader(headName(m), key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open head: %w", err)
	}
	defer r.Close()
	head, err := io.ReadAll(newSection(r))
	if err != nil {
		return nil, fmt.Errorf("read head: %w", err)
	}
	return head, nil
}

// joined reads several parts as one.
type joined struct {
	parts []part
	size  int64
}

type part struct {
	at, size int64 // in the whole
	from     int64 // in r
	r        io.ReaderAt
}

func (j *joined) add(r io.ReaderAt, from, size int64) {
	if n := len(j.parts); n > 0 && j.parts[n-1].r == r && j.parts[n-1].from+j.parts[n-1].size == from {
		j.parts[n-1].size += size
	} else if size > 0 {
		j.parts = append(j.parts, part{at: j.size, size: size, from: from, r: r})
	}
	j.size += size
}

// ReadAt reads across the parts.
func (j *joined) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	i := sort.Search(len(j.parts), func(i int) bool { return j.parts[i].at+j.parts[i].size > off })
	for ; n < len(p) && i < len(j.parts); i++ {
		in := off + int64(n) - j.parts[i].at
		want := p[n:][:min(int64(len(p)-n), j.parts[i].size-in)]
		m, err := j.parts[i].r.ReadAt(want, j.parts[i].from+in)
		n += m
		if m < len(want) {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
