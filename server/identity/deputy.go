package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

const (
	maxDeputyReason = 200
	// maxDeputyDays bounds how long one appointment lasts: whoever acts in the
	// manager's place for longer is appointed again.
	maxDeputyDays = 92
)

// Deputy is a supervisor who approves exports in the manager's place
// (職務代行者) from a day until a day.
type Deputy struct {
	ID          string `gorm:"primaryKey"`
	AgencyID    string
	UserID      string
	Reason      string
	AppointedBy string
	AppointedAt time.Time
	FromAt      time.Time
	UntilAt     time.Time
	// EndedAt is when the manager ended it before its time.
	EndedAt *time.Time
}

// TableName is the table of appointments.
func (Deputy) TableName() string { return "deputies" }

// Active tells whether the appointment holds at that time.
func (d *Deputy) Active(now time.Time) bool {
	return d.EndedAt == nil && !now.Before(d.FromAt) && now.Before(d.UntilAt)
}

// NewDeputy describes an appointment.
type NewDeputy struct {
	UserID      string
	From, Until time.Time
	Reason      string
}

// AppointDeputy lets a supervisor approve exports in the manager's place for a
// time. Only managers appoint, and nobody themselves. BAD_INPUT, REASON_MISSING,
// PERSON_UNFIT.
func (i *Identity) AppointDeputy(ctx context.Context, actor policy.Actor, in NewDeputy) (*Deputy, error) {
	in.Reason = strings.TrimSpace(in.Reason)
	from, until := database.Instant(in.From), database.Instant(in.Until)
	switch {
	case actor.Kind != policy.User || actor.Role != policy.Manager:
		return nil, problem.New(problem.Forbidden)
	case in.Reason == "":
		return nil, problem.New(problem.ReasonMissing)
	case !cleanText(in.Reason, maxDeputyReason), !from.Before(until), !i.db.Now().Before(until), until.Sub(from) > maxDeputyDays*24*time.Hour:
		return nil, problem.New(problem.BadInput)
	}
	d := &Deputy{ID: NewID(), AgencyID: actor.Agency, UserID: in.UserID, Reason: in.Reason, AppointedBy: actor.ID, FromAt: from, UntilAt: until}
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		var u User
		err := tx.Take(&u, "id = ? AND agency_id = ?", in.UserID, actor.Agency).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return problem.New(problem.NotFound)
		}
		if err != nil {
			return err
		}
		if u.Status != Active || u.Role != policy.Supervisor || u.ID == actor.ID {
			return problem.New(problem.PersonUnfit)
		}
		d.AppointedAt = tx.Now
		if err := tx.Create(d).Error; err != nil {
			return err
		}
		i.journal.Append(tx, d.entry(actor, journal.DeputyAppointed, map[string]any{"user": d.UserID, "from": d.FromAt, "until": d.UntilAt, "reason": d.Reason}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("appoint deputy: %w", err)
	}
	return d, nil
}

// EndDeputy ends an appointment at once. Ending an ended one changes nothing.
func (i *Identity) EndDeputy(ctx context.Context, actor policy.Actor, id string) (*Deputy, error) {
	var d Deputy
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		err := tx.Lock().Take(&d, "id = ? AND agency_id = ?", id, actor.Agency).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return problem.New(problem.NotFound)
		}
		if err != nil || d.EndedAt != nil || !tx.Now.Before(d.UntilAt) {
			return err
		}
		d.EndedAt = &tx.Now
		if err := tx.Model(&d).Update("ended_at", tx.Now).Error; err != nil {
			return err
		}
		i.journal.Append(tx, d.entry(actor, journal.DeputyEnded, map[string]any{"user": d.UserID}))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("end deputy: %w", err)
	}
	return &d, nil
}

func (d *Deputy) entry(actor policy.Actor, t journal.Type, payload any) journal.Entry {
	return journal.Entry{Agency: d.AgencyID, Actor: actor, Type: t, Subject: journal.Subject{Kind: policy.Deputy, ID: d.ID}, Payload: payload}
}

// IsDeputy tells whether the user acts in the manager's place now: appointed,
// begun, not over, and still an active supervisor.
func (i *Identity) IsDeputy(ctx context.Context, agency, user string) (bool, error) {
	now := i.db.Now()
	var n int64
	err := i.db.Read(ctx).Model(&Deputy{}).Joins("JOIN users ON users.id = deputies.user_id").
		Where("deputies.agency_id = ? AND deputies.user_id = ? AND from_at <= ? AND until_at > ? AND ended_at IS NULL", agency, user, now, now).
		Where("users.status = ? AND users.role = ?", Active, policy.Supervisor).Count(&n).Error
	if err != nil {
		return false, fmt.Errorf("look for deputy: %w", err)
	}
	return n > 0, nil
}

// Deputies lists an agency's appointments, newest first, those before the one
// with that id, at most limit.
func (i *Identity) Deputies(ctx context.Context, agency, before string, limit int) ([]*Deputy, error) {
	q := i.db.Read(ctx).Where("agency_id = ?", agency)
	if before != "" {
		q = q.Where("id < ?", before)
	}
	var found []*Deputy
	if err := q.Order("id DESC").Limit(limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("list deputies: %w", err)
	}
	return found, nil
}
