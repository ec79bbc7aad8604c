package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"genba/graph"
	"genba/policy"
	"genba/server/cases"
	"genba/server/database"
	"genba/server/identity"
	"genba/server/journal"
)

var disconnects = flag.Int("disconnects", 30, "how often subscribers lose their line")

const (
	boardEvents   = `subscription($after: Cursor) { caseBoardChanged(after: $after) { cursor entries { number type payload } cases { id notes } removed } }`
	sessionEvents = `subscription($id: ID!, $after: Cursor) { sessionChanged(id: $id, after: $after) { cursor entries { number } session { id state } } }`
	ownEvents     = `subscription { ownSessionChanged { state asked over endReason phone { state } } }`
)

// event is what either stream of the console brings.
type event struct {
	Cursor  string
	Entries []struct{ Number int64 }
}

// read digs the event out of an answer.
func readEvent(field string, payload []byte) (event, error) {
	var a struct {
		Data   map[string]event
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		return event{}, err
	}
	if len(a.Errors) > 0 {
		return event{}, errors.New(a.Errors[0].Message)
	}
	return a.Data[field], nil
}

// subscriber follows one stream over lines that break, and keeps what it got.
type subscriber struct {
	name, field, query string
	variables          map[string]any
	overSSE            bool
	numbers            []int64
	lost               int
}

// follow reads until an event reaches the last number, breaking the line after
// a few events as long as budget allows.
func (s *subscriber) follow(ctx context.Context, server *httptest.Server, v *visitor, after string, last *atomic.Int64, budget *atomic.Int64) error {
	random := rand.New(rand.NewPCG(uint64(len(s.name)), uint64(s.name[0])))
	for {
		read, drop, err := s.open(ctx, server, v, after)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		left := 1 + random.IntN(5)
		for {
			e, err := read()
			if err != nil {
				drop()
				return fmt.Errorf("%s: %w", s.name, err)
			}
			after = e.Cursor
			for _, entry := range e.Entries {
				s.numbers = append(s.numbers, entry.Number)
			}
			if end := last.Load(); end > 0 && len(s.numbers) > 0 && s.numbers[len(s.numbers)-1] >= end {
				drop()
				return nil
			}
			if left--; left <= 0 && budget.Add(-1) >= 0 {
				s.lost++
				drop()
				break
			}
		}
	}
}

func (s *subscriber) open(ctx context.Context, server *httptest.Server, v *visitor, after string) (read func() (event, error), drop func(), err error) {
	variables := map[string]any{"after": after}
	for k, value := range s.variables {
		variables[k] = value
	}
	if s.overSSE {
		ctx, cancel := context.WithCancel(ctx)
		stream, _, err := openEvents(ctx, server, v, s.query, variables)
		if err != nil {
			cancel()
			return nil, nil, err
		}
		return func() (event, error) {
			data, err := stream.read()
			if err != nil {
				return event{}, err
			}
			return readEvent(s.field, data)
		}, func() { cancel(); _ = stream.body.Close() }, nil
	}
	l, err := dial(ctx, server, v)
	if err != nil {
		return nil, nil, err
	}
	if err := l.subscribe("1", s.query, variables); err != nil {
		return nil, nil, err
	}
	return func() (event, error) {
		m, err := l.read()
		if err != nil {
			return event{}, err
		}
		if m.Type != "next" {
			return event{}, fmt.Errorf("%s: %s", m.Type, m.Payload)
		}
		return readEvent(s.field, m.Payload)
	}, l.drop, nil
}

