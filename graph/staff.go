package graph

import (
	"context"
	"reflect"

	"genba/graph/model"
	"genba/policy"
	"genba/server/cases"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/operations"
	"genba/server/problem"
)

// staffTypes are what a list of officers, links and reports has to follow, and
// what calls a manager at once: a sealed password that was opened (第8の1).
var staffTypes = []journal.Type{
	journal.StaffMemberRegistered, journal.StaffMemberChanged, journal.StaffMemberRemoved, journal.StaffSheetIssued, journal.StaffPhoneRegistered,
	journal.StaffMatchRefused, journal.StaffPhoneMatched, journal.StaffPhoneWiped, journal.StaffRulesAccepted, journal.StaffLinkSuspended,
	journal.StaffLinkRestored, journal.StaffLinkRevoked, journal.StaffLinkExpired, journal.StaffLinkRefused, journal.StaffCodeRotated,
	journal.StaffCodeRefused, journal.UsageReported, journal.UsageChased, journal.UsageAcknowledged, journal.LeakReported, journal.LeakForwarded,
	journal.LeakEscalated, journal.LeakClosed, journal.SealedPasswordOpened,
}

func staffEvent(_ context.Context, c change) (*model.StaffEvent, error) {
	if len(c.entries) == 0 {
		return nil, nil
	}
	return &model.StaffEvent{Cursor: c.cursor.String(), Entries: rows(c.entries)}, nil
}

