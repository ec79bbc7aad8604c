package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"filippo.io/age"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// ExportPath is where archives are handed out.
const ExportPath = "/exports/"

const (
	// workFactor of the passphrase: it is ours and random, so that stretching it
	// further would only cost memory, 16 MiB here.
	workFactor = 14
	// passphraseGroups of five letters each are 125 bits.
	passphraseGroups = 5
	groupLetters     = 5
	// passphraseLetters are without those that are taken for others.
	passphraseLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	maxRecipient      = 4096
	// streamLife bounds one writing of an archive.
	streamLife = 12 * time.Hour
	// exportKey seals what an archive will be encrypted with, until it is.
	exportKey = "exports"
)

// writingState is how far an attempt to write an archive has come.
type writingState string

const (
	writingOpen      writingState = "OPEN"
	writingStreaming writingState = "STREAMING"
	writingStreamed  writingState = "STREAMED"
	writingFailed    writingState = "FAILED"
	writingWritten   writingState = "WRITTEN"
)

// exportWriting is one attempt to write an archive.
type exportWriting struct {
	ID       string `gorm:"primaryKey"`
	AgencyID string
	ExportID string
	UserID   string
	LoginID  string
	// Secret is the sealed exportSecret; nothing once the attempt has ended.
	Secret    []byte
	State     writingState
	OpenedAt  time.Time
	ExpiresAt time.Time
	EndedAt   *time.Time
	SHA256    []byte `gorm:"column:sha256"`
	Size      int64
}

func (exportWriting) TableName() string { return "export_writings" }

// exportSecret is what an archive is encrypted with.
type exportSecret struct {
	Passphrase string `json:"passphrase,omitempty"`
	Recipient  string `json:"recipient,omitempty"`
}

