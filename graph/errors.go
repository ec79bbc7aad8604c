package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"genba/server/problem"
)

// present is the one translator of errors into GraphQL answers: code, reason,
// an id, and a sentence in the reader's language. What is no refusal is logged
// under the id and shown as internal.
func present(ctx context.Context, err error) *gqlerror.Error {
	reference := rand.Text()[:12]
	p := problem.Of(explain(ctx, err))
	if p.Code() == problem.InternalFailure {
		slog.ErrorContext(ctx, "internal error", "id", reference, "error", err.Error())
	}
	answer := &gqlerror.Error{Message: p.Text(visitorOf(ctx).Language), Extensions: map[string]any{
		"code": p.Code(), "reason": p.Reason(), "id": reference,
	}}
	if graphql.HasOperationContext(ctx) {
		answer.Path = graphql.GetPath(ctx)
	}
	return answer
}

// presenter is present for errors that the executor found: a document that does
// not parse or fit the schema is a refusal, too. Its own text would name what
// the schema has; only --dev shows it.
func presenter(dev bool) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		var g *gqlerror.Error
		if !errors.As(err, &g) {
			return present(ctx, err)
		}
		if _, ours := g.Extensions["reason"]; ours {
			return g
		}
		if g.Err != nil && !isDocument(g) {
			return present(ctx, g.Err)
		}
		answer := present(ctx, problem.Wrap(problem.QueryInvalid, err))
		if dev {
			answer.Message, answer.Locations = g.Message, g.Locations
		}
		return answer
	}
}

// isDocument tells whether the error is about the document or its variables.
func isDocument(g *gqlerror.Error) bool {
	code, _ := g.Extensions["code"].(string)
	return code == "GRAPHQL_VALIDATION_FAILED" || code == "GRAPHQL_PARSE_FAILED" || g.Rule != ""
}

// explain turns an operation's own deadline into a refusal, and keeps what broke
// off because the reader left from counting as a fault.
func explain(ctx context.Context, err error) error {
	var p *problem.Error
	switch {
	case errors.As(err, &p):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return problem.Wrap(problem.Timeout, err)
	case errors.Is(err, context.Canceled), ctx.Err() != nil:
		return problem.Wrap(problem.Unavailable, err)
	}
	return err
}

// recovered keeps a panic from ending the process. Its value and stack go to
// the log only.
func recovered(ctx context.Context, v any) error {
	slog.ErrorContext(ctx, "panic in an operation", "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
	return problem.New(problem.Internal)
}
