package graph

import (
	"context"
	"strconv"

	"genba/graph/model"
	"genba/server/cases"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func (r *Resolver) caseConnection(ctx context.Context, first *int, after *string, filter *cases.CaseFilter, sort *cases.CaseSort) (*model.CaseConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f, order := or(filter, cases.CaseFilter{}), or(sort, cases.ChangedNewest)
	agency := actorOf(ctx).Agency
	var found []*cases.Case
	at, err := r.Journal.Consistent(ctx, agency, func(ctx context.Context) (err error) {
		found, err = r.Cases.List(ctx, agency, f, order, from, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	noteCursor(ctx, at)
	found, places, info := paged(found, size, from != nil, func(k *cases.Case) string {
		if order == cases.ChangedNewest {
			return place(k.ChangedAt, k.ID)
		}
		return place(k.OpenedAt, k.ID)
	})
	expectCases(ctx, found...)
	c := &model.CaseConnection{Edges: []*model.CaseEdge{}, Nodes: found, PageInfo: info, Cursor: at.String()}
	for i, k := range found {
		c.Edges = append(c.Edges, &model.CaseEdge{Cursor: places[i], Node: k})
	}
	return c, nil
}

func (r *Resolver) sessionConnection(ctx context.Context, first *int, after *string, filter *cases.SessionFilter, sort *cases.SessionSort) (*model.SessionConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f := or(filter, cases.SessionFilter{})
	if err := checkIDs(f.CaseID, f.DispatcherID); err != nil {
		return nil, err
	}
	agency := actorOf(ctx).Agency
	var found []*cases.Session
	at, err := r.Journal.Consistent(ctx, agency, func(ctx context.Context) (err error) {
		found, err = r.Cases.ListSessions(ctx, agency, f, or(sort, cases.RequestedNewest), from, size+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	noteCursor(ctx, at)
	found, places, info := paged(found, size, from != nil, func(s *cases.Session) string { return place(s.RequestedAt, s.ID) })
	expectSessions(ctx, found...)
	c := &model.SessionConnection{Edges: []*model.SessionEdge{}, Nodes: found, PageInfo: info, Cursor: at.String()}
	for i, s := range found {
		c.Edges = append(c.Edges, &model.SessionEdge{Cursor: places[i], Node: s})
	}
	return c, nil
}

// mediaConnection lists media files; base is what the place in the graph
// narrows to, and filter cannot widen it.
func (r *Resolver) mediaConnection(ctx context.Context, base evidence.Filter, first *int, after *string, filter *evidence.Filter, sort *evidence.Sort) (*model.MediaFileConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f, order := or(filter, evidence.Filter{}), or(sort, evidence.AcquiredNewest)
	if err := checkIDs(f.CaseID, f.SessionID); err != nil {
		return nil, err
	}
	if !narrow(&f.CaseID, base.CaseID) || !narrow(&f.SessionID, base.SessionID) {
		return &model.MediaFileConnection{Edges: []*model.MediaFileEdge{}, Nodes: []*evidence.MediaFile{}, PageInfo: &model.PageInfo{}}, nil
	}
	found, err := r.Evidence.List(ctx, actorOf(ctx).Agency, f, order, (*evidence.Place)(from), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(m *evidence.MediaFile) string {
		p := order.PlaceOf(m)
		return place(p.At, p.ID)
	})
	for _, m := range found {
		loadersOf(ctx).sessions.expect(m.SessionID)
	}
	c := &model.MediaFileConnection{Edges: []*model.MediaFileEdge{}, Nodes: found, PageInfo: info}
	for i, m := range found {
		c.Edges = append(c.Edges, &model.MediaFileEdge{Cursor: places[i], Node: m})
	}
	return c, nil
}

// narrow puts the place's own value into a filter's field; false where the
// filter asked for another.
func narrow(field **string, own *string) bool {
	if own == nil {
		return true
	}
	if *field != nil && **field != *own {
		return false
	}
	*field = own
	return true
}

func (r *Resolver) viewingConnection(ctx context.Context, s *cases.Session, first *int, after *string) (*model.ViewingConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Evidence.Viewings(ctx, s.AgencyID, s.ID, (*evidence.Place)(from), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(v *evidence.Viewing) string { return place(v.OpenedAt, v.ID) })
	c := &model.ViewingConnection{Edges: []*model.ViewingEdge{}, Nodes: found, PageInfo: info}
	for i, v := range found {
		loadersOf(ctx).users.expect(v.UserID)
		loadersOf(ctx).staff.expect(v.StaffMemberID)
		c.Edges = append(c.Edges, &model.ViewingEdge{Cursor: places[i], Node: v})
	}
	return c, nil
}

func (r *Resolver) positionConnection(ctx context.Context, s *cases.Session, first *int, after *string) (*model.PositionConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	below, err := parseNumber(after)
	if err != nil {
		return nil, err
	}
	found, err := r.Cases.Positions(ctx, s.AgencyID, s.ID, int(below), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, below > 0, func(p *cases.Position) string { return encode(strconv.Itoa(p.Sequence)) })
	c := &model.PositionConnection{Edges: []*model.PositionEdge{}, Nodes: found, PageInfo: info}
	for i, p := range found {
		c.Edges = append(c.Edges, &model.PositionEdge{Cursor: places[i], Node: p})
	}
	return c, nil
}

func (r *Resolver) userConnection(ctx context.Context, first *int, after *string) (*model.UserConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	from, err := decode(after)
	if err != nil {
		return nil, err
	}
	if from != "" {
		if _, err := id(from); err != nil {
			return nil, problem.Wrap(problem.BadCursor, err)
		}
	}
	found, err := r.People.ListUsers(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != "", func(u *identity.User) string { return encode(u.ID) })
	expectUsers(ctx, found...)
	c := &model.UserConnection{Edges: []*model.UserEdge{}, Nodes: found, PageInfo: info}
	for i, u := range found {
		c.Edges = append(c.Edges, &model.UserEdge{Cursor: places[i], Node: u})
	}
	return c, nil
}

// audit is the manager's reading of the whole journal.
func (r *Resolver) audit(ctx context.Context, first *int, after *string, filter *journal.Filter, sort *model.JournalSort) (*model.JournalConnection, error) {
	f, err := auditFilter(filter)
	if err != nil {
		return nil, err
	}
	return r.journalConnection(ctx, f, first, after, sort)
}

func (r *Resolver) journalConnection(ctx context.Context, f journal.Filter, first *int, after *string, sort *model.JournalSort) (*model.JournalConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	from, err := parseNumber(after)
	if err != nil {
		return nil, err
	}
	read := r.Journal.Before
	if or(sort, model.JournalSortNewest) == model.JournalSortOldest {
		read = r.Journal.After
	}
	entries, err := read(ctx, actorOf(ctx).Agency, from, f, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(rows(entries), size, from > 0, func(e *journal.Row) string { return encode(strconv.FormatInt(e.Number, 10)) })
	c := &model.JournalConnection{Edges: []*model.JournalEdge{}, Nodes: found, PageInfo: info}
	for i, e := range found {
		loadersOf(ctx).users.expect(e.ActorID)
		c.Edges = append(c.Edges, &model.JournalEdge{Cursor: places[i], Node: e})
	}
	return c, nil
}

// pageOf reads the size of a page and where it goes on.
func pageOf(first *int, after *string) (int, *cases.Place, error) {
	size, err := pageSize(first)
	if err != nil {
		return 0, nil, err
	}
	from, err := parsePlace(after)
	return size, from, err
}

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func checkIDs(given ...*string) error {
	for _, g := range given {
		if g == nil {
			continue
		}
		if _, err := id(*g); err != nil {
			return err
		}
	}
	return nil
}
