package graph

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"genba/policy"
	"genba/server/bus"
	"genba/server/journal"
)

const (
	// askAgain is how long it holds that somebody is still signed in, unless the
	// journal says something about people in between.
	askAgain = time.Second
	// A feed remembers a minute, and no more than a cursor may be behind: who was
	// cut off for longer reads for itself. What retention has emptied is older.
	remembers = time.Minute
	maxMoves  = 1000 // readings of positions
)

// aside are the entries about no case that end nobody's sign-in and take no
// right away.
var aside = []journal.Type{
	journal.SignedIn, journal.SignInRefused, journal.RequestRefused, journal.RefusalsSummarised, journal.MediaPurged, journal.DueKeyDestroyed, journal.PurgeFailed,
}

// feeds are the agencies that somebody follows.
type feeds struct {
	mu   sync.Mutex
	open map[string]*feed
}

// feed reads an agency's journal once for all its followers: at each ring what
// is new, from one state. A follower who is further behind than the feed
// remembers reads for itself.
type feed struct {
	r      *Resolver
	agency string
	bell   *bus.Bell
	stop   context.CancelFunc

	followers int // guarded by feeds.mu

	mu      sync.Mutex
	now     *state
	sitting map[string]*sitting // by sign-in
}

// state is a feed at one moment. It does not change.
type state struct {
	from, head journal.Cursor
	entries    []journal.Row // all between from and head
	moves      []move
	people     int64 // the newest entry that may end a sign-in
	err        error // why the feed ended
	after      chan struct{}

	answers answers
}

// move is the sessions that reported positions up to a place.
type move struct {
	upTo     int64
	sessions []string
}

// sitting is what is known of one sign-in.
type sitting struct {
	followers int // guarded by feed.mu

	mu    sync.Mutex
	actor policy.Actor
	holds atomic.Bool
	head  int64 // of the journal, before it was asked
}

// joinFeed gives the agency's feed, and begins it for its first follower.
func (r *Resolver) joinFeed(ctx context.Context, agency, login string) (*feed, error) {
	r.feeds.mu.Lock()
	defer r.feeds.mu.Unlock()
	f := r.feeds.open[agency]
	if f == nil {
		bell, err := r.Bus.Listen(journal.Topic(agency))
		if err != nil {
			return nil, err
		}
		head, err := r.Journal.At(ctx, agency)
		if err != nil {
			bell.Close()
			return nil, err
		}
		running, stop := context.WithCancel(context.Background())
		f = &feed{
			r: r, agency: agency, bell: bell, stop: stop, sitting: map[string]*sitting{},
			now: &state{from: head, head: head, people: head.Entries, after: make(chan struct{})},
		}
		if r.feeds.open == nil {
			r.feeds.open = map[string]*feed{}
		}
		r.feeds.open[agency] = f
		go f.run(running)
	}
	f.followers++
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sitting[login]
	if s == nil {
		s = &sitting{}
		f.sitting[login] = s
	}
	s.followers++
	return f, nil
}

