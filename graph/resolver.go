// Package graph speaks GraphQL: schema, resolvers, subscriptions, the errors'
// one presenter, and the guard that refuses an operation before it runs. It
// holds no rule and no SQL: a resolver asks its room and wraps the answer.
package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/graph/generated"
	"genba/policy"
	"genba/server/bus"
	"genba/server/cases"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/notify"
	"genba/server/operations"
	"genba/server/problem"
	"genba/server/statistics"
)

// Resolver holds the rooms that answer.
type Resolver struct {
	Policy     *policy.Policy
	Bus        *bus.Bus
	Journal    *journal.Journal
	People     *identity.Identity
	Bearers    *identity.Bearers
	Cases      *cases.Cases
	Notify     *notify.Notify
	Evidence   *evidence.Evidence
	Statistics *statistics.Statistics
	Operations *operations.Operations
	Streams    streams

	feeds feeds
}

// streams cuts live video that a credential holds open.
type streams interface{ CutPeer(credential string) }

// Options are the handler's settings.
type Options struct {
	// Dev allows introspection and shows what is wrong with a document.
	Dev bool
	// WriteProblem answers what is no GraphQL request at all.
	WriteProblem func(w http.ResponseWriter, r *http.Request, err error)
}

const (
	maxBody          = 64 << 10
	operationTimeout = 5 * time.Second
	pingInterval     = 20 * time.Second
	initTimeout      = 5 * time.Second
	maxSubscriptions = 20 // a connection, other operations included
	maxConnections   = 8  // of one sign-in or phone
	maxAnonymous     = 2000
)

// NewHandler serves GraphQL: POST, server-sent events, and WebSockets with
// graphql-transport-ws. It expects WithVisitor in the context.
func NewHandler(r *Resolver, o Options) http.Handler {
	s := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: r}))
	s.SetErrorPresenter(presenter(o.Dev))
	s.SetRecoverFunc(recovered)
	s.SetParserTokenLimit(maxTokens)
	s.SetDisableSuggestion(true)
	s.SetQueryCache(newDocuments())
	c := &connections{open: map[string]int{}}
	s.AddTransport(&lines{connections: c, open: map[*line]struct{}{}})
	s.AddTransport(transport.SSE{KeepAlivePingInterval: pingInterval})
	s.AddTransport(post{})
	if o.Dev {
		s.Use(extension.Introspection{})
	}
	s.Use(guard{policy: r.Policy, dev: o.Dev})
	s.AroundOperations(around)
	s.AroundOperations(r.noteActivity)
	s.AroundResponses(r.withLoaders)
	s.AroundResponses(r.noteRefusals)
	return &entrance{next: s, open: c, writeProblem: o.WriteProblem}
}

// around bounds how long an operation runs.
func around(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	_, told := ctx.Value(failureKey{}).(*failure)
	switch subscription := graphql.GetOperationContext(ctx).Operation.Operation == ast.Subscription; {
	case subscription && told:
		return next(ctx)
	case subscription:
		return stream(ctx, next)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	responses := next(ctx)
	return func(inner context.Context) *graphql.Response {
		defer cancel()
		bounded, stop := context.WithTimeout(inner, operationTimeout)
		defer stop()
		return responses(bounded)
	}
}

// entrance looks at a request before GraphQL does: its kind, its size and its
// shape. What passes is one operation as a JSON object.
type entrance struct {
	next         http.Handler
	open         *connections
	writeProblem func(w http.ResponseWriter, r *http.Request, err error)
}

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		if !strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), subprotocol) {
			e.writeProblem(w, r, problem.New(problem.QueryInvalid))
			return
		}
		e.next.ServeHTTP(w, r)
		return
	}
	body, err := readOperation(r)
	if err != nil {
		if problem.Is(err, problem.MethodNotAllowed) {
			w.Header().Set("Allow", http.MethodPost)
		}
		e.writeProblem(w, r, err)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		key := connectionOwner(r.Context())
		if !e.open.enter(key) {
			e.writeProblem(w, r, problem.New(problem.TooManySubscriptions))
			return
		}
		defer e.open.leave(key)
		ctx, cancel := untilDone(r.Context())
		defer cancel()
		r = r.WithContext(ctx)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	e.next.ServeHTTP(w, r)
}

