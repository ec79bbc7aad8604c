package graph

import (
	"context"

	"genba/graph/model"
	"genba/policy"
	"genba/server/cases"
	"genba/server/identity"
)

func passkey(a *identity.Asked) *model.PasskeyPayload {
	if a == nil {
		return nil
	}
	return &model.PasskeyPayload{Challenge: a.Challenge, Options: a.Options, ExpiresAt: a.ExpiresAt}
}

func toConfirm(how *identity.ToConfirm, err error) (*model.ConfirmationPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.ConfirmationPayload{Passkey: passkey(how.Asked), Password: how.Password}, nil
}

func confirmation(in *model.ConfirmationInput) identity.Confirmation {
	return identity.Confirmation{Challenge: text(in.Challenge), Assertion: text(in.Assertion), Password: text(in.Password)}
}

// signedIn gives a new login its cookie and shows who it is.
func (r *Resolver) signedIn(ctx context.Context, token string, actor policy.Actor, err error) (*model.SignInPayload, error) {
	if err != nil {
		return nil, err
	}
	if err := setCookie(ctx, consolePage, token); err != nil {
		return nil, err
	}
	me, err := r.me(ctx, actor)
	return &model.SignInPayload{Me: me}, err
}

// onUser changes one person of the actor's agency.
func (r *Resolver) onUser(ctx context.Context, given string, change func(actor policy.Actor, userID string) (*identity.User, error)) (*model.UserPayload, error) {
	userID, err := id(given)
	if err != nil {
		return nil, err
	}
	u, err := change(actorOf(ctx), userID)
	if err != nil {
		return nil, err
	}
	return &model.UserPayload{User: u}, nil
}

func enrolment(u *identity.User, code string, e *identity.Enrolment, err error) (*model.EnrolmentPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.EnrolmentPayload{User: u, Code: code, ExpiresAt: e.ExpiresAt}, nil
}

func (r *Resolver) revealed(s *cases.Session, err error) (*model.RevealNumberPayload, error) {
	if err != nil {
		return nil, err
	}
	p := &model.RevealNumberPayload{Email: textOrNil(s.Email)}
	if s.Number != "" {
		p.Number = &model.PhoneNumber{E164: s.Number, Groups: cases.Groups(s.Number), Whole: true}
	}
	return p, nil
}

const secondsAMinute = 60
