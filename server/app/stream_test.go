package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"
)

// message is one of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// socket opens a WebSocket and names its page.
func (v *visitor) socket(ctx context.Context) (*websocket.Conn, error) {
	header := http.Header{"Origin": {v.URL()}, "Cookie": {v.cookie}}
	c, res, err := websocket.Dial(ctx, strings.Replace(v.URL(), "http", "ws", 1)+"/graphql",
		&websocket.DialOptions{HTTPClient: v.http, HTTPHeader: header, Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		if res != nil && res.Body != nil {
			_ = res.Body.Close()
		}
		return nil, err
	}
	c.SetReadLimit(1 << 20)
	proof := ""
	if v.desk != nil {
		proof = v.desk.proof(v.t, v.nonce(), http.MethodGet, v.URL()+"/graphql")
	}
	payload := fmt.Appendf(nil, `{"Genba-Actor":%q,"language":%q,"DPoP":%q}`, v.page, v.language, proof)
	if err := wsjson.Write(ctx, c, message{Type: "connection_init", Payload: payload}); err != nil {
		return nil, err
	}
	var first message
	if err := wsjson.Read(ctx, c, &first); err != nil {
		_ = c.CloseNow()
		return nil, err
	}
	if first.Type != "connection_ack" {
		return nil, fmt.Errorf("first message is %s", first.Type)
	}
	return c, nil
}

// transport carries one subscription: it hands over each answer until it ends.
type transport func(ctx context.Context, v *visitor, operation []byte, each func(graphqlAnswer)) error

// overSocket is graphql-transport-ws.
func overSocket(ctx context.Context, v *visitor, operation []byte, each func(graphqlAnswer)) error {
	c, err := v.socket(ctx)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := wsjson.Write(ctx, c, message{ID: "1", Type: "subscribe", Payload: operation}); err != nil {
		return err
	}
	for {
		var m message
		if err := wsjson.Read(ctx, c, &m); err != nil {
			return err
		}
		switch m.Type {
		case "next":
			var a graphqlAnswer
			if err := json.Unmarshal(m.Payload, &a); err != nil {
				return err
			}
			each(a)
		case "error":
			var a graphqlAnswer
			if err := json.Unmarshal(m.Payload, &a.Errors); err != nil {
				return err
			}
			each(a)
		case "ping":
			if err := wsjson.Write(ctx, c, message{Type: "pong"}); err != nil {
				return err
			}
		case "complete":
			return nil
		}
	}
}

// overEvents is server-sent events in answer to a POST.
func overEvents(ctx context.Context, v *visitor, operation []byte, each func(graphqlAnswer)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.URL()+"/graphql", bytes.NewReader(operation))
	if err != nil {
		return err
	}
	h := v.headers()
	for i := 0; i+1 < len(h); i += 2 {
		r.Header.Set(h[i], h[i+1])
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := v.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return fmt.Errorf("%d %s", res.StatusCode, kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var a graphqlAnswer
			if err := json.Unmarshal([]byte(data), &a); err != nil {
				return err
			}
			each(a)
		}
	}
	return lines.Err()
}

const (
	boardChanged   = `subscription($after: Cursor){changed: caseBoardChanged(after:$after){cursor entries{number} cases{id} removed}}`
	sessionChanged = `subscription($id: ID!, $after: Cursor){changed: sessionChanged(id:$id, after:$after){cursor entries{number} session{id state}}}`
)

// follower is a console that follows the board or a report, and goes on behind
// its last cursor after a cut.
type follower struct {
	v         *visitor
	by        transport
	document  string
	variables vars
	from      int64 // entries after this one are to come

	mu      sync.Mutex
	cursor  string
	numbers []int64
	refused []refusal
	cut     context.CancelFunc
	gone    chan struct{}
	failed  error
}

func (v *visitor) follow(by transport, document string, variables vars, cursor string, from int64) *follower {
	f := &follower{v: v, by: by, document: document, variables: variables, cursor: cursor, from: from}
	f.begin()
	return f
}

func (f *follower) begin() {
	ctx, cut := context.WithCancel(context.Background())
	variables := vars{"after": f.cursor}
	for name, value := range f.variables {
		variables[name] = value
	}
	f.cut, f.gone = cut, make(chan struct{})
	go func() {
		defer close(f.gone)
		err := f.by(ctx, f.v, operation(f.document, variables), f.take)
		f.mu.Lock()
		defer f.mu.Unlock()
		if ctx.Err() == nil {
			f.failed = err
		}
	}()
}

func (f *follower) take(a graphqlAnswer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var event struct {
		Changed *struct {
			Cursor  string
			Entries []struct{ Number int64 }
		}
	}
	f.refused = append(f.refused, a.Errors...)
	if json.Unmarshal(a.Data, &event) != nil || event.Changed == nil {
		return
	}
	f.cursor = event.Changed.Cursor
	for _, e := range event.Changed.Entries {
		f.numbers = append(f.numbers, e.Number)
	}
}

// interrupt cuts the line at once.
func (f *follower) interrupt() {
	f.cut()
	<-f.gone
}

func (f *follower) seen() ([]int64, []refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int64(nil), f.numbers...), append([]refusal(nil), f.refused...)
}

// requireAll waits until the last entry has come, and compares.
func (f *follower) requireAll(want []int64) {
	f.v.t.Helper()
	require.NotEmpty(f.v.t, want)
	eventually(f.v.t, func() string {
		got, refused := f.seen()
		if len(refused) == 0 && (len(got) == 0 || got[len(got)-1] < want[len(want)-1]) {
			return fmt.Sprintf("%v of %v", got, want)
		}
		return ""
	})
	got, refused := f.seen()
	require.Empty(f.v.t, refused)
	require.Equal(f.v.t, want, got, "every entry comes exactly once, in order")
}

type journalEntry struct {
	Number    int64
	Type      string
	ActorKind string
	SessionID *string
	Payload   *string
	At        time.Time
}

// journaled reads the whole journal as the manager audits it, oldest first.
func (h *house) journaled(manager *visitor) []journalEntry {
	h.t.Helper()
	var all []journalEntry
	var after *string
	for {
		p := ask[struct {
			Journal struct {
				Nodes    []journalEntry
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
		}](manager, `query($after: String){journal(first: 100, after: $after, sort: OLDEST){nodes{number type actorKind sessionID payload at} pageInfo{hasNextPage endCursor}}}`,
			vars{"after": after}).Journal
		all = append(all, p.Nodes...)
		if !p.PageInfo.HasNextPage {
			return all
		}
		after = p.PageInfo.EndCursor
	}
}

// numbers are those of entries after from that keep says belong.
func numbers(all []journalEntry, from int64, keep func(journalEntry) bool) []int64 {
	var out []int64
	for _, e := range all {
		if e.Number > from && keep(e) {
			out = append(out, e.Number)
		}
	}
	return out
}

func everything(journalEntry) bool { return true }
