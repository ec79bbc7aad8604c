package graph

import (
	"context"
	"time"

	"genba/graph/model"
	"genba/server/operations"
)

// further is where a page of the room's lists goes on.
func further(first *int, after *string) (int, *operations.Place, error) {
	size, from, err := pageOf(first, after)
	return size, (*operations.Place)(from), err
}

func (r *Resolver) maintenanceConnection(ctx context.Context, first *int, after *string) (*model.MaintenanceConnection, error) {
	size, from, err := further(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.Maintenances(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(m *operations.Maintenance) string { return place(m.BeginsAt, m.ID) })
	c := &model.MaintenanceConnection{Edges: []*model.MaintenanceEdge{}, Nodes: found, PageInfo: info}
	for i, m := range found {
		if m.AgencyID != "" {
			loadersOf(ctx).users.expect(m.AnnouncedBy)
		}
		c.Edges = append(c.Edges, &model.MaintenanceEdge{Cursor: places[i], Node: m})
	}
	return c, nil
}

func (r *Resolver) outageConnection(ctx context.Context, first *int, after *string, open *bool) (*model.OutageConnection, error) {
	size, from, err := further(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.Outages(ctx, actorOf(ctx).Agency, open, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(x *operations.Outage) string { return place(x.OpenedAt, x.ID) })
	c := &model.OutageConnection{Edges: []*model.OutageEdge{}, Nodes: found, PageInfo: info}
	l := loadersOf(ctx)
	for i, x := range found {
		l.users.expect(x.OpenedBy, x.ClosedBy)
		l.notesOf.expect(x.ID)
		c.Edges = append(c.Edges, &model.OutageEdge{Cursor: places[i], Node: x})
	}
	return c, nil
}

func (r *Resolver) told(ctx context.Context, x *operations.Outage) ([]*operations.ContactNote, error) {
	notes, err := loadersOf(ctx).notesOf.get(ctx, x.ID)
	if notes == nil {
		notes = []*operations.ContactNote{}
	}
	expectNotes(ctx, notes)
	return notes, err
}

func expectNotes(ctx context.Context, notes []*operations.ContactNote) {
	l := loadersOf(ctx)
	for _, n := range notes {
		l.users.expect(n.UserID)
		l.contacts.expect(n.ContactID)
	}
}

func (r *Resolver) contactNoteConnection(ctx context.Context, first *int, after *string) (*model.ContactNoteConnection, error) {
	size, from, err := further(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.ContactNotes(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(n *operations.ContactNote) string { return place(n.ToldAt, n.ID) })
	expectNotes(ctx, found)
	c := &model.ContactNoteConnection{Edges: []*model.ContactNoteEdge{}, Nodes: found, PageInfo: info}
	for i, n := range found {
		loadersOf(ctx).outages.expect(n.OutageID)
		c.Edges = append(c.Edges, &model.ContactNoteEdge{Cursor: places[i], Node: n})
	}
	return c, nil
}

func (r *Resolver) traineeConnection(ctx context.Context, first *int, after *string, filter *operations.TraineeFilter) (*model.TraineeConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	from, err := decode(after)
	if err == nil && from != "" {
		from, err = id(from)
	}
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.Trainees(ctx, actorOf(ctx).Agency, or(filter, operations.TraineeFilter{}), from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != "", func(t *operations.Trainee) string { return encode(t.ID) })
	c := &model.TraineeConnection{Edges: []*model.TraineeEdge{}, Nodes: found, PageInfo: info}
	for i, t := range found {
		c.Edges = append(c.Edges, &model.TraineeEdge{Cursor: places[i], Node: t})
	}
	return c, nil
}

func (r *Resolver) trainingConnection(ctx context.Context, first *int, after, person *string) (*model.TrainingRecordConnection, error) {
	size, from, err := further(first, after)
	if err != nil {
		return nil, err
	}
	personID, err := optionalID(person)
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.TrainingRecords(ctx, actorOf(ctx).Agency, personID, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(t *operations.TrainingRecord) string { return place(t.RecordedAt, t.ID) })
	c := &model.TrainingRecordConnection{Edges: []*model.TrainingRecordEdge{}, Nodes: found, PageInfo: info}
	for i, t := range found {
		loadersOf(ctx).users.expect(t.RecordedBy)
		c.Edges = append(c.Edges, &model.TrainingRecordEdge{Cursor: places[i], Node: t})
	}
	return c, nil
}

func (r *Resolver) recordTraining(ctx context.Context, in model.RecordTrainingInput) (*model.TrainingPayload, error) {
	for _, ids := range [][]string{in.UserIDs, in.StaffIDs} {
		for _, given := range ids {
			if _, err := id(given); err != nil {
				return nil, err
			}
		}
	}
	records, err := r.Operations.Train(ctx, actorOf(ctx), operations.NewTraining{
		Course: in.CourseID, TrainedOn: in.TrainedOn, Teacher: text(in.Teacher), Users: in.UserIDs, Staff: in.StaffIDs,
	})
	if err != nil {
		return nil, err
	}
	return &model.TrainingPayload{Records: records}, nil
}

// noteContact writes down who was told; of a fault where outage is not nil.
func (r *Resolver) noteContact(ctx context.Context, contact string, outage *string, toldAt time.Time, way operations.Way, person *string, said string) (*operations.ContactNote, error) {
	contactID, err := id(contact)
	if err != nil {
		return nil, err
	}
	outageID, err := optionalID(outage)
	if err != nil {
		return nil, err
	}
	return r.Operations.NoteContact(ctx, actorOf(ctx), operations.NewContactNote{
		ContactID: contactID, OutageID: outageID, ToldAt: toldAt, Way: way, Person: text(person), Text: said,
	})
}

func outagePayload(x *operations.Outage, err error) (*model.OutagePayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.OutagePayload{Outage: x}, nil
}

func contactPayload(c *operations.Contact, err error) (*model.ContactPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.ContactPayload{Contact: c}, nil
}

func maintenancePayload(m *operations.Maintenance, err error) (*model.MaintenancePayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.MaintenancePayload{Maintenance: m}, nil
}

func coursePayload(c *operations.Course, err error) (*model.CoursePayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.CoursePayload{Course: c}, nil
}