// Four write, subscribers lose their line again and again and go on after their
// cursor: each gets every entry once, in order.
func TestSubscribersGetEveryEntryOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()
		session, phone := h.report1(d)
		caseID := h.openCase(d)
		start := h.must(d, `{ cases { cursor } }`, nil).text("cases", "cursor")
		from, err := journal.ParseCursor(start)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		var last, lastOfSession, budget atomic.Int64
		budget.Store(int64(*disconnects))
		subscribers := []*subscriber{
			{name: "board", field: "caseBoardChanged", query: boardEvents},
			{name: "board by events", field: "caseBoardChanged", query: boardEvents, overSSE: true},
			{name: "session", field: "sessionChanged", query: sessionEvents, variables: map[string]any{"id": session}},
			{name: "session by events", field: "sessionChanged", query: sessionEvents, variables: map[string]any{"id": session}, overSSE: true},
		}
		following, ctx := errgroup.WithContext(ctx)
		for i, s := range subscribers {
			end := &last
			if i >= 2 {
				end = &lastOfSession
			}
			following.Go(func() error { return s.follow(ctx, server, d, start, end, &budget) })
		}
		var writing errgroup.Group
		more := func(i int) bool { return i < 100 || (budget.Load() > 0 && ctx.Err() == nil) }
		for w := range 4 {
			writing.Go(func() error {
				for i := 0; more(i); i++ {
					var err error
					switch w {
					case 0:
						notes := fmt.Sprint(i)
						_, err = h.cases.Update(ctx, d.actor, caseID, cases.CaseChange{Notes: &notes})
					case 1:
						_, err = h.cases.Open(ctx, d.actor, cases.NewCase{})
					case 2:
						_, err = h.cases.AskMode(ctx, d.actor, session, []cases.Mode{cases.LiveMode, cases.PhotoMode}[i%2])
					default:
						err = h.cases.SetLive(ctx, session, i%2 == 0, journal.LiveStarted, phone.actor.ID)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, writing.Wait())
		_, err = h.cases.End(ctx, d.actor, session, cases.Done)
		require.NoError(t, err)
		expect := func(f journal.Filter) (numbers []int64) {
			for at := from.Entries; ; {
				rows, err := h.journal.After(ctx, h.own.ID, at, f, 1000)
				require.NoError(t, err)
				if len(rows) == 0 {
					return numbers
				}
				for _, r := range rows {
					numbers = append(numbers, r.Number)
				}
				at = rows[len(rows)-1].Number
			}
		}
		whole, ofSession := expect(journal.Filter{}), expect(journal.Filter{SessionID: session})
		lastOfSession.Store(ofSession[len(ofSession)-1])
		last.Store(whole[len(whole)-1])
		// who had read everything before the last numbers were known is rung once more
		require.NoError(t, h.db.InTx(ctx, func(tx *database.Tx) error {
			h.journal.Append(tx, journal.Entry{Agency: h.own.ID, Actor: d.actor, Type: journal.ModeAsked, SessionID: session})
			return nil
		}))
		require.NoError(t, following.Wait())
		lost := 0
		for i, s := range subscribers {
			expected := whole
			if i >= 2 {
				expected = ofSession
			}
			require.GreaterOrEqual(t, len(s.numbers), len(expected), s.name)
			require.Equal(t, expected, s.numbers[:len(expected)], s.name)
			require.True(t, slices.IsSorted(s.numbers))
			lost += s.lost
		}
		require.Equal(t, *disconnects, lost)
		require.Len(t, whole, int(whole[len(whole)-1]-from.Entries), "the journal has no gap")
	})
}

func TestCursorThatIsNoGood(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()
		session, _ := h.report1(d)
		first, err := h.journal.At(h.ctx(), h.own.ID)
		require.NoError(t, err)
		require.NoError(t, h.db.InTx(h.ctx(), func(tx *database.Tx) error {
			for range graph.MaxBehind + 1 {
				h.journal.Append(tx, journal.Entry{Agency: h.own.ID, Actor: d.actor, Type: journal.ModeAsked})
			}
			return nil
		}))
		now, err := h.journal.At(h.ctx(), h.own.ID)
		require.NoError(t, err)
		for name, c := range map[string]struct{ cursor, reason string }{
			"too old":                           {first.String(), "RESYNC"},
			"ahead, of a database since lost":   {journal.Cursor{Entries: now.Entries + 1, Positions: now.Positions}.String(), "RESYNC"},
			"positions ahead":                   {journal.Cursor{Entries: now.Entries, Positions: now.Positions + 1}.String(), "RESYNC"},
			"no cursor":                         {"x", "BAD_CURSOR"},
			"empty":                             {"", "BAD_CURSOR"},
			"of a list":                         {"MTIzNDU2Nzg5MCAwMTkzYzBmZg", "BAD_CURSOR"},
			"another version":                   {"Mi4xLjA", "BAD_CURSOR"},
			"negative":                          {journal.Cursor{Entries: -1}.String(), "BAD_CURSOR"},
			"of " + fmt.Sprint(graph.MaxBehind): {journal.Cursor{Entries: now.Entries - graph.MaxBehind - 1, Positions: now.Positions}.String(), "RESYNC"},
		} {
			l := mustDial(t, server, d)
			require.NoError(t, l.subscribe("b", boardEvents, map[string]any{"after": c.cursor}))
			_, a := l.next(t)
			require.Equal(t, c.reason, a.reason(), name)
			m, _ := l.next(t)
			require.Equal(t, "complete", m.Type, name)
			require.NoError(t, l.subscribe("s", sessionEvents, map[string]any{"id": session, "after": c.cursor}))
			_, a = l.next(t)
			require.Equal(t, c.reason, a.reason(), name)
			l.drop()
			stream, response, err := openEvents(t.Context(), server, d, boardEvents, map[string]any{"after": c.cursor})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			data, err := stream.read()
			require.NoError(t, err)
			require.Contains(t, string(data), c.reason, name)
			_, err = stream.read()
			require.ErrorIs(t, err, errComplete)
			require.NoError(t, stream.body.Close())
		}
		l := mustDial(t, server, d)
		edge := journal.Cursor{Entries: now.Entries - graph.MaxBehind, Positions: now.Positions}
		require.NoError(t, l.subscribe("b", boardEvents, map[string]any{"after": edge.String()}))
		seen := 0
		for seen < graph.MaxBehind {
			_, a := l.next(t)
			seen += len(a.at("caseBoardChanged", "entries").([]any))
		}
		require.Equal(t, graph.MaxBehind, seen, "all of it, in pieces")
	})
}

