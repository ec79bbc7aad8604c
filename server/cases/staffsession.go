package cases

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	// staffSilence is how long an officer's video report waits for its first
	// picture or position.
	staffSilence = 10 * time.Minute
	// assignmentLife is how long a dispatcher's assignment waits for the officer.
	assignmentLife = time.Hour
)

// StaffStart is what an officer's phone sends to begin (第4の4(1)ウ).
type StaffStart struct {
	Nonce     string
	Signature string
	Code      string
	// WithinResponse declares that it is needed for the initial response
	// (第4の4(2)ア), NoOtherPath that there is no other way to send video (ク).
	WithinResponse bool
	NoOtherPath    bool
	Asked          Mode
	Language       string
}

// StartStaff begins an officer's video report: the registered phone's own key,
// the access code and the two declarations, each of them and at once. It comes
// into the case that a dispatcher assigned, or into a new one. A phone that has
// one open goes on with it. The new token goes into the phone's cookie.
// STAFF_LINK_PENDING, STAFF_LINK_SUSPENDED, STAFF_LINK_REVOKED, RULES_OUTDATED,
// DECLARATION_MISSING, NONCE_INVALID, SIGNATURE_INVALID, CODE_WRONG,
// RATE_LIMITED.
func (c *Cases) StartStaff(ctx context.Context, actor policy.Actor, in StaffStart) (s *Session, p *Phone, token string, err error) {
	if in.Language != "en" {
		in.Language = "ja"
	}
	if in.Asked == "" {
		in.Asked = LiveMode
	}
	var refused error
	err = c.db.InTx(ctx, func(tx *database.Tx) error {
		l, err := c.lockStaff(tx, actor.Agency, actor.Login)
		if err != nil {
			return err
		}
		switch {
		case l.usable() != nil:
			return l.usable()
		case l.rulesOutdated(tx.Now):
			return problem.New(problem.RulesOutdated)
		case !in.WithinResponse || !in.NoOtherPath:
			return problem.New(problem.DeclarationMissing)
		}
		if refused, err = c.proves(tx, l, in.Nonce, in.Signature); err != nil || refused != nil {
			return err // the nonce is spent
		}
		if refused, err = c.checkStaffCode(tx, actor, l, in.Code); err != nil || refused != nil {
			return errors.Join(err, c.saveStaff(tx, l)) // the try is counted
		}
		token = c.freshToken(tx, l)
		if err := c.saveStaff(tx, l); err != nil {
			return err
		}
		s, p, err = c.beginStaff(tx, l, in)
		return err
	})
	if err != nil {
		return nil, nil, "", fmt.Errorf("start staff session: %w", err)
	}
	if refused != nil {
		return nil, nil, "", refused
	}
	return s, p, token, nil
}

// checkStaffCode compares the code; a wrong one is counted and shown to the
// centre at once (第4の4(1)ウ).
func (c *Cases) checkStaffCode(tx *database.Tx, actor policy.Actor, l *StaffLink, given string) (refused, err error) {
	if !l.mayTry(tx.Now) {
		return problem.New(problem.RateLimited), nil
	}
	right, err := c.StaffCode(tx.Context(), l.AgencyID)
	if err != nil {
		return nil, err
	}
	if right == nil {
		return problem.New(problem.Unavailable), nil
	}
	if subtle.ConstantTimeCompare([]byte(right.Code), []byte(given)) == 1 {
		l.CodeTries, l.CodeTriedAt = 0, nil
		return nil, nil
	}
	l.CodeTries++
	l.CodeTriedAt = &tx.Now
	c.journal.Append(tx, l.entry(actor, journal.StaffCodeRefused, map[string]any{"member": l.MemberID, "tries": l.CodeTries}))
	return problem.New(problem.CodeWrong), nil
}

// beginStaff finds the phone's open video report or makes one.
func (c *Cases) beginStaff(tx *database.Tx, l *StaffLink, in StaffStart) (*Session, *Phone, error) {
	var open []Session
	err := tx.Order("requested_at DESC").Limit(1).Find(&open, "staff_link_id = ? AND state NOT IN ?", l.ID, overStates).Error
	if err != nil {
		return nil, nil, err
	}
	if len(open) > 0 {
		var p Phone
		if err := tx.Order("joined_at DESC").Take(&p, "session_id = ?", open[0].ID).Error; err != nil {
			return nil, nil, err
		}
		c.journal.Append(tx, open[0].entry(p.Actor(), journal.PhoneResumed, map[string]any{"phone": p.ID}))
		return &open[0], &p, nil
	}
	s := &Session{
		ID: identity.NewID(), AgencyID: l.AgencyID, Kind: StaffSession, Asked: in.Asked, State: Requested, Language: in.Language,
		RequestedAt: tx.Now, ChangedAt: tx.Now, StaffLinkID: l.ID, StaffMemberID: l.MemberID, DeclaredAt: &tx.Now,
	}
	p := &Phone{
		ID: identity.NewID(), AgencyID: l.AgencyID, SessionID: s.ID, StaffLinkID: l.ID, State: Bound, PublicKey: l.PublicKey,
		System: l.System, Browser: l.Browser, Language: in.Language, JoinedAt: tx.Now, BoundAt: &tx.Now,
	}
	k, assigned, err := c.caseForStaff(tx, l, p.Actor())
	if err != nil {
		return nil, nil, err
	}
	s.CaseID, s.DispatcherID = k.ID, assigned
	k.OpenSessions, k.ClosedAt, k.ChangedAt = k.OpenSessions+1, nil, tx.Now
	if err := tx.Save(k).Error; err != nil {
		return nil, nil, err
	}
	s.reach(CodeOK, tx.Now)
	if err := tx.Create(s).Error; err != nil {
		return nil, nil, err
	}
	if err := tx.Create(p).Error; err != nil {
		return nil, nil, err
	}
	c.journal.Append(tx, s.entry(p.Actor(), journal.StaffSessionStarted, map[string]any{
		"link": l.ID, "member": l.MemberID, "device": l.Device, "phone": p.ID, "withinResponse": in.WithinResponse, "noOtherPath": in.NoOtherPath,
	}))
	for _, f := range c.staffStarted {
		if err := f(tx, s); err != nil {
			return nil, nil, err
		}
	}
	return s, p, nil
}

