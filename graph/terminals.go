package graph

import (
	"context"
	"reflect"
	"time"

	"genba/graph/model"
	"genba/policy"
	"genba/server/identity"
	"genba/server/journal"
)

// lookAgain is how often a list of terminals is read though nothing happened:
// that one went offline is no event.
const lookAgain = 5 * time.Second

func onTerminal(ctx context.Context, given string, command func(actor policy.Actor, id string) (*identity.Terminal, error)) (*model.TerminalPayload, error) {
	known, err := id(given)
	if err != nil {
		return nil, err
	}
	t, err := command(actorOf(ctx), known)
	if err != nil {
		return nil, err
	}
	return &model.TerminalPayload{Terminal: t}, nil
}

func receptionPayload(g *identity.ReceptionGrant, err error) (*model.ReceptionPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.ReceptionPayload{Reception: g}, nil
}

// terminalsChanged shows every terminal, at once and whenever one differs.
func (r *Resolver) terminalsChanged(ctx context.Context) (<-chan *model.TerminalsEvent, error) {
	agency := actorOf(ctx).Agency
	return look(ctx, r, lookAgain, r.can(policy.Terminal, policy.Read), func(ctx context.Context) (*model.TerminalsEvent, error) {
		all, err := r.People.Terminals(ctx, agency)
		return &model.TerminalsEvent{Terminals: all}, err
	})
}

// ownTerminalChanged shows the terminal of the sign-in, and says at each look
// that it is there.
func (r *Resolver) ownTerminalChanged(ctx context.Context) (<-chan *identity.Terminal, error) {
	actor := actorOf(ctx)
	return look(ctx, r, identity.Heartbeat, r.can(policy.OwnTerminal, policy.Read), func(ctx context.Context) (*identity.Terminal, error) {
		if err := r.People.Beat(ctx, actor); err != nil {
			return nil, err
		}
		return r.People.Sat(ctx, actor)
	})
}

// look is a subscription to what has no place in the journal: it is read at
// each ring and each tick, and shown where it differs from before. Each time it
// is asked anew whether the actor still may.
func look[T any](ctx context.Context, r *Resolver, every time.Duration, may func(policy.Actor) bool, read func(ctx context.Context) (*T, error)) (<-chan *T, error) {
	bell, err := r.Bus.Listen(journal.Topic(actorOf(ctx).Agency))
	if err != nil {
		return nil, err
	}
	out := make(chan *T)
	go func() {
		defer close(out)
		defer bell.Close()
		tick := time.NewTicker(every)
		defer tick.Stop()
		var last *T
		for {
			now, err := (*T)(nil), r.stillMay(ctx, may)
			if err == nil {
				now, err = read(ctx)
			}
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if !reflect.DeepEqual(last, now) {
				select {
				case out <- now:
				case <-ctx.Done():
					return
				}
				last = now
			}
			select {
			case <-bell.C:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
