package live

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
)

// Bounds of a transport.
const (
	maxPaths      = 8        // addresses that one peer may have validated at once
	helloRoom     = 32 << 10 // bytes of a handshake that may wait
	replayWindow  = 1024     // packets late by more are refused
	handshakeWait = connectWait
	handshakes    = 64 // at once
	overhead      = 48 // bytes that encryption adds to a packet at most
	maxSources    = 8  // numbers of streams that one peer may use; what is known of each is kept

	checksPerSec   = 50  // connectivity checks of one peer that are answered
	recordsPerSec  = 200 // DTLS records of one peer
	controlsPerSec = 500 // packets of feedback of one peer
)

// credentials are one ICE session's name and password, ours.
type credentials struct {
	ufrag, pwd string
	key        stun.MessageIntegrity
}

func newCredentials() credentials {
	pwd := secret()
	return credentials{ufrag: secret()[:12], pwd: pwd, key: stun.NewShortTermIntegrity(pwd)}
}

// transport is the encrypted way to one peer: ICE-lite, DTLS as the server, SRTP
// with its keys. It answers checks and never sends to an address that has not
// passed one with the password the peer was given over HTTP.
type transport struct {
	port        *port
	certificate tls.Certificate
	fingerprint string // of the peer, from its offer
	begin       func() // called once, when the first address has passed
	broken      func() // called when the peer's bytes broke the handler
	receive     func(h *rtp.Header, b []byte, out *sender)
	feedback    func(packets []rtcp.Packet, out *sender)

	seen atomic.Int64 // time of the newest packet that only the peer can have sent, see since

	mu      sync.Mutex
	mine    []credentials // the newest last; the one before stays good while ICE restarts
	theirs  []string      // the peer's names, of the same sessions
	paths   []*path
	chosen  *path // where packets go
	in, out *srtp.Context
	sources sources // of what came in
	reports sources // of feedback that came in
	closed  bool
	begun   bool

	checks, records, controls bucket // under mu

	handshake *packetio.Buffer
	conn      *dtls.Conn // after the handshake
	cancel    context.CancelFunc
}

func newTransport(p *port, cert tls.Certificate, fingerprint string) *transport {
	t := &transport{
		port: p, certificate: cert, fingerprint: fingerprint, handshake: packetio.NewBuffer(),
		checks: newBucket(checksPerSec, 2*checksPerSec), records: newBucket(recordsPerSec, recordsPerSec),
		controls: newBucket(controlsPerSec, controlsPerSec),
	}
	t.handshake.SetLimitSize(helloRoom)
	return t
}

// session makes our side of a new ICE session with the peer's name.
func (t *transport) session(theirs string) credentials {
	c := newCredentials()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return c
	}
	t.mine, t.theirs = append(t.mine, c), append(t.theirs, theirs)
	t.port.mu.Lock()
	defer t.port.mu.Unlock()
	if len(t.mine) > 2 {
		delete(t.port.agents, t.mine[0].ufrag)
		t.mine, t.theirs = slices.Delete(t.mine, 0, 1), slices.Delete(t.theirs, 0, 1)
	}
	t.port.agents[c.ufrag] = t
	return c
}

// check answers a connectivity check (RFC 8445, 7.3) by whoever knows the
// password of one of ours. Anything else is left without an answer.
func (p *port) check(b []byte, from origin) {
	m := &stun.Message{Raw: b}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return
	}
	var user stun.Username
	if user.GetFrom(m) != nil {
		return
	}
	ours, theirs, _ := strings.Cut(user.String(), ":")
	p.mu.RLock()
	t := p.agents[ours]
	p.mu.RUnlock()
	if t == nil || from.stream != nil && from.stream.transport != nil && from.stream.transport != t {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.mine, func(c credentials) bool { return c.ufrag == ours })
	if t.closed || i < 0 || !t.checks.take(1, monotonic()) || subtle.ConstantTimeCompare([]byte(t.theirs[i]), []byte(theirs)) != 1 || t.mine[i].key.Check(m) != nil {
		return
	}
	w := t.validate(from, m.Contains(stun.AttrUseCandidate))
	if w == nil {
		return
	}
	t.seen.Store(since(monotonic()))
	addr := &stun.XORMappedAddress{IP: from.addr.Addr().AsSlice(), Port: int(from.addr.Port())}
	if from.stream != nil {
		a, ok := from.stream.conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return
		}
		addr = &stun.XORMappedAddress{IP: a.IP, Port: a.Port}
	}
	answer, err := stun.Build(m, stun.BindingSuccess, addr, t.mine[i].key, stun.Fingerprint)
	if err != nil {
		return
	}
	w.send(answer.Raw)
	if !t.begun {
		t.begun = true
		t.begin()
	}
}

