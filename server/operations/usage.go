package operations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Timing says whether the use was reported before it, or after.
type Timing string

// The timings (第4の4(1)イ).
const (
	Before Timing = "BEFORE"
	After  Timing = "AFTER"
)

const (
	// chaseAfter is how long after the end a report is waited for in silence.
	chaseAfter = 30 * time.Minute
	// beforeLife is how long a report made before waits for its use: a shift.
	beforeLife = 12 * time.Hour
)

// UsageReport is an officer's report on the use (利用報告, 第4の4(1)イ).
type UsageReport struct {
	ID             string
	AgencyID       string
	MemberID       string
	SessionID      string `gorm:"serializer:optional"` // empty: nothing came of it yet
	Timing         Timing
	Purpose        string
	LateReason     string
	OnBehalfBy     string `gorm:"serializer:optional"` // empty: by the officer's own phone
	FiledAt        time.Time
	AcknowledgedAt *time.Time
	AcknowledgedBy string `gorm:"serializer:optional"`
	ErasedAt       *time.Time
}

// NewUsage describes a report. Of a video report that has begun it is a late
// one, and says why it was not made before.
type NewUsage struct {
	MemberID   string
	SessionID  string
	Purpose    string
	LateReason string
}

// ReportUsage files an officer's own report from their phone. REASON_MISSING,
// NOT_FOUND, ALREADY_EXISTS, STAFF_LINK_SUSPENDED and the like for a phone
// that may start nothing where it reports before.
func (o *Operations) ReportUsage(ctx context.Context, actor policy.Actor, in NewUsage) (*UsageReport, error) {
	l, err := o.cases.StaffLink(ctx, actor.Agency, actor.Login)
	if err != nil {
		return nil, err
	}
	in.MemberID = l.MemberID
	return o.fileUsage(ctx, actor, in, "")
}

// FileUsage files a report for an officer who told it by phone or radio.
// REASON_MISSING, NOT_FOUND, ALREADY_EXISTS.
func (o *Operations) FileUsage(ctx context.Context, actor policy.Actor, in NewUsage) (*UsageReport, error) {
	return o.fileUsage(ctx, actor, in, actor.ID)
}

func (o *Operations) fileUsage(ctx context.Context, actor policy.Actor, in NewUsage, onBehalf string) (*UsageReport, error) {
	purpose, err := said(in.Purpose)
	if err != nil {
		return nil, err
	}
	r := &UsageReport{ID: identity.NewID(), AgencyID: actor.Agency, MemberID: in.MemberID, SessionID: in.SessionID, Timing: Before, Purpose: purpose, OnBehalfBy: onBehalf}
	e := journal.Entry{Agency: actor.Agency, Actor: actor, Type: journal.UsageReported, Subject: journal.Subject{Kind: policy.UsageReport, ID: r.ID}}
	if r.SessionID != "" {
		r.Timing = After
		if r.LateReason, err = said(in.LateReason); err != nil {
			return nil, err
		}
	}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		m, err := o.people.StaffMember(tx.Context(), actor.Agency, in.MemberID)
		if err != nil {
			return err
		}
		if m.RemovedAt != nil && r.SessionID == "" {
			return problem.New(problem.NotFound)
		}
		if r.SessionID != "" {
			s, err := o.cases.Session(tx.Context(), actor.Agency, r.SessionID)
			if err != nil {
				return err
			}
			if s.StaffMemberID != m.ID {
				return problem.New(problem.NotFound)
			}
			if s.ErasedAt != nil {
				return problem.New(problem.Gone)
			}
			e.CaseID, e.SessionID = s.CaseID, s.ID
		}
		r.FiledAt = tx.Now
		if err := tx.Create(r).Error; err != nil {
			return err
		}
		e.Payload = map[string]any{"member": m.ID, "timing": r.Timing, "onBehalf": onBehalf != ""}
		o.journal.Append(tx, e)
		return nil
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return nil, problem.Wrap(problem.AlreadyExists, err)
	}
	if err != nil {
		return nil, fmt.Errorf("file usage report: %w", err)
	}
	return r, nil
}

// joinUsage gives a video report that begins the newest report that its officer
// made before.
func (o *Operations) joinUsage(tx *database.Tx, s *cases.Session) error {
	var found []UsageReport
	err := tx.Lock().Order("filed_at DESC, id DESC").Limit(1).
		Find(&found, "member_id = ? AND session_id IS NULL AND filed_at > ? AND erased_at IS NULL", s.StaffMemberID, tx.Now.Add(-beforeLife)).Error
	if err != nil || len(found) == 0 {
		return err
	}
	return tx.Model(&UsageReport{}).Where("id = ?", found[0].ID).Update("session_id", s.ID).Error
}

