package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/blob"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
)

// StaffCode is an agency's access code for officers (第4の4(1)ウ): read over phone
// or radio, never sent. It changes every day at a set hour.
type StaffCode struct {
	AgencyID  string `gorm:"primaryKey"`
	Sealed    []byte
	IssuedAt  time.Time
	ExpiresAt time.Time
	Code      string `gorm:"-"`
}

func staffCodeKey(agency string) string { return "staff-code/" + agency }

// StaffCode reads the code that holds now; nil where none does.
func (c *Cases) StaffCode(ctx context.Context, agency string) (*StaffCode, error) {
	var found []StaffCode
	if err := c.db.Read(ctx).Limit(1).Find(&found, "agency_id = ? AND expires_at > ?", agency, c.db.Now()).Error; err != nil {
		return nil, fmt.Errorf("read staff code: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	key, err := c.keys.Get(staffCodeKey(agency))
	if errors.Is(err, blob.ErrNoKey) {
		return nil, nil // the next turn of the job makes another
	}
	if err != nil {
		return nil, fmt.Errorf("read staff code: %w", err)
	}
	code, err := key.Open(found[0].Sealed)
	if err != nil {
		return nil, fmt.Errorf("read staff code: %w", err)
	}
	found[0].Code = string(code)
	return &found[0], nil
}

// ReissueStaffCode replaces the code at once; the old one dies with it.
func (c *Cases) ReissueStaffCode(ctx context.Context, actor policy.Actor) (code *StaffCode, err error) {
	err = c.db.InTx(ctx, func(tx *database.Tx) (err error) {
		code, err = c.issueStaffCode(tx, actor, actor.Agency)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reissue staff code: %w", err)
	}
	return code, nil
}

// RotateStaffCodes gives every agency whose code has run out, or that has none,
// a new one. It answers how many.
func (c *Cases) RotateStaffCodes(ctx context.Context) (int, error) {
	var due []string
	err := c.db.Read(ctx).Raw(`SELECT agencies.id FROM agencies LEFT JOIN staff_codes ON staff_codes.agency_id = agencies.id
		WHERE agencies.id <> ? AND (staff_codes.agency_id IS NULL OR staff_codes.expires_at <= ?)`, identity.Operators, c.db.Now()).Scan(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find old staff codes: %w", err)
	}
	for i, agency := range due {
		err := c.db.InTx(ctx, func(tx *database.Tx) error {
			var held []StaffCode
			if err := tx.Lock().Limit(1).Find(&held, "agency_id = ? AND expires_at > ?", agency, tx.Now).Error; err != nil || len(held) > 0 {
				return err // somebody else was first
			}
			_, err := c.issueStaffCode(tx, policy.SystemActor(), agency)
			return err
		})
		if err != nil {
			return i, fmt.Errorf("rotate staff code: %w", err)
		}
	}
	return len(due), nil
}

func (c *Cases) issueStaffCode(tx *database.Tx, actor policy.Actor, agency string) (*StaffCode, error) {
	a, err := c.identity.Agency(tx.Context(), agency)
	if err != nil {
		return nil, err
	}
	key, err := c.keys.Ensure(staffCodeKey(agency))
	if err != nil {
		return nil, fmt.Errorf("seal staff code: %w", err)
	}
	code := &StaffCode{AgencyID: agency, Code: newCode(), IssuedAt: tx.Now, ExpiresAt: nextHour(tx.Now, a.Settings.StaffCodeHour)}
	if code.Sealed, err = key.Seal([]byte(code.Code)); err != nil {
		return nil, fmt.Errorf("seal staff code: %w", err)
	}
	if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(code).Error; err != nil {
		return nil, fmt.Errorf("store staff code: %w", err)
	}
	c.journal.Append(tx, journal.Entry{
		Agency: agency, Actor: actor, Type: journal.StaffCodeRotated, Subject: journal.Subject{Kind: policy.StaffCode, ID: agency},
		Payload: map[string]any{"expiresAt": code.ExpiresAt},
	})
	return code, nil
}

// nextHour is the next time that it is this hour in Japan.
func nextHour(now time.Time, hour int) time.Time {
	y, m, d := now.In(tokyo).Date()
	at := time.Date(y, m, d, hour, 0, 0, 0, tokyo)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at.UTC()
}

const (
	maxStaffCodeTries = 5
	staffCodePause    = 10 * time.Minute // after five wrong ones
)

// mayTry tells whether a phone may give a code: after five wrong ones it waits
// for ten minutes.
func (l *StaffLink) mayTry(now time.Time) bool {
	if l.CodeTries < maxStaffCodeTries {
		return true
	}
	if l.CodeTriedAt != nil && now.Sub(*l.CodeTriedAt).Abs() < staffCodePause {
		return false
	}
	l.CodeTries = 0
	return true
}
