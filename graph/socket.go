package graph

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"genba/policy"
	"genba/server/problem"
)

const (
	subprotocol  = "graphql-transport-ws"
	maxMessage   = 64 << 10
	writeTimeout = 10 * time.Second
	readTimeout  = 60 * time.Second // pings come every 20 s, and are answered
)

// The codes of graphql-transport-ws.
const (
	closedUnread      websocket.StatusCode = 4400
	closedLate        websocket.StatusCode = 4408
	closedSameID      websocket.StatusCode = 4409
	closedBegunBefore websocket.StatusCode = 4429
)

// lines is graphql-transport-ws. A quiet line costs one goroutine that reads and
// one for each of its subscriptions; an event that says the same to many is made
// once. A reader who is too slow is closed instead of waited for.
type lines struct {
	connections *connections

	mu   sync.Mutex
	open map[*line]struct{}
	stop chan struct{} // of who waits for the server's end
}

var _ graphql.Transport = (*lines)(nil)

func (*lines) Supports(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// Do answers the upgrade and leaves the line to a goroutine of its own: what the
// request took is given back.
func (ls *lines) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	// Our own middleware has compared the Origin with the public URL exactly.
	c, err := websocket.Accept(sparing{w}, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has said so
	}
	if c.Subprotocol() != subprotocol {
		_ = c.Close(websocket.StatusProtocolError, subprotocol+" only")
		return
	}
	c.SetReadLimit(maxMessage)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	l := &line{conn: c, exec: exec, cancel: cancel, active: map[string]context.CancelFunc{}}
	ls.add(l, visitorOf(ctx).Done)
	stop := context.AfterFunc(ctx, l.terminate)
	why := &closed{code: websocket.StatusInternalError}
	defer func() { // whatever broke
		if why == nil {
			go ls.serve(l, stop)
			return
		}
		stop()
		cancel()
		ls.remove(l)
		go func() { _ = c.Close(why.code, why.reason) }() // waits for the peer's answer, at most 5 s
	}()
	why = l.begin(ctx, ls.connections)
}

// sparing gives a line buffers for what goes over it: clients say little, and an
// event is seldom longer.
type sparing struct{ http.ResponseWriter }

const (
	readBuffer  = 512
	writeBuffer = 3 << 10
)

// Hijack is net/http's, with other buffers.
func (s sparing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return c, rw, err
	}
	if rw.Writer.Buffered() > 0 {
		err = rw.Writer.Flush() // what was answered to the upgrade
	}
	rw.Writer = bufio.NewWriterSize(c, writeBuffer)
	if rw.Reader.Buffered() == 0 {
		rw.Reader = bufio.NewReaderSize(c, readBuffer)
	}
	return c, rw, err
}

// serve reads a line to its end. What goes deep is done by others, so that the
// goroutine of a line stays small.
func (ls *lines) serve(l *line, stop func() bool) {
	var pinging *time.Timer
	pinging = time.AfterFunc(time.Hour, func() {
		l.write(message{Type: "ping"})
		pinging.Reset(pingInterval)
	})
	pinging.Reset(pingInterval) // now that it can find itself
	why := l.listen()
	pinging.Stop()
	stop()
	l.cancel()
	ls.connections.end(l.ctx)
	ls.remove(l)
	_ = l.conn.Close(why.code, why.reason)
}

// add keeps a line until it is removed, and closes it with the server.
func (ls *lines) add(l *line, done <-chan struct{}) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.open[l] = struct{}{}
	if done == nil || ls.stop != nil {
		return
	}
	stop := make(chan struct{})
	ls.stop = stop
	go func() {
		select {
		case <-done:
			ls.mu.Lock()
			defer ls.mu.Unlock()
			for l := range ls.open {
				l.cancel()
			}
			if ls.stop == stop {
				ls.stop = nil
			}
		case <-stop:
		}
	}()
}

func (ls *lines) remove(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if delete(ls.open, l); len(ls.open) == 0 && ls.stop != nil {
		close(ls.stop)
		ls.stop = nil
	}
}