// Acknowledge notes that a supervisor has read a report. Repeating it changes
// nothing. NOT_FOUND.
func (o *Operations) Acknowledge(ctx context.Context, actor policy.Actor, id string) (*UsageReport, error) {
	var r UsageReport
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&r, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if r.AcknowledgedAt != nil {
			return nil
		}
		r.AcknowledgedAt, r.AcknowledgedBy = &tx.Now, actor.ID
		if err := tx.Save(&r).Error; err != nil {
			return err
		}
		o.journal.Append(tx, journal.Entry{
			Agency: r.AgencyID, Actor: actor, Type: journal.UsageAcknowledged, Subject: journal.Subject{Kind: policy.UsageReport, ID: r.ID}, SessionID: r.SessionID,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("acknowledge usage report: %w", err)
	}
	return &r, nil
}

// Waiting tells whether a report that an officer made before waits for its use.
func (o *Operations) Waiting(ctx context.Context, agency, member string) (bool, error) {
	var n int64
	err := o.db.Read(ctx).Model(&UsageReport{}).
		Where("agency_id = ? AND member_id = ? AND session_id IS NULL AND filed_at > ? AND erased_at IS NULL", agency, member, o.db.Now().Add(-beforeLife)).Count(&n).Error
	if err != nil {
		return false, fmt.Errorf("read usage reports: %w", err)
	}
	return n > 0, nil
}

// UsageFilter narrows a list of usage reports. Empty fields do not narrow.
type UsageFilter struct {
	MemberID     *string
	SessionID    *string
	Acknowledged *bool
}

// ListUsage reads an agency's usage reports, newest first, after a place, at
// most limit.
func (o *Operations) ListUsage(ctx context.Context, agency string, f UsageFilter, after *Place, limit int) ([]*UsageReport, error) {
	q := o.db.Read(ctx).Where("agency_id = ?", agency)
	if f.MemberID != nil {
		q = q.Where("member_id = ?", *f.MemberID)
	}
	if f.SessionID != nil {
		q = q.Where("session_id = ?", *f.SessionID)
	}
	if f.Acknowledged != nil && *f.Acknowledged {
		q = q.Where("acknowledged_at IS NOT NULL")
	} else if f.Acknowledged != nil {
		q = q.Where("acknowledged_at IS NULL")
	}
	var found []*UsageReport
	if err := page(q, after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list usage reports: %w", err)
	}
	return found, nil
}

// UsageOf reads the usage reports of video reports.
func (o *Operations) UsageOf(ctx context.Context, agency string, sessionIDs []string) (map[string]*UsageReport, error) {
	var found []*UsageReport
	if err := o.db.Read(ctx).Where("agency_id = ? AND session_id IN ?", agency, sessionIDs).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read usage reports: %w", err)
	}
	bySession := make(map[string]*UsageReport, len(found))
	for _, r := range found {
		bySession[r.SessionID] = r
	}
	return bySession, nil
}

// owed are the officers' video reports of the last days on which nobody has
// reported.
func owed(q *gorm.DB, now time.Time) *gorm.DB {
	return q.Model(&cases.Session{}).Where("kind = ? AND erased_at IS NULL AND requested_at > ?", cases.StaffSession, now.AddDate(0, 0, -retentionDays)).
		Where("NOT EXISTS (SELECT 1 FROM usage_reports WHERE usage_reports.session_id = sessions.id)")
}

// Owed lists an agency's video reports of officers whose use is still to be
// reported, newest first; of one officer where member is not empty.
func (o *Operations) Owed(ctx context.Context, agency, member string) ([]*cases.Session, error) {
	q := owed(o.db.Read(ctx), o.db.Now()).Where("agency_id = ?", agency)
	if member != "" {
		q = q.Where("staff_member_id = ?", member)
	}
	var found []*cases.Session
	if err := q.Order("requested_at DESC, id DESC").Limit(batch).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list owed usage reports: %w", err)
	}
	return found, nil
}

// Chase reminds, once, of each use that ended thirty minutes ago and was not
// reported. It answers how many.
func (o *Operations) Chase(ctx context.Context) (int, error) {
	var due []*cases.Session
	now := o.db.Now()
	err := owed(o.db.Read(ctx), now).Where("usage_chased_at IS NULL AND COALESCE(ended_at, revoked_at, expired_at, failed_at) <= ?", now.Add(-chaseAfter)).
		Order("requested_at").Limit(batch).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find unreported uses: %w", err)
	}
	chased := 0
	for _, s := range due {
		err := o.db.InTx(ctx, func(tx *database.Tx) error {
			marked := tx.Model(&cases.Session{}).Where("id = ? AND usage_chased_at IS NULL", s.ID).Update("usage_chased_at", tx.Now)
			if marked.Error != nil || marked.RowsAffected == 0 {
				return marked.Error
			}
			chased++
			o.journal.Append(tx, journal.Entry{
				Agency: s.AgencyID, Actor: policy.SystemActor(), Type: journal.UsageChased, Subject: journal.Subject{Kind: policy.Session, ID: s.ID},
				CaseID: s.CaseID, SessionID: s.ID, Payload: map[string]any{"member": s.StaffMemberID},
			})
			return nil
		})
		if err != nil {
			return chased, fmt.Errorf("chase usage report: %w", err)
		}
	}
	return chased, nil
}

// eraseUsage destroys what the reports on erased video reports said.
func (o *Operations) eraseUsage(tx *database.Tx, sessionIDs []string) error {
	err := tx.Model(&UsageReport{}).Where("session_id IN ?", sessionIDs).Updates(map[string]any{"purpose": "", "late_reason": "", "erased_at": tx.Now}).Error
	if err != nil {
		return fmt.Errorf("erase usage reports: %w", err)
	}
	return nil
}
