// Package bus owns the bell between the parts and, with a cluster, between the
// nodes: NATS, in this process unless a cluster is named. It carries no data
// and may lose a ring; what happened is in the database, and a reader that was
// rung reads on after its cursor.
package bus

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const startTimeout = 5 * time.Second

// Bus rings topics. It is safe for concurrent use.
type Bus struct {
	server *server.Server // nil with a cluster
	conn   *nats.Conn

	mu     sync.Mutex
	topics map[string]*topic
}

type topic struct {
	sub   *nats.Subscription
	bells map[*Bell]struct{}
}

// Bell is one listener. C holds at most one pending ring: many rings while the
// listener is busy are one.
type Bell struct {
	C chan struct{}

	bus   *Bus
	topic string
	once  sync.Once
}

// Open starts a bus in this process, or joins the cluster at url.
func Open(url string) (*Bus, error) {
	b := &Bus{topics: map[string]*topic{}}
	opts := []nats.Option{nats.Name("genba"), nats.MaxReconnects(-1), nats.NoEcho()}
	if url == "" {
		s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
		if err != nil {
			return nil, fmt.Errorf("start bus: %w", err)
		}
		go s.Start()
		if !s.ReadyForConnections(startTimeout) {
			s.Shutdown()
			return nil, errors.New("start bus: not ready in time")
		}
		b.server = s
		opts = append(opts, nats.InProcessServer(s))
	}
	c, err := nats.Connect(url, opts...)
	if err != nil {
		b.stopServer()
		return nil, fmt.Errorf("join bus: %w", err)
	}
	b.conn = c
	return b, nil
}

// Ring wakes every listener of the topic, here and on the other nodes. It never
// blocks on a listener.
func (b *Bus) Ring(name string) {
	b.ringHere(name)
	// The ring here has happened; one that the cluster loses costs the other
	// nodes' readers a delay until the next ring.
	_ = b.conn.Publish(subject(name), nil)
}

func (b *Bus) ringHere(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.topics[name]; t != nil {
		for bell := range t.bells {
			select {
			case bell.C <- struct{}{}:
			default:
			}
		}
	}
}

// Listen gives a bell for the topic. Close it when done.
func (b *Bus) Listen(name string) (*Bell, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		sub, err := b.conn.Subscribe(subject(name), func(*nats.Msg) { b.ringHere(name) })
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		t = &topic{sub: sub, bells: map[*Bell]struct{}{}}
		b.topics[name] = t
	}
	bell := &Bell{C: make(chan struct{}, 1), bus: b, topic: name}
	t.bells[bell] = struct{}{}
	return bell, nil
}

// Close stops listening. It may be called more than once.
func (l *Bell) Close() {
	l.once.Do(func() {
		l.bus.mu.Lock()
		defer l.bus.mu.Unlock()
		t := l.bus.topics[l.topic]
		if t == nil {
			return
		}
		delete(t.bells, l)
		if len(t.bells) == 0 {
			delete(l.bus.topics, l.topic)
			_ = t.sub.Unsubscribe() // fails only when the connection is closed already
		}
	})
}

// Close ends the bus.
func (b *Bus) Close() {
	b.conn.Close()
	b.stopServer()
}

func (b *Bus) stopServer() {
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

func subject(name string) string { return "genba." + name }
