package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/coder/websocket"
)

const (
	subprotocol  = "graphql-transport-ws"
	maxMessage   = 64 << 10
	writeTimeout = 10 * time.Second
	readTimeout  = 60 * time.Second // pings come every 20 s, and are answered
)

// sockets accepts WebSockets for gqlgen: one subprotocol, and a reader who is
// too slow is closed instead of waited for.
type sockets struct{}

func (sockets) Accept(w http.ResponseWriter, r *http.Request, _ transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	// Our own middleware has compared the Origin with the public URL exactly.
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, fmt.Errorf("accept websocket: %w", err)
	}
	if c.Subprotocol() != subprotocol {
		_ = c.Close(websocket.StatusProtocolError, subprotocol+" only")
		return nil, errors.New("accept websocket: no known subprotocol")
	}
	c.SetReadLimit(maxMessage)
	return &socket{conn: c}, nil
}

type socket struct{ conn *websocket.Conn }

func (s *socket) Subprotocol() string { return s.conn.Subprotocol() }

func (s *socket) NextReader() (int, io.Reader, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	kind, data, err := s.conn.Read(ctx)
	if err != nil {
		if slices.Contains([]websocket.StatusCode{websocket.StatusNormalClosure, websocket.StatusGoingAway}, websocket.CloseStatus(err)) {
			err = transport.ErrWebsocketClosed
		}
		return 0, nil, err
	}
	return int(kind), bytes.NewReader(data), nil
}

func (s *socket) WriteJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, data); err != nil {
		_ = s.conn.CloseNow() // a write that timed out has broken the stream
		return err
	}
	return nil
}

func (s *socket) WriteClose(code int, reason string) error {
	go func() { _ = s.conn.Close(websocket.StatusCode(code), reason) }() // waits for the peer's answer, at most 5 s
	return nil
}

func (s *socket) Close() error { return nil } // WriteClose, or a failed read or write, has closed it
