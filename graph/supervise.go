package graph

import (
	"context"

	"genba/graph/model"
	"genba/policy"
	"genba/server/cases"
)

func (r *Resolver) handOver(ctx context.Context, input model.HandOverInput) (*model.HandOverPayload, error) {
	to, err := id(input.ToUserID)
	if err != nil {
		return nil, err
	}
	from, err := optionalID(input.FromUserID)
	if err != nil {
		return nil, err
	}
	for _, given := range input.SessionIDs {
		if _, err := id(given); err != nil {
			return nil, err
		}
	}
	moved, err := r.Cases.HandOver(ctx, actorOf(ctx), cases.HandOver{To: to, From: from, Sessions: input.SessionIDs})
	if err != nil {
		return nil, err
	}
	expectSessions(ctx, moved...)
	return &model.HandOverPayload{Sessions: moved}, nil
}

func (r *Resolver) colleagues(ctx context.Context) ([]*model.Colleague, error) {
	agency := actorOf(ctx).Agency
	people, err := r.People.Colleagues(ctx, agency)
	if err != nil {
		return nil, err
	}
	open, err := r.Cases.OpenCounts(ctx, agency)
	if err != nil {
		return nil, err
	}
	all := make([]*model.Colleague, len(people))
	for i, p := range people {
		all[i] = &model.Colleague{User: p.User, SignedIn: p.SignedIn, Open: open[p.User.ID]}
	}
	return all, nil
}

func (r *Resolver) dutyLog(ctx context.Context, first *int, after *string) (*model.DutyNoteConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Cases.DutyLog(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(n *cases.DutyNote) string { return place(n.At, n.ID) })
	c := &model.DutyNoteConnection{Edges: []*model.DutyNoteEdge{}, Nodes: found, PageInfo: info}
	for i, n := range found {
		loadersOf(ctx).users.expect(n.UserID)
		loadersOf(ctx).cases.expect(n.CaseID)
		c.Edges = append(c.Edges, &model.DutyNoteEdge{Cursor: places[i], Node: n})
	}
	return c, nil
}

func (r *Resolver) looksElsewhere(ctx context.Context, from, to string) ([]*model.LookCount, error) {
	agency := actorOf(ctx).Agency
	looks, err := r.Evidence.LooksElsewhere(ctx, agency, from, to)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(looks))
	for i, l := range looks {
		ids[i] = l.UserID
	}
	users, err := r.People.Users(ctx, agency, ids)
	if err != nil {
		return nil, err
	}
	counts := make([]*model.LookCount, len(looks))
	for i, l := range looks {
		counts[i] = &model.LookCount{User: users[l.UserID], Sessions: l.Sessions, Support: l.Support, Command: l.Command, Handover: l.Handover}
	}
	return counts, nil
}

func classification() *model.Classification {
	mark := func(m policy.Mark) *model.Mark { return &model.Mark{Level: m.Level, Ja: m.Ja, En: m.En} }
	c := policy.Classification
	return &model.Classification{
		Confidentiality: mark(c.Confidentiality), Integrity: mark(c.Integrity), Availability: mark(c.Availability),
		Ja: policy.ClassificationText("ja"), En: policy.ClassificationText("en"),
	}
}

// whispers are for the session's dispatcher and the supervisors alone.
func (r *Resolver) whispers(ctx context.Context, s *cases.Session) ([]*cases.Whisper, error) {
	if !s.MayCommand(actorOf(ctx)) {
		return []*cases.Whisper{}, nil
	}
	return loadersOf(ctx).whispersOf.get(ctx, s.ID)
}
