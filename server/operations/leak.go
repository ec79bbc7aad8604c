package operations

import (
	"context"
	"fmt"
	"time"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// escalateAfter is how long a leak report waits for a supervisor before it goes
// to the manager by itself (第4の4(2)ウ).
const escalateAfter = 5 * time.Minute

// LeakReport says that a staff link, or the phone that it stands on, may be in
// other hands (流出報告, 第4の4(2)ウ): from the officer to the supervisor, who
// suspends and forwards, to the manager, who revokes.
type LeakReport struct {
	ID          string
	AgencyID    string
	MemberID    string
	LinkID      string `gorm:"serializer:optional"` // empty: all of the officer's links
	What        string
	OnBehalfBy  string `gorm:"serializer:optional"` // empty: by the officer's own phone
	FiledAt     time.Time
	ForwardedAt *time.Time
	ForwardedBy string `gorm:"serializer:optional"` // empty: by itself
	ClosedAt    *time.Time
	ClosedBy    string `gorm:"serializer:optional"`
	Outcome     string
	ErasedAt    *time.Time
}

// NewLeak describes a leak report.
type NewLeak struct {
	MemberID string
	LinkID   string
	What     string
}

// ReportLeak files an officer's own report from a phone of theirs.
// REASON_MISSING, NOT_FOUND.
func (o *Operations) ReportLeak(ctx context.Context, actor policy.Actor, what string) (*LeakReport, error) {
	l, err := o.cases.StaffLink(ctx, actor.Agency, actor.Login)
	if err != nil {
		return nil, err
	}
	return o.fileLeak(ctx, actor, NewLeak{MemberID: l.MemberID, LinkID: l.ID, What: what}, "")
}

// FileLeak files a report for an officer who told it by phone or radio, as one
// who lost the phone has to. REASON_MISSING, NOT_FOUND.
func (o *Operations) FileLeak(ctx context.Context, actor policy.Actor, in NewLeak) (*LeakReport, error) {
	return o.fileLeak(ctx, actor, in, actor.ID)
}

func (o *Operations) fileLeak(ctx context.Context, actor policy.Actor, in NewLeak, onBehalf string) (*LeakReport, error) {
	what, err := said(in.What)
	if err != nil {
		return nil, err
	}
	r := &LeakReport{ID: identity.NewID(), AgencyID: actor.Agency, MemberID: in.MemberID, LinkID: in.LinkID, What: what, OnBehalfBy: onBehalf}
	err = o.db.InTx(ctx, func(tx *database.Tx) error {
		if _, err := o.people.StaffMember(tx.Context(), actor.Agency, r.MemberID); err != nil {
			return err
		}
		if r.LinkID != "" {
			l, err := o.cases.StaffLink(tx.Context(), actor.Agency, r.LinkID)
			if err != nil {
				return err
			}
			if l.MemberID != r.MemberID {
				return problem.New(problem.NotFound)
			}
		}
		r.FiledAt = tx.Now
		if err := tx.Create(r).Error; err != nil {
			return err
		}
		o.journal.Append(tx, r.entry(actor, journal.LeakReported, map[string]any{"member": r.MemberID, "link": r.LinkID, "onBehalf": onBehalf != ""}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("file leak report: %w", err)
	}
	return r, nil
}

func (r *LeakReport) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: r.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.LeakReport, ID: r.ID}, Payload: payload}
}

// Forward is the supervisor's one act on a leak report: the link is suspended,
// whatever it sends is cut, and the report goes to the manager (第4の4(2)ウ). One
// that went there by itself can still be acted on. NOT_FOUND.
func (o *Operations) Forward(ctx context.Context, actor policy.Actor, id string) (*LeakReport, error) {
	return o.change(ctx, actor, id, func(tx *database.Tx, r *LeakReport) error {
		if r.ClosedAt != nil {
			return nil
		}
		links, err := o.linksOf(tx, r)
		if err != nil {
			return err
		}
		for _, l := range links {
			if _, err := o.cases.SuspendStaff(tx, actor, l.ID); err != nil {
				return err
			}
		}
		if r.ForwardedBy != "" {
			return nil
		}
		if r.ForwardedAt == nil {
			r.ForwardedAt = &tx.Now
		}
		r.ForwardedBy = actor.ID
		o.journal.Append(tx, r.entry(actor, journal.LeakForwarded, map[string]any{"member": r.MemberID}))
		return nil
	})
}

// linksOf are the links that a report is about.
func (o *Operations) linksOf(tx *database.Tx, r *LeakReport) ([]*cases.StaffLink, error) {
	byMember, err := o.cases.StaffLinks(tx.Context(), r.AgencyID, []string{r.MemberID})
	if err != nil {
		return nil, err
	}
	var links []*cases.StaffLink
	for _, l := range byMember[r.MemberID] {
		if r.LinkID == "" || r.LinkID == l.ID {
			links = append(links, l)
		}
	}
	return links, nil
}

// Unfounded is the manager's other answer to a leak report: the suspended links
// may be used again. REASON_MISSING, NOT_FOUND.
func (o *Operations) Unfounded(ctx context.Context, actor policy.Actor, id, outcome string) (*LeakReport, error) {
	outcome, err := said(outcome)
	if err != nil {
		return nil, err
	}
	return o.change(ctx, actor, id, func(tx *database.Tx, r *LeakReport) error {
		if r.ClosedAt != nil {
			return nil
		}
		links, err := o.linksOf(tx, r)
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.State != cases.StaffSuspended {
				continue
			}
			if _, err := o.cases.RestoreStaff(tx, actor, l.ID); err != nil {
				return err
			}
		}
		r.ClosedAt, r.ClosedBy, r.Outcome = &tx.Now, actor.ID, outcome
		o.journal.Append(tx, r.entry(actor, journal.LeakClosed, map[string]any{"member": r.MemberID, "unfounded": true}))
		return nil
	})
}