// readOperation refuses everything but one operation as a JSON object.
func readOperation(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, problem.New(problem.MethodNotAllowed)
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := strings.ToLower(parameters["charset"]); err != nil || kind != "application/json" || (charset != "" && charset != "utf-8") {
		return nil, problem.New(problem.UnsupportedType)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	if len(body) > maxBody {
		return nil, problem.New(problem.TooLarge)
	}
	var shape struct {
		Query         *string        `json:"query"`
		OperationName *string        `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	if json.Unmarshal(body, &shape) != nil || shape.Query == nil || *shape.Query == "" {
		return nil, problem.New(problem.QueryInvalid)
	}
	return body, nil
}

// connections counts what each owner holds open.
type connections struct {
	mu   sync.Mutex
	open map[string]int
}

type connection struct {
	owner string
	page  string
}

// still refuses what comes over a connection whose sign-in has ended, or whose
// actor is not who they were when it began.
func (c *connection) still(ctx context.Context) error {
	v := visitorOf(ctx)
	now, err := v.Recognise(ctx, c.page)
	if err == nil && now.Role == policy.LockedRole {
		return problem.New(problem.ScreenLocked)
	}
	switch {
	case err != nil || now == v.Actor:
		return err
	case now.Grant == "" && v.Actor.Grant != "": // who they are stays; what they were granted has ended
		return problem.New(problem.Forbidden)
	}
	if now.Grant = v.Actor.Grant; now == v.Actor { // this connection goes on with what it began with
		return nil
	}
	return problem.New(problem.Unauthenticated)
}

type connectionKey struct{}

func (c *connections) enter(owner string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := maxConnections
	if owner == "" {
		limit = maxAnonymous
	}
	if c.open[owner] >= limit {
		return false
	}
	c.open[owner]++
	return true
}

func (c *connections) leave(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[owner]--; c.open[owner] <= 0 {
		delete(c.open, owner)
	}
}

func connectionOwner(ctx context.Context) string {
	a := actorOf(ctx)
	if a.Login != "" {
		return a.Login
	}
	return a.ID
}

// begin is connection_init: it names the page, whose cookie came with the
// upgrade. A refused one is closed with 4401 or 4429, so that clients do not
// try again at once.
func (c *connections) begin(ctx context.Context, payload transport.InitPayload) (context.Context, *transport.InitPayload, error) {
	v := visitorOf(ctx)
	v.SetCookie = nil
	if language := payload.GetString("language"); language == "ja" || language == "en" {
		v.Language = language
	}
	page := payload.GetString("Genba-Actor")
	var err error
	if v.Prove != nil {
		ctx, err = v.Prove(ctx, page, payload.GetString("DPoP"))
	}
	var actor policy.Actor
	if err == nil {
		actor, err = v.Recognise(ctx, page)
	}
	if err == nil && actor.Role == policy.LockedRole {
		err = problem.New(problem.ScreenLocked)
	}
	if err != nil {
		p := problem.Of(err)
		return closing(ctx, 4401, string(p.Reason())), nil, p
	}
	v.Actor = actor
	ctx = WithVisitor(ctx, v)
	conn := &connection{owner: connectionOwner(ctx), page: page}
	if !c.enter(conn.owner) {
		p := problem.New(problem.TooManySubscriptions)
		return closing(ctx, 4429, string(p.Reason())), nil, p
	}
	return context.WithValue(ctx, connectionKey{}, conn), nil, nil
}

// closed is why a line is closed.
type closed struct {
	code   websocket.StatusCode
	reason string
}

type closedKey struct{}

func closing(ctx context.Context, code websocket.StatusCode, reason string) context.Context {
	return context.WithValue(ctx, closedKey{}, closed{code, reason})
}

func (c *connections) end(ctx context.Context) {
	if conn, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.leave(conn.owner)
	}
}

// untilDone ends a long-lived request with the server.
func untilDone(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done := visitorOf(ctx).Done
	if done == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