// leave ends the feed with its last follower.
func (f *feed) leave(login string) {
	f.r.feeds.mu.Lock()
	defer f.r.feeds.mu.Unlock()
	if f.followers--; f.followers == 0 {
		f.close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sitting[login]; s.followers > 1 {
		s.followers--
	} else {
		delete(f.sitting, login)
	}
}

// close ends the feed for those who come from now on. feeds.mu is held.
func (f *feed) close() {
	f.stop()
	if f.r.feeds.open[f.agency] == f {
		delete(f.r.feeds.open, f.agency)
	}
}

func (f *feed) run(ctx context.Context) {
	defer f.bell.Close()
	for {
		select {
		case <-f.bell.C:
		case <-ctx.Done():
			return
		}
		next := f.read(ctx)
		if ctx.Err() != nil {
			return
		}
		f.mu.Lock()
		was := f.now
		f.now = next
		f.mu.Unlock()
		close(was.after)
		if next.err != nil { // whoever subscribes again begins a new one
			f.r.feeds.mu.Lock()
			f.close()
			f.r.feeds.mu.Unlock()
			return
		}
	}
}

func (f *feed) state() *state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// read is the state after what is new.
func (f *feed) read(ctx context.Context) *state {
	was := f.now // nobody else writes it
	next := &state{from: was.from, people: was.people, after: make(chan struct{})}
	entries := was.entries // others read them, and nothing behind their end
	var moved []string
	next.head, next.err = f.r.Journal.Consistent(ctx, f.agency, func(ctx context.Context) error {
		for at := was.head.Entries; ; {
			more, err := f.r.Journal.After(ctx, f.agency, at, journal.Filter{}, maxBehind)
			if err != nil {
				return err
			}
			entries = append(entries, more...)
			if len(more) < maxBehind {
				break
			}
			at = more[len(more)-1].Number
		}
		var err error
		moved, err = f.r.Cases.MovedSince(ctx, f.agency, was.head.Positions)
		return err
	})
	if next.err != nil {
		return next
	}
	for _, e := range entries[len(was.entries):] {
		if e.CaseID == "" && e.SessionID == "" && !slices.Contains(aside, e.Type) {
			next.people = e.Number
		}
	}
	for len(entries) > maxBehind || len(entries) > 0 && entries[len(entries)-1].At.Sub(entries[0].At) > remembers {
		next.from.Entries = entries[0].Number
		entries = entries[1:]
	}
	next.entries = entries
	next.moves = was.moves
	if len(moved) > 0 {
		next.moves = append(next.moves, move{next.head.Positions, moved})
	}
	if tooMany := len(next.moves) - maxMoves; tooMany > 0 {
		next.from.Positions = next.moves[tooMany-1].upTo
		next.moves = next.moves[tooMany:]
	}
	return next
}

// changeAfter is what happened after a place, where the state remembers so far
// back.
func (s *state) changeAfter(at journal.Cursor, f journal.Filter) (c change, more, remembered bool) {
	if at.Entries < s.from.Entries || at.Positions < s.from.Positions {
		return c, false, false
	}
	c.cursor = journal.Cursor{Entries: max(at.Entries, s.head.Entries), Positions: max(at.Positions, s.head.Positions)}
	first, _ := slices.BinarySearchFunc(s.entries, at.Entries+1, func(e journal.Row, number int64) int { return int(e.Number - number) })
	for _, e := range s.entries[first:] {
		if !fits(f, e) {
			continue
		}
		if c.entries = append(c.entries, e); len(c.entries) == eventBatch {
			c.cursor.Entries, more = e.Number, true
			break
		}
	}
	for _, m := range s.moves {
		if m.upTo <= at.Positions {
			continue
		}
		for _, moved := range m.sessions {
			if !slices.Contains(c.moved, moved) {
				c.moved = append(c.moved, moved)
			}
		}
	}
	return c, more, true
}

// fits tells whether a filter lets an entry through.
func fits(f journal.Filter, e journal.Row) bool {
	is := func(wanted, value string) bool { return wanted == "" || wanted == value }
	return is(f.CaseID, e.CaseID) && is(f.SessionID, e.SessionID) && is(f.ActorID, e.ActorID) && is(f.SubjectID, e.SubjectID) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) &&
		(f.Since == nil || !e.At.Before(*f.Since)) && (f.Until == nil || e.At.Before(*f.Until))
}

// stillSignedIn asks who holds a sign-in that was recognised before. One answer
// holds for all lines of the sign-in, for a second at most, and not once the
// journal said something about people.
func (f *feed) stillSignedIn(ctx context.Context, login string, s *state) (policy.Actor, error) {
	f.mu.Lock()
	known, head := f.sitting[login], f.now.head.Entries
	f.mu.Unlock()
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.head >= s.people && known.holds.Load() {
		return known.actor, nil
	}
	actor, err := f.r.People.StillSignedIn(ctx, login)
	if err != nil {
		return actor, err
	}
	known.actor, known.head = actor, head
	if !known.holds.Swap(true) {
		time.AfterFunc(askAgain/2+rand.N(askAgain/2), func() { known.holds.Store(false) }) // not all with the same event
	}
	return actor, nil
}

// answers are what an event says to those to whom it says the same.
type answers struct {
	mu  sync.Mutex
	all map[answerKey]*answer
}

// answerKey is what an answer depends on.
type answerKey struct {
	query, operation, variables string
	from, to                    journal.Cursor
	scope                       policy.Actor
}

type answer struct {
	once sync.Once
	data []byte
	// common says that nobody else of the scope is told anything different.
	common bool
}

// get gives the answer for a key; the first who asks makes it, and is told so.
func (a *answers) get(key answerKey, build func() (data []byte, common bool)) (data []byte, ok bool) {
	a.mu.Lock()
	one := a.all[key]
	if one == nil {
		if a.all == nil {
			a.all = map[answerKey]*answer{}
		}
		one = &answer{}
		a.all[key] = one
	}
	a.mu.Unlock()
	mine := false
	one.once.Do(func() {
		mine = true
		one.data, one.common = build()
	})
	return one.data, mine || one.common
}