// StaffAssignment is the case that an officer's next video report goes into.
type StaffAssignment struct {
	MemberID     string `gorm:"primaryKey"`
	AgencyID     string
	CaseID       string
	DispatcherID string
	ExpiresAt    time.Time
}

// caseForStaff is the assigned case with who assigned it, else a new one.
func (c *Cases) caseForStaff(tx *database.Tx, l *StaffLink, actor policy.Actor) (*Case, string, error) {
	var found []StaffAssignment
	if err := tx.Lock().Limit(1).Find(&found, "member_id = ?", l.MemberID).Error; err != nil {
		return nil, "", err
	}
	if len(found) > 0 {
		if err := tx.Delete(&found[0]).Error; err != nil {
			return nil, "", err
		}
		var k Case
		err := tx.Lock().Take(&k, "id = ? AND agency_id = ? AND erased_at IS NULL", found[0].CaseID, l.AgencyID).Error
		if err == nil && tx.Now.Before(found[0].ExpiresAt) {
			return &k, found[0].DispatcherID, nil
		}
		if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return nil, "", err
		}
	}
	k := &Case{ID: identity.NewID(), AgencyID: l.AgencyID, Class: OtherClass, OpenedAt: tx.Now, ChangedAt: tx.Now}
	var err error
	if k.Number, err = nextNumber(tx, l.AgencyID); err != nil {
		return nil, "", err
	}
	if err := tx.Create(k).Error; err != nil {
		return nil, "", err
	}
	c.journal.Append(tx, k.entry(actor, journal.CaseOpened, map[string]any{"number": k.Number, "class": k.Class}))
	return k, "", nil
}

// AssignStaff says into which case an officer's next video report goes, for an
// hour; the dispatcher who says so has it then. NOT_FOUND, CASE_CLOSED.
func (c *Cases) AssignStaff(ctx context.Context, actor policy.Actor, caseID, memberID string) (*Case, error) {
	return c.changeCase(ctx, actor, caseID, func(tx *database.Tx, k *Case) (journal.Type, any, error) {
		if k.ErasedAt != nil {
			return "", nil, problem.New(problem.CaseClosed)
		}
		if err := c.registered(tx, actor.Agency, memberID); err != nil {
			return "", nil, err
		}
		a := &StaffAssignment{MemberID: memberID, AgencyID: actor.Agency, CaseID: k.ID, DispatcherID: actor.ID, ExpiresAt: tx.Now.Add(assignmentLife)}
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(a).Error; err != nil {
			return "", nil, err
		}
		return journal.StaffAssigned, map[string]any{"member": memberID}, nil
	})
}

// TakeStaff is a dispatcher's 受理 of an officer's video report (第3の3(2)).
// ALREADY_TAKEN where a colleague was first; NOT_FOUND, SESSION_ENDED.
func (c *Cases) TakeStaff(ctx context.Context, actor policy.Actor, id string) (*Session, error) {
	var s *Session
	err := c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if s, err = lockSession(tx, id); err != nil {
			return err
		}
		switch {
		case s.AgencyID != actor.Agency || s.Kind != StaffSession:
			return problem.New(problem.NotFound)
		case s.DispatcherID == actor.ID:
			return nil
		case s.DispatcherID != "":
			return problem.New(problem.AlreadyTaken)
		case s.State.Over():
			return problem.New(problem.SessionEnded)
		}
		s.DispatcherID = actor.ID
		c.journal.Append(tx, s.entry(actor, journal.StaffSessionTaken, nil))
		var k Case
		if err := tx.Take(&k, "id = ?", s.CaseID).Error; err != nil {
			return err
		}
		if err := c.turned(tx, actor, &k); err != nil {
			return err
		}
		return c.save(tx, s)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// EndOwn ends an officer's own video report. Ending one that is over changes
// nothing.
func (c *Cases) EndOwn(ctx context.Context, actor policy.Actor) error {
	return c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockSession(tx, actor.Session)
		if err != nil {
			return err
		}
		if s.Kind != StaffSession {
			return problem.New(problem.Forbidden)
		}
		if s.State.Over() {
			return nil
		}
		s.EndReason, s.EndedBy = Done, actor.ID
		return c.finish(tx, s, Ended, LinkEnded, s.entry(actor, journal.SessionEnded, map[string]any{"reason": Done}))
	})
}
