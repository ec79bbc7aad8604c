package notify

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// Allowance lets a case's destination get more messages than usual.
type Allowance struct {
	ID        string
	AgencyID  string
	SessionID string
	AllowedBy string
	Reason    string
	At        time.Time
}

// TableName is the table of allowances.
func (Allowance) TableName() string { return "send_allowances" }

const maxAllowReason = 500 // characters

// AllowSends lets the session's destination get as many messages again within
// the window that begins now; a supervisor gives the reason. REASON_MISSING,
// BAD_INPUT, SESSION_ENDED, NOT_FOUND.
func (n *Notify) AllowSends(ctx context.Context, actor policy.Actor, sessionID, reason string) (*cases.Session, error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if utf8.RuneCountInString(reason) > maxAllowReason || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return nil, problem.New(problem.BadInput)
	}
	var s *cases.Session
	err := n.db.InTx(ctx, func(tx *database.Tx) (err error) {
		if s, err = n.cases.Session(tx.Context(), actor.Agency, sessionID); err != nil {
			return err
		}
		if s.State.Over() {
			return problem.New(problem.SessionEnded)
		}
		agency, err := n.people.Agency(tx.Context(), s.AgencyID)
		if err != nil {
			return err
		}
		a := &Allowance{ID: identity.NewID(), AgencyID: s.AgencyID, SessionID: s.ID, AllowedBy: actor.ID, Reason: reason, At: tx.Now}
		if err := tx.Create(a).Error; err != nil {
			return err
		}
		n.journal.Append(tx, journal.Entry{
			Agency: s.AgencyID, Actor: actor, Type: journal.SendsAllowed, Subject: journal.Subject{Kind: policy.Session, ID: s.ID},
			CaseID: s.CaseID, SessionID: s.ID, Payload: map[string]any{"reason": reason, "more": agency.Settings.SendsPerNumber},
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("allow sends: %w", err)
	}
	return s, nil
}

// withinBounds refuses message bombs.
func (n *Notify) withinBounds(tx *database.Tx, actor policy.Actor, s *cases.Session, address string) error {
	since := tx.Now.Add(-sendWindow)
	recent := func() *gorm.DB {
		return tx.Model(&Delivery{}).Where("agency_id = ? AND queued_at > ? AND purpose = ?", s.AgencyID, since, LinkMessage)
	}
	var toNumber, allowed, byUser, byAgency int64
	inCase := tx.Model(&cases.Session{}).Select("id").Where("case_id = ?", s.CaseID)
	if err := recent().Where("address = ? AND session_id IN (?)", address, inCase).Count(&toNumber).Error; err != nil {
		return err
	}
	sameNumber := tx.Model(&cases.Session{}).Select("id").Where("case_id = ? AND (number = ? OR email = ?)", s.CaseID, address, address)
	if err := tx.Model(&Allowance{}).Where("agency_id = ? AND at > ? AND session_id IN (?)", s.AgencyID, since, sameNumber).Count(&allowed).Error; err != nil {
		return err
	}
	if err := recent().Where("sent_by = ?", actor.ID).Count(&byUser).Error; err != nil {
		return err
	}
	if err := recent().Count(&byAgency).Error; err != nil {
		return err
	}
	a, err := n.people.Agency(tx.Context(), s.AgencyID)
	if err != nil {
		return err
	}
	may := a.Settings
	if toNumber >= int64(may.SendsPerNumber)*(1+allowed) || byUser >= int64(may.SendsPerUser) || byAgency >= int64(may.SendsPerAgency) {
		return problem.New(problem.TooManySends)
	}
	return nil
}

// ChangeDestination lets the session's next link go elsewhere, as by e-mail when
// SMS does not arrive: the link that went out before dies with the new one's
// sending, and there are never two that live. Whoever got a link already cannot
// be swapped for somebody else by the same way: that is a mis-sent link
// (第4の3(3)), DESTINATION_FIXED. It tells whether the number differs from the
// one that was notified. What cases refuses.
func (n *Notify) ChangeDestination(ctx context.Context, actor policy.Actor, sessionID string, to cases.Destination) (s *cases.Session, differs bool, err error) {
	err = n.db.InTx(ctx, func(tx *database.Tx) error {
		if s, differs, err = n.cases.ChangeDestination(tx, actor, sessionID, to); err != nil {
			return err
		}
		var elsewhere int64
		err := tx.Model(&Delivery{}).Where("session_id = ? AND purpose = ? AND status <> ?", s.ID, LinkMessage, Cancelled).
			Where("NOT (status = ? AND attempts = 1 AND failure IN ?)", Failed, []string{failNoChannel, failRefused}). // it never left
			Where("channel = ? AND address <> ? OR channel = ? AND address <> ?", way(s), address(s), SMS, s.Number).Count(&elsewhere).Error
		if err != nil {
			return err
		}
		if elsewhere > 0 {
			return problem.New(problem.DestinationFixed)
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("change destination: %w", err)
	}
	return s, differs, nil
}

// way and address are where the session's next link goes.
func way(s *cases.Session) ChannelName {
	if s.Email != "" {
		return Email
	}
	return SMS
}

func address(s *cases.Session) string {
	if s.Email != "" {
		return s.Email
	}
	return s.Number
}
