package evidence

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/problem"
)

// bearer mints the bearer for a file's bytes.
func (e *Evidence) bearer(actor policy.Actor, m *MediaFile) *Upload {
	token, until := e.Bearers.Mint(identity.Bearer{Use: identity.UseUpload, Session: m.SessionID, Object: m.ID, Actor: actor}, identity.BearerLife)
	return &Upload{File: m, Token: token, ExpiresAt: until}
}

// openBearer answers the file that a bearer is for. A user's dies with the
// login it was given to.
func (e *Evidence) openBearer(ctx context.Context, token string) (id string, err error) {
	b, err := e.Bearers.Open(token, identity.UseUpload)
	if err != nil {
		return "", err
	}
	if b.Actor.Kind == policy.User {
		_, err := e.Identity.StillSignedIn(ctx, b.Actor.Login)
		if problem.Is(err, problem.Unauthenticated) {
			return "", problem.Wrap(problem.BearerInvalid, err)
		}
		if err != nil {
			return "", err
		}
	}
	return b.Object, nil
}

// welcome asks, before anything is made, whether the actor may add to the
// session: a phone to its own while it is open, a user to one of the agency's.
func (e *Evidence) welcome(ctx context.Context, actor policy.Actor, m *MediaFile) error {
	if m.Kind == KindSnapshot {
		s, err := e.Cases.Session(ctx, actor.Agency, m.SessionID)
		if err != nil {
			return err
		}
		return s.MayOpen(actor)
	}
	if actor.Session != m.SessionID {
		return problem.New(problem.NotFound)
	}
	_, err := e.Cases.Welcome(ctx, actor)
	return err
}

// admittedStill asks again, whenever an upload is opened anew, whether the phone
// may send: an upload that is open is stopped by OnPhoneCut and OnSessionEnded.
func (e *Evidence) admittedStill(ctx context.Context, r *receiving) error {
	r.mu.Lock()
	ask := r.file == nil && !r.done && r.media.PhoneID != ""
	r.mu.Unlock()
	if !ask {
		return nil
	}
	_, err := e.Cases.Welcome(ctx, r.media.uploader())
	return err
}

// place locks the session that a new file comes into and takes over where it
// belongs. Nothing new begins in a session that is over, but a still of what it
// left may be taken.
func (e *Evidence) place(tx *database.Tx, actor policy.Actor, m *MediaFile) error {
	var s cases.Session
	err := tx.Lock().Take(&s, "id = ? AND agency_id = ?", m.SessionID, actor.Agency).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return problem.New(problem.NotFound)
	}
	if err != nil {
		return fmt.Errorf("lock session: %w", err)
	}
	if s.State.Over() && m.Kind != KindSnapshot {
		return problem.New(problem.SessionEnded)
	}
	m.AgencyID, m.CaseID = s.AgencyID, s.CaseID
	return nil
}

// accept asks cases to take the file: the first one binds the phone.
func (e *Evidence) accept(tx *database.Tx, m *MediaFile) error {
	_, err := e.Cases.Accept(tx, m.uploader())
	return err
}

// count adds the file to what its session received.
func (e *Evidence) count(tx *database.Tx, m *MediaFile) error {
	return e.Cases.Count(tx, m.SessionID, string(m.Kind), string(m.Capture), m.State == Complete)
}

// visible refuses what hides a file though it is there: what came in by mistake
// is a supervisor's to open (第4の3(3)).
func (e *Evidence) visible(ctx context.Context, actor policy.Actor, m *MediaFile) error {
	if e.May != nil && !e.May(actor) {
		return problem.New(problem.Forbidden) // what somebody may can end while they look
	}
	s, err := e.Cases.Session(ctx, m.AgencyID, m.SessionID)
	if err != nil {
		return err
	}
	return s.MayOpen(actor)
}

// bound tells whether the phone that sent a file was let in.
func (e *Evidence) bound(ctx context.Context, m *MediaFile) (bool, error) {
	if m.PhoneID == "" {
		return true, nil
	}
	p, err := e.Cases.Phone(ctx, m.AgencyID, m.PhoneID)
	if err != nil {
		return false, err
	}
	return p.State == cases.Bound, nil
}

// Serving are the sign-ins that something is being served to.
func (e *Evidence) Serving() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.grants))
}

// stillShown asks again of whoever was let look.
func (e *Evidence) stillShown(ctx context.Context, actor policy.Actor, m *MediaFile) error {
	if e.May != nil && !e.May(actor) {
		return problem.New(problem.Forbidden) // what somebody may can end while they look
	}
	s, err := e.Cases.Session(ctx, m.AgencyID, m.SessionID)
	if err != nil {
		return err
	}
	return s.StillShown(actor)
}
