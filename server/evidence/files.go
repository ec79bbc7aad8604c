package evidence

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"

	"genba/server/problem"
)

// FilesPath is where tus 1.0 is mounted.
const FilesPath = "/files/"

// Files is the tus 1.0 endpoint, to be mounted at FilesPath. POST FilesPath
// creates the upload that beginUpload announced, with Upload-Length as declared;
// HEAD and PATCH FilesPath{id} resume and send. Each takes the bearer in
// `Authorization: Bearer`, checked before the body is read. There are no
// downloads, no concatenation, no deferred length and no CORS. Upload-Offset
// advances only over bytes that are sealed and synced; a PATCH may bring less
// than MinChunk bytes only when it ends the file.
func (e *Evidence) Files() http.Handler { return e.files }

type callKey struct{}

// call is one request to the tus endpoint.
type call struct {
	upload     string // the media file that the bearer is for
	err        error  // why it is refused
	connection *http.ResponseController
	stopped    atomic.Bool
}

// interrupt ends the reading of the body. The request must still be served.
func (c *call) interrupt() {
	c.stopped.Store(true)
	_ = c.connection.SetReadDeadline(time.Unix(1, 0)) // long past; a connection without one ends by itself
}

// body is what a phone sends, until a newer request takes its place.
type body struct {
	io.ReadCloser
	call *call
}

// Read fails once the request was interrupted: as if its time were over, or tusd
// would give the connection more.
func (b *body) Read(p []byte) (n int, err error) {
	err = os.ErrDeadlineExceeded
	if !b.call.stopped.Load() {
		n, err = b.ReadCloser.Read(p)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && b.call.stopped.Load() {
		b.call.err = problem.New(problem.Conflict)
	}
	return n, err
}

// locks let one request at a time work on an upload. A newer one interrupts the
// one before: a phone that comes back over another network does not wait for
// its own dead connection.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	all   *locks
	id    string
	call  *call
	freed chan struct{}
}

// NewLock is for one request.
func (l *locks) NewLock(id string) (tus.Lock, error) { return &lock{all: l, id: id}, nil }

// Lock interrupts who holds the upload and waits for its turn. It does without
// tusd's own way to interrupt, which misses a request that has not begun to read.
func (x *lock) Lock(ctx context.Context, _ func()) error {
	for {
		x.all.mu.Lock()
		holder := x.all.held[x.id]
		if holder == nil {
			x.call, x.freed = callOf(ctx), make(chan struct{})
			x.all.held[x.id] = x
			x.all.mu.Unlock()
			return nil
		}
		holder.call.interrupt()
		x.all.mu.Unlock()
		select {
		case <-holder.freed:
		case <-ctx.Done():
			return tus.ErrLockTimeout
		}
	}
}

// Unlock lets the next one in.
func (x *lock) Unlock() error {
	x.all.mu.Lock()
	defer x.all.mu.Unlock()
	delete(x.all.held, x.id)
	close(x.freed)
	return nil
}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// refuse keeps the problem for the answer; tusd gets an error of its own kind.
func (c *call) refuse(err error) error {
	c.err = err
	return tus.NewError("ERR_REFUSED", "refused", problem.Of(err).Status())
}

func (e *Evidence) newFiles() (http.Handler, error) {
	store := uploadStore{e}
	composer := tus.NewStoreComposer()
	composer.UseCore(store)
	composer.UseLocker(&locks{held: map[string]*lock{}})
	h, err := tus.NewHandler(tus.Config{
		StoreComposer: composer, MaxSize: MaxFile, BasePath: FilesPath,
		DisableDownload: true, DisableTermination: true, DisableConcatenation: true,
		Cors:   &tus.CorsConfig{Disable: true},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), // it would log paths
	})
	if err != nil {
		return nil, err
	}
	return &filesHandler{e: e, tus: http.StripPrefix(strings.TrimSuffix(FilesPath, "/"), h)}, nil
}

type filesHandler struct {
	e   *Evidence
	tus http.Handler
}