// Who signs out, or is suspended, hears nothing more: within a second their
// streams end with the reason, and the line carries nothing else.
func TestEndOfASignInEndsItsStreams(t *testing.T) {
	for name, end := range map[string]func(h *house, v *visitor) error{
		"sign-out": func(h *house, v *visitor) error { return h.people.SignOut(h.ctx(), v.actor) },
		"suspension": func(h *house, v *visitor) error {
			return h.db.InTx(h.ctx(), func(tx *database.Tx) error {
				h.journal.Append(tx, journal.Entry{Agency: h.own.ID, Actor: policy.SystemActor(), Type: journal.SettingsChanged})
				return tx.Model(&identity.User{}).Where("id = ?", v.actor.ID).Update("status", identity.Suspended).Error
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				v, server := h.signIn(h.own, "kimura", policy.Dispatcher), h.listen()
				session, _ := h.report1(v)
				supervisor := h.supervisor()
				after := map[string]any{"id": session, "after": h.must(v, "{ cases { cursor } }", nil).text("cases", "cursor")}
				h.mustInput(supervisor, "askMode", "AskModeInput", "session { id }", map[string]any{"sessionID": session, "mode": "LIVE"})
				l := mustDial(t, server, v)
				require.NoError(t, l.subscribe("b", boardEvents, after))
				require.NoError(t, l.subscribe("s", sessionEvents, after))
				stream, _, err := openEvents(t.Context(), server, v, boardEvents, after)
				require.NoError(t, err)
				defer stream.body.Close()
				data, err := stream.read()
				require.NoError(t, err)
				require.Contains(t, string(data), "MODE_ASKED")
				var m message
				for range 2 { // all three have begun
					m, _ = l.next(t)
					require.Equal(t, "next", m.Type)
				}

				require.NoError(t, end(h, v))
				ended := time.Now()
				closed := map[string]bool{}
				for len(closed) < 2 {
					m, a := l.next(t)
					if m.Type == "error" {
						require.Equal(t, "UNAUTHENTICATED", a.reason())
						closed[m.ID] = true
					}
				}
				var said answer
				for said.reason() == "" {
					data, err := stream.read()
					require.NoError(t, err)
					require.NoError(t, json.Unmarshal(data, &said))
				}
				require.Equal(t, "UNAUTHENTICATED", said.reason())
				_, err = stream.read()
				require.ErrorIs(t, err, errComplete)
				require.Less(t, time.Since(ended), time.Second)

				for i, query := range []string{"{ cases { nodes { id } } }", "mutation { openCase(input: {}) { case { id } } }", boardEvents} {
					require.NoError(t, l.subscribe(fmt.Sprint("q", i), query, nil))
					var a answer
					for m.ID != fmt.Sprint("q", i) {
						m, a = l.next(t)
					}
					require.Equal(t, "UNAUTHENTICATED", a.reason(), query)
				}
				_, err = dial(t.Context(), server, v)
				require.Equal(t, websocket.StatusCode(4401), websocket.CloseStatus(err), "and no new one opens")
			})
		})
	}
}

