package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"genba/server/database"
	"genba/server/problem"
)

// A terminal proves itself on each request by DPoP (RFC 9449): a JWT, signed
// ES256 by the key that it was enrolled with, over the method, the address, a
// number used once, and a nonce of ours. The nonce says that the proof is new,
// so that a terminal whose clock is wrong works like any other.

// Bounds of proofs.
const (
	maxProof       = 2048 // bytes
	maxProofID     = 128  // bytes of jti
	maxVersion     = 64   // bytes of ver
	nonceLife      = 2 * time.Minute
	maxUsed        = 200_000 // numbers remembered, of all terminals
	maxUsedOfOne   = 20_000  // within a nonce's life
	coordinateSize = 32      // of P-256
	nonceTime      = 8
	nonceSum       = 16
)

// PublicKey is a P-256 key that something is proved with.
type PublicKey struct {
	point      []byte // uncompressed
	thumbprint [sha256.Size]byte
}

// NewPublicKey takes a key of ours. BAD_INPUT for any other curve.
func NewPublicKey(k *ecdsa.PublicKey) (PublicKey, error) {
	if k == nil || k.Curve != elliptic.P256() {
		return PublicKey{}, problem.New(problem.BadInput)
	}
	point, err := k.Bytes()
	if err != nil {
		return PublicKey{}, problem.Wrap(problem.BadInput, err)
	}
	return publicKey(point)
}

// publicKey reads an uncompressed point, and refuses one that is not on the curve.
func publicKey(point []byte) (PublicKey, error) {
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return PublicKey{}, problem.Wrap(problem.TerminalUnknown, err)
	}
	x, y := point[1:1+coordinateSize], point[1+coordinateSize:]
	encode := base64.RawURLEncoding.EncodeToString
	// RFC 7638: the members that count, in the order of their names.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + encode(x) + `","y":"` + encode(y) + `"}`))
	return PublicKey{point, sum}, nil
}

func (k PublicKey) verifies(text string, signature []byte) bool {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.point)
	if err != nil || len(signature) != 2*coordinateSize {
		return false
	}
	r := new(big.Int).SetBytes(signature[:coordinateSize])
	s := new(big.Int).SetBytes(signature[coordinateSize:])
	sum := sha256.Sum256([]byte(text))
	return ecdsa.Verify(public, sum[:], r, s)
}

// proof is a DPoP JWT as it was read; nothing of it is true before it was checked.
type proof struct {
	signed    string
	signature []byte
	header    struct {
		Type string `json:"typ"`
		Alg  string `json:"alg"`
		Kid  string `json:"kid"`
		JWK  *struct {
			Kty string `json:"kty"`
			Crv string `json:"crv"`
			X   string `json:"x"`
			Y   string `json:"y"`
			D   string `json:"d"`
		} `json:"jwk"`
		Crit []string `json:"crit"`
	}
	claims struct {
		ID       string       `json:"jti"`
		Method   string       `json:"htm"`
		URL      string       `json:"htu"`
		IssuedAt *json.Number `json:"iat"`
		Nonce    string       `json:"nonce"`
		Version  string       `json:"ver"`
	}
}

func readProof(text string) (*proof, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || len(text) > maxProof {
		return nil, problem.New(problem.TerminalUnknown)
	}
	p := &proof{signed: parts[0] + "." + parts[1]}
	for i, into := range []any{&p.header, &p.claims} {
		part, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(part, into)
		}
		if err != nil {
			return nil, problem.Wrap(problem.TerminalUnknown, err)
		}
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	h, c := p.header, p.claims
	if err != nil || h.Type != "dpop+jwt" || h.Alg != "ES256" || len(h.Crit) > 0 || (h.JWK == nil) == (h.Kid == "") ||
		c.ID == "" || len(c.ID) > maxProofID || c.IssuedAt == nil || len(c.Version) > maxVersion {
		return nil, problem.New(problem.TerminalUnknown)
	}
	p.signature = signature
	return p, nil
}

// key is the one that the proof itself shows; nil where it only names one.
func (p *proof) key() (*PublicKey, error) {
	j := p.header.JWK
	if j == nil {
		return nil, nil
	}
	x, err1 := base64.RawURLEncoding.Strict().DecodeString(j.X)
	y, err2 := base64.RawURLEncoding.Strict().DecodeString(j.Y)
	if err1 != nil || err2 != nil || j.Kty != "EC" || j.Crv != "P-256" || j.D != "" || len(x) != coordinateSize || len(y) != coordinateSize {
		return nil, problem.New(problem.TerminalUnknown)
	}
	k, err := publicKey(slices.Concat([]byte{4}, x, y))
	return &k, err
}

// proofs makes nonces and knows which proofs were used. Both are this process's
// own: a proof that another one took, or an earlier run, is good for nothing here.
type proofs struct {
	clock database.Clock
	key   []byte

	mu    sync.Mutex
	used  map[[sha256.Size]byte]map[string]time.Time // by key, until when
	count int
	swept time.Time
}

