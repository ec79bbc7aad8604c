package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

const (
	subprotocol = "graphql-transport-ws"
	patience    = 20 * time.Second // how long a test waits for what must come
)

// listen serves the API on a port of this machine.
func (h *house) listen() *httptest.Server {
	h.t.Helper()
	s := httptest.NewServer(h.api)
	h.t.Cleanup(s.Close)
	return s
}

func cookie(v *visitor) http.Header {
	header := http.Header{}
	if v.token != "" {
		header.Set("Cookie", "__Host-"+v.page+"="+v.token)
	}
	return header
}

// line is a WebSocket of a page.
type line struct {
	conn *websocket.Conn
	ctx  context.Context
}

// message is one of graphql-transport-ws.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// dial opens a WebSocket and says which page it is.
func dial(ctx context.Context, server *httptest.Server, v *visitor) (*line, error) {
	c, r, err := websocket.Dial(ctx, server.URL+"/graphql", &websocket.DialOptions{HTTPClient: server.Client(), HTTPHeader: cookie(v), Subprotocols: []string{subprotocol}})
	if err != nil {
		return nil, err
	}
	if r.Body != nil {
		_ = r.Body.Close()
	}
	c.SetReadLimit(16 << 20)
	l := &line{c, ctx}
	if err := l.write(message{Type: "connection_init", Payload: json.RawMessage(`{"Genba-Actor":"` + v.page + `","language":"en"}`)}); err != nil {
		return nil, err
	}
	m, err := l.read()
	if err != nil {
		_ = c.CloseNow()
		return nil, err
	}
	if m.Type != "connection_ack" {
		return nil, fmt.Errorf("%s instead of connection_ack", m.Type)
	}
	return l, nil
}

func (l *line) write(m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.conn.Write(l.ctx, websocket.MessageText, data)
}

// read gives the next message that is no ping.
func (l *line) read() (message, error) {
	for {
		_, data, err := l.conn.Read(l.ctx)
		if err != nil {
			return message{}, err
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil || m.Type != "ping" {
			return m, err
		}
		if err := l.write(message{Type: "pong"}); err != nil {
			return m, err
		}
	}
}

func (l *line) subscribe(id, query string, variables map[string]any) error {
	return l.write(message{ID: id, Type: "subscribe", Payload: bodyOf(query, variables)})
}

func (l *line) drop() { _ = l.conn.CloseNow() }

// mustDial opens a WebSocket that ends with the test.
func mustDial(t *testing.T, server *httptest.Server, v *visitor) *line {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	l, err := dial(ctx, server, v)
	require.NoError(t, err)
	t.Cleanup(l.drop)
	return l
}

// next reads the next message and its payload as an answer.
func (l *line) next(t *testing.T) (message, answer) {
	t.Helper()
	m, err := l.read()
	require.NoError(t, err)
	a := answer{body: m.Payload}
	switch m.Type {
	case "next":
		require.NoError(t, json.Unmarshal(m.Payload, &a))
	case "error":
		require.NoError(t, json.Unmarshal(m.Payload, &a.Errors))
	}
	return m, a
}

// closedWith reads until the peer closes, and gives its code.
func (l *line) closedWith(t *testing.T) websocket.StatusCode {
	t.Helper()
	for {
		if _, err := l.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// events is a stream of server-sent events.
type events struct {
	body    io.ReadCloser
	scanner *bufio.Scanner
}

func openEvents(ctx context.Context, server *httptest.Server, v *visitor, query string, variables map[string]any) (*events, *http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/graphql", bytes.NewReader(bodyOf(query, variables)))
	if err != nil {
		return nil, nil, err
	}
	r.Header = cookie(v)
	r.Header.Set("Genba-Actor", v.page)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	response, err := server.Client().Do(r)
	if err != nil {
		return nil, nil, err
	}
	s := bufio.NewScanner(response.Body)
	s.Buffer(nil, 16<<20)
	return &events{response.Body, s}, response, nil
}

var errComplete = errors.New("complete")

// read gives the next event's data; errComplete at the end that the server says.
func (e *events) read() ([]byte, error) {
	complete := false
	for e.scanner.Scan() {
		text := e.scanner.Text()
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			return []byte(data), nil
		}
		if complete = complete || text == "event: complete"; complete {
			return nil, errComplete
		}
	}
	if err := e.scanner.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// narrow makes connections whose buffers are soon full, and tells when one is
// closed.
type narrow struct {
	net.Listener
	closed chan struct{}
}

type narrowConn struct {
	net.Conn
	closed chan struct{}
}

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return narrowConn{c, n.closed}, c.(*net.TCPConn).SetWriteBuffer(4 << 10)
}

func (c narrowConn) Close() error {
	err := c.Conn.Close()
	select {
	case c.closed <- struct{}{}:
	default:
	}
	return err
}
