package evidence

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Purpose is why somebody looks (第6の3(1)).
type Purpose string

// The purposes.
const (
	InitialResponse Purpose = "INITIAL_RESPONSE"
	ForStatistics   Purpose = "STATISTICS"
	ByLaw           Purpose = "BY_LAW" // with law and document number
)

// maxLaw bounds the name of a law and the number of a document, in characters.
const maxLaw = 200

// Look is why somebody looks, as they say it.
type Look struct {
	// Purpose is what for; empty means the initial response.
	Purpose Purpose
	// Law and Document are named where the law has it so (法令名・文書番号).
	Law, Document string
	// Reason is asked of whoever looks at a colleague's (第4の2).
	Reason cases.LookReason

	share *cases.Share // by which another agency looks
}

// check refuses a purpose that is none, or that does not name its law.
func (l *Look) check() error {
	l.Law, l.Document = strings.TrimSpace(l.Law), strings.TrimSpace(l.Document)
	switch l.Purpose {
	case "":
		l.Purpose = InitialResponse
		fallthrough
	case InitialResponse, ForStatistics:
		l.Law, l.Document = "", ""
	case ByLaw:
		if l.share != nil {
			break
		}
		if l.Law == "" || l.Document == "" {
			return problem.New(problem.LawMissing)
		}
	default:
		return problem.New(problem.BadInput)
	}
	for _, text := range []string{l.Law, l.Document} {
		if utf8.RuneCountInString(text) > maxLaw || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return problem.New(problem.BadInput)
		}
	}
	return nil
}

// closeBatch is how many expired viewings one sweep closes at most.
const closeBatch = 500

// Viewing is one person's look at one live stream or file (閲覧).
type Viewing struct {
	ID        string `gorm:"primaryKey"`
	AgencyID  string
	SessionID string
	// MediaID is empty for a live stream.
	MediaID string
	// UserID is who looks; empty: the officer of StaffMemberID does, on the phone of
	// the staff link LoginID. There is always one of the two.
	UserID        string `gorm:"serializer:optional"`
	StaffMemberID string `gorm:"serializer:optional"`
	LoginID       string
	Purpose       Purpose
	// Reason is why, where the report was a colleague's.
	Reason cases.LookReason
	// ShareID is by which share another agency looked; empty for the own agency.
	ShareID   string
	OpenedAt  time.Time
	ExpiresAt time.Time
	// ClosedAt is when it was closed or found expired.
	ClosedAt *time.Time
	// Bytes and Requests are what was served under it.
	Bytes    int64
	Requests int
}

// Opened is a file that may be looked at now.
type Opened struct {
	File        *MediaFile
	Viewing     *Viewing
	ContentType string
	// Grant goes into the `grant` parameter of MediaPath{id} until ExpiresAt.
	Grant     string
	ExpiresAt time.Time
}

