package cases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Bounds of shares.
const (
	maxShare      = 24 * time.Hour
	maxShares     = 50 // in force, of one agency
	maxEndedShare = 20 // listed of one session
)

// SharePurpose is why another agency shall see a video report (第6の3(1)).
type SharePurpose string

// The purposes.
const (
	ShareForResponse SharePurpose = "INITIAL_RESPONSE"
	ShareByLaw       SharePurpose = "BY_LAW"
)

// ShareEnding is how a share ended.
type ShareEnding string

// The endings.
const (
	ShareRevoked     ShareEnding = "REVOKED"
	ShareExpired     ShareEnding = "EXPIRED"
	ShareMisdirected ShareEnding = "MISDIRECTED"
)

// Share lets another agency's supervisors, or one own officer on an issued phone,
// watch one video report for a while (提供). It gives nothing but that report: no
// number, no notes, no download.
type Share struct {
	ID         string
	AgencyID   string
	CaseID     string
	SessionID  string
	ToAgencyID string // the own one, where an officer is shown it
	// ToMemberID is the own officer who is shown it; empty: another agency's
	// supervisors are.
	ToMemberID string `gorm:"serializer:optional"`
	GivenBy    string
	Purpose    SharePurpose
	// Ground is erased with the case.
	Ground    string
	GivenAt   time.Time
	ExpiresAt time.Time
	EndedAt   *time.Time
	Ending    ShareEnding
	EndedBy   string
}

// Alive tells whether the share still shows anything.
func (s *Share) Alive(now time.Time) bool { return s.EndedAt == nil && now.Before(s.ExpiresAt) }

// entry is told to one of both agencies. Only the giver's names the session.
func (s *Share) entry(agency string, actor policy.Actor, t journal.Type, payload any) journal.Entry {
	e := journal.Entry{Agency: agency, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Share, ID: s.ID}, Payload: payload}
	if agency == s.AgencyID {
		e.CaseID, e.SessionID = s.CaseID, s.SessionID
	}
	return e
}

// NewShare describes a share to give.
type NewShare struct {
	SessionID string
	// AgencyID is who shall see it.
	AgencyID string
	Purpose  SharePurpose
	Ground   string
	// Life is how long.
	Life time.Duration
}

// OnShareOver adds what must happen, after the commit, when a share shows
// nothing more: whoever looks by it is cut.
func (c *Cases) OnShareOver(f func(shareID string)) { c.shareOver = append(c.shareOver, f) }

// Share gives a video report to another agency's supervisors; both journals say
// so. REASON_MISSING, BAD_INPUT, NOT_FOUND, FORBIDDEN, MISDIRECTED, CASE_CLOSED,
// ALREADY_EXISTS, CONFLICT where too many are in force.
func (c *Cases) Share(ctx context.Context, actor policy.Actor, in NewShare) (*Share, error) {
	in.Ground = strings.TrimSpace(in.Ground)
	if in.Ground == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(in.Ground, maxReason) || in.Purpose != ShareForResponse && in.Purpose != ShareByLaw || in.Life < time.Minute || in.Life > maxShare {
		return nil, problem.New(problem.BadInput)
	}
	share := &Share{
		ID: identity.NewID(), AgencyID: actor.Agency, SessionID: in.SessionID, ToAgencyID: in.AgencyID, GivenBy: actor.ID,
		Purpose: in.Purpose, Ground: in.Ground,
	}
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockOwn(tx, actor, in.SessionID)
		if err != nil {
			return err
		}
		switch {
		case actor.Role != policy.Supervisor:
			return problem.New(problem.Forbidden)
		case s.Misdirected:
			return problem.New(problem.Misdirected)
		case s.ErasedAt != nil:
			return problem.New(problem.CaseClosed)
		}
		var known, running, same int64
		if err := tx.Model(&identity.Agency{}).Where("id = ? AND id <> ? AND id <> ?", in.AgencyID, actor.Agency, identity.Operators).Count(&known).Error; err != nil {
			return err
		}
		if known == 0 {
			return problem.New(problem.NotFound)
		}
		if err := runningShares(tx.Model(&Share{}), tx.Now).Where("agency_id = ?", actor.Agency).Count(&running).Error; err != nil {
			return err
		}
		if err := runningShares(tx.Model(&Share{}), tx.Now).Where("session_id = ? AND to_agency_id = ?", s.ID, in.AgencyID).Count(&same).Error; err != nil {
			return err
		}
		if same > 0 {
			return problem.New(problem.AlreadyExists)
		}
		if running >= maxShares {
			return problem.New(problem.Conflict)
		}
		share.CaseID, share.GivenAt, share.ExpiresAt = s.CaseID, tx.Now, database.Instant(tx.Now.Add(in.Life))
		if err := tx.Create(share).Error; err != nil {
			return err
		}
		c.journal.Append(tx, share.entry(share.AgencyID, actor, journal.ShareGiven, map[string]any{
			"agency": share.ToAgencyID, "purpose": share.Purpose, "ground": share.Ground, "expiresAt": share.ExpiresAt,
		}))
		c.journal.Append(tx, share.entry(share.ToAgencyID, actor, journal.ShareReceived, map[string]any{
			"agency": share.AgencyID, "purpose": share.Purpose, "expiresAt": share.ExpiresAt,
		}))
		return c.save(tx, s)
	})
	if err != nil {
		return nil, fmt.Errorf("share: %w", err)
	}
	return share, nil
}

func runningShares(q *gorm.DB, now time.Time) *gorm.DB {
	return q.Where("ended_at IS NULL AND expires_at > ?", now)
}