// validate notes an address that passed a check. The peer's word decides where
// packets go; before it has spoken, the first address does. It is nil where the
// address is another peer's.
func (t *transport) validate(from origin, nominated bool) *path {
	i := slices.IndexFunc(t.paths, func(w *path) bool { return w.origin == from })
	w := newPath(t, from)
	if i >= 0 {
		w = t.paths[i]
	}
	if from.stream == nil && !t.port.claim(w) {
		return nil
	}
	if i < 0 {
		if len(t.paths) == maxPaths {
			old := slices.IndexFunc(t.paths, func(w *path) bool { return w != t.chosen })
			t.forget(t.paths[old])
			t.paths = slices.Delete(t.paths, old, old+1)
		}
		if from.stream != nil {
			from.stream.transport = t
		}
		t.paths = append(t.paths, w)
		i = len(t.paths) - 1
	}
	if t.chosen == nil || nominated {
		t.chosen = t.paths[i]
	}
	return t.paths[i]
}

// forget takes an address away, unless another peer has it by now.
func (t *transport) forget(w *path) {
	if w.stream != nil {
		w.stream.close()
		return
	}
	t.port.mu.Lock()
	defer t.port.mu.Unlock()
	if t.port.routes[w.addr] == w {
		delete(t.port.routes, w.addr)
	}
}

// hello hands a DTLS record to the handshake, or to what listens for a goodbye.
func (t *transport) hello(b []byte) {
	t.mu.Lock()
	fits := t.records.take(1, monotonic())
	t.mu.Unlock()
	if fits {
		_, _ = t.handshake.Write(b, nil) // full or closed: the peer repeats itself
	}
}

// run shakes hands and calls up; then it waits for the peer's goodbye, or for
// close. The error says why there is no connection.
func (t *transport) run(up func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWait)
	defer cancel()
	t.mu.Lock()
	t.cancel = cancel
	over := t.closed
	t.mu.Unlock()
	if over {
		return net.ErrClosed
	}
	c, err := dtls.ServerWithOptions(records{t}, nowhere{},
		dtls.WithCertificates(t.certificate),
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerify(true), // certificates are their own; the offer's fingerprint is checked instead
		dtls.WithVerifyPeerCertificate(t.recognize),
		dtls.WithInsecureSkipVerifyHello(true), // only addresses that passed a check get here; a cookie would cost a round trip
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithLoggerFactory(quiet()),
	)
	if err != nil {
		return fmt.Errorf("begin handshake: %w", err)
	}
	defer c.Close()
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shake hands: %w", err)
	}
	if err := t.keys(c); err != nil {
		return err
	}
	up()
	b := make([]byte, 64) // nothing is expected but the end
	for {
		if _, err := c.Read(b); err != nil && !errors.Is(err, io.ErrShortBuffer) {
			return nil
		}
	}
}

// keys takes the keys of the media from the handshake.
func (t *transport) keys(c *dtls.Conn) error {
	state, ok := c.ConnectionState()
	profile, agreed := c.SelectedSRTPProtectionProfile()
	if !ok || !agreed {
		return errors.New("no keys for media agreed")
	}
	k := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := k.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return fmt.Errorf("take keys: %w", err)
	}
	in, err := srtp.CreateContext(k.Keys.RemoteMasterKey, k.Keys.RemoteMasterSalt, k.Profile,
		srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	if err != nil {
		return fmt.Errorf("use keys: %w", err)
	}
	out, err := srtp.CreateContext(k.Keys.LocalMasterKey, k.Keys.LocalMasterSalt, k.Profile)
	if err != nil {
		return fmt.Errorf("use keys: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	t.in, t.out, t.conn = in, out, c
	return nil
}

// recognize compares the peer's certificate with what its offer said.
func (t *transport) recognize(raw [][]byte, _ [][]*x509.Certificate) error {
	kind, want, _ := strings.Cut(t.fingerprint, " ")
	var h hash.Hash
	switch strings.ToLower(kind) {
	case "sha-256":
		h = sha256.New()
	case "sha-384":
		h = sha512.New384()
	case "sha-512":
		h = sha512.New()
	}
	if h == nil || len(raw) == 0 {
		return errors.New("no certificate to recognize")
	}
	h.Write(raw[0])
	got, err := hex.DecodeString(strings.ReplaceAll(want, ":", ""))
	if err != nil || subtle.ConstantTimeCompare(h.Sum(nil), got) != 1 {
		return errors.New("certificate is not the one of the offer")
	}
	return nil
}

// media takes a packet of SRTP or SRTCP from an address of the peer.
func (t *transport) media(b []byte, out *sender) {
	if b[1] >= 192 && b[1] < 224 {
		t.control(b, out)
		return
	}
	if t.receive == nil {
		return
	}
	h := &out.header
	if plain := t.decrypt(b, h); plain != nil {
		t.receive(h, plain, out)
	}
}

// decrypt opens a media packet in its own place; nil for one that is not the
// peer's, or was here before.
func (t *transport) decrypt(b []byte, h *rtp.Header) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.in == nil || len(b) < headerSize {
		return nil
	}
	from := binary.BigEndian.Uint32(b[8:])
	if !t.sources.welcome(from) {
		return nil
	}
	plain, err := t.in.DecryptRTP(b, b, h)
	if err != nil {
		return nil
	}
	t.sources.note(from)
	return plain
}

func (t *transport) control(b []byte, out *sender) {
	plain := t.decryptControl(b, out.now)
	if plain == nil {
		return
	}
	t.seen.Store(since(out.now))
	t.heed(plain, out)
}

// heed reads feedback and passes it on.
func (t *transport) heed(b []byte, out *sender) {
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		return
	}
	t.feedback(packets, out)
}

