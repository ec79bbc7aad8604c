package cases

import (
	"net/mail"
	"strings"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Destination is where a link shall go, as typed: a number for SMS, an address
// only where SMS cannot reach the caller, with the reason (第4の1(2)).
type Destination struct {
	Number         string
	NotifiedNumber string
	Email          string
	EmailReason    string
}

// aim sets where a session's link shall go. It tells whether the number differs
// from the one that was notified. NUMBER_INVALID, EMAIL_INVALID, REASON_MISSING,
// BAD_INPUT.
func (s *Session) aim(to Destination) (differs bool, err error) {
	if tooLong(to.EmailReason, maxReason) {
		return false, problem.New(problem.BadInput)
	}
	s.Email, s.EmailReason = "", ""
	if to.Email != "" {
		address, err := mail.ParseAddress(to.Email)
		if err != nil || address.Address != to.Email || !strings.Contains(to.Email[strings.LastIndexByte(to.Email, '@')+1:], ".") || len(to.Email) > maxEmail || strings.ContainsAny(to.Email, "\r\n") {
			return false, problem.New(problem.EmailInvalid)
		}
		if s.EmailReason = strings.TrimSpace(to.EmailReason); s.EmailReason == "" {
			return false, problem.New(problem.ReasonMissing)
		}
		s.Email = to.Email
	}
	if to.Number == "" && to.Email != "" {
		return false, nil
	}
	if s.Number, err = NormaliseMobile(to.Number); err != nil {
		return false, err
	}
	if to.NotifiedNumber != "" {
		notified, err := normalise(to.NotifiedNumber)
		differs = err != nil || notified != s.Number
	}
	return differs, nil
}

// ChangeDestination lets the session's next link go elsewhere, in notify's
// transaction, which knows where a link has gone already. Nothing is sent: that
// is the second confirmation's, and with it the link from before dies. A number
// that is left out stays. What aim refuses, SESSION_ENDED.
func (c *Cases) ChangeDestination(tx *database.Tx, actor policy.Actor, id string, to Destination) (s *Session, differs bool, err error) {
	if s, err = lockOwn(tx, actor, id); err != nil {
		return nil, false, err
	}
	if s.State.Over() {
		return nil, false, problem.New(problem.SessionEnded)
	}
	if to.Number == "" && to.Email == "" {
		to.Number = s.Number
	}
	if differs, err = s.aim(to); err != nil {
		return nil, false, err
	}
	if err := c.guardDrill(tx, s.CaseID, s); err != nil {
		return nil, false, err
	}
	c.journal.Append(tx, s.entry(actor, journal.DestinationChanged, map[string]any{
		"number": s.Number, "email": s.Email, "emailReason": s.EmailReason, "numberDiffers": differs,
	}))
	return s, differs, c.save(tx, s)
}