// line is one WebSocket.
type line struct {
	conn   *websocket.Conn
	exec   graphql.GraphExecutor
	ctx    context.Context // once it has begun
	cancel context.CancelFunc

	mu     sync.Mutex
	active map[string]context.CancelFunc // by the id of the operation
}

var unread = closed{closedUnread, "invalid message"}

// message is one of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func (l *line) terminate() { _ = l.conn.Close(websocket.StatusNormalClosure, "terminated") }

// listen takes messages until one of them, or the peer, ends the line.
func (l *line) listen() closed {
	for {
		data, err := l.read(readTimeout)
		if err != nil {
			return closed{code: websocket.StatusNormalClosure}
		}
		taken := make(chan *closed)
		go l.take(data, taken)
		if why := <-taken; why != nil {
			return *why
		}
	}
}

func (l *line) read(within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, data, err := l.conn.Read(ctx)
	return data, err
}

// begin is connection_init, or why the line is closed.
func (l *line) begin(ctx context.Context, c *connections) *closed {
	data, err := l.read(initTimeout)
	if errors.Is(err, context.DeadlineExceeded) {
		return &closed{closedLate, "connection initialisation timeout"}
	}
	var m message
	if err != nil || json.Unmarshal(data, &m) != nil || m.Type != "connection_init" {
		return &unread
	}
	payload := transport.InitPayload{}
	if len(m.Payload) > 0 && json.Unmarshal(m.Payload, &payload) != nil {
		return &unread
	}
	if l.ctx, _, err = c.begin(ctx, payload); err != nil {
		why, _ := l.ctx.Value(closedKey{}).(closed)
		return &why
	}
	l.write(message{Type: "connection_ack"})
	return nil
}

// take does what a message asks for. It tells the reader to go on, or why the
// line is closed.
func (l *line) take(data []byte, taken chan<- *closed) {
	var m message
	if json.Unmarshal(data, &m) != nil {
		taken <- &unread
		return
	}
	switch m.Type {
	case "subscribe":
		o, why := l.subscribe(m)
		taken <- why
		if o != nil {
			o.run()
		}
		return
	case "complete":
		l.mu.Lock()
		stop := l.active[m.ID]
		l.mu.Unlock()
		if stop != nil {
			stop()
		}
	case "ping":
		l.write(message{Type: "pong", Payload: m.Payload})
	case "pong":
	case "connection_init":
		taken <- &closed{closedBegunBefore, "too many initialisation requests"}
		return
	default:
		taken <- &unread
		return
	}
	taken <- nil
}

// subscribe gives an operation of any kind to run, nil where it is refused.
func (l *line) subscribe(m message) (o *operation, why *closed) {
	l.mu.Lock()
	twice, full := l.active[m.ID] != nil, len(l.active) >= maxSubscriptions
	l.mu.Unlock()
	switch {
	case m.ID == "":
		return nil, &unread
	case twice:
		return nil, &closed{closedSameID, "the id is in use"}
	case full:
		l.refuse(m.ID, present(l.ctx, problem.New(problem.TooManySubscriptions)))
		l.write(message{ID: m.ID, Type: "complete"})
		return nil, nil
	}
	ctx, cancel := context.WithCancel(graphql.StartOperationTrace(l.ctx))
	o = &operation{line: l, id: m.ID, ctx: ctx, cancel: cancel}
	defer func() {
		if v := recover(); v != nil {
			o.end(present(ctx, recovered(ctx, v)))
			o = nil
		}
	}()
	if o.document = l.create(ctx, m); o.document == nil {
		cancel()
		l.write(message{ID: m.ID, Type: "complete"})
		return nil, nil
	}
	l.mu.Lock()
	l.active[m.ID] = cancel
	l.mu.Unlock()
	return o, nil
}