// A caller's phone sees its own way: waiting, admitted, asked, ended.
func TestOwnSessionChanged(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()
		session, secret := h.newSession(d)
		first := h.join(secret)
		h.report(first, 37.75)
		second := h.join(secret)
		refused := h.join(secret)
		l, gone := mustDial(t, server, second), mustDial(t, server, refused)
		stream, _, err := openEvents(t.Context(), server, first, ownEvents, nil)
		require.NoError(t, err)
		defer stream.body.Close()
		require.NoError(t, l.subscribe("1", ownEvents, nil))
		require.NoError(t, gone.subscribe("1", ownEvents, nil))
		own := func(l *line) any {
			_, a := l.next(t)
			return a.at("ownSessionChanged")
		}
		view := func(state, asked, phone string) map[string]any {
			return map[string]any{"state": state, "asked": asked, "over": false, "endReason": nil, "phone": map[string]any{"state": phone}}
		}
		require.Equal(t, view("CONNECTED", "PHOTO", "WAITING"), own(l))
		require.Equal(t, view("CONNECTED", "PHOTO", "WAITING"), own(gone))
		h.mustInput(d, "admitPhone", "AdmitPhoneInput", "session { id }", map[string]any{"phoneID": second.actor.ID, "admit": true})
		require.Equal(t, view("CONNECTED", "PHOTO", "BOUND"), own(l))
		h.mustInput(d, "askMode", "AskModeInput", "session { id }", map[string]any{"sessionID": session, "mode": "LIVE"})
		require.Equal(t, view("CONNECTED", "LIVE", "BOUND"), own(l))
		require.Equal(t, view("CONNECTED", "LIVE", "WAITING"), own(gone))
		h.mustInput(d, "admitPhone", "AdmitPhoneInput", "session { id }", map[string]any{"phoneID": refused.actor.ID, "admit": false})
		require.Equal(t, view("CONNECTED", "LIVE", "REFUSED"), own(gone))
		m, _ := gone.next(t)
		require.Equal(t, "complete", m.Type)
		h.mustInput(d, "endSession", "EndSessionInput", "session { id }", map[string]any{"sessionID": session, "reason": "DONE"})
		over := map[string]any{"state": "ENDED", "asked": "LIVE", "over": true, "endReason": "DONE", "phone": map[string]any{"state": "BOUND"}}
		require.Equal(t, over, own(l))
		m, _ = l.next(t)
		require.Equal(t, "complete", m.Type)
		var last answer
		for {
			data, err := stream.read()
			if err != nil {
				require.ErrorIs(t, err, errComplete)
				break
			}
			require.NoError(t, json.Unmarshal(data, &last))
		}
		require.Equal(t, over, last.at("ownSessionChanged"))
		_, err = dial(t.Context(), server, refused)
		require.Equal(t, websocket.StatusCode(4401), websocket.CloseStatus(err), "a phone that was put out")
		require.NoError(t, l.subscribe("2", boardEvents, nil))
		_, a := l.next(t)
		require.Equal(t, "FORBIDDEN", a.reason(), "the board is not a caller's")
	})
}

