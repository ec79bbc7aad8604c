package live

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"genba/server/problem"
)

// Types and bounds of WHIP and WHEP requests.
const (
	typeSDP        = "application/sdp"
	typeFragment   = "application/trickle-ice-sdpfrag"
	maxSessionName = 128
	maxToken       = 4096
)

// ServeHTTP answers WHIP (RFC 9725) under /whip/{session}[/{resource}] and WHEP
// the same way under /whep/:
//
//	POST    an SDP offer with video -> 201, the answer, Location and ETag
//	PATCH   a trickle fragment -> 204; one with new ICE credentials -> 200 with ours
//	DELETE  -> 200
//	OPTIONS -> 204 with Accept-Post or Accept-Patch
//
// Each but OPTIONS takes a bearer; PATCH and DELETE need the credential that
// made the resource, and PATCH an If-Match. Refusals go through WriteProblem.
// Mount it at the root: Location repeats the request's path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.tasks.Add(1) // Shutdown waits for requests too
	}
	s.mu.Unlock()
	if closed {
		s.refuse(w, r, problem.New(problem.Unavailable))
		return
	}
	defer s.tasks.Done()
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	verb := Publish
	switch {
	case len(parts) < 2 || len(parts) > 3 || parts[1] == "" || len(parts[1]) > maxSessionName:
		s.refuse(w, r, problem.New(problem.NotFound))
		return
	case parts[0] == "whip":
	case parts[0] == "whep":
		verb = Watch
	default:
		s.refuse(w, r, problem.New(problem.NotFound))
		return
	}
	var err error
	if len(parts) == 2 {
		err = s.serveEndpoint(w, r, verb, parts[1])
	} else {
		err = s.serveResource(w, r, verb, parts[1], parts[2])
	}
	if err != nil {
		s.refuse(w, r, err)
	}
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if problem.Is(err, problem.Unauthenticated) {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	s.opt.WriteProblem(w, r, err)
}

func (s *Server) serveEndpoint(w http.ResponseWriter, r *http.Request, verb Verb, session string) error {
	const allow = "OPTIONS, POST"
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.Header().Set("Accept-Post", typeSDP)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPost:
		return s.post(w, r, verb, session)
	}
	w.Header().Set("Allow", allow)
	return problem.New(problem.MethodNotAllowed)
}

func (s *Server) serveResource(w http.ResponseWriter, r *http.Request, verb Verb, session, id string) error {
	const allow = "DELETE, OPTIONS, PATCH"
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.Header().Set("Accept-Patch", typeFragment)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPatch, http.MethodDelete:
	default:
		w.Header().Set("Allow", allow)
		return problem.New(problem.MethodNotAllowed)
	}
	peer, err := s.authorize(r, verb, session)
	if err != nil {
		return err
	}
	s.mu.Lock()
	x := s.resources[id]
	s.mu.Unlock()
	// Somebody else's resource answers like none.
	if x == nil || x.session != session || x.verb != verb || x.peer != peer.ID {
		return problem.New(problem.NotFound)
	}
	if r.Method == http.MethodPatch {
		return x.patch(w, r)
	}
	if err := x.matches(r, false); err != nil {
		return err
	}
	x.end(ReasonDeleted)
	w.WriteHeader(http.StatusOK)
	return nil
}

// authorize asks who holds the request's bearer.
func (s *Server) authorize(r *http.Request, verb Verb, session string) (Peer, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return Peer{}, problem.New(problem.Unauthenticated)
	}
	return s.ask(r.Context(), token, verb, session)
}

func (s *Server) ask(ctx context.Context, token string, verb Verb, session string) (Peer, error) {
	peer, err := s.opt.Authorize(ctx, token, verb, session)
	if err != nil {
		return Peer{}, err
	}
	if peer.ID == "" || !peer.Until.IsZero() && !s.opt.Clock.Now().Before(peer.Until) {
		return Peer{}, problem.New(problem.Unauthenticated)
	}
	return peer, nil
}

// body reads a request's body of the one type that is taken.
func body(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), want) {
		return nil, problem.New(problem.UnsupportedType)
	}
	if r.ContentLength > maxBody {
		return nil, problem.New(problem.TooLarge)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, problem.New(problem.TooLarge)
	}
	if err != nil {
		return nil, problem.Wrap(problem.BadInput, err)
	}
	return b, nil
}

