package graph

import (
	"context"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"genba/policy"
	"genba/server/journal"
	"genba/server/problem"
)

type graphqlError = gqlerror.Error

const (
	maxBehind  = 1000 // entries; a cursor further back is answered RESYNC
	eventBatch = 200  // entries in one event
)

// change is what happened between two places of an agency's journal.
type change struct {
	cursor  journal.Cursor
	entries []journal.Row
	moved   []string // sessions that reported positions
}

// follow is the one forwarder of subscriptions: it reads the journal after the
// cursor, again at each ring, and hands every change to build, which answers nil
// where it does not concern the subscriber. Before each delivery it asks again
// whether the actor is still who they were and still may. Nothing is missed and
// nothing comes twice: what was delivered is what the next cursor stands behind.
func follow[T any](ctx context.Context, r *Resolver, after *string, may func(policy.Actor) bool, f journal.Filter,
	build func(ctx context.Context, c change) (*T, error),
) (<-chan *T, error) {
	actor := actorOf(ctx)
	bell, err := r.Bus.Listen(journal.Topic(actor.Agency))
	if err != nil {
		return nil, err
	}
	at, err := r.startAt(ctx, actor.Agency, after)
	if err != nil {
		bell.Close()
		return nil, err
	}
	out := make(chan *T)
	go func() {
		defer close(out)
		defer bell.Close()
		for {
			event, more, err := step(ctx, r, &at, may, f, build)
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if event != nil {
				select {
				case out <- event:
				case <-ctx.Done():
					return
				}
			}
			if more {
				continue
			}
			select {
			case <-bell.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// startAt reads the subscriber's cursor, or takes the newest place.
func (r *Resolver) startAt(ctx context.Context, agency string, after *string) (journal.Cursor, error) {
	head, err := r.Journal.At(ctx, agency)
	if err != nil || after == nil {
		return head, err
	}
	at, err := journal.ParseCursor(*after)
	if err != nil {
		return at, err
	}
	if at.Entries > head.Entries || at.Positions > head.Positions || head.Entries-at.Entries > maxBehind {
		return at, problem.New(problem.Resync)
	}
	return at, nil
}

// failure is why an event stream ended. A WebSocket has a message of its own for
// it; a stream says it with its last answer.
type failure struct{ err atomic.Pointer[graphqlError] }

type failureKey struct{}

// fail ends a subscription with an error, unless the subscriber has left.
func (*Resolver) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if f, ok := ctx.Value(failureKey{}).(*failure); ok {
		f.err.Store(present(ctx, err))
		return
	}
	transport.AddSubscriptionError(ctx, present(ctx, err))
}

// stream runs a subscription whose last answer is why it ended.
func stream(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	f := &failure{}
	answers := next(context.WithValue(ctx, failureKey{}, f))
	return func(ctx context.Context) *graphql.Response {
		if answer := answers(ctx); answer != nil {
			return answer
		}
		if err := f.err.Swap(nil); err != nil {
			return &graphql.Response{Errors: []*graphqlError{err}}
		}
		return nil
	}
}

func step[T any](ctx context.Context, r *Resolver, at *journal.Cursor, may func(policy.Actor) bool, f journal.Filter,
	build func(ctx context.Context, c change) (*T, error),
) (event *T, more bool, err error) {
	if err := r.stillMay(ctx, may); err != nil {
		return nil, false, err
	}
	c, more, err := r.read(ctx, actorOf(ctx).Agency, *at, f)
	if err != nil {
		return nil, false, err
	}
	*at = c.cursor
	if len(c.entries) == 0 && len(c.moved) == 0 {
		return nil, more, nil
	}
	event, err = build(ctx, c)
	return event, more, err
}

// read takes what happened after a place, from one state. The new place stands
// behind the last entry read, or behind the newest where all were read.
func (r *Resolver) read(ctx context.Context, agency string, at journal.Cursor, f journal.Filter) (c change, more bool, err error) {
	c.cursor, err = r.Journal.Consistent(ctx, agency, func(ctx context.Context) (err error) {
		if c.entries, err = r.Journal.After(ctx, agency, at.Entries, f, eventBatch); err != nil {
			return err
		}
		c.moved, err = r.Cases.MovedSince(ctx, agency, at.Positions)
		return err
	})
	if more = len(c.entries) == eventBatch; more {
		c.cursor.Entries = c.entries[eventBatch-1].Number
	}
	return c, more, err
}

// stillMay asks again who acts: a sign-in that ended, or a right that was taken
// away, ends the subscription.
func (r *Resolver) stillMay(ctx context.Context, may func(policy.Actor) bool) error {
	actor := actorOf(ctx)
	if actor.Kind == policy.User {
		now, err := r.People.StillSignedIn(ctx, actor.Login)
		if err != nil {
			return err
		}
		actor = now
	}
	if !may(actor) {
		return problem.New(problem.Forbidden)
	}
	return nil
}

// can asks the policy about the actor's own agency.
func (r *Resolver) can(o policy.Object, act policy.Action) func(policy.Actor) bool {
	return func(a policy.Actor) bool { return r.Policy.Can(a, a.Agency, o, act) }
}