// Who does not read is closed, and delays nobody.
func TestSlowReaderIsClosed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.dispatcher()
		caseID := h.openCase(d)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		closed := make(chan struct{}, 1)
		slowServer := httptest.NewUnstartedServer(h.api)
		require.NoError(t, slowServer.Listener.Close())
		slowServer.Listener = narrow{listener, closed}
		slowServer.Start()
		t.Cleanup(slowServer.Close)
		slowServer.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return c, c.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		after := map[string]any{"after": h.must(d, "{ cases { cursor } }", nil).text("cases", "cursor")}
		slow := mustDial(t, slowServer, d)
		require.NoError(t, slow.subscribe("1", boardEvents, after))
		quick := mustDial(t, h.listen(), d)
		require.NoError(t, quick.subscribe("1", boardEvents, after))
		notes := ""
		for range 9_000 {
			notes += "長"
		}
		deadline := time.Now().Add(patience)
		var worst time.Duration
		for i := 0; ; i++ {
			select {
			case <-closed:
				require.Positive(t, i)
				require.Less(t, worst, 2*time.Second, "the others were not held up")
				return
			default:
			}
			require.True(t, time.Now().Before(deadline), "the slow reader was not closed")
			changed := fmt.Sprint(i, notes)
			_, err := h.cases.Update(h.ctx(), d.actor, caseID, cases.CaseChange{Notes: &changed})
			require.NoError(t, err)
			began := time.Now()
			_, a := quick.next(t)
			require.NotEmpty(t, a.at("caseBoardChanged", "entries"))
			worst = max(worst, time.Since(began))
		}
	})
}