// staffPhone is a registered phone's view of itself: nothing of the case.
func (r *Resolver) staffPhone(ctx context.Context, agency, linkID string) (*model.StaffPhone, error) {
	l, err := r.Cases.StaffLink(ctx, agency, linkID)
	if err != nil {
		return nil, err
	}
	a, err := r.People.Agency(ctx, agency)
	if err != nil {
		return nil, err
	}
	m, err := r.People.StaffMember(ctx, agency, l.MemberID)
	if err != nil {
		return nil, err
	}
	p := &model.StaffPhone{
		ID: l.ID, Agency: a, State: l.State, Device: l.Device, Officer: m, MatchNumber: textOrNil(l.MatchNumber), MatchUntil: l.MatchUntil, Wipe: l.Wipe(),
		Rules: staffRules(), RulesAcceptedAt: l.RulesAcceptedAt, RulesDueAt: l.RulesDueAt(), RulesOutdated: r.Cases.RulesOutdated(l), Owed: []*model.OwedUsage{},
	}
	actor, err := r.Cases.StaffActor(ctx, l)
	if err != nil {
		return nil, err
	}
	if actor.Session != "" {
		if err := r.staffSession(ctx, actor, p); err != nil {
			return nil, err
		}
	}
	if p.UsageReported, err = r.Operations.Waiting(ctx, agency, m.ID); err != nil {
		return nil, err
	}
	owed, err := r.Operations.Owed(ctx, agency, m.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range owed {
		p.Owed = append(p.Owed, &model.OwedUsage{SessionID: s.ID, StartedAt: s.RequestedAt, EndedAt: s.OverAt(), Chased: s.UsageChasedAt != nil})
	}
	if p.Notices, err = r.Operations.PoliceNotices(ctx, agency); err != nil {
		return nil, err
	}
	if p.Session != nil {
		for _, n := range p.Session.Notices {
			if n.Kind == operations.DrillNotice {
				p.Notices = append([]*operations.Notice{n}, p.Notices...)
			}
		}
	}
	leak, err := r.Operations.OpenLeak(ctx, agency, l.ID)
	if err == nil && leak != nil {
		p.LeakReportedAt = &leak.FiledAt
	}
	return p, err
}

func (r *Resolver) staffSession(ctx context.Context, actor policy.Actor, p *model.StaffPhone) error {
	s, err := r.Cases.Session(ctx, actor.Agency, actor.Session)
	if err != nil {
		return err
	}
	p.Taken = s.DispatcherID != ""
	if !s.State.Over() {
		if p.Watched, err = r.Evidence.Watched(ctx, s.ID); err != nil {
			return err
		}
	}
	p.Session, err = r.own(ctx, actor)
	return err
}

// staffPhonePayload answers a phone that proved itself; where there is a token,
// it gets its cookie.
func (r *Resolver) staffPhonePayload(ctx context.Context, agency, linkID, token string) (*model.StaffPhonePayload, error) {
	if token != "" {
		if err := setCookie(ctx, staffPage, token); err != nil {
			return nil, err
		}
	}
	p, err := r.staffPhone(ctx, agency, linkID)
	return &model.StaffPhonePayload{Phone: p}, err
}

func (r *Resolver) linkPayload(ctx context.Context, l *cases.StaffLink, token string, err error) (*model.StaffPhonePayload, error) {
	if err != nil {
		return nil, err
	}
	return r.staffPhonePayload(ctx, l.AgencyID, l.ID, token)
}

func (r *Resolver) owedUsage(ctx context.Context) ([]*model.OwedReport, error) {
	found, err := r.Operations.Owed(ctx, actorOf(ctx).Agency, "")
	if err != nil {
		return nil, err
	}
	all := []*model.OwedReport{}
	members := loadersOf(ctx).staff
	for _, s := range found {
		members.expect(s.StaffMemberID)
	}
	for _, s := range found {
		m, err := members.get(ctx, s.StaffMemberID)
		if err != nil {
			return nil, err
		}
		all = append(all, &model.OwedReport{SessionID: s.ID, Member: m, StartedAt: s.RequestedAt, EndedAt: s.OverAt(), ChasedAt: s.UsageChasedAt})
	}
	return all, nil
}

func (r *Resolver) startStaff(ctx context.Context, in model.StartStaffSessionInput) (*model.StaffPhonePayload, error) {
	actor := actorOf(ctx)
	if actor.Kind != policy.StaffPhone {
		return nil, problem.New(problem.Forbidden)
	}
	_, _, token, err := r.Cases.StartStaff(ctx, actor, cases.StaffStart{
		Nonce: in.Nonce, Signature: in.Signature, Code: in.Code, WithinResponse: in.WithinResponse, NoOtherPath: in.NoOtherPath,
		Asked: or(in.Asked, cases.LiveMode), Language: text(in.Language),
	})
	if err != nil {
		return nil, err
	}
	return r.staffPhonePayload(ctx, actor.Agency, actor.Login, token)
}

// staffPhoneChanged shows a phone its own view, at once and whenever it changed.
// It ends once the phone has been told to wipe itself.
func (r *Resolver) staffPhoneChanged(ctx context.Context) (<-chan *model.StaffPhone, error) {
	actor := actorOf(ctx)
	bell, err := r.Bus.Listen(journal.Topic(actor.Agency))
	if err != nil {
		return nil, err
	}
	out := make(chan *model.StaffPhone)
	go func() {
		defer close(out)
		defer bell.Close()
		var last *model.StaffPhone
		for {
			now, err := r.staffPhone(ctx, actor.Agency, actor.Login)
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
			if now.Wipe {
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

func (r *Resolver) removeStaffPhone(ctx context.Context) (*model.DonePayload, error) {
	if err := r.Cases.RemovePhone(ctx, actorOf(ctx)); err != nil {
		return nil, err
	}
	return &model.DonePayload{Done: true}, setCookie(ctx, staffPage, "")
}

func staffRules() []*cases.StaffRules {
	var all []*cases.StaffRules
	for _, rules := range cases.CurrentStaffRules() {
		all = append(all, &rules)
	}
	return all
}

func newStaffMember(unit, name string, number *string) identity.NewStaffMember {
	return identity.NewStaffMember{Unit: unit, Name: name, Number: text(number)}
}

func memberPayload(m *identity.StaffMember, err error) (*model.StaffMemberPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.StaffMemberPayload{Member: m}, nil
}

func (r *Resolver) issueSheet(ctx context.Context, in model.IssueStaffSheetInput) (*model.StaffSheetPayload, error) {
	memberID, err := id(in.MemberID)
	if err != nil {
		return nil, err
	}
	actor := actorOf(ctx)
	sheet, code, err := r.Cases.IssueSheet(ctx, actor, cases.NewSheet{MemberID: memberID, Device: in.Device, Permission: or(in.Permission, cases.Permission{})})
	if err != nil {
		return nil, err
	}
	m, err := r.People.StaffMember(ctx, actor.Agency, memberID)
	return &model.StaffSheetPayload{Code: code, ExpiresAt: sheet.ExpiresAt, Device: sheet.Device, Member: m, Rules: staffRules()}, err
}

// onStaffLink is a command on a staff link.
func (r *Resolver) onStaffLink(ctx context.Context, given string, command func(ctx context.Context, actor policy.Actor, id string) (*cases.StaffLink, error)) (*model.StaffLinkPayload, error) {
	known, err := id(given)
	if err != nil {
		return nil, err
	}
	l, err := command(ctx, actorOf(ctx), known)
	if err != nil {
		return nil, err
	}
	return &model.StaffLinkPayload{Link: l}, nil
}

func (r *Resolver) revokeStaff(ctx context.Context, in model.RevokeStaffLinksInput) (*model.StaffLinksPayload, error) {
	for _, given := range in.LinkIDs {
		if _, err := id(given); err != nil {
			return nil, err
		}
	}
	links, err := r.Cases.RevokeStaff(ctx, actorOf(ctx), in.LinkIDs, in.Reason)
	if err != nil {
		return nil, err
	}
	return &model.StaffLinksPayload{Links: links}, nil
}

func usagePayload(u *operations.UsageReport, err error) (*model.UsageReportPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.UsageReportPayload{Report: u}, nil
}

func leakPayload(l *operations.LeakReport, err error) (*model.LeakReportPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.LeakReportPayload{Report: l}, nil
}

// afterID reads the place of a list that goes by ids.
func afterID(after *string) (string, error) {
	from, err := decode(after)
	if err != nil || from == "" {
		return "", err
	}
	if _, err := id(from); err != nil {
		return "", problem.Wrap(problem.BadCursor, err)
	}
	return from, nil
}

func (r *Resolver) staffMemberConnection(ctx context.Context, first *int, after *string, filter *model.StaffMemberFilter) (*model.StaffMemberConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	from, err := afterID(after)
	if err != nil {
		return nil, err
	}
	f := or(filter, model.StaffMemberFilter{})
	found, err := r.People.ListStaff(ctx, actorOf(ctx).Agency, text(f.Unit), from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != "", func(m *identity.StaffMember) string { return encode(m.ID) })
	c := &model.StaffMemberConnection{Edges: []*model.StaffMemberEdge{}, Nodes: found, PageInfo: info}
	for i, m := range found {
		loadersOf(ctx).staffLinksOf.expect(m.ID)
		c.Edges = append(c.Edges, &model.StaffMemberEdge{Cursor: places[i], Node: m})
	}
	return c, nil
}

func (r *Resolver) staffLinkConnection(ctx context.Context, first *int, after *string, filter *cases.StaffLinkFilter) (*model.StaffLinkConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	from, err := afterID(after)
	if err != nil {
		return nil, err
	}
	found, err := r.Cases.ListStaffLinks(ctx, actorOf(ctx).Agency, or(filter, cases.StaffLinkFilter{}), from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != "", func(l *cases.StaffLink) string { return encode(l.ID) })
	c := &model.StaffLinkConnection{Edges: []*model.StaffLinkEdge{}, Nodes: found, PageInfo: info}
	for i, l := range found {
		loadersOf(ctx).staff.expect(l.MemberID)
		c.Edges = append(c.Edges, &model.StaffLinkEdge{Cursor: places[i], Node: l})
	}
	return c, nil
}

func (r *Resolver) usageConnection(ctx context.Context, first *int, after *string, filter *operations.UsageFilter) (*model.UsageReportConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f := or(filter, operations.UsageFilter{})
	if err := checkIDs(f.MemberID, f.SessionID); err != nil {
		return nil, err
	}
	found, err := r.Operations.ListUsage(ctx, actorOf(ctx).Agency, f, (*operations.Place)(from), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(u *operations.UsageReport) string { return place(u.FiledAt, u.ID) })
	c := &model.UsageReportConnection{Edges: []*model.UsageReportEdge{}, Nodes: found, PageInfo: info}
	for i, u := range found {
		l := loadersOf(ctx)
		l.staff.expect(u.MemberID)
		l.sessions.expect(u.SessionID)
		l.users.expect(u.OnBehalfBy, u.AcknowledgedBy)
		c.Edges = append(c.Edges, &model.UsageReportEdge{Cursor: places[i], Node: u})
	}
	return c, nil
}

func (r *Resolver) leakConnection(ctx context.Context, first *int, after *string, filter *operations.LeakFilter) (*model.LeakReportConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f := or(filter, operations.LeakFilter{})
	if err := checkIDs(f.MemberID); err != nil {
		return nil, err
	}
	found, err := r.Operations.ListLeaks(ctx, actorOf(ctx).Agency, f, (*operations.Place)(from), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(l *operations.LeakReport) string { return place(l.FiledAt, l.ID) })
	c := &model.LeakReportConnection{Edges: []*model.LeakReportEdge{}, Nodes: found, PageInfo: info}
	for i, l := range found {
		load := loadersOf(ctx)
		load.staff.expect(l.MemberID)
		load.users.expect(l.OnBehalfBy, l.ForwardedBy, l.ClosedBy)
		c.Edges = append(c.Edges, &model.LeakReportEdge{Cursor: places[i], Node: l})
	}
	return c, nil
}

// staffLinkOf finds one link among those of its officer.
func staffLinkOf(ctx context.Context, member, linkID string) (*cases.StaffLink, error) {
	links, err := loadersOf(ctx).staffLinksOf.get(ctx, member)
	for _, l := range links {
		if l.ID == linkID {
			return l, err
		}
	}
	return nil, err
}