// ServeHTTP checks the bearer and the shape of the request, then hands over.
func (h *filesHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{connection: http.NewResponseController(w)}
	if err := h.check(r, c); err != nil {
		w.Header().Set("Tus-Resumable", "1.0.0")
		h.e.WriteProblem(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	if r.Body != nil {
		r.Body = &body{r.Body, c}
	}
	h.tus.ServeHTTP(&answer{ResponseWriter: w, r: r, call: c, write: h.e.WriteProblem}, r)
}

func (h *filesHandler) check(r *http.Request, c *call) error {
	// tusd would let this header turn one method into another.
	r.Header.Del("X-HTTP-Method-Override")
	id, below := strings.CutPrefix(r.URL.Path, FilesPath)
	switch {
	case !below || strings.Contains(id, "/"):
		return problem.New(problem.NotFound)
	case id == "" && r.Method != http.MethodPost, id != "" && r.Method != http.MethodHead && r.Method != http.MethodPatch:
		return problem.New(problem.MethodNotAllowed)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return problem.New(problem.BearerInvalid)
	}
	upload, err := h.e.openBearer(r.Context(), token)
	if err != nil {
		return err
	}
	if id != "" && id != upload {
		return problem.New(problem.BearerInvalid)
	}
	c.upload = upload
	if r.Method != http.MethodPatch || r.ContentLength < 0 || r.ContentLength >= MinChunk {
		return nil
	}
	rec, err := h.e.receive(r.Context(), upload)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	if err == nil && offset+r.ContentLength < rec.media.DeclaredSize {
		return problem.New(problem.ChunkTooSmall)
	}
	return nil
}

// answer turns what tusd refuses into problems and its Location into a path.
type answer struct {
	http.ResponseWriter
	r       *http.Request
	call    *call
	write   func(http.ResponseWriter, *http.Request, error)
	refused bool
}

var tusReasons = map[int]problem.Reason{
	http.StatusBadRequest: problem.BadInput, http.StatusNotFound: problem.NotFound, http.StatusConflict: problem.Conflict,
	http.StatusMethodNotAllowed: problem.MethodNotAllowed, http.StatusPreconditionFailed: problem.PreconditionFailed,
	http.StatusRequestEntityTooLarge: problem.TooLarge, http.StatusLocked: problem.Conflict, http.StatusUnsupportedMediaType: problem.BadInput,
	http.StatusRequestTimeout: problem.Timeout, http.StatusInternalServerError: problem.Unavailable, // a lock or a read that took too long
	http.StatusServiceUnavailable: problem.Unavailable,
}

// WriteHeader begins the answer; from 400 on it is a problem.
func (a *answer) WriteHeader(status int) {
	header := a.Header()
	if location := header.Get("Location"); location != "" {
		header.Set("Location", FilesPath+a.call.upload)
	}
	header.Set("Cache-Control", "no-store")
	if status < http.StatusBadRequest {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.refused = true
	header.Del("Content-Length")
	header.Del("Content-Type")
	err := a.call.err
	if err == nil {
		reason, ok := tusReasons[status]
		if !ok {
			reason = problem.Internal
		}
		err = problem.New(reason)
	}
	a.write(a.ResponseWriter, a.r, err)
}

// Write drops tusd's own words for a refusal.
func (a *answer) Write(p []byte) (int, error) {
	if a.refused {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets deadlines reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// uploadStore is tusd's store over sealed files.
type uploadStore struct{ e *Evidence }

// NewUpload makes the sealed file of the bearer's upload. Repeated, it answers
// the one that is there.
func (s uploadStore) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	c := callOf(ctx)
	r, err := s.e.receive(ctx, c.upload)
	if err != nil {
		return nil, c.refuse(err)
	}
	if info.SizeIsDeferred || info.Size != r.media.DeclaredSize {
		return nil, c.refuse(problem.New(problem.SizeMismatch))
	}
	if err := s.e.admit(); err != nil {
		return nil, c.refuse(err)
	}
	if err := s.e.admittedStill(ctx, r); err != nil {
		return nil, c.refuse(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.openFile(true); err != nil {
		return nil, c.refuse(err)
	}
	return &tusUpload{s.e, r}, nil
}

// GetUpload finds an upload. One whose bytes are all there but which is not
// sealed yet, since the last attempt failed, is sealed first: a phone must not
// take it for received before it is.
func (s uploadStore) GetUpload(ctx context.Context, id string) (tus.Upload, error) {
	c := callOf(ctx)
	r, err := s.e.receive(ctx, id)
	if err != nil {
		return nil, c.refuse(err)
	}
	if err := s.e.admittedStill(ctx, r); err != nil {
		return nil, c.refuse(err)
	}
	r.mu.Lock()
	err = r.openFile(false)
	whole := err == nil && !r.done && r.offset() == r.media.DeclaredSize
	r.mu.Unlock()
	if whole {
		err = r.complete(ctx)
	}
	if errors.Is(err, errNotCreated) {
		err = problem.Wrap(problem.NotFound, err)
	}
	if err != nil {
		return nil, c.refuse(err)
	}
	return &tusUpload{s.e, r}, nil
}

type tusUpload struct {
	e *Evidence
	r *receiving
}

// GetInfo answers the declared size and the acknowledged offset.
func (u *tusUpload) GetInfo(context.Context) (tus.FileInfo, error) {
	u.r.mu.Lock()
	defer u.r.mu.Unlock()
	return tus.FileInfo{ID: u.r.id, Size: u.r.media.DeclaredSize, Offset: u.r.offset()}, nil
}

// GetReader refuses: nothing is downloaded here.
func (u *tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, tus.ErrNotImplemented
}

// FinishUpload seals the file.
func (u *tusUpload) FinishUpload(ctx context.Context) error {
	if err := u.r.complete(ctx); err != nil {
		return callOf(ctx).refuse(err)
	}
	return nil
}

// WriteChunk seals and syncs the body in segments. A tail of less than MinChunk
// that does not end the file is not taken: the phone sends it again.
func (u *tusUpload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	b := buffers.Get().(*[uploadSegment]byte)
	defer buffers.Put(b)
	var written int64
	n, since := 0, u.e.DB.Clock.Now()
	for ended := false; !ended; {
		m, err := src.Read(b[n:])
		n += m
		whole := offset+written+int64(n) == u.r.media.DeclaredSize
		ended = err != nil || whole
		enough := n >= MinChunk && (ended || u.e.DB.Clock.Now().Sub(since) >= uploadFlush)
		if n > 0 && (n == len(b) || whole || enough) {
			if err := u.r.append(b[:n]); err != nil {
				return written, callOf(ctx).refuse(err)
			}
			written += int64(n)
			n, since = 0, u.e.DB.Clock.Now()
		}
	}
	if n > 0 && written == 0 {
		return 0, callOf(ctx).refuse(problem.New(problem.ChunkTooSmall))
	}
	return written, nil
}