func (s exportSecret) recipient() (age.Recipient, error) {
	if s.Recipient != "" {
		return parseRecipient(s.Recipient)
	}
	r, err := age.NewScryptRecipient(s.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	r.SetWorkFactor(workFactor)
	return r, nil
}

func parseRecipient(text string) (age.Recipient, error) {
	if len(text) > maxRecipient {
		return nil, problem.New(problem.BadInput)
	}
	found, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(found) != 1 {
		return nil, problem.New(problem.BadInput)
	}
	return found[0], nil
}

func newPassphrase() string {
	letters := make([]byte, passphraseGroups*groupLetters)
	_, _ = rand.Read(letters) // never fails
	groups := make([]string, passphraseGroups)
	for i, b := range letters {
		groups[i/groupLetters] += string(passphraseLetters[int(b)%len(passphraseLetters)])
	}
	return strings.Join(groups, "-")
}

// Writing is the permission to fetch one archive, once.
type Writing struct {
	ID     string
	Export *ExportRequest
	// Passphrase is shown this once; empty where the archive is for a recipient's
	// key.
	Passphrase string
	Grant      string
	ExpiresAt  time.Time
	// FileName is what the archive is called.
	FileName string
}

// BeginWriting lets the permitted person fetch the archive of an approved
// request, encrypted with a new passphrase, or for an age recipient. It is
// journaled, file by file, before the first byte; an earlier attempt that has not
// begun is closed. EXPORT_NOT_APPROVED, EXPORT_NOT_PERMITTED, GONE.
func (e *Evidence) BeginWriting(ctx context.Context, actor policy.Actor, id, recipient string) (*Writing, error) {
	secret := exportSecret{Recipient: strings.TrimSpace(recipient)}
	if secret.Recipient == "" {
		secret.Passphrase = newPassphrase()
	} else if _, err := parseRecipient(secret.Recipient); err != nil {
		return nil, err
	}
	text, err := json.Marshal(secret)
	if err != nil {
		return nil, fmt.Errorf("begin writing: %w", err)
	}
	key, err := e.Keys.Ensure(exportKey)
	if err != nil {
		return nil, err
	}
	w := &exportWriting{ID: identity.NewID(), AgencyID: actor.Agency, ExportID: id, UserID: actor.ID, LoginID: actor.Login, State: writingOpen}
	if w.Secret, err = key.Seal(text); err != nil {
		return nil, err
	}
	r, err := e.changeExport(ctx, actor, id, func(tx *database.Tx, r *ExportRequest) error {
		if err := r.writable(actor); err != nil {
			return err
		}
		var files []*ExportFile
		if err := tx.Order("position").Find(&files, "export_id = ? AND purged_at IS NULL AND due_at > ?", r.ID, e.latest()).Error; err != nil {
			return err
		}
		if len(files) == 0 {
			return problem.New(problem.Gone)
		}
		if err := tx.Model(&exportWriting{}).Where("export_id = ? AND state = ?", r.ID, writingOpen).Updates(ended(writingFailed, tx.Now)).Error; err != nil {
			return err
		}
		w.OpenedAt, w.ExpiresAt = tx.Now, database.Instant(tx.Now.Add(identity.GrantLife))
		if err := tx.Create(w).Error; err != nil {
			return err
		}
		e.Journal.Append(tx, r.entry(actor, journal.ExportOpened, map[string]any{"writing": w.ID, "files": len(files), "expiresAt": w.ExpiresAt}))
		for _, f := range files {
			e.Journal.Append(tx, journal.Entry{
				Agency: r.AgencyID, Actor: actor, Type: journal.ExportFileOpened, Subject: journal.Subject{Kind: policy.Media, ID: f.MediaID},
				CaseID: r.CaseID, SessionID: f.SessionID, Payload: map[string]any{"export": r.ID, "writing": w.ID, "sha256": f.SHA256Hex()},
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := &Writing{ID: w.ID, Export: r, Passphrase: secret.Passphrase, FileName: archiveName(w)}
	answer.Grant, answer.ExpiresAt = e.Bearers.Mint(identity.Bearer{Use: identity.UseExport, Object: w.ID, Actor: actor}, identity.GrantLife)
	return answer, nil
}

// writable refuses everybody but the permitted person of an approved request.
func (r *ExportRequest) writable(actor policy.Actor) error {
	switch {
	case r.PermittedID != actor.ID:
		return problem.New(problem.ExportNotPermitted)
	case r.State == ExportIsExpired:
		return problem.New(problem.Gone)
	case r.State != ExportIsApproved:
		return problem.New(problem.ExportNotApproved)
	}
	return nil
}

func ended(s writingState, now time.Time) map[string]any {
	return map[string]any{"state": s, "ended_at": now, "secret": nil}
}

func archiveName(w *exportWriting) string { return "genba-" + w.ID + ".tar.age" }

// Archives is the endpoint that hands out archives, to be mounted at
// ExportPath: GET ExportPath{writing}?grant=…, once, under a grant of
// BeginWriting. There is no other way to an original (第6の5).
func (e *Evidence) Archives() http.Handler { return http.HandlerFunc(e.serveArchive) }

func (e *Evidence) serveArchive(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet {
		h.Set("Allow", http.MethodGet)
		e.WriteProblem(w, r, problem.New(problem.MethodNotAllowed))
		return
	}
	id, _ := strings.CutPrefix(r.URL.Path, ExportPath)
	started := false
	_, err := e.StreamArchive(r.Context(), "", id, r.URL.Query().Get("grant"), func(name string) io.Writer {
		started = true
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
		return w
	})
	switch {
	case err != nil && !started:
		e.WriteProblem(w, r, err)
	case err != nil:
		e.Logger.ErrorContext(r.Context(), "archive not written", "writing", id, "error", err)
		panic(http.ErrAbortHandler) // half an archive must not look like a whole one
	}
}

// StreamArchive writes the archive of a writing, encrypted, into what start
// answers, which is called once everything was admitted. It is done once for
// each writing. A request that is not empty must be the writing's. GRANT_INVALID,
// EXPORT_NOT_APPROVED, EXPORT_NOT_PERMITTED, GONE.
func (e *Evidence) StreamArchive(ctx context.Context, request, id, grant string, start func(name string) io.Writer) (sha []byte, err error) {
	w, r, secret, err := e.admitWriting(ctx, request, id, grant)
	if err != nil {
		return nil, err
	}
	actor := policy.Actor{Kind: policy.User, ID: w.UserID, Agency: w.AgencyID, Login: w.LoginID}
	out := &counted{sum: sha256.New()}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("write archive: %v", v)
		}
		if noted := e.endWriting(ctx, actor, r, w.ID, out, err); noted != nil {
			err = errors.Join(err, noted)
		}
	}()
	c, err := e.gather(ctx, r, w)
	if err != nil {
		return nil, err
	}
	recipient, err := secret.recipient()
	if err != nil {
		return nil, err
	}
	out.w = start(archiveName(w))
	sealed, err := age.Encrypt(out, recipient)
	if err != nil {
		return nil, fmt.Errorf("encrypt archive: %w", err)
	}
	err = e.writeArchive(ctx, sealed, c, func(m *MediaFile) (io.ReadCloser, error) { return e.original(ctx, w, m) })
	if err != nil {
		return nil, err
	}
	if err := sealed.Close(); err != nil {
		return nil, fmt.Errorf("encrypt archive: %w", err)
	}
	return out.sum.Sum(nil), nil
}

// admitWriting asks everything again that the grant was given for, and takes the
// writing, so that nobody else can.
func (e *Evidence) admitWriting(ctx context.Context, request, id, grant string) (*exportWriting, *ExportRequest, exportSecret, error) {
	var secret exportSecret
	b, err := e.Bearers.Open(grant, identity.UseExport)
	if err != nil || b.Object != id {
		return nil, nil, secret, problem.Wrap(problem.GrantInvalid, err)
	}
	actor, err := e.Identity.StillSignedIn(ctx, b.Actor.Login)
	if problem.Is(err, problem.Unauthenticated) || err == nil && actor.ID != b.Actor.ID {
		return nil, nil, secret, problem.New(problem.GrantInvalid)
	}
	if err != nil {
		return nil, nil, secret, err
	}
	var w exportWriting
	var r ExportRequest
	var sealed []byte
	err = e.DB.InTx(ctx, func(tx *database.Tx) error {
		found := tx.Lock().Limit(1).Find(&w, "id = ?", id)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 || w.State != writingOpen || w.UserID != actor.ID || !tx.Now.Before(w.ExpiresAt) || request != "" && request != w.ExportID {
			return problem.New(problem.GrantInvalid)
		}
		if err := tx.Take(&r, "id = ?", w.ExportID).Error; err != nil {
			return err
		}
		if err := r.writable(actor); err != nil {
			return err
		}
		sealed = w.Secret
		return tx.Model(&w).Updates(map[string]any{"state": writingStreaming, "secret": nil, "expires_at": database.Instant(tx.Now.Add(streamLife))}).Error
	})
	if err != nil {
		return nil, nil, secret, fmt.Errorf("admit writing: %w", err)
	}
	key, err := e.Keys.Get(exportKey)
	if err != nil {
		return nil, nil, secret, err
	}
	text, err := key.Open(sealed)
	if err != nil {
		return nil, nil, secret, err
	}
	if err := json.Unmarshal(text, &secret); err != nil {
		return nil, nil, secret, fmt.Errorf("read secret: %w", err)
	}
	return &w, &r, secret, nil
}

// original is a file's bytes as they were received, readable while the sign-in
// holds and the file is not due.
func (e *Evidence) original(ctx context.Context, w *exportWriting, m *MediaFile) (io.ReadCloser, error) {
	key, err := e.key(m)
	if err != nil {
		return nil, err
	}
	r, err := e.Store.Reader(blobName(m), key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, problem.Wrap(problem.Gone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open media file: %w", err)
	}
	chain := r.Chain()
	if r.Size() != m.Size || !bytes.Equal(chain[:], m.Chain) {
		return nil, errors.Join(fmt.Errorf("media file %s is not what was received: its chain differs", m.ID), r.Close())
	}
	g := &grant{e: e, body: r, login: w.LoginID, expires: e.DB.Now().Add(streamLife), media: m}
	e.hold(g)
	return &held{Reader: io.NewSectionReader(&attentive{ctx, g}, 0, m.Size), close: func() error { e.leave(g); return r.Close() }}, nil
}

// hold keeps g where the end of its sign-in finds it, until leave.
func (e *Evidence) hold(g *grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.grants[g.login] == nil {
		e.grants[g.login] = map[*grant]bool{}
	}
	e.grants[g.login][g] = true
}

type held struct {
	io.Reader
	close func() error
}

func (h *held) Close() error { return h.close() }

// attentive stops reading for somebody who has gone.
type attentive struct {
	ctx context.Context
	g   *grant
}

func (a *attentive) ReadAt(p []byte, off int64) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.g.ReadAt(p, off)
}

// endWriting notes how an attempt ended.
func (e *Evidence) endWriting(ctx context.Context, actor policy.Actor, r *ExportRequest, id string, out *counted, failure error) error {
	err := e.DB.InTx(context.WithoutCancel(ctx), func(tx *database.Tx) error {
		change, what := ended(writingStreamed, tx.Now), journal.ExportStreamed
		said := map[string]any{"writing": id, "size": out.size}
		if failure != nil {
			change, what = ended(writingFailed, tx.Now), journal.ExportFailed
		} else {
			change["sha256"], said["sha256"] = out.sum.Sum(nil), hex.EncodeToString(out.sum.Sum(nil))
		}
		change["size"] = out.size
		if err := tx.Model(&exportWriting{}).Where("id = ? AND state = ?", id, writingStreaming).Updates(change).Error; err != nil {
			return err
		}
		e.Journal.Append(tx, r.entry(actor, what, said))
		return nil
	})
	if err != nil {
		return fmt.Errorf("end writing: %w", err)
	}
	return nil
}

// FinishWriting is told the hash and size of the archive as it was read back
// from the medium: the request is written when they are those of what was sent
// (第6の5). EXPORT_MISMATCH, EXPORT_STATE, EXPORT_NOT_PERMITTED.
func (e *Evidence) FinishWriting(ctx context.Context, actor policy.Actor, id string, sha []byte, size int64) (*ExportRequest, error) {
	var w exportWriting
	found := e.DB.Read(ctx).Limit(1).Find(&w, "id = ? AND agency_id = ?", id, actor.Agency)
	if found.Error != nil {
		return nil, fmt.Errorf("read writing: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return nil, problem.New(problem.NotFound)
	}
	mismatch := false
	r, err := e.changeExport(ctx, actor, w.ExportID, func(tx *database.Tx, r *ExportRequest) error {
		if err := tx.Lock().Take(&w, "id = ?", id).Error; err != nil {
			return err
		}
		if r.State == ExportIsWritten && w.State == writingWritten && r.PermittedID == actor.ID {
			return nil // told twice
		}
		if err := r.writable(actor); err != nil {
			return err
		}
		if w.State != writingStreamed {
			return problem.New(problem.ExportState)
		}
		said := map[string]any{"writing": id, "sha256": hex.EncodeToString(sha), "size": size, "medium": r.Medium}
		if mismatch = !bytes.Equal(sha, w.SHA256) || size != w.Size; mismatch {
			e.Journal.Append(tx, r.entry(actor, journal.ExportMismatched, said))
			return tx.Model(&w).Updates(ended(writingFailed, tx.Now)).Error
		}
		r.State, r.WrittenAt, r.ArchiveSHA256, r.ArchiveSize = ExportIsWritten, &tx.Now, w.SHA256, w.Size
		e.Journal.Append(tx, r.entry(actor, journal.ExportWritten, said))
		return tx.Model(&w).Update("state", writingWritten).Error
	})
	if err != nil {
		return nil, err
	}
	if mismatch {
		return nil, problem.New(problem.ExportMismatch)
	}
	return r, nil
}

// CloseWritings ends the attempts that never began in time, or whose server
// went away, and wipes their secrets. Call it every minute.
func (e *Evidence) CloseWritings(ctx context.Context) error {
	now := e.DB.Now()
	err := e.DB.Read(ctx).Model(&exportWriting{}).Where("state IN ? AND expires_at <= ?", []writingState{writingOpen, writingStreaming}, now).
		Updates(ended(writingFailed, now)).Error
	if err != nil {
		return fmt.Errorf("close writings: %w", err)
	}
	return nil
}
