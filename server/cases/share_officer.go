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

// Bounds of shares with own officers.
const (
	maxOfficers      = 20  // in one go
	maxOfficerShares = 200 // in force, of one agency
	maxSharable      = 50  // officers listed to choose from
	maxSharableRead  = 5000
)

// OfficerShares describes what own officers shall see.
type OfficerShares struct {
	SessionID string
	// MemberIDs are the officers who shall see it.
	MemberIDs []string
	// Life is how long.
	Life time.Duration
}

// ShareWithOfficers lets officers of the own agency watch a video report on
// their issued phones for a while (第4の4(2)オ: a private phone is shown nothing).
// All or none. PHONE_NOT_ISSUED, BAD_INPUT, NOT_FOUND, FORBIDDEN, MISDIRECTED,
// CASE_CLOSED, ALREADY_EXISTS, CONFLICT where too many are in force.
func (c *Cases) ShareWithOfficers(ctx context.Context, actor policy.Actor, in OfficerShares) ([]*Share, error) {
	members := slices.Compact(slices.Sorted(slices.Values(in.MemberIDs)))
	if len(members) == 0 || len(members) > maxOfficers || in.Life < time.Minute || in.Life > maxShare {
		return nil, problem.New(problem.BadInput)
	}
	var given []*Share
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		given = nil
		s, err := lockOwn(tx, actor, in.SessionID)
		if err != nil {
			return err
		}
		switch {
		case s.Misdirected:
			return problem.New(problem.Misdirected)
		case s.ErasedAt != nil:
			return problem.New(problem.CaseClosed)
		}
		var running int64
		if err := ofOfficers(runningShares(tx.Model(&Share{}), tx.Now)).Where("agency_id = ?", actor.Agency).Count(&running).Error; err != nil {
			return err
		}
		if int(running)+len(members) > maxOfficerShares {
			return problem.New(problem.Conflict)
		}
		for _, member := range members {
			share, err := c.shareWithOfficer(tx, actor, s, member, in.Life)
			if err != nil {
				return err
			}
			given = append(given, share)
		}
		return c.save(tx, s)
	})
	if err != nil {
		return nil, fmt.Errorf("share with officers: %w", err)
	}
	return given, nil
}

func (c *Cases) shareWithOfficer(tx *database.Tx, actor policy.Actor, s *Session, member string, life time.Duration) (*Share, error) {
	if err := c.registered(tx, actor.Agency, member); err != nil {
		return nil, err
	}
	var phones, same int64
	err := tx.Model(&StaffLink{}).Where("member_id = ? AND state = ? AND device = ?", member, StaffActive, IssuedDevice).Count(&phones).Error
	if err != nil {
		return nil, err
	}
	if phones == 0 {
		return nil, problem.New(problem.PhoneNotIssued)
	}
	if err := runningShares(tx.Model(&Share{}), tx.Now).Where("session_id = ? AND to_member_id = ?", s.ID, member).Count(&same).Error; err != nil {
		return nil, err
	}
	if same > 0 {
		return nil, problem.New(problem.AlreadyExists)
	}
	share := &Share{
		ID: identity.NewID(), AgencyID: s.AgencyID, CaseID: s.CaseID, SessionID: s.ID, ToAgencyID: s.AgencyID, ToMemberID: member,
		GivenBy: actor.ID, Purpose: ShareForResponse, GivenAt: tx.Now, ExpiresAt: database.Instant(tx.Now.Add(life)),
	}
	if err := tx.Create(share).Error; err != nil {
		return nil, err
	}
	c.journal.Append(tx, share.entry(share.AgencyID, actor, journal.ShareGiven, map[string]any{
		"member": member, "purpose": share.Purpose, "expiresAt": share.ExpiresAt,
	}))
	return share, nil
}

// ForOfficer tells a share with an own officer from one with another agency.
func (s *Share) ForOfficer() bool { return s.ToMemberID != "" }

func ofOfficers(q *gorm.DB) *gorm.DB { return q.Where("to_member_id IS NOT NULL") }

// ShownTo is the officer whose phone may be shown shares now.
// PHONE_NOT_ISSUED for a private phone, STAFF_LINK_SUSPENDED and the like.
func (c *Cases) ShownTo(ctx context.Context, actor policy.Actor) (member string, err error) {
	l, err := c.StaffLink(ctx, actor.Agency, actor.Login)
	if err != nil {
		return "", err
	}
	if err := l.usable(); err != nil {
		return "", err
	}
	if l.Device != IssuedDevice {
		return "", problem.New(problem.PhoneNotIssued)
	}
	return l.MemberID, nil
}

// ShownNothing tells whether an error says that an officer's phone may be shown
// nothing, rather than that it cannot be known.
func ShownNothing(err error) bool {
	return slices.ContainsFunc([]problem.Reason{
		problem.PhoneNotIssued, problem.StaffLinkPending, problem.StaffLinkSuspended, problem.StaffLinkRevoked, problem.NotFound,
	}, func(r problem.Reason) bool { return problem.Is(err, r) })
}

// Watching reads who looks under a staff link: its phone, while it may be shown
// anything at all. UNAUTHENTICATED where it may not.
func (c *Cases) Watching(ctx context.Context, linkID string) (policy.Actor, error) {
	var found []StaffLink
	err := c.db.Read(ctx).Limit(1).Find(&found, "id = ? AND state = ? AND device = ?", linkID, StaffActive, IssuedDevice).Error
	if err != nil {
		return policy.Actor{}, fmt.Errorf("read staff link: %w", err)
	}
	if len(found) == 0 {
		return policy.Actor{}, problem.New(problem.Unauthenticated)
	}
	return found[0].Actor(), nil
}

// SharableOfficers lists the officers who have an issued phone in use, by unit
// and name, at most 50: those whose unit, name or number contains the text.
// BAD_INPUT.
func (c *Cases) SharableOfficers(ctx context.Context, agency, containing string) ([]*identity.StaffMember, error) {
	containing = strings.TrimSpace(containing)
	if tooLong(containing, maxPermission) {
		return nil, problem.New(problem.BadInput)
	}
	var all []*identity.StaffMember
	err := c.db.Read(ctx).Where("agency_id = ? AND removed_at IS NULL", agency).
		Where("id IN (?)", c.db.Read(ctx).Model(&StaffLink{}).Select("member_id").Where("agency_id = ? AND state = ? AND device = ?", agency, StaffActive, IssuedDevice)).
		Order("unit, name, id").Limit(maxSharableRead).Find(&all).Error
	if err != nil {
		return nil, fmt.Errorf("list officers: %w", err)
	}
	found := slices.DeleteFunc(all, func(m *identity.StaffMember) bool {
		return !strings.Contains(m.Unit, containing) && !strings.Contains(m.Name, containing) && !strings.Contains(m.Number, containing)
	})
	return found[:min(len(found), maxSharable)], nil
}