func TestBoundsOfALine(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()

		t.Run("twenty operations at a time", func(t *testing.T) {
			l := mustDial(t, server, d)
			for i := range graph.MaxSubscriptions + 1 {
				require.NoError(t, l.subscribe(fmt.Sprint(i), boardEvents, nil))
			}
			m, a := l.next(t)
			refused := m.ID
			require.Equal(t, "TOO_MANY_SUBSCRIPTIONS", a.reason(), "one too many")
			m, _ = l.next(t)
			require.Equal(t, message{ID: refused, Type: "complete"}, m)
			held := "3"
			if refused == held {
				held = "4"
			}
			require.NoError(t, l.write(message{ID: held, Type: "complete"}))
			for m = (message{}); m.Type != "complete"; { // it may have been beginning still
				m, a = l.next(t)
				require.Equal(t, held, m.ID)
				require.NotEqual(t, "INTERNAL", a.reason())
			}
			require.Eventually(t, func() bool {
				require.NoError(t, l.subscribe("again", `{ me { kind } }`, nil))
				_, a := l.next(t)
				m, _ := l.next(t)
				require.Equal(t, "complete", m.Type)
				return a.text("me", "kind") == "USER"
			}, patience, time.Millisecond, "a place that was given back is free")
			l.drop()
		})

		t.Run("eight lines and streams of one sign-in", func(t *testing.T) {
			v := h.signInAgain(h.own, "dispatcher")
			var lines []*line
			for range graph.MaxConnections - 1 {
				lines = append(lines, mustDial(t, server, v))
			}
			stream, response, err := openEvents(t.Context(), server, v, boardEvents, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			_, err = dial(t.Context(), server, v)
			require.Equal(t, websocket.StatusCode(4429), websocket.CloseStatus(err))
			_, response, err = openEvents(t.Context(), server, v, boardEvents, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
			require.NoError(t, response.Body.Close())
			mustDial(t, server, h.supervisor()).drop() // others are not concerned
			for _, l := range lines {
				l.drop()
			}
			require.NoError(t, stream.body.Close())
			require.Eventually(t, func() bool {
				l, err := dial(t.Context(), server, v)
				if err == nil {
					l.drop()
				}
				return err == nil
			}, patience, 5*time.Millisecond, "places are given back")
		})

		t.Run("a message of more than 64 KiB closes it", func(t *testing.T) {
			l := mustDial(t, server, d)
			require.NoError(t, l.subscribe("1", `{ me { kind } }`, map[string]any{"x": string(make([]byte, 64<<10))}))
			require.Equal(t, websocket.StatusMessageTooBig, l.closedWith(t))
		})

		t.Run("another subprotocol is refused", func(t *testing.T) {
			for _, offered := range [][]string{nil, {"graphql-ws"}, {"soap"}} {
				_, response, err := websocket.Dial(t.Context(), server.URL+"/graphql", &websocket.DialOptions{HTTPHeader: cookie(d), Subprotocols: offered})
				require.Error(t, err)
				require.Equal(t, http.StatusBadRequest, response.StatusCode)
			}
			c, _, err := websocket.Dial(t.Context(), server.URL+"/graphql", &websocket.DialOptions{HTTPHeader: cookie(d), Subprotocols: []string{subprotocol + "-2"}})
			if err == nil {
				_, _, err = c.Read(t.Context())
				_ = c.CloseNow()
			}
			require.Error(t, err)
		})

		t.Run("a stranger's line is closed for good", func(t *testing.T) {
			for _, v := range []*visitor{nobody, {page: "console"}, {page: "console", token: "x"}, {page: "nothing", token: d.token}, {page: "caller", token: d.token}} {
				_, err := dial(t.Context(), server, v)
				require.Equal(t, websocket.StatusCode(4401), websocket.CloseStatus(err), "%v", err)
			}
		})

		t.Run("what is no message of the protocol closes it", func(t *testing.T) {
			for _, text := range []string{"", "{", "null", "[]", `{"type":"nothing"}`, `{"type":"connection_init"}`, `{"type":"connection_ack"}`, "\x00"} {
				l := mustDial(t, server, d)
				require.NoError(t, l.conn.Write(l.ctx, websocket.MessageText, []byte(text)))
				require.NotEqual(t, websocket.StatusCode(0), l.closedWith(t), text)
				l.drop()
			}
		})

		t.Run("hostile documents are refused there, too", func(t *testing.T) {
			l := mustDial(t, server, d)
			for i, c := range hostiles()[:60] {
				id := fmt.Sprint("h", i)
				require.NoError(t, l.subscribe(id, c.query, c.variables))
				m, a := l.next(t)
				require.Equal(t, id, m.ID)
				require.Contains(t, stable, a.reason(), c.name)
				if m.Type == "next" || m.Type == "error" {
					m, _ = l.next(t)
				}
				require.Equal(t, "complete", m.Type)
			}
			require.NoError(t, l.subscribe("ok", `{ me { kind } }`, nil))
			_, a := l.next(t)
			require.Equal(t, "USER", a.text("me", "kind"))
		})
	})
}

// Many come and go at once; nothing of them stays.
func TestLinesLeaveNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d, server := h.dispatcher(), h.listen()
		session, _ := h.report1(d)
		var wait sync.WaitGroup
		for range graph.MaxConnections {
			wait.Go(func() {
				for range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					if l, err := dial(ctx, server, d); err == nil {
						_ = l.subscribe("1", boardEvents, nil)
						_ = l.subscribe("2", sessionEvents, map[string]any{"id": session})
						_ = l.subscribe("3", `{ cases { nodes { id } } }`, nil)
						l.drop()
					}
					cancel()
				}
			})
		}
		wait.Wait()
		require.Eventually(t, func() bool {
			l, err := dial(t.Context(), server, d)
			if err == nil {
				l.drop()
			}
			return err == nil
		}, patience, 5*time.Millisecond)
	})
}
