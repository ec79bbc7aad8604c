package identity

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm/clause"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// CallerCode says whether callers enter an access code, and why (第5の1(2)).
type CallerCode struct {
	AgencyID string `gorm:"primaryKey"`
	Applied  bool
	Reason   string
	SetBy    string
	SetAt    time.Time
	// RemindAt is when the manager is asked whether it is still needed.
	RemindAt   *time.Time
	RemindedAt *time.Time
}

// Due tells whether the manager has been reminded and has not answered since.
func (c *CallerCode) Due() bool { return c.Applied && c.RemindedAt != nil }

const (
	remindAfter      = 24 * time.Hour // where no time is given
	maxRemind        = 366 * 24 * time.Hour
	maxCodeReason    = 500 // characters
	remindersAtOneGo = 100
)

// CallerCode reads an agency's standing on callers' access codes.
func (i *Identity) CallerCode(ctx context.Context, agency string) (*CallerCode, error) {
	a, err := i.Agency(ctx, agency)
	if err != nil {
		return nil, err
	}
	var found []CallerCode
	if err := i.db.Read(ctx).Limit(1).Find(&found, "agency_id = ?", agency).Error; err != nil {
		return nil, fmt.Errorf("read caller code: %w", err)
	}
	c := &CallerCode{AgencyID: agency, SetAt: a.CreatedAt}
	if len(found) > 0 {
		c = &found[0]
	}
	c.Applied = a.Settings.CallerCode // what links are issued by
	return c, nil
}

// SetCallerCode applies the access code to callers, or lifts it (第5の1(2)), with
// the reason; nothing else ever does. While it is applied the manager is
// reminded at a set time, a day from now where none is given; applying it again
// sets another time. Links that were sent already stay as they are.
// REASON_MISSING, BAD_INPUT.
func (i *Identity) SetCallerCode(ctx context.Context, actor policy.Actor, agency string, apply bool, reason string, remindAt *time.Time) (*CallerCode, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if utf8.RuneCountInString(reason) > maxCodeReason || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return nil, problem.New(problem.BadInput)
	}
	c := &CallerCode{AgencyID: agency, Applied: apply, Reason: reason, SetBy: actor.ID}
	err := i.db.InTx(ctx, func(tx *database.Tx) error {
		c.SetAt = tx.Now
		if apply {
			at := tx.Now.Add(remindAfter)
			if remindAt != nil {
				at = database.Instant(*remindAt)
			}
			if !at.After(tx.Now) || at.Sub(tx.Now) > maxRemind {
				return problem.New(problem.BadInput)
			}
			c.RemindAt = &at
		}
		if _, err := i.changeSettings(tx, actor, agency, nil, reason, map[string]any{"remindAt": c.RemindAt}, func(s *Settings) error {
			s.CallerCode = apply
			return nil
		}); err != nil {
			return err
		}
		if err := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "agency_id"}}, UpdateAll: true}).Create(c).Error; err != nil {
			return fmt.Errorf("set caller code: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// RemindCallerCodes notes for every agency whose time has come that its manager
// is to decide about the access code. It never lifts one. It answers how many.
func (i *Identity) RemindCallerCodes(ctx context.Context) (int, error) {
	var due []CallerCode
	err := i.db.Read(ctx).Where("applied AND reminded_at IS NULL AND remind_at <= ?", i.db.Now()).Limit(remindersAtOneGo).Find(&due).Error
	if err != nil {
		return 0, fmt.Errorf("find caller codes: %w", err)
	}
	reminded := 0
	for _, c := range due {
		err := i.db.InTx(ctx, func(tx *database.Tx) error {
			done := tx.Model(&CallerCode{}).Where("agency_id = ? AND applied AND reminded_at IS NULL AND remind_at <= ?", c.AgencyID, tx.Now).Update("reminded_at", tx.Now)
			if done.Error != nil || done.RowsAffected == 0 {
				return done.Error
			}
			reminded++
			i.journal.Append(tx, journal.Entry{
				Agency: c.AgencyID, Actor: policy.SystemActor(), Type: journal.CallerCodeReminded,
				Subject: journal.Subject{Kind: policy.Settings, ID: c.AgencyID},
			})
			return nil
		})
		if err != nil {
			return reminded, fmt.Errorf("remind of caller code: %w", err)
		}
	}
	return reminded, nil
}