func (o *Operations) change(ctx context.Context, actor policy.Actor, id string, change func(*database.Tx, *LeakReport) error) (*LeakReport, error) {
	var r LeakReport
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		if err := tx.Lock().Take(&r, "id = ? AND agency_id = ?", id, actor.Agency).Error; err != nil {
			return notFound(err)
		}
		if err := change(tx, &r); err != nil {
			return err
		}
		return tx.Save(&r).Error
	})
	if err != nil {
		return nil, fmt.Errorf("change leak report: %w", err)
	}
	return &r, nil
}

// linkRevoked closes the reports that a revoked link answers: those about it,
// and those about an officer who has no other link left.
func (o *Operations) linkRevoked(tx *database.Tx, actor policy.Actor, l *cases.StaffLink) error {
	byMember, err := o.cases.StaffLinks(tx.Context(), l.AgencyID, []string{l.MemberID})
	if err != nil {
		return err
	}
	open := tx.Lock().Where("agency_id = ? AND member_id = ? AND closed_at IS NULL", l.AgencyID, l.MemberID)
	about := "link_id = ? OR link_id IS NULL"
	for _, other := range byMember[l.MemberID] {
		if other.ID != l.ID && !other.Wipe() {
			about = "link_id = ?"
		}
	}
	var found []*LeakReport
	if err := open.Where(about, l.ID).Find(&found).Error; err != nil {
		return fmt.Errorf("close leak reports: %w", err)
	}
	by := ""
	if actor.Kind == policy.User {
		by = actor.ID
	}
	for _, r := range found {
		r.ClosedAt, r.ClosedBy = &tx.Now, by
		if err := tx.Save(r).Error; err != nil {
			return fmt.Errorf("close leak reports: %w", err)
		}
		o.journal.Append(tx, r.entry(actor, journal.LeakClosed, map[string]any{"member": r.MemberID, "link": l.ID}))
	}
	return nil
}

