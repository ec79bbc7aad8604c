package graph

import (
	"context"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
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
	from    journal.Cursor
	cursor  journal.Cursor
	entries []journal.Row
	moved   []string // sessions that reported positions
}

// follower stands at a place of an agency's journal and asks for what comes
// after it. What it was given is what its place stands behind: nothing is missed
// and nothing comes twice. Before each change it asks again whether the actor is
// still who they were and still may.
type follower struct {
	feed   *feed
	actor  policy.Actor
	may    func(policy.Actor) bool
	filter journal.Filter
	at     journal.Cursor
}

// join makes a follower. Whoever got one has to let it leave.
func (r *Resolver) join(ctx context.Context, after *string, may func(policy.Actor) bool, f journal.Filter) (*follower, error) {
	actor := actorOf(ctx)
	joined, err := r.joinFeed(ctx, actor.Agency, actor.Login)
	if err != nil {
		return nil, err
	}
	at, err := r.startAt(ctx, actor.Agency, after)
	if err != nil {
		joined.leave(actor.Login)
		return nil, err
	}
	return &follower{feed: joined, actor: actor, may: may, filter: f, at: at}, nil
}

func (w *follower) leave() { w.feed.leave(w.actor.Login) }

// next is the next change, with the state that it was taken from, or nil where
// the follower had to read for itself. Where there is none yet, it says what to
// wait for.
func (w *follower) next(ctx context.Context) (c change, s *state, wait <-chan struct{}, err error) {
	for more := true; more; {
		s = w.feed.state()
		if err := s.err; err != nil {
			return c, nil, nil, err
		}
		if err := w.stillMay(ctx, s); err != nil {
			return c, nil, nil, err
		}
		wait = s.after
		var remembered bool
		if c, more, remembered = s.changeAfter(w.at, w.filter); !remembered {
			s = nil
			if c, more, err = w.feed.r.read(ctx, w.actor.Agency, w.at, w.filter); err != nil {
				return c, nil, nil, err
			}
		}
		c.from, w.at = w.at, c.cursor
		if len(c.entries) > 0 || len(c.moved) > 0 {
			return c, s, nil, nil
		}
	}
	return c, nil, wait, nil
}

// stillMay is the resolver's, with one question for all lines of a sign-in.
func (w *follower) stillMay(ctx context.Context, s *state) error {
	return stillMay(w.actor, w.may, func(login string) (policy.Actor, error) { return w.feed.stillSignedIn(ctx, login, s) })
}

// follow is the one forwarder of subscriptions: it hands every change to build,
// which answers nil where it does not concern the subscriber.
func follow[T any](ctx context.Context, r *Resolver, after *string, may func(policy.Actor) bool, f journal.Filter,
	build func(ctx context.Context, c change) (*T, error),
) (<-chan *T, error) {
	w, err := r.join(ctx, after, may, f)
	if err != nil {
		return nil, err
	}
	out := make(chan *T)
	go func() {
		defer close(out)
		defer w.leave()
		for {
			c, _, wait, err := w.next(ctx)
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if wait != nil {
				select {
				case <-wait:
					continue
				case <-ctx.Done():
					return
				}
			}
			event, err := build(ctx, c)
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if event == nil {
				continue
			}
			select {
			case out <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// together is follow where a change means the same to many. A line takes the
// follower for itself, and lets one of those who stand at the same place say the
// change for all; build then runs once, with a context that has no subscriber of
// its own.
func together[T any](ctx context.Context, r *Resolver, after *string, may func(policy.Actor) bool, build func(ctx context.Context, c change) (*T, error)) (<-chan *T, error) {
	out := make(chan *T, 1)
	if c, ok := ctx.Value(changeKey{}).(change); ok {
		event, err := build(ctx, c)
		if err != nil {
			return nil, err
		}
		out <- event
		close(out)
		return out, nil
	}
	if p, ok := ctx.Value(beginningKey{}).(*beginning); ok {
		w, err := r.join(ctx, after, may, journal.Filter{})
		if err != nil {
			return nil, err
		}
		p.follower = w
		close(out)
		return out, nil
	}
	return follow(ctx, r, after, may, journal.Filter{}, build)
}

type (
	changeKey    struct{}
	beginningKey struct{}
)

// beginning is where a line finds the follower that a subscription began.
type beginning struct{ follower *follower }

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

// failure is why a subscription ended. A WebSocket has a message of its own for
// it; a stream of events says it with its last answer.
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
	return stillMay(actorOf(ctx), may, func(login string) (policy.Actor, error) { return r.People.StillSignedIn(ctx, login) })
}

func stillMay(actor policy.Actor, may func(policy.Actor) bool, ask func(login string) (policy.Actor, error)) error {
	if actor.Kind == policy.User {
		now, err := ask(actor.Login)
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
