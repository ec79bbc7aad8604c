package live

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
)

// Feed runs payloads as consecutive packets through the path from reordering to
// the container, as the recorder does, and gives what it would write. Each
// payload's first byte says whether to skip numbers, end the picture or move the
// timestamp.
func Feed(c string, payloads [][]byte) [][]byte {
	r := newRecorder(format{codec: codec(c)}, nil, func() {}, func(error) {})
	file := &keep{}
	r.file = file
	now := time.Unix(1000, 0)
	ext, ts := int64(1<<20), uint32(0)
	for _, p := range payloads {
		if len(p) == 0 {
			continue
		}
		ext += 1 + int64(p[0]&3)
		if p[0]&4 != 0 {
			ts += 3000
		}
		if p[0]&8 != 0 {
			ts -= 1 << 30
		}
		now = now.Add(time.Duration(p[0]) * time.Millisecond)
		r.order.push(&packet{ext: ext, ts: ts, marker: p[0]&16 != 0, key: isKey(codec(c), p[1:]), payload: p[1:], at: now, wall: now})
		if r.drain(now, false) != nil {
			return nil
		}
	}
	if r.drain(now, true) == nil {
		_ = r.flush(true)
	}
	return file.data
}

// keep is a recording in memory.
type keep struct{ data [][]byte }

func (k *keep) Append(f Fragment) error {
	k.data = append(k.data, f.Data)
	return nil
}

func (k *keep) Close() error { return nil }

// Live tells whether the session has a publisher whose media was accepted.
func (s *Server) Live(session string) bool {
	s.mu.Lock()
	r := s.rooms[session]
	s.mu.Unlock()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.publisher != nil && r.publisher.accepted.Load()
}

// Path is a phone and its viewers without handshakes: what the phone sends takes
// the whole way of a packet, to addresses of this machine that nobody reads.
type Path struct {
	server    *Server
	publisher *publisher
	viewers   []*viewer
	mine      credentials // of the phone's transport
	phone     *srtp.Context
	sinks     []*net.UDPConn
	seq       uint16
	ts        uint32
	plain     []byte
	sealed    []byte
	header    rtp.Header
	from      origin
}

// NewPath makes one.
func NewPath(viewers int, o Options) (*Path, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	x := &Path{server: s, plain: make([]byte, 1150), sealed: make([]byte, mtu)}
	s.mu.Lock()
	r := s.room("s")
	s.mu.Unlock()
	resourceOf := func(v Verb) *resource {
		return &resource{
			server: s, room: r, id: secret(), session: "s", peer: "p", verb: v, born: monotonic(), up: make(chan struct{}), over: make(chan struct{}),
			offer: &offer{transportCC: 3}, formats: []format{{payload: 102, codec: h264, mode: 1, profile: "42e01f", feedback: []string{"nack", "transport-cc"}}},
		}
	}
	sock := s.port.socks[0]
	dress := func(y *resource) (*srtp.Context, error) {
		y.connect()
		sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		x.sinks = append(x.sinks, sink)
		var keys [2][28]byte
		for i := range keys {
			_, _ = rand.Read(keys[i][:])
		}
		context := func(i int) *srtp.Context {
			c, e := srtp.CreateContext(keys[i][:16], keys[i][16:], srtp.ProtectionProfileAeadAes128Gcm)
			if e != nil {
				err = e
			}
			return c
		}
		x.from = origin{socket: sock, addr: sink.LocalAddr().(*net.UDPAddr).AddrPort()}
		y.transport.in, y.transport.out = context(0), context(1)
		y.transport.validate(x.from, true)
		close(y.up)
		return context(0), err
	}
	for range viewers {
		v := newViewer(resourceOf(Watch))
		v.viewer = v
		if _, err := dress(v.resource); err != nil {
			return nil, err
		}
		v.listen()
		x.viewers = append(x.viewers, v)
		r.viewers = append(r.viewers, v)
	}
	p := newPublisher(resourceOf(Publish))
	p.resource.publisher = p
	if x.phone, err = dress(p.resource); err != nil {
		return nil, err
	}
	x.mine = p.transport.session("phone")
	p.listen()
	p.asked, p.high = true, 1<<20
	p.accepted.Store(true)
	p.format.payload = 102
	r.publisher, x.publisher = p, p
	for _, y := range append([]*resource{p.resource}, resources(x.viewers)...) {
		s.resources[y.id] = y
		r.holders++
	}
	return x, nil
}

