package graph

import (
	"context"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/policy"
	"genba/server/cases"
)

// noteActivity notes that somebody is there whenever they change something:
// queries and subscriptions run by themselves.
func (r *Resolver) noteActivity(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
		return next(ctx)
	}
	if actor := actorOf(ctx); (actor.Kind == policy.User || actor.Kind == policy.Operator) && actor.Role != policy.LockedRole {
		if err := r.People.StayAwake(ctx, actor.Login); err != nil {
			slog.ErrorContext(ctx, "note activity", "error", err) // the screen locks early at worst
		}
	}
	return next(ctx)
}

// watchedSession keeps the screen open of whoever follows a session, until it is
// over or they leave: a lock never falls on a call that goes on.
func (r *Resolver) watchedSession(ctx context.Context, sessionID string) (seen func(*cases.Session)) {
	actor := actorOf(ctx)
	s, err := r.Cases.Session(ctx, actor.Agency, sessionID)
	if err != nil || s.State.Over() || actor.Kind != policy.User || actor.Login == "" {
		return func(*cases.Session) {}
	}
	end := r.People.Watch(actor.Login)
	context.AfterFunc(ctx, end)
	return func(s *cases.Session) {
		if s.State.Over() {
			end()
		}
	}
}