// post makes a resource of an offer.
func (s *Server) post(w http.ResponseWriter, r *http.Request, verb Verb, session string) error {
	cuts := s.cuts.Load()
	peer, err := s.authorize(r, verb, session)
	if err != nil {
		return err
	}
	b, err := body(w, r, typeSDP)
	if err != nil {
		return err
	}
	o, err := parseOffer(b, verb == Publish)
	if err != nil {
		return problem.Wrap(problem.SDPRefused, err)
	}
	x := &resource{
		server: s, id: secret(), session: session, peer: peer.ID, verb: verb,
		offer: o, formats: o.formats, candidates: o.candidates, born: monotonic(), up: make(chan struct{}), over: make(chan struct{}),
		restarts: newBucket(restartsPerSec, restartBurst),
	}
	if verb == Publish {
		err = s.admitPublisher(x)
	} else {
		err = s.admitViewer(x)
	}
	if err != nil {
		return err
	}
	// A cut that came while this was on its way may have missed it.
	if s.cuts.Load() != cuts {
		again, err := s.authorize(r, verb, session)
		if err == nil && again.ID != peer.ID {
			err = problem.New(problem.Unauthenticated)
		}
		if err != nil {
			x.end(ReasonClosed)
			return err
		}
	}
	x.mu.Lock()
	answer := x.answer(x.negotiate())
	tag := x.etag
	x.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", strings.TrimSuffix(r.URL.Path, "/")+"/"+x.id)
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer) // the client is gone: tick clears up
	return nil
}

// enter puts a resource into its room. It refuses a second publisher, and gives
// the stream that the same peer held before, for the caller to end.
func (s *Server) enter(x *resource, p *publisher) (replaced *publisher, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.resources) >= maxPeers {
		return nil, problem.New(problem.Unavailable)
	}
	if r := s.rooms[x.session]; r != nil && x.verb == Watch && r.holders > maxViewers { // one holder more publishes
		return nil, problem.New(problem.RateLimited)
	}
	if s.waiting(x.peer) >= maxWaiting {
		return nil, problem.New(problem.RateLimited)
	}
	if p != nil {
		if r := s.rooms[x.session]; r != nil {
			r.mu.Lock()
			replaced = r.publisher
			r.mu.Unlock()
		}
		if replaced != nil && replaced.peer != x.peer {
			return nil, problem.New(problem.PublisherPresent)
		}
	}
	r := s.room(x.session)
	x.room = r
	r.holders++
	s.resources[x.id] = x
	if p != nil {
		r.mu.Lock()
		r.publisher = p
		r.mu.Unlock()
	}
	return replaced, nil
}

func (s *Server) admitPublisher(x *resource) error {
	x.formats = x.offer.formats[:1] // one codec, so that it cannot change on the way
	p := newPublisher(x)
	x.publisher = p
	x.connect()
	p.listen()
	replaced, err := s.enter(x, p)
	if err != nil {
		return err
	}
	if replaced != nil {
		replaced.end(ReasonReplaced)
	}
	return nil
}

func (s *Server) admitViewer(x *resource) error {
	// With a publisher there, the answer names its codec; before, all that fit.
	s.mu.Lock()
	r := s.rooms[x.session]
	s.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		p := r.publisher
		r.mu.Unlock()
		if p != nil {
			x.formats = nil
			for _, f := range x.offer.formats {
				if f.codec == p.format.codec {
					x.formats = append(x.formats, f)
				}
			}
		}
	}
	if len(x.formats) == 0 {
		return problem.New(problem.SDPRefused)
	}
	v := newViewer(x)
	x.viewer = v
	x.connect()
	v.listen()
	_, err := s.enter(x, nil)
	return err
}

// matches checks If-Match against the current ICE session.
func (x *resource) matches(r *http.Request, needed bool) error {
	tags := r.Header.Values("If-Match")
	if len(tags) == 0 {
		if needed {
			return problem.New(problem.PreconditionRequired)
		}
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, line := range tags {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == x.etag {
				return nil
			}
		}
	}
	return problem.New(problem.PreconditionFailed)
}

// patch takes trickled candidates, which an ICE-lite server only counts, or
// restarts ICE when the credentials are new.
func (x *resource) patch(w http.ResponseWriter, r *http.Request) error {
	b, err := body(w, r, typeFragment)
	if err != nil {
		return err
	}
	if err := x.matches(r, true); err != nil {
		return err
	}
	f, err := parseFragment(b)
	if err != nil {
		return problem.Wrap(problem.BadInput, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	restart := f.ufrag != "" && (f.ufrag != x.offer.ufrag || f.pwd != x.offer.pwd)
	if restart {
		if !x.restarts.take(1, monotonic()) {
			return problem.New(problem.RateLimited)
		}
		x.candidates = 0
	}
	if x.candidates += f.candidates; x.candidates > maxCandidates {
		return problem.New(problem.SDPRefused)
	}
	if !restart {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	x.offer.ufrag, x.offer.pwd = f.ufrag, f.pwd
	answer := x.restartAnswer(x.negotiate())
	h := w.Header()
	h.Set("Content-Type", typeFragment)
	h.Set("ETag", x.etag)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, answer) // the client is gone: its old path stays
	return nil
}
