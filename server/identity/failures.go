package identity

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"genba/server/database"
)

const maxFailureKeys = 100_000

// Failures counts what went wrong per key in a sliding window. Successes
// never count, so people who share an address do not stand in each other's way.
type Failures struct {
	clock  database.Clock
	limit  int
	window time.Duration

	mu   sync.Mutex
	seen map[string][]time.Time
}

// NewFailures allows limit failures per key and window.
func NewFailures(clock database.Clock, limit int, window time.Duration) *Failures {
	return &Failures{clock: clock, limit: limit, window: window, seen: map[string][]time.Time{}}
}

// Allow tells whether the key has failures left.
func (f *Failures) Allow(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.recent(key)) < f.limit
}

// Add counts a failure.
func (f *Failures) Add(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) >= maxFailureKeys {
		f.sweep()
	}
	if len(f.seen) >= maxFailureKeys {
		return // a flood from many addresses; the secrets themselves cannot be guessed
	}
	if recent := f.recent(key); len(recent) < f.limit {
		f.seen[key] = append(recent, f.clock.Now())
	}
}

func (f *Failures) recent(key string) []time.Time {
	times, now := f.seen[key], f.clock.Now()
	for len(times) > 0 && (now.Sub(times[0]) >= f.window || now.Before(times[0])) {
		times = times[1:]
	}
	if len(times) == 0 {
		delete(f.seen, key)
		return nil
	}
	f.seen[key] = times
	return times
}

func (f *Failures) sweep() {
	for key := range f.seen {
		f.recent(key)
	}
}

type addressKey struct{}

// networkBits is how much of an IPv6 address tells clients apart: whoever has
// one address has all of its /64.
const networkBits = 64

// WithAddress notes the client's address for throttling. An IPv6 address counts
// as its /64, and one that stands for an IPv4 address as that.
func WithAddress(ctx context.Context, address string) context.Context {
	if a, err := netip.ParseAddr(address); err == nil {
		a = a.Unmap().WithZone("")
		address = a.String()
		if network, err := a.Prefix(networkBits); err == nil && a.Is6() {
			address = network.String()
		}
	}
	return context.WithValue(ctx, addressKey{}, address)
}

// Address is the client's address, as the outermost handler noted it.
func Address(ctx context.Context) string {
	a, _ := ctx.Value(addressKey{}).(string)
	return a
}