// Open journals one Viewing of a file and answers the grant under which its
// bytes are served (第6の3). NotFound, Withheld, Gone, Misdirected, NoPreview,
// LawMissing, LookReasonMissing; Unavailable while a preview is being made.
func (e *Evidence) Open(ctx context.Context, actor policy.Actor, id string, why Look) (*Opened, error) {
	m, err := e.File(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	s, err := e.Cases.Session(ctx, m.AgencyID, m.SessionID)
	if err != nil {
		return nil, err
	}
	if actor.Kind != policy.User {
		return nil, problem.New(problem.Forbidden)
	}
	if why.Reason, err = s.MayLook(actor, why.Reason); err != nil {
		return nil, err
	}
	return e.grant(ctx, actor, m, why)
}

// OpenShared is Open for what another agency gave. SHARE_OVER.
func (e *Evidence) OpenShared(ctx context.Context, actor policy.Actor, shareID, id string) (*Opened, error) {
	share, _, err := e.Cases.Received(ctx, actor, shareID)
	if err != nil {
		return nil, err
	}
	m, err := e.sharedFile(ctx, share, id)
	if err != nil {
		return nil, err
	}
	return e.grant(ctx, actor, m, sharedLook(share))
}

func (e *Evidence) grant(ctx context.Context, actor policy.Actor, m *MediaFile, why Look) (*Opened, error) {
	if err := why.check(); err != nil {
		return nil, err
	}
	shown, err := showable(m)
	if err != nil {
		return nil, err
	}
	if m.Kind == KindRecording && m.State == Receiving && actor.Kind == policy.User && !actor.Desk.Receives() {
		return nil, problem.New(problem.Forbidden) // it is live video, only a little later (第5の2)
	}
	v, err := e.view(ctx, actor, Viewing{AgencyID: m.AgencyID, SessionID: m.SessionID, MediaID: m.ID}, m.CaseID, why, identity.GrantLife)
	if err != nil {
		return nil, err
	}
	o := &Opened{File: m, Viewing: v, ContentType: shown.contentType}
	o.Grant, o.ExpiresAt = e.Bearers.Mint(identity.Bearer{Use: identity.UseMedia, Session: m.SessionID, Object: v.ID, Actor: actor}, identity.GrantLife)
	return o, nil
}

// View journals one Viewing of a session's live video for as long as life,
// before its first byte. LookReasonMissing, Misdirected.
func (e *Evidence) View(ctx context.Context, actor policy.Actor, s *cases.Session, why Look, life time.Duration) (_ *Viewing, err error) {
	if actor.Kind != policy.User {
		return nil, problem.New(problem.Forbidden)
	}
	if why.Reason, err = s.MayLook(actor, why.Reason); err != nil {
		return nil, err
	}
	return e.view(ctx, actor, Viewing{AgencyID: s.AgencyID, SessionID: s.ID}, s.CaseID, why, life)
}

func (e *Evidence) view(ctx context.Context, actor policy.Actor, v Viewing, caseID string, why Look, life time.Duration) (*Viewing, error) {
	share := why.share
	switch {
	case actor.Kind == policy.User:
		v.UserID = actor.ID
	case actor.Kind == policy.StaffPhone && share != nil && share.ForOfficer():
		v.StaffMemberID = share.ToMemberID
	default:
		return nil, problem.New(problem.Forbidden) // nobody looks without a name
	}
	if err := why.check(); err != nil {
		return nil, err
	}
	v.Purpose, v.Reason = why.Purpose, why.Reason
	if share != nil {
		v.ShareID = share.ID
	}
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		v.ID, v.LoginID = identity.NewID(), actor.Login
		v.OpenedAt, v.ExpiresAt = tx.Now, database.Instant(tx.Now.Add(life))
		if err := tx.Create(&v).Error; err != nil {
			return err
		}
		said := map[string]any{"media": v.MediaID, "purpose": v.Purpose, "expiresAt": v.ExpiresAt}
		for name, value := range map[string]string{"reason": string(v.Reason), "law": why.Law, "document": why.Document, "share": v.ShareID} {
			if value != "" {
				said[name] = value
			}
		}
		if v.StaffMemberID != "" {
			said["member"] = v.StaffMemberID
		} else if share != nil {
			said["agency"] = share.ToAgencyID
			e.Journal.Append(tx, received(share, actor, &v))
		}
		e.Journal.Append(tx, v.entry(actor, caseID, journal.ViewingOpened, said))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open viewing: %w", err)
	}
	return &v, nil
}

// viewer is who looked, as the journal names them.
func (v *Viewing) viewer() policy.Actor {
	if v.StaffMemberID != "" {
		return policy.Actor{Kind: policy.StaffPhone, ID: v.LoginID, Agency: v.AgencyID, Login: v.LoginID}
	}
	return policy.Actor{Kind: policy.User, ID: v.UserID, Agency: v.AgencyID, Login: v.LoginID}
}

func (v *Viewing) entry(actor policy.Actor, caseID string, t journal.Type, payload any) journal.Entry {
	return journal.Entry{
		Agency: v.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Viewing, ID: v.ID},
		CaseID: caseID, SessionID: v.SessionID, Payload: payload,
	}
}

// ExtendViewing keeps a live Viewing open while its bearer is renewed.
func (e *Evidence) ExtendViewing(ctx context.Context, actor policy.Actor, id string, life time.Duration) (*Viewing, error) {
	var v Viewing
	err := e.DB.InTx(ctx, func(tx *database.Tx) error {
		found := lookOf(tx.Lock(), actor).Limit(1).Find(&v, "id = ? AND closed_at IS NULL", id)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 {
			return problem.New(problem.GrantInvalid)
		}
		v.ExpiresAt = database.Instant(tx.Now.Add(life))
		return tx.Model(&v).Update("expires_at", v.ExpiresAt).Error
	})
	if err != nil {
		return nil, fmt.Errorf("extend viewing: %w", err)
	}
	return &v, nil
}

