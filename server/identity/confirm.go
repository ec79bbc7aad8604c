package identity

import (
	"context"
	"errors"
	"fmt"

	"genba/policy"
	"genba/server/database"
	"genba/server/journal"
	"genba/server/problem"
)

// Action is an act that a person confirms with another touch of the passkey,
// bound to that act and to what it is done to.
type Action string

// The acts that are confirmed.
const (
	ChangeRole    Action = "CHANGE_ROLE"    // of a user
	AddPasskey    Action = "ADD_PASSKEY"    // to the own account
	RevealNumber  Action = "REVEAL_NUMBER"  // of a session that is over
	ApproveExport Action = "APPROVE_EXPORT" // an export request
)

// ConfirmedActions lists every act that is confirmed, for tests.
var ConfirmedActions = []Action{ChangeRole, AddPasskey, RevealNumber, ApproveExport}

// Confirmation is what a person confirms an act with: the answer of their
// passkey to the challenge that BeginConfirmation gave for this act, or the
// password of somebody who has no passkey and is allowed one (第8の1).
type Confirmation struct {
	Challenge string
	Assertion string
	Password  string
}

// ToConfirm says how the actor confirms: by passkey, or by password where Asked
// is nil.
type ToConfirm struct {
	Asked    *Asked
	Password bool
}

// BeginConfirmation asks the actor for a touch that is good for one act on one
// subject, once, for two minutes. The rule lies in the room of the act, which
// calls Confirm.
func (i *Identity) BeginConfirmation(ctx context.Context, actor policy.Actor, action Action, subject string) (*ToConfirm, error) {
	if actor.Kind != policy.User {
		return nil, problem.New(problem.Forbidden)
	}
	keys, err := i.credentials(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return &ToConfirm{Password: true}, nil
	}
	asked, err := i.ask(challenge{Purpose: forConfirmation, User: actor.ID, Action: action, Subject: subject}, keys)
	if err != nil {
		return nil, err
	}
	return &ToConfirm{Asked: asked}, nil
}

// Confirm is called by the room of an act, before its transaction begins, with
// what the actor confirmed it with. The touch must have been asked for this very
// action and subject; it is used up here, and journaled. CONFIRMATION_MISSING,
// CONFIRMATION_REFUSED, RATE_LIMITED.
func (i *Identity) Confirm(ctx context.Context, actor policy.Actor, action Action, subject string, in Confirmation) error {
	if actor.Kind != policy.User {
		return problem.New(problem.Forbidden)
	}
	if in == (Confirmation{}) {
		return problem.New(problem.ConfirmationMissing)
	}
	by, use, err := i.confirmed(ctx, actor, action, subject, in)
	if problem.Is(err, problem.PasskeyRefused) {
		return problem.Wrap(problem.ConfirmationRefused, err)
	}
	if err != nil {
		return err
	}
	err = i.db.InTx(ctx, func(tx *database.Tx) error {
		if err := use(tx); err != nil {
			return err
		}
		i.journal.Append(tx, aboutUser(actor.Agency, actor.ID, actor, journal.Confirmed, map[string]any{"action": action, "subject": subject, "by": by}))
		return nil
	})
	if problem.Is(err, problem.PasskeyRefused) {
		return problem.Wrap(problem.ConfirmationRefused, err)
	}
	if err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	return nil
}

func (i *Identity) confirmed(ctx context.Context, actor policy.Actor, action Action, subject string, in Confirmation) (by Method, use func(*database.Tx) error, err error) {
	if in.Challenge != "" || in.Assertion != "" {
		c, err := i.open(in.Challenge, forConfirmation)
		if err != nil {
			return "", nil, err
		}
		if c.User != actor.ID || c.Action != action || c.Subject != subject {
			return "", nil, problem.New(problem.PasskeyRefused)
		}
		t, err := i.touched(ctx, c, in.Assertion)
		if err != nil {
			return "", nil, i.noteRefusal(ctx, err)
		}
		return ByPasskey, t.use, nil
	}
	u, err := i.user(ctx, actor.Agency, actor.ID)
	if err != nil {
		return "", nil, err
	}
	keys, err := i.credentials(ctx, actor.ID)
	if err != nil {
		return "", nil, err
	}
	allowed, err := i.mayUsePassword(ctx, u)
	if err != nil {
		return "", nil, err
	}
	if len(keys) > 0 || !allowed {
		return "", nil, problem.New(problem.PasswordNotAllowed)
	}
	match, err := i.guess(ctx, u.ID, in.Password, u.PasswordHash)
	if err != nil {
		return "", nil, err
	}
	if !match {
		return "", nil, problem.New(problem.ConfirmationRefused)
	}
	return ByPassword, func(*database.Tx) error { return nil }, nil
}

// noteRefusal journals a touch of somebody known that was refused, and counts
// it against their address.
func (i *Identity) noteRefusal(ctx context.Context, err error) error {
	var r refusal
	if !errors.As(err, &r) {
		return err
	}
	if noted := i.journal.Refuse(ctx, aboutUser(r.user.AgencyID, r.user.ID, policy.Actor{Kind: policy.Nobody}, journal.PasskeyRefused, map[string]any{"why": r.why})); noted != nil {
		return noted
	}
	return r.Unwrap()
}
