package graph

import (
	"context"
	"sync/atomic"

	"genba/policy"
	"genba/server/identity"
	"genba/server/problem"
)

// Visitor is who sent a request and in which language they read. app's
// middleware puts it into the context; nothing else says who asks.
type Visitor struct {
	Actor    policy.Actor
	Language string // "ja" or "en"
	// Recognise finds the actor that the request's cookies prove for a page's
	// name: console, caller or staff. A WebSocket names its page only in
	// connection_init.
	Recognise func(ctx context.Context, page string) (policy.Actor, error)
	// Prove checks the proof of a terminal that came for a page, and notes in the
	// context what it shows. Only a WebSocket brings it in connection_init; nil
	// where nothing is to be proved.
	Prove func(ctx context.Context, page, proof string) (context.Context, error)
	// Refused is why nothing is answered but what a console may ask for before its
	// terminal is enrolled.
	Refused error
	// SetCookie gives the page its cookie; an empty value takes it away. It is
	// nil where the answer can carry none.
	SetCookie func(page, value string)
	// Done ends with the server: subscriptions are closed then.
	Done <-chan struct{}
}

type visitorKey struct{}

// WithVisitor notes who asks.
func WithVisitor(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

func visitorOf(ctx context.Context) Visitor {
	if asked, ok := ctx.Value(individualKey{}).(*atomic.Bool); ok {
		asked.Store(true)
	}
	return anyVisitor(ctx)
}

func anyVisitor(ctx context.Context) Visitor {
	if v, ok := ctx.Value(visitorKey{}).(Visitor); ok {
		return v
	}
	return Visitor{Actor: policy.Actor{Kind: policy.Nobody}, Language: "en"}
}

// individualKey holds an *atomic.Bool that says whether anything asked who the
// reader is. Where nothing did, the answer is the same for everyone of the role.
type individualKey struct{}

func actorOf(ctx context.Context) policy.Actor { return visitorOf(ctx).Actor }

// agencyOf is where the reader belongs.
func agencyOf(ctx context.Context) string { return anyVisitor(ctx).Actor.Agency }

// roleOf is the reader without what tells one from the others of the role: enough
// for the policy, and for no rule about what is whose.
func roleOf(ctx context.Context) policy.Actor { return common(anyVisitor(ctx).Actor) }

func common(a policy.Actor) policy.Actor {
	a.ID, a.Session, a.Login, a.Terminal = "", "", "", ""
	return a
}

// Pages that have a cookie of their own.
const (
	consolePage = "console"
	callerPage  = "caller"
	staffPage   = "staff"
)

func setCookie(ctx context.Context, page, value string) error {
	set := visitorOf(ctx).SetCookie
	if set == nil {
		return problem.New(problem.QueryInvalid)
	}
	set(page, value)
	return nil
}

// id reads an id argument. What cannot be an id is nobody's.
func id(s string) (string, error) { return identity.ParseID(s) }

func optionalID(s *string) (string, error) {
	if s == nil || *s == "" {
		return "", nil
	}
	return identity.ParseID(*s)
}