func newProofs(clock database.Clock) *proofs {
	p := &proofs{clock: clock, key: make([]byte, sha256.Size), used: map[[sha256.Size]byte]map[string]time.Time{}}
	_, _ = rand.Read(p.key) // never fails
	return p
}

func (p *proofs) nonce() string {
	text := binary.BigEndian.AppendUint64(nil, uint64(p.clock.Now().UnixMicro())) //nolint:gosec // no year before 1970
	return base64.RawURLEncoding.EncodeToString(append(text, p.sum(text)...))
}

func (p *proofs) sum(text []byte) []byte {
	m := hmac.New(sha256.New, p.key)
	m.Write(text)
	return m.Sum(nil)[:nonceSum]
}

// until is when a nonce of ours is no longer good. TERMINAL_NONCE.
func (p *proofs) until(nonce string) (time.Time, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != nonceTime+nonceSum || !hmac.Equal(b[nonceTime:], p.sum(b[:nonceTime])) {
		return time.Time{}, problem.New(problem.TerminalNonce)
	}
	at, now := time.UnixMicro(int64(binary.BigEndian.Uint64(b))), p.clock.Now() //nolint:gosec // we made it
	if now.Before(at) || now.Sub(at) > nonceLife {
		return time.Time{}, problem.New(problem.TerminalNonce)
	}
	return at.Add(nonceLife), nil
}

// use takes a proof, once. PROOF_REPLAYED, RATE_LIMITED.
func (p *proofs) use(key [sha256.Size]byte, id string, until time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if now.Sub(p.swept) > nonceLife || now.Before(p.swept) || p.count >= maxUsed || len(p.used[key]) >= maxUsedOfOne {
		p.sweep(now)
	}
	if _, was := p.used[key][id]; was {
		return problem.New(problem.ProofReplayed)
	}
	if p.count >= maxUsed || len(p.used[key]) >= maxUsedOfOne {
		return problem.New(problem.RateLimited)
	}
	if p.used[key] == nil {
		p.used[key] = map[string]time.Time{}
	}
	p.used[key][id] = until
	p.count++
	return nil
}

func (p *proofs) sweep(now time.Time) {
	p.swept = now
	for key, ids := range p.used {
		for id, until := range ids {
			if now.After(until) {
				delete(ids, id)
				p.count--
			}
		}
		if len(ids) == 0 {
			delete(p.used, key)
		}
	}
}

type seatKey struct{}

// seat is what a request proved about where it comes from: an enrolled
// terminal, or a key that is none's yet.
type seat struct {
	terminal *Terminal
	key      *PublicKey
}

// WithTerminal notes the terminal that a request comes from.
func WithTerminal(ctx context.Context, t *Terminal) context.Context {
	return context.WithValue(ctx, seatKey{}, seat{terminal: t})
}

// WithNewKey notes the key that a browser proved which is not enrolled.
func WithNewKey(ctx context.Context, k PublicKey) context.Context {
	return context.WithValue(ctx, seatKey{}, seat{key: &k})
}

// TerminalOf is the terminal that the request comes from, or nil.
func TerminalOf(ctx context.Context) *Terminal {
	s, _ := ctx.Value(seatKey{}).(seat)
	return s.terminal
}

// Nonce is what the next proof has to name.
func (i *Identity) Nonce() string { return i.proofs.nonce() }

// Prove checks a request's proof and notes the terminal that it comes from, or
// the new key where it is nobody's yet (then with TERMINAL_UNKNOWN beside it: all
// that such a browser may do is enrol). TERMINAL_NONCE, PROOF_REPLAYED,
// TERMINAL_SUSPENDED, TERMINAL_REVOKED.
func (i *Identity) Prove(ctx context.Context, text, method, url string) (context.Context, error) {
	p, err := readProof(text)
	if err != nil {
		return ctx, err
	}
	until, err := i.proofs.until(p.claims.Nonce)
	if err != nil {
		return ctx, err
	}
	key, err := p.key()
	if err != nil {
		return ctx, err
	}
	t, err := i.terminalOf(ctx, key, p.header.Kid)
	if err != nil {
		return ctx, err
	}
	if key == nil && t != nil {
		k, err := publicKey(t.PublicKey)
		if err != nil {
			return ctx, fmt.Errorf("read terminal key: %w", err)
		}
		key = &k
	}
	given, _, _ := strings.Cut(p.claims.URL, "?")
	given, _, _ = strings.Cut(given, "#")
	if key == nil || p.claims.Method != method || given != url || !key.verifies(p.signed, p.signature) {
		return ctx, problem.New(problem.TerminalUnknown)
	}
	if err := i.proofs.use(key.thumbprint, p.claims.ID, until); err != nil {
		return ctx, err
	}
	if t == nil {
		return WithNewKey(ctx, *key), problem.New(problem.TerminalUnknown)
	}
	if err := i.standing(ctx, t); err != nil {
		return ctx, err
	}
	return WithTerminal(ctx, t), i.touch(ctx, t, p.claims.Version)
}