func (t *transport) decryptControl(b []byte, now time.Time) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.in == nil || !t.controls.take(1, now) {
		return nil
	}
	from := binary.BigEndian.Uint32(b[4:])
	if !t.reports.welcome(from) {
		return nil
	}
	plain, err := t.in.DecryptRTCP(nil, b, nil)
	if err != nil {
		return nil
	}
	t.reports.note(from)
	return plain
}

// sources are the numbers under which a peer has sent. The decryption remembers
// each for as long as the peer is there, so they must not be many.
type sources struct {
	known [maxSources]uint32
	count int
}

func (s *sources) welcome(n uint32) bool {
	return s.count < maxSources || slices.Contains(s.known[:], n)
}

// note takes a number that a packet of the peer's really had.
func (s *sources) note(n uint32) {
	if !slices.Contains(s.known[:s.count], n) {
		s.known[s.count] = n
		s.count++
	}
}

// write sends feedback to the peer at once.
func (t *transport) write(packets ...rtcp.Packet) {
	b, err := rtcp.Marshal(packets)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil || t.chosen == nil || t.closed {
		return
	}
	if e, err := t.out.EncryptRTCP(nil, b, nil); err == nil {
		t.chosen.send(e)
	}
}

// quietFor tells for how long nothing has come that only the peer can send.
func (t *transport) quietFor(now time.Time) time.Duration {
	return time.Duration(since(now) - t.seen.Load())
}

// close says goodbye and takes the peer off the port. It returns when nothing is
// sent to it or taken from it any more.
func (t *transport) close() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	c, cancel := t.conn, t.cancel
	t.mu.Unlock()
	if c != nil {
		_ = c.Close() // with a goodbye, which the paths below must still carry
	}
	if cancel != nil {
		cancel()
	}
	_ = t.handshake.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in, t.out, t.chosen = nil, nil, nil
	for _, w := range t.paths {
		t.forget(w)
	}
	t.paths = nil
	t.port.mu.Lock()
	defer t.port.mu.Unlock()
	for _, m := range t.mine {
		delete(t.port.agents, m.ufrag)
	}
}

// records is the transport as DTLS sees it: a socket with one peer.
type records struct{ t *transport }

// nowhere is the address of that peer: where records go is ICE's business.
type nowhere struct{}

func (nowhere) Network() string { return "ice" }
func (nowhere) String() string  { return "peer" }

func (r records) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := r.t.handshake.Read(b, nil)
	return n, nowhere{}, err
}

func (r records) WriteTo(b []byte, _ net.Addr) (int, error) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if r.t.chosen != nil {
		r.t.chosen.send(b)
	}
	return len(b), nil
}

func (r records) Close() error                       { return r.t.handshake.Close() }
func (r records) LocalAddr() net.Addr                { return nowhere{} }
func (r records) SetDeadline(at time.Time) error     { return r.t.handshake.SetReadDeadline(at) }
func (r records) SetReadDeadline(at time.Time) error { return r.t.handshake.SetReadDeadline(at) }
func (r records) SetWriteDeadline(time.Time) error   { return nil }

// quiet is the media stack's logger: its lines hold addresses of callers.
func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.Writer = io.Discard
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// newCertificate makes the certificate of the server's side of every handshake
// and its fingerprint as SDP writes it. It says nothing about anybody: peers
// compare the fingerprint, and each start of the server has another.
func newCertificate() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("make key: %w", err)
	}
	sheet := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "media"},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, &sheet, &sheet, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("make certificate: %w", err)
	}
	c := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return c, "sha-256 " + strings.Join(parts, ":"), nil
}
