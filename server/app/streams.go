package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"genba/policy"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/live"
	"genba/server/problem"
)

// streams stands between live, which knows session ids and peers as text, and
// the rooms that know what they mean. A publisher's peer is its phone's id; a
// viewer's is LOGIN/VIEWING.
type streams struct {
	a      *App
	events chan live.Event
	ended  chan struct{}
}

const (
	maxEvents    = 4096
	eventTimeout = 10 * time.Second
)

func newStreams(a *App) *streams {
	s := &streams{a: a, events: make(chan live.Event, maxEvents), ended: make(chan struct{})}
	go s.note()
	return s
}

// authorize says who holds a bearer for WHIP or WHEP, asked anew each time.
func (s *streams) authorize(ctx context.Context, token string, verb live.Verb, session string) (live.Peer, error) {
	use := identity.UsePublish
	if verb == live.Watch {
		use = identity.UseWatch
	}
	b, err := s.a.bearers.Open(token, use)
	if err != nil {
		return live.Peer{}, err
	}
	if b.Session != session {
		return live.Peer{}, problem.New(problem.BearerInvalid)
	}
	if verb == live.Publish {
		if _, err := s.a.Cases.Welcome(ctx, b.Actor); err != nil {
			return live.Peer{}, err
		}
		return live.Peer{ID: b.Actor.ID, Until: b.Until}, s.a.Evidence.WithinData(ctx, b.Actor)
	}
	actor, err := s.looking(ctx, b.Actor.Login, policy.Watch)
	if err != nil {
		return live.Peer{}, err
	}
	k, err := s.a.Evidence.Looked(ctx, actor, b.Object)
	if err != nil {
		return live.Peer{}, err
	}
	if k.ID != session {
		return live.Peer{}, problem.New(problem.BearerInvalid)
	}
	if k.State.Over() {
		return live.Peer{}, problem.New(problem.SessionEnded)
	}
	if err := s.a.Evidence.KeepViewing(ctx, actor, b.Object, identity.GrantLife); err != nil {
		if problem.Is(err, problem.GrantInvalid) {
			err = problem.Wrap(problem.BearerInvalid, err) // a new one begins another viewing
		}
		return live.Peer{}, err
	}
	return live.Peer{ID: actor.Login + "/" + b.Object, Until: b.Until}, nil
}

func (s *streams) accept(ctx context.Context, _, peer string) error {
	return s.a.Cases.AcceptLive(ctx, peer)
}

// recorded hands live's fragments to evidence.
type recorded struct{ *evidence.Recording }

func (r recorded) Append(f live.Fragment) error { return r.Recording.Append(evidence.Fragment(f)) }

func (s *streams) record(ctx context.Context, session, peer string, t live.Track) (live.Recording, error) {
	actor, err := s.a.Cases.PhoneActor(ctx, peer)
	if err != nil {
		return nil, err
	}
	r, err := s.a.Evidence.Record(ctx, actor, session, t.ContentType)
	if err != nil {
		return nil, err
	}
	return recorded{r}, nil
}

// recordingHead makes the front of a recording that makes it seekable.
func recordingHead(contentType string, init []byte, fragments []evidence.FragmentInfo) ([]byte, error) {
	info := make([]live.FragmentInfo, len(fragments))
	for i, f := range fragments {
		info[i] = live.FragmentInfo{Size: f.Size, Key: f.Key, Start: f.Start, Duration: f.Duration}
	}
	return live.Head(contentType, init, info)
}

// observe takes an event without holding live up. A full queue loses events of
// display only: what was received is recorded elsewhere.
func (s *streams) observe(e live.Event) {
	select {
	case s.events <- e:
	default:
		s.a.log.Error("live events are not keeping up", "kind", e.Kind)
	}
}

var journalled = map[live.EventKind]journal.Type{
	live.Connected: journal.LiveStarted, live.Stalled: journal.LiveStalled, live.Resumed: journal.LiveResumed,
	live.Ended: journal.LiveEnded, live.Unrecorded: journal.LiveUnrecorded,
}

// note writes what live saw, in order.
func (s *streams) note() {
	defer close(s.ended)
	for e := range s.events {
		ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
		var err error
		switch e.Kind {
		case live.ViewerJoined:
			// Its viewing was journaled before its first byte.
		case live.ViewerLeft:
			if slices.Contains(s.a.Live.Viewers(), e.Peer) {
				break // it looks over another connection
			}
			_, viewing, _ := strings.Cut(e.Peer, "/")
			err = s.a.Evidence.CloseViewing(ctx, viewing)
		default:
			sending := e.Kind == live.Connected || e.Kind == live.Resumed || e.Kind == live.Unrecorded
			err = s.a.Cases.SetLive(ctx, e.Session, sending, journalled[e.Kind], e.Peer)
			if e.Kind == live.Unrecorded {
				err = errors.Join(err, s.a.unrecorded(ctx, e.Session))
			}
		}
		cancel()
		if err != nil {
			s.a.log.Error("note live event", "kind", e.Kind, "error", err)
		}
	}
}

