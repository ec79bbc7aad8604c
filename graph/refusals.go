package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"genba/policy"
	"genba/server/journal"
	"genba/server/problem"
)

// noteRefusals journals what a known actor was refused, at most ten a minute
// each. Strangers' refusals are the rooms' matter: only they know whether a
// known link was involved.
func (r *Resolver) noteRefusals(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	answer := next(ctx)
	if answer == nil || len(answer.Errors) == 0 || agencyOf(ctx) == "" {
		return answer
	}
	actor := actorOf(ctx)
	e, refused := refusalOf(actor, answer.Errors[0])
	if !refused {
		return answer
	}
	if err := r.Journal.Refuse(ctx, e); err != nil {
		slog.ErrorContext(ctx, "journal refusal", "error", err)
	}
	return answer
}

// refusalOf is the entry for the first error of an answer; what went wrong in
// the house, or what was no question at all, is no refusal.
func refusalOf(actor policy.Actor, err *gqlerror.Error) (journal.Entry, bool) {
	code, _ := err.Extensions["code"].(problem.Code)
	reason, _ := err.Extensions["reason"].(problem.Reason)
	switch {
	case code == problem.InternalFailure, code == problem.Missing, code == "", reason == problem.QueryInvalid, reason == problem.Timeout, reason == problem.Resync:
		return journal.Entry{}, false
	}
	subject := journal.Subject{Kind: policy.Users, ID: actor.ID}
	if actor.Kind != policy.User {
		subject = journal.Subject{Kind: policy.OwnSession, ID: actor.ID}
	}
	said := map[string]any{"reason": reason}
	if len(err.Path) > 0 {
		said["field"] = err.Path[:1].String()
	}
	return journal.Entry{Agency: actor.Agency, Actor: actor, Type: journal.RequestRefused, Subject: subject, SessionID: actor.Session, Payload: said}, true
}
