package cases

import (
	"context"
	"fmt"
	"strings"

	"genba/policy"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

// PassOn gives the open sessions of a person who may no longer work to the
// supervisor who takes over (第4の2, 第7の2), in the transaction that puts them
// out. Without one they stay as they are: every supervisor to come may command
// them.
func (c *Cases) PassOn(tx *database.Tx, actor policy.Actor, leaver *identity.User, heir string) error {
	if heir == "" {
		return nil
	}
	var open []*Session
	err := tx.Lock().Where("agency_id = ? AND dispatcher_id = ? AND state NOT IN ?", leaver.AgencyID, leaver.ID, overStates).Order("id").Find(&open).Error
	if err != nil {
		return fmt.Errorf("pass sessions on: %w", err)
	}
	for _, s := range open {
		s.DispatcherID = heir
		c.journal.Append(tx, s.entry(actor, journal.SessionPassedOn, map[string]any{"from": leaver.ID, "to": heir}))
		if err := c.save(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// RevealNumber answers the whole number, or the address, of a session that is over, for a
// purpose, once the actor has confirmed it with a touch for this very session
// (第6の3). Each look stands in the journal. NOT_FOUND, FORBIDDEN, MISDIRECTED,
// REASON_MISSING, GONE once retention has erased it, and what identity.Confirm
// refuses with.
func (c *Cases) RevealNumber(ctx context.Context, actor policy.Actor, id, purpose string, in identity.Confirmation) (*Session, error) {
	s, err := c.Session(ctx, actor.Agency, id)
	if err != nil {
		return nil, err
	}
	if err := s.MayOpen(actor); err != nil {
		return nil, err
	}
	if purpose = strings.TrimSpace(purpose); purpose == "" {
		return nil, problem.New(problem.ReasonMissing)
	}
	if tooLong(purpose, maxReason) {
		return nil, problem.New(problem.BadInput)
	}
	if s.Number == "" && s.Email == "" {
		return nil, problem.New(problem.Gone)
	}
	if err := c.identity.Confirm(ctx, actor, identity.RevealNumber, id, in); err != nil {
		return nil, err
	}
	return c.command(ctx, actor, id, func(tx *database.Tx, now *Session) error {
		if now.Number == "" && now.Email == "" {
			return problem.New(problem.Gone)
		}
		c.journal.Append(tx, now.entry(actor, journal.NumberRevealed, map[string]any{"purpose": purpose}))
		return nil
	})
}