// KeepViewing is asked while a live Viewing lasts, and prolongs it when half of
// its life is over. One that was closed is refused: what is looked at later
// needs another, with its own entry. GRANT_INVALID.
func (e *Evidence) KeepViewing(ctx context.Context, actor policy.Actor, id string, life time.Duration) error {
	var v Viewing
	found := lookOf(e.DB.Read(ctx), actor).Limit(1).Find(&v, "id = ? AND closed_at IS NULL", id)
	if found.Error != nil {
		return fmt.Errorf("read viewing: %w", found.Error)
	}
	if found.RowsAffected == 0 {
		return problem.New(problem.GrantInvalid)
	}
	if v.ShareID != "" {
		if _, _, err := e.Cases.Received(ctx, actor, v.ShareID); problem.Is(err, problem.ShareOver) || cases.ShownNothing(err) {
			return problem.Wrap(problem.GrantInvalid, err)
		} else if err != nil {
			return err
		}
	}
	if v.ExpiresAt.Sub(e.DB.Now()) > life/2 {
		return nil
	}
	_, err := e.ExtendViewing(ctx, actor, id, life)
	return err
}

// CloseViewing ends a Viewing and journals its summary. Closing a closed one
// changes nothing.
func (e *Evidence) CloseViewing(ctx context.Context, id string) error {
	return e.closeViewings(ctx, func(q *gorm.DB) *gorm.DB { return q.Where("id = ?", id) })
}

// CloseExpired closes the viewings whose time is over and journals a summary of
// each. Call it every minute.
func (e *Evidence) CloseExpired(ctx context.Context) error {
	now := e.DB.Now()
	return e.closeViewings(ctx, func(q *gorm.DB) *gorm.DB { return q.Where("expires_at <= ?", now) })
}

// LoginRevoked ends every grant of a login at once, those being served too.
func (e *Evidence) LoginRevoked(ctx context.Context, login string) error {
	e.mu.Lock()
	for g := range e.grants[login] {
		g.dead.Store(true)
	}
	e.mu.Unlock()
	return e.closeViewings(ctx, func(q *gorm.DB) *gorm.DB { return q.Where("login_id = ?", login) })
}

func (e *Evidence) closeViewings(ctx context.Context, which func(*gorm.DB) *gorm.DB) error {
	for {
		closed := 0
		err := e.DB.InTx(ctx, func(tx *database.Tx) error {
			var open []Viewing
			if err := which(tx.LockFree().Where("closed_at IS NULL")).Order("id").Limit(closeBatch).Find(&open).Error; err != nil {
				return err
			}
			closed = len(open)
			for _, v := range open {
				if err := tx.Model(&v).Update("closed_at", tx.Now).Error; err != nil {
					return err
				}
				e.unpin(v.ID)
				e.Journal.Append(tx, v.entry(v.viewer(), "", journal.ViewingClosed, map[string]any{"bytes": v.Bytes, "requests": v.Requests, "openedAt": v.OpenedAt}))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("close viewings: %w", err)
		}
		if closed < closeBatch {
			return nil
		}
	}
}

// served adds to what a Viewing was given.
func (e *Evidence) served(ctx context.Context, id string, bytes int64) error {
	return e.DB.Read(context.WithoutCancel(ctx)).Model(&Viewing{}).Where("id = ?", id).
		Updates(map[string]any{"bytes": gorm.Expr("bytes + ?", bytes), "requests": gorm.Expr("requests + 1")}).Error
}

func (e *Evidence) unpin(viewing string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pins, viewing)
}

// Watched tells whether somebody looks at a session's live video now.
func (e *Evidence) Watched(ctx context.Context, session string) (bool, error) {
	var n int64
	err := e.DB.Read(ctx).Model(&Viewing{}).Where("session_id = ? AND closed_at IS NULL AND expires_at > ? AND media_id = ''", session, e.DB.Now()).Count(&n).Error
	if err != nil {
		return false, fmt.Errorf("read viewings: %w", err)
	}
	return n > 0, nil
}