// RevokeShare ends a share at once: whoever looks by it is cut. Revoking one
// that is over answers it as it is.
func (c *Cases) RevokeShare(ctx context.Context, actor policy.Actor, id string) (*Share, error) {
	var share Share
	if err := c.db.Read(ctx).Take(&share, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
		return nil, notFound(err)
	}
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		s, err := lockOwn(tx, actor, share.SessionID)
		if err != nil {
			return err
		}
		if err := tx.Lock().Take(&share, "id = ?", id).Error; err != nil {
			return notFound(err)
		}
		if share.EndedAt != nil {
			return nil
		}
		if err := c.endShare(tx, actor, &share, ShareRevoked); err != nil {
			return err
		}
		return c.save(tx, s)
	})
	if err != nil {
		return nil, fmt.Errorf("revoke share: %w", err)
	}
	return &share, nil
}

func (c *Cases) endShare(tx *database.Tx, actor policy.Actor, share *Share, how ShareEnding) error {
	share.EndedAt, share.Ending, share.EndedBy = &tx.Now, how, actor.ID
	if err := tx.Save(share).Error; err != nil {
		return fmt.Errorf("end share: %w", err)
	}
	for _, agency := range slices.Compact([]string{share.AgencyID, share.ToAgencyID}) {
		c.journal.Append(tx, share.entry(agency, actor, journal.ShareEnded, map[string]any{"ending": how}))
	}
	id := share.ID
	tx.AfterCommit(func() {
		for _, f := range c.shareOver {
			f(id)
		}
	})
	return nil
}

// endShares ends what was given of a session that came in by mistake
// (第4の3(3)).
func (c *Cases) endShares(tx *database.Tx, actor policy.Actor, session string) error {
	var running []*Share
	if err := tx.Lock().Order("id").Find(&running, "session_id = ? AND ended_at IS NULL", session).Error; err != nil {
		return fmt.Errorf("find shares: %w", err)
	}
	for _, share := range running {
		if err := c.endShare(tx, actor, share, ShareMisdirected); err != nil {
			return err
		}
	}
	return nil
}

// ExpireShares ends the shares whose time is over.
func (c *Cases) ExpireShares(ctx context.Context) error {
	var due []string
	err := c.db.Read(ctx).Model(&Share{}).Where("ended_at IS NULL AND expires_at <= ?", c.db.Now()).
		Order("expires_at").Limit(expireBatch).Pluck("id", &due).Error
	if err != nil {
		return fmt.Errorf("find expired shares: %w", err)
	}
	for _, id := range due {
		err := c.db.InTx(ctx, func(tx *database.Tx) error {
			var share Share
			if err := tx.Lock().Take(&share, "id = ?", id).Error; err != nil || share.EndedAt != nil {
				return err
			}
			return c.endShare(tx, policy.SystemActor(), &share, ShareExpired)
		})
		if err != nil {
			return fmt.Errorf("expire share: %w", err)
		}
	}
	return nil
}

// Received reads a share in force that was given to the actor's agency, or to the
// officer whose phone acts, and the session that it shows. NOT_FOUND for
// everybody else's, SHARE_OVER once it has ended; PHONE_NOT_ISSUED.
func (c *Cases) Received(ctx context.Context, actor policy.Actor, id string) (*Share, *Session, error) {
	q, err := c.givenTo(ctx, actor)
	if err != nil {
		return nil, nil, err
	}
	var share Share
	if err := q.Take(&share, "id = ?", id).Error; err != nil {
		return nil, nil, notFound(err)
	}
	if !share.Alive(c.db.Now()) {
		return nil, nil, problem.New(problem.ShareOver)
	}
	s, err := c.Session(ctx, share.AgencyID, share.SessionID)
	if err != nil {
		return nil, nil, err
	}
	if s.Misdirected || s.ErasedAt != nil {
		return nil, nil, problem.New(problem.ShareOver)
	}
	return &share, s, nil
}

// givenTo are the shares that the actor may be shown.
func (c *Cases) givenTo(ctx context.Context, actor policy.Actor) (*gorm.DB, error) {
	if actor.Kind != policy.StaffPhone {
		return c.db.Read(ctx).Where("to_agency_id = ? AND to_member_id IS NULL", actor.Agency), nil
	}
	member, err := c.ShownTo(ctx, actor)
	if err != nil {
		return nil, err
	}
	return c.db.Read(ctx).Where("agency_id = ? AND to_member_id = ?", actor.Agency, member), nil
}

// SharesReceived reads the shares in force that the actor may be shown, newest
// first: another agency's, or what own dispatchers show an officer's issued
// phone. Any other phone is shown none.
func (c *Cases) SharesReceived(ctx context.Context, actor policy.Actor) ([]*Share, error) {
	q, err := c.givenTo(ctx, actor)
	if ShownNothing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.running(q)
}

// SharesGiven reads the shares in force that an agency gave, newest first.
func (c *Cases) SharesGiven(ctx context.Context, agency string) ([]*Share, error) {
	return c.running(c.db.Read(ctx).Where("agency_id = ?", agency))
}

func (c *Cases) running(q *gorm.DB) ([]*Share, error) {
	var found []*Share
	err := runningShares(q, c.db.Now()).Order("given_at DESC, id DESC").Limit(maxShares).Find(&found).Error
	if err != nil {
		return nil, fmt.Errorf("read shares: %w", err)
	}
	return found, nil
}

// SharesOf reads what was given of sessions, newest first, ended ones included.
func (c *Cases) SharesOf(ctx context.Context, agency string, sessionIDs []string) (map[string][]*Share, error) {
	found, err := ofSessions(c.db.Read(ctx), agency, sessionIDs, "given_at DESC, id DESC", func(s *Share) string { return s.SessionID })
	for id, shares := range found {
		found[id] = shares[:min(len(shares), maxEndedShare)]
	}
	return found, err
}
