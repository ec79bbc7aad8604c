package cases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

const maxDutyNote = 2000 // characters

// DutyNote is one note of the supervisors' duty log (第4の2). It is written once.
// What is about a case names it, and is erased with it.
type DutyNote struct {
	ID       string
	AgencyID string
	// CaseID is empty for what is about no case.
	CaseID   string
	UserID   string
	Text     string
	At       time.Time
	ErasedAt *time.Time
}

// WriteDutyNote adds a note. REASON_MISSING, BAD_INPUT, NOT_FOUND, CASE_CLOSED.
func (c *Cases) WriteDutyNote(ctx context.Context, actor policy.Actor, caseID, text string) (*DutyNote, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(text, maxDutyNote) {
		return nil, problem.New(problem.BadInput)
	}
	n := &DutyNote{ID: identity.NewID(), AgencyID: actor.Agency, CaseID: caseID, UserID: actor.ID, Text: text}
	err := c.db.InTx(ctx, func(tx *database.Tx) error {
		if caseID != "" {
			var k Case
			if err := tx.Lock().Take(&k, "id = ? AND agency_id = ?", caseID, actor.Agency).Error; err != nil {
				return notFound(err)
			}
			if k.ErasedAt != nil {
				return problem.New(problem.CaseClosed)
			}
		}
		n.At = tx.Now
		if err := tx.Create(n).Error; err != nil {
			return err
		}
		c.journal.Append(tx, journal.Entry{
			Agency: n.AgencyID, Actor: actor, Type: journal.DutyNoted, Subject: journal.Subject{Kind: policy.DutyLog, ID: n.ID}, CaseID: caseID,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("write duty note: %w", err)
	}
	return n, nil
}

// DutyLog reads an agency's notes, newest first, at most limit, after a place.
func (c *Cases) DutyLog(ctx context.Context, agency string, after *Place, limit int) ([]*DutyNote, error) {
	var found []*DutyNote
	if err := page(c.db.Read(ctx).Where("agency_id = ?", agency), "at", true, after, limit).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("read duty log: %w", err)
	}
	return found, nil
}