// create reads an operation, or says why it is refused.
func (l *line) create(ctx context.Context, m message) *graphql.OperationContext {
	params := &graphql.RawParams{ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	decoder := json.NewDecoder(bytes.NewReader(m.Payload))
	decoder.UseNumber()
	if err := decoder.Decode(params); err != nil {
		l.refuse(m.ID, present(ctx, problem.Wrap(problem.QueryInvalid, err)))
		return nil
	}
	params.ReadTime.End = graphql.Now()
	op, errs := l.exec.CreateOperationContext(ctx, params)
	if errs == nil {
		op.RawQuery = source(op)
		return op
	}
	response := l.exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	if errcode.GetErrorKind(errs) == errcode.KindProtocol {
		l.refuse(m.ID, response.Errors...)
	} else {
		l.next(m.ID, encoded(&graphql.Response{Errors: errs}))
	}
	return nil
}

// operation is one that runs over a line.
type operation struct {
	line      *line
	id        string
	ctx       context.Context
	cancel    context.CancelFunc
	document  *graphql.OperationContext
	variables string // of a follower
	follower  *follower
}

// run carries the operation out.
func (o *operation) run() {
	defer o.recover()
	ctx := graphql.WithOperationContext(o.ctx, o.document)
	if o.document.Operation.Operation != ast.Subscription {
		o.stream(ctx)
		o.end(nil)
		return
	}
	f, b := &failure{}, &beginning{}
	o.stream(context.WithValue(context.WithValue(ctx, failureKey{}, f), beginningKey{}, b))
	if b.follower == nil {
		o.end(f.err.Load())
		return
	}
	o.ctx, o.variables, o.follower = ctx, variablesOf(o.document), b.follower
	go o.follow() // with a new stack
}

// end says that the operation is over, or why where it was not to be.
func (o *operation) end(err *graphqlError) {
	l := o.line
	o.cancel()
	l.mu.Lock()
	delete(l.active, o.id)
	l.mu.Unlock()
	switch {
	case err != nil:
		l.refuse(o.id, err)
	case l.ctx.Err() == nil: // else the line is closed, which is no normal end
		l.write(message{ID: o.id, Type: "complete"})
	}
}

// recover ends an operation that broke.
func (o *operation) recover() {
	if v := recover(); v != nil {
		o.end(present(o.ctx, recovered(o.ctx, v)))
	}
}

// stream sends what the operation answers until it ends.
func (o *operation) stream(ctx context.Context) {
	responses, ctx := o.line.exec.DispatchOperation(ctx, o.document)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		o.line.next(o.id, encoded(response))
	}
}

// follow sends each change until the subscription ends. It waits with next to
// nothing on its stack.
func (o *operation) follow() {
	defer o.recover()
	defer o.follower.leave()
	for {
		wait, failed := o.catchUp()
		if failed == nil {
			select {
			case <-wait:
				continue
			case <-o.ctx.Done():
			}
		}
		if o.ctx.Err() != nil {
			failed = nil // they left
		}
		o.end(failed)
		return
	}
}

// catchUp sends what there is, and answers what to wait for.
func (o *operation) catchUp() (<-chan struct{}, *graphqlError) {
	for o.ctx.Err() == nil { // a line that was closed is behind by much, and nobody reads it
		c, s, wait, err := o.follower.next(o.ctx)
		if err != nil {
			return nil, present(o.ctx, err)
		}
		if wait != nil {
			return wait, nil
		}
		data, failed := o.say(c, s)
		if failed != nil { // whoever goes on after their cursor gets the change once more
			return nil, failed
		}
		o.line.next(o.id, data)
	}
	return nil, nil
}

// say is what a change says to the subscriber: the same as to everyone of the
// role who stands at the same place, unless something in it depends on who reads.
func (o *operation) say(c change, s *state) ([]byte, *graphqlError) {
	if s != nil {
		actor := anyVisitor(o.ctx).Actor
		key := answerKey{query: o.document.RawQuery, operation: o.document.OperationName, variables: o.variables, from: c.from, to: c.cursor}
		for _, key.scope = range []policy.Actor{common(actor), actor} {
			data, ok := s.answers.get(key, func() ([]byte, bool) {
				response, individual := o.event(c)
				if response == nil || len(response.Errors) > 0 {
					return nil, false
				}
				return encoded(response), !individual || key.scope == actor
			})
			if ok && data != nil {
				return data, nil
			}
		}
	}
	switch response, _ := o.event(c); {
	case response == nil:
		return nil, present(o.ctx, problem.New(problem.Timeout))
	case len(response.Errors) > 0 && (len(response.Data) == 0 || string(response.Data) == "null"):
		return nil, response.Errors[0]
	default:
		return encoded(response), nil
	}
}

