package graph

import (
	"context"
	"net/url"
	"reflect"

	"genba/graph/model"
	"genba/policy"
	"genba/server/cases"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func textOrNil[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

func done(err error) (*model.DonePayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.DonePayload{Done: true}, nil
}

func casePayload(k *cases.Case, err error) (*model.CasePayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.CasePayload{Case: k}, nil
}

func upload(u *evidence.Upload, err error) (*model.UploadPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.UploadPayload{ID: u.File.ID, URL: evidence.FilesPath, Token: u.Token, ExpiresAt: u.ExpiresAt, Chunk: evidence.UploadChunk}, nil
}

// onSession is a command on a session, or on a phone of one.
func (r *Resolver) onSession(ctx context.Context, given string, command func(ctx context.Context, actor policy.Actor, id string) (*cases.Session, error)) (*model.SessionPayload, error) {
	known, err := id(given)
	if err != nil {
		return nil, err
	}
	s, err := command(ctx, actorOf(ctx), known)
	if err != nil {
		return nil, err
	}
	return &model.SessionPayload{Session: s}, nil
}

// me is what an actor sees of themselves.
func (r *Resolver) me(ctx context.Context, actor policy.Actor) (*model.Me, error) {
	a, err := r.People.Agency(ctx, actor.Agency)
	if err != nil {
		return nil, err
	}
	m := &model.Me{Kind: actor.Kind, Agency: a, Locked: actor.Role == policy.LockedRole, IdleLimit: a.Settings.IdleMinutes * secondsAMinute}
	switch actor.Kind {
	case policy.Operator:
		users, err := r.People.Users(ctx, actor.Agency, []string{actor.ID})
		if err != nil {
			return nil, err
		}
		m.User = users[actor.ID]
	case policy.User:
		users, err := r.People.Users(ctx, actor.Agency, []string{actor.ID})
		if err != nil {
			return nil, err
		}
		m.User = users[actor.ID]
		m.Reception = actor.Grant == policy.ReceptionGrant
		if m.Terminal, err = r.People.Sat(ctx, actor); err != nil {
			return nil, err
		}
	case policy.StaffPhone:
		if actor.Session == "" {
			break
		}
		fallthrough
	case policy.Caller:
		if m.Session, err = r.own(ctx, actor); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// own is a phone's view of its own session: nothing of other phones, nothing of
// the case.
func (r *Resolver) own(ctx context.Context, actor policy.Actor) (*model.OwnSession, error) {
	s, err := r.Cases.Session(ctx, actor.Agency, actor.Session)
	if err != nil {
		return nil, err
	}
	p, err := r.Cases.Phone(ctx, actor.Agency, actor.ID)
	if err != nil {
		return nil, err
	}
	a, err := r.People.Agency(ctx, actor.Agency)
	if err != nil {
		return nil, err
	}
	files, err := r.Evidence.Own(ctx, actor)
	if err != nil {
		return nil, err
	}
	o := &model.OwnSession{
		ID: s.ID, State: s.State, Asked: s.Asked, Phone: p, Over: s.State.Over(), Uploads: []*model.OwnUpload{},
		Limit: int64(a.Settings.DataMegabytes) << 20,
	}
	if o.Over {
		o.EndReason = textOrNil(s.EndReason)
	}
	drill, err := r.Cases.IsDrill(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Notices, err = r.Operations.CallerNotices(ctx, actor.Agency, drill); err != nil {
		return nil, err
	}
	if p.State == cases.Bound { // what others sent is no business of a phone that waits
		if o.Received, err = r.Evidence.Received(ctx, s.ID); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		o.Uploads = append(o.Uploads, &model.OwnUpload{ID: f.ID, Kind: f.Kind, Complete: f.State == evidence.Complete, Size: f.Size})
	}
	return o, nil
}

// joined answers a phone that was let in, and gives it its cookie.
func (r *Resolver) joined(ctx context.Context, p *cases.Phone, token string, err error) (*model.JoinPayload, error) {
	if err != nil || p == nil {
		return &model.JoinPayload{}, err
	}
	if err := setCookie(ctx, callerPage, token); err != nil {
		return nil, err
	}
	o, err := r.own(ctx, p.Actor())
	return &model.JoinPayload{Session: o}, err
}

// watch journals a viewing and gives a bearer for WHEP.
func (r *Resolver) watch(ctx context.Context, input model.WatchInput) (*model.WatchPayload, error) {
	sessionID, err := id(input.SessionID)
	if err != nil {
		return nil, err
	}
	actor := actorOf(ctx)
	s, err := r.Cases.Session(ctx, actor.Agency, sessionID)
	if err != nil {
		return nil, err
	}
	if s.State.Over() {
		return nil, problem.New(problem.SessionEnded)
	}
	v, err := r.Evidence.View(ctx, actor, s, evidence.Look{Reason: or(input.Reason, "")}, identity.GrantLife)
	if err != nil {
		return nil, err
	}
	p := &model.WatchPayload{URL: "/whep/" + s.ID, Viewing: v}
	p.Token, p.ExpiresAt = r.Bearers.Mint(identity.Bearer{Use: identity.UseWatch, Session: s.ID, Object: v.ID, Actor: actor}, identity.BearerLife)
	return p, nil
}

// publish gives a bearer for WHIP to a phone that may send.
func (r *Resolver) publish(ctx context.Context) (*model.PublishPayload, error) {
	actor := actorOf(ctx)
	s, err := r.Cases.Welcome(ctx, actor)
	if err != nil {
		return nil, err
	}
	if err := r.Evidence.WithinData(ctx, actor); err != nil {
		return nil, err
	}
	p := &model.PublishPayload{URL: "/whip/" + s.ID}
	p.Token, p.ExpiresAt = r.Bearers.Mint(identity.Bearer{Use: identity.UsePublish, Session: s.ID, Actor: actor}, identity.BearerLife)
	return p, nil
}

func (r *Resolver) openMedia(ctx context.Context, input model.OpenMediaInput) (*model.OpenMediaPayload, error) {
	fileID, err := id(input.MediaFileID)
	if err != nil {
		return nil, err
	}
	o, err := r.Evidence.Open(ctx, actorOf(ctx), fileID, evidence.Look{
		Purpose: or(input.Purpose, evidence.InitialResponse), Law: text(input.Law), Document: text(input.Document), Reason: or(input.Reason, ""),
	})
	if err != nil {
		return nil, err
	}
	loadersOf(ctx).opened.Store(o.File.ID, true)
	return &model.OpenMediaPayload{
		URL: evidence.MediaPath + o.File.ID + "?grant=" + url.QueryEscape(o.Grant), ExpiresAt: o.ExpiresAt,
		ContentType: o.ContentType, MediaFile: o.File, Viewing: o.Viewing,
	}, nil
}

// hidden tells whether what a file says of itself is kept from the actor: it
// came in by mistake, and only a supervisor may look (第4の3(3)), or it is a
// colleague's and was not opened with a reason (第4の2).
func (r *Resolver) hidden(ctx context.Context, m *evidence.MediaFile) (bool, error) {
	if _, opened := loadersOf(ctx).opened.Load(m.ID); opened {
		return false, nil
	}
	s, err := loadersOf(ctx).sessions.get(ctx, m.SessionID)
	return s == nil || s.MayOpen(actorOf(ctx)) != nil, err
}

// payload is what an entry says. Numbers, addresses and what else identifies a
// caller are told by the session's own fields, which know who may see them; what
// is about no case, as people and settings, only to those who audit.
func (r *Resolver) payload(ctx context.Context, row *journal.Row) (*string, error) {
	actor := roleOf(ctx)
	ofCase := row.CaseID != "" || row.SessionID != ""
	if row.Payload == nil || !ofCase && !r.Policy.Can(actor, actor.Agency, policy.Journal, policy.Audit) {
		return nil, nil
	}
	said, err := journal.Shown(row.Payload)
	return textOrNil(said), err
}

func shownNumber(ctx context.Context, s *cases.Session) *model.PhoneNumber {
	number, whole := s.ShownNumber(actorOf(ctx))
	if number == "" {
		return nil
	}
	groups := []string{number}
	if whole {
		groups = cases.Groups(number)
	}
	return &model.PhoneNumber{E164: number, Groups: groups, Whole: whole}
}

// taskNumber is the number that a contact task still has to call: whole for
// those who may act on it, though the session is over.
func taskNumber(ctx context.Context, t *cases.ContactTask, s *cases.Session) *model.PhoneNumber {
	if t.DoneAt != nil || t.Number == "" || s == nil || !s.MayCommand(actorOf(ctx)) {
		return nil
	}
	return &model.PhoneNumber{E164: t.Number, Groups: cases.Groups(t.Number), Whole: true}
}

// taskEmail is the address that a contact task still has to write to, as
// taskNumber is.
func taskEmail(ctx context.Context, t *cases.ContactTask, s *cases.Session) *string {
	if t.DoneAt != nil || s == nil || !s.MayCommand(actorOf(ctx)) {
		return nil
	}
	return textOrNil(t.Email)
}

func shownEmail(ctx context.Context, s *cases.Session) *string {
	if s.State.Over() || !s.MayCommand(actorOf(ctx)) {
		return nil
	}
	return textOrNil(s.Email)
}

// oneCase is null for what is not there, another agency's included.
func (r *Resolver) oneCase(ctx context.Context, given string) (*cases.Case, error) {
	caseID, err := id(given)
	if err != nil {
		return nil, err
	}
	var found map[string]*cases.Case
	agency := actorOf(ctx).Agency
	at, err := r.Journal.Consistent(ctx, agency, func(ctx context.Context) (err error) {
		found, err = r.Cases.Cases(ctx, agency, []string{caseID})
		return err
	})
	noteCursor(ctx, at)
	return found[caseID], err
}

func (r *Resolver) oneSession(ctx context.Context, given string) (*cases.Session, error) {
	sessionID, err := id(given)
	if err != nil {
		return nil, err
	}
	var found map[string]*cases.Session
	agency := actorOf(ctx).Agency
	at, err := r.Journal.Consistent(ctx, agency, func(ctx context.Context) (err error) {
		found, err = r.Cases.Sessions(ctx, agency, []string{sessionID})
		return err
	})
	noteCursor(ctx, at)
	return found[sessionID], err
}

func (r *Resolver) oneFile(ctx context.Context, given string) (*evidence.MediaFile, error) {
	fileID, err := id(given)
	if err != nil {
		return nil, err
	}
	found, err := r.Evidence.FilesByID(ctx, actorOf(ctx).Agency, []string{fileID})
	return found[fileID], err
}

// cursor is the place from which an answer's rows were read; an answer that
// read none, as a mutation's, stands at the newest.
func (r *Resolver) cursor(ctx context.Context) (string, error) {
	if at := loadersOf(ctx).cursor.Load(); at != nil {
		return at.String(), nil
	}
	at, err := r.Journal.At(ctx, actorOf(ctx).Agency)
	return at.String(), err
}

// noteCursor keeps the oldest place that this answer read from. A subscription
// has none: each of its events says its own.
func noteCursor(ctx context.Context, at journal.Cursor) {
	if l, ok := ctx.Value(loadersKey{}).(*loaders); ok {
		l.cursor.CompareAndSwap(nil, &at)
	}
}

func rows(entries []journal.Row) []*journal.Row {
	pointers := make([]*journal.Row, len(entries))
	for i := range entries {
		pointers[i] = &entries[i]
	}
	return pointers
}

// boardEvent tells what a change means on the board.
func (r *Resolver) boardEvent(ctx context.Context, c change) (*model.CaseBoardEvent, error) {
	agency := agencyOf(ctx)
	changed := map[string]bool{}
	for _, e := range c.entries {
		if e.CaseID != "" {
			changed[e.CaseID] = true
		}
	}
	moved, err := r.Cases.Sessions(ctx, agency, c.moved)
	if err != nil {
		return nil, err
	}
	for _, s := range moved {
		changed[s.CaseID] = true
	}
	ids := make([]string, 0, len(changed))
	for caseID := range changed {
		ids = append(ids, caseID)
	}
	found, err := r.Cases.Cases(ctx, agency, ids)
	if err != nil {
		return nil, err
	}
	event := &model.CaseBoardEvent{Cursor: c.cursor.String(), Entries: rows(c.entries), Cases: []*cases.Case{}, Removed: []string{}}
	for _, caseID := range ids {
		if k := found[caseID]; k == nil || k.ErasedAt != nil {
			event.Removed = append(event.Removed, caseID)
		} else {
			event.Cases = append(event.Cases, k)
		}
	}
	return event, nil
}

// sessionEvent tells what a change means for one session.
func (r *Resolver) sessionEvent(ctx context.Context, sessionID string) func(ctx context.Context, c change) (*model.SessionEvent, error) {
	seen := r.watchedSession(ctx, sessionID)
	return func(ctx context.Context, c change) (*model.SessionEvent, error) {
		moved := false
		for _, m := range c.moved {
			moved = moved || m == sessionID
		}
		if !moved && len(c.entries) == 0 {
			return nil, nil
		}
		s, err := r.Cases.Session(ctx, actorOf(ctx).Agency, sessionID)
		if err != nil {
			return nil, err
		}
		seen(s)
		return &model.SessionEvent{Cursor: c.cursor.String(), Entries: rows(c.entries), Session: s}, nil
	}
}

// ownSessionChanged shows a phone its own view, at once and whenever it
// changed. It ends after the end has been told.
func (r *Resolver) ownSessionChanged(ctx context.Context) (<-chan *model.OwnSession, error) {
	actor := actorOf(ctx)
	bell, err := r.Bus.Listen(journal.Topic(actor.Agency))
	if err != nil {
		return nil, err
	}
	out := make(chan *model.OwnSession)
	go func() {
		defer close(out)
		defer bell.Close()
		var last *model.OwnSession
		for {
			now, err := r.own(ctx, actor)
			if err != nil {
				r.fail(ctx, err)
				return
			}
			if !reflect.DeepEqual(last, now) {
				select {
				case out <- now:
				case <-ctx.Done():
					return
				}
				last = now
			}
			if now.Over || now.Phone.State == cases.RefusedPhone {
				return
			}
			select {
			case <-bell.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