// recheck asks again about everybody who watches: whose sign-in has ended, who
// may no more, or whose viewing was closed, is cut. The viewings of the
// others stay open for as long as they watch. While the database does not
// answer, whoever was let in goes on.
func (s *streams) recheck(ctx context.Context) error {
	var failed error
	for _, peer := range s.a.Live.Viewers() {
		login, viewing, _ := strings.Cut(peer, "/")
		if err := s.a.People.StayAwake(ctx, login); err != nil { // whoever watches is there
			failed = errors.Join(failed, err)
		}
		actor, err := s.looking(ctx, login, policy.Watch)
		if err == nil {
			err = s.a.Evidence.KeepViewing(ctx, actor, viewing, identity.GrantLife)
		}
		if over(err) {
			s.a.Live.CutPeer(peer)
			continue
		}
		failed = errors.Join(failed, err)
	}
	return errors.Join(failed, s.recheckDownloads(ctx))
}

// capData ends live video that has cost its caller what the agency lets a video
// report cost (第4の2(2)エ).
func (s *streams) capData(ctx context.Context) error {
	full, err := s.a.Evidence.OverData(ctx)
	for _, l := range full {
		err = errors.Join(err, s.a.Cases.NoteDataCap(ctx, l.Session, l.Phone))
		s.a.Live.CutPeer(l.Phone)
	}
	return err
}

// recheckDownloads asks the same of whoever is being served a file.
func (s *streams) recheckDownloads(ctx context.Context) error {
	var failed error
	for _, login := range s.a.Evidence.Serving() {
		_, err := s.looking(ctx, login, policy.Open)
		if over(err) {
			err = s.a.Evidence.LoginRevoked(ctx, login)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// looking asks again who looks under a sign-in or a staff link, and whether they
// may: WATCH live video, or OPEN files.
func (s *streams) looking(ctx context.Context, login string, act policy.Action) (policy.Actor, error) {
	o := policy.Session
	if act == policy.Open {
		o = policy.Media
	}
	actor, err := s.a.People.StillSignedIn(ctx, login)
	if problem.Is(err, problem.Unauthenticated) {
		if phone, unknown := s.a.Cases.Watching(ctx, login); unknown == nil {
			actor, o, act, err = phone, policy.Share, policy.Watch, nil
		} else if !problem.Is(unknown, problem.Unauthenticated) {
			err = unknown
		}
	}
	if err == nil && !s.a.policy.Can(actor, actor.Agency, o, act) {
		err = problem.New(problem.Forbidden)
	}
	return actor, err
}

// over tells whether somebody may no more, rather than that it cannot be known.
func over(err error) bool {
	return err != nil && (problem.Of(err).Code() == problem.Unauthorised || slices.ContainsFunc(
		[]problem.Reason{problem.GrantInvalid, problem.Forbidden, problem.ScreenLocked}, func(r problem.Reason) bool { return problem.Is(err, r) }))
}

// leave cuts what sign-ins watch and download.
func (s *streams) leave(logins []string) {
	s.a.afterCommit("cut sign-ins", func(ctx context.Context) error {
		var failed error
		for _, login := range logins {
			s.a.Live.CutPeer(login)
			failed = errors.Join(failed, s.a.Evidence.LoginRevoked(ctx, login))
		}
		return failed
	})
}

func (s *streams) stop() {
	close(s.events)
	<-s.ended
}

// over cuts a session that accepts nothing more, and seals what was part-way.
func (s *streams) over(session string) {
	s.a.afterCommit("cut session", func(ctx context.Context) error {
		s.a.Live.Close(session)
		return s.a.Evidence.OnSessionEnded(ctx, session)
	})
}

// held hangs up on a phone that has to wait since another one was bound.
func (s *streams) held(phone string) {
	s.a.afterCommit("hold phone", func(context.Context) error {
		s.a.Live.CutPeer(phone)
		return nil
	})
}

// cut puts one phone out.
func (s *streams) cut(phone string) {
	s.a.afterCommit("cut phone", func(ctx context.Context) error {
		s.a.Live.CutPeer(phone)
		s.a.Evidence.OnPhoneCut(phone)
		return s.a.Evidence.LoginRevoked(ctx, phone) // what an officer's phone was shown
	})
}

// CutPeer ends everything that a sign-in watches, or is about to watch.
func (s *streams) CutPeer(login string) { s.a.Live.CutPeer(login) }

// shareOver cuts everybody who looks by a share that shows nothing more.
func (s *streams) shareOver(share string) {
	s.a.afterCommit("cut share", func(ctx context.Context) error {
		peers, err := s.a.Evidence.ShareOver(ctx, share)
		for _, peer := range peers {
			s.a.Live.CutPeer(peer)
		}
		return err
	})
}