// event executes the subscription for one change, and tells whether who reads it
// made a difference. Others may wait for it: it does not end with the line.
func (o *operation) event(c change) (*graphql.Response, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), operationTimeout)
	defer cancel()
	var individual atomic.Bool
	ctx = context.WithValue(context.WithValue(ctx, changeKey{}, c), individualKey{}, &individual)
	responses, ctx := o.line.exec.DispatchOperation(ctx, o.document)
	return responses(ctx), individual.Load()
}

// variablesOf is what a subscription depends on beside its document. Where it
// goes on is no part of it: that is where the follower stands.
func variablesOf(op *graphql.OperationContext) string {
	kept := op.Variables
	for _, s := range op.Operation.SelectionSet {
		f, ok := s.(*ast.Field)
		if !ok {
			continue
		}
		after := f.Arguments.ForName("after")
		if after == nil || after.Value.Kind != ast.Variable || strings.Count(op.RawQuery, "$"+after.Value.Raw) != 2 { // declared, and used here alone
			continue
		}
		kept = map[string]any{}
		for name, value := range op.Variables {
			if name != after.Value.Raw {
				kept[name] = value
			}
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return op.RawQuery // never: they came as JSON
	}
	return string(text)
}

// source is the operation's document as whoever parsed it holds it: lines that
// send the same one keep one.
func source(op *graphql.OperationContext) string {
	if p := op.Operation.Position; p != nil && p.Src != nil && p.Src.Input == op.RawQuery {
		return p.Src.Input
	}
	return op.RawQuery
}

func encoded(response *graphql.Response) []byte {
	data, err := json.Marshal(response)
	if err != nil {
		panic(err) // it is made of JSON
	}
	return data
}

// next sends an answer of an operation. The payload may be others', too: it goes
// out in a frame of its own, and is not copied.
func (l *line) next(id string, payload []byte) {
	name, _ := json.Marshal(id) // a string
	l.send([]byte(`{"id":`+string(name)+`,"type":"next","payload":`), payload, []byte("}"))
}

// refuse ends an operation with errors.
func (l *line) refuse(id string, errs ...*graphqlError) {
	data, err := json.Marshal(errs)
	if err != nil {
		panic(err) // strings and our own codes
	}
	l.write(message{ID: id, Type: "error", Payload: data})
}

func (l *line) write(m message) {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // it is made of JSON
	}
	l.send(data)
}

// send writes a message. Who does not take it in time is closed: a write that was
// broken off has broken the line.
func (l *line) send(parts ...[]byte) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if l.put(ctx, parts) != nil {
		l.cancel()
		_ = l.conn.CloseNow()
	}
}

func (l *line) put(ctx context.Context, parts [][]byte) error {
	if len(parts) == 1 {
		return l.conn.Write(ctx, websocket.MessageText, parts[0])
	}
	w, err := l.conn.Writer(ctx, websocket.MessageText)
	for i := 0; err == nil && i < len(parts); i++ {
		_, err = w.Write(parts[i])
	}
	if err != nil {
		return err
	}
	return w.Close()
}

// Bounds of the documents that are kept parsed.
const (
	maxDocuments = 64
	maxDocument  = 8 << 10
)

// documents keeps what was parsed and validated, so that the pages' own
// documents are not looked at anew for each request, nor kept by each line.
type documents struct {
	mu  sync.Mutex
	all map[string]*ast.QueryDocument
}

var _ graphql.Cache[*ast.QueryDocument] = (*documents)(nil)

func newDocuments() *documents { return &documents{all: map[string]*ast.QueryDocument{}} }

// Get finds a document that was parsed before.
func (d *documents) Get(_ context.Context, query string) (*ast.QueryDocument, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.all[query]
	return doc, ok
}

// Add keeps a document, if it is small. Where there are too many already, any
// other one goes.
func (d *documents) Add(_ context.Context, query string, doc *ast.QueryDocument) {
	if len(query) > maxDocument {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for other := range d.all {
		if len(d.all) < maxDocuments {
			break
		}
		delete(d.all, other)
	}
	d.all[query] = doc
}