// Escalate sends leak reports to the manager that no supervisor forwarded within
// five minutes (第4の4(2)ウ). It answers how many.
func (o *Operations) Escalate(ctx context.Context) (int, error) {
	var due []LeakReport
	err := o.db.Read(ctx).Where("forwarded_at IS NULL AND closed_at IS NULL AND filed_at <= ?", o.db.Now().Add(-escalateAfter)).
		Order("filed_at").Limit(batch).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find waiting leak reports: %w", err)
	}
	escalated := 0
	for _, d := range due {
		_, err := o.change(ctx, policy.Actor{Agency: d.AgencyID}, d.ID, func(tx *database.Tx, r *LeakReport) error {
			if r.ForwardedAt != nil || r.ClosedAt != nil {
				return nil
			}
			escalated++
			r.ForwardedAt = &tx.Now
			o.journal.Append(tx, r.entry(policy.SystemActor(), journal.LeakEscalated, map[string]any{"member": r.MemberID}))
			return nil
		})
		if err != nil {
			return escalated, err
		}
	}
	return escalated, nil
}

// LeakFilter narrows a list of leak reports. Empty fields do not narrow.
type LeakFilter struct {
	MemberID  *string
	Open      *bool
	Forwarded *bool
}

// ListLeaks reads an agency's leak reports, newest first, after a place, at most
// limit.
func (o *Operations) ListLeaks(ctx context.Context, agency string, f LeakFilter, after *Place, limit int) ([]*LeakReport, error) {
	q := o.db.Read(ctx).Where("agency_id = ?", agency)
	if f.MemberID != nil {
		q = q.Where("member_id = ?", *f.MemberID)
	}
	for column, wanted := range map[string]*bool{"closed_at IS NULL": f.Open, "forwarded_at IS NOT NULL": f.Forwarded} {
		if wanted != nil && *wanted {
			q = q.Where(column)
		} else if wanted != nil {
			q = q.Where("NOT (" + column + ")")
		}
	}
	var found []*LeakReport
	if err := page(q, after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list leak reports: %w", err)
	}
	return found, nil
}

// OpenLeak is a phone's own open leak report, or nil.
func (o *Operations) OpenLeak(ctx context.Context, agency, linkID string) (*LeakReport, error) {
	var found []*LeakReport
	err := o.db.Read(ctx).Order("filed_at DESC").Limit(1).Find(&found, "agency_id = ? AND link_id = ? AND closed_at IS NULL", agency, linkID).Error
	if err != nil {
		return nil, fmt.Errorf("read leak report: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found[0], nil
}

// Forget erases what outlived its days and belongs to no case: the texts of
// reports before a use that never came, those of closed leak reports, and who
// removed officers were once nothing that they sent is left.
func (o *Operations) Forget(ctx context.Context) error {
	err := o.db.InTx(ctx, func(tx *database.Tx) error {
		old := forgotten(tx.Now)
		unused := tx.Model(&UsageReport{}).Where("session_id IS NULL AND erased_at IS NULL AND filed_at < ?", old)
		if err := unused.Updates(map[string]any{"purpose": "", "late_reason": "", "erased_at": tx.Now}).Error; err != nil {
			return err
		}
		closed := tx.Model(&LeakReport{}).Where("closed_at < ? AND erased_at IS NULL", old)
		if err := closed.Updates(map[string]any{"what": "", "outcome": "", "erased_at": tx.Now}).Error; err != nil {
			return err
		}
		var gone []string
		err := tx.Model(&identity.StaffMember{}).Where("removed_at IS NOT NULL AND erased_at IS NULL").
			Where("NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.staff_member_id = staff_members.id AND sessions.erased_at IS NULL)").
			Where("NOT EXISTS (SELECT 1 FROM leak_reports WHERE leak_reports.member_id = staff_members.id AND leak_reports.erased_at IS NULL)").
			Order("id").Limit(batch).Pluck("id", &gone).Error
		if err != nil || len(gone) == 0 {
			return err
		}
		return o.people.EraseStaff(tx, gone)
	})
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}