func resources(viewers []*viewer) (out []*resource) {
	for _, v := range viewers {
		out = append(out, v.resource)
	}
	return out
}

// Send takes packets of one read through the path, a tenth of them the last of
// a picture.
func (x *Path) Send(n int) error {
	sock := x.server.port.socks[0]
	sock.turn.Lock()
	defer sock.turn.Unlock()
	sock.out.now, sock.out.wall = monotonic(), time.Now()
	if x.seq%1024 == 0 {
		for _, v := range x.viewers { // they give signs of life
			v.transport.seen.Store(since(sock.out.now))
		}
	}
	for range n {
		x.seq++
		if err := x.send(102, x.seq, 77); err != nil {
			return err
		}
	}
	sock.out.flush(x.server.port)
	return nil
}

// SendAs takes one packet of a payload type, number and source through the path.
func (x *Path) SendAs(payload uint8, seq uint16, source uint32) error {
	sock := x.server.port.socks[0]
	sock.turn.Lock()
	defer sock.turn.Unlock()
	sock.out.now, sock.out.wall = monotonic(), time.Now()
	err := x.send(payload, seq, source)
	sock.out.flush(x.server.port)
	return err
}

func (x *Path) send(payload uint8, seq uint16, source uint32) error {
	x.plain[0], x.plain[1] = 2<<6, payload
	if seq%10 == 0 {
		x.plain[1] |= 1 << 7
		x.ts += 3000
	}
	binary.BigEndian.PutUint16(x.plain[2:], seq)
	binary.BigEndian.PutUint32(x.plain[4:], x.ts)
	binary.BigEndian.PutUint32(x.plain[8:], source)
	x.plain[12] = 0x41
	b, err := x.phone.EncryptRTP(x.sealed[:0], x.plain, &x.header)
	if err != nil {
		return err
	}
	x.publisher.bits, x.publisher.packets = newBucket(maxBitrate, maxBitrate), newBucket(maxPacketRate, maxPacketRate)
	x.server.port.arrived(b, x.from, x.server.port.socks[0].out)
	return nil
}

// Dropped is how many of the phone's packets were opened and not kept.
func (x *Path) Dropped() int { return int(x.publisher.dropped.Load()) }

// Forwarded is how many packets all viewers were sent.
func (x *Path) Forwarded() (n int) {
	x.publisher.room.mu.Lock()
	defer x.publisher.room.mu.Unlock()
	for _, v := range x.viewers {
		n += int(v.packets)
	}
	return n
}

// Throw gives a part of the packet path bytes as if they had come in: a check
// from a stranger (0) or by the phone's name (1), media and feedback as if they
// had been decrypted, of the phone (2, 3) and of a viewer (4), and anything from
// the phone's address (5).
func (x *Path) Throw(kind byte, b []byte) {
	sock := x.server.port.socks[0]
	sock.turn.Lock()
	defer sock.turn.Unlock()
	out := sock.out
	out.now, out.wall = monotonic(), time.Now()
	stranger := origin{socket: sock, addr: netip.MustParseAddrPort("127.0.0.1:9")}
	switch kind % 6 {
	case 0:
		x.server.port.check(b, stranger)
	case 1:
		m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(x.mine.ufrag+":phone"), stun.RawAttribute{Type: 0x0025, Value: b})
		if err == nil {
			_ = x.mine.key.AddTo(m)
			x.server.port.check(m.Raw, x.from)
		}
	case 2:
		var h rtp.Header
		if len(b) >= headerSize {
			if _, err := h.Unmarshal(b); err == nil {
				x.publisher.receive(&h, b, out)
			}
		}
	case 3:
		x.publisher.transport.heed(b, out)
	case 4:
		x.viewers[0].transport.heed(b, out)
	case 5:
		x.server.port.arrived(b, x.from, out)
	}
	out.flush(x.server.port)
}

// Close ends it all.
func (x *Path) Close(shutdown func(*Server) error) error {
	for _, c := range x.sinks {
		_ = c.Close()
	}
	return shutdown(x.server)
}
