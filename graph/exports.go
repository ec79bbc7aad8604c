package graph

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"

	"genba/graph/model"
	"genba/server/evidence"
	"genba/server/identity"
	"genba/server/journal"
	"genba/server/problem"
)

func exportPayload(r *evidence.ExportRequest, err error) (*model.ExportRequestPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.ExportRequestPayload{ExportRequest: r}, nil
}

func decision(in model.DecideExportInput) evidence.Decision {
	d := evidence.Decision{Approve: in.Approve, Refusal: text(in.Refusal)}
	if in.Confirmation != nil {
		d.Confirmation = confirmation(in.Confirmation)
	}
	return d
}

func deputyPayload(d *identity.Deputy, err error) (*model.DeputyPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.DeputyPayload{Deputy: d}, nil
}

func pointers(list []string) []*string {
	all := make([]*string, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

func (r *Resolver) oneExport(ctx context.Context, given string) (*evidence.ExportRequest, error) {
	exportID, err := id(given)
	if err != nil {
		return nil, err
	}
	found, err := r.Evidence.Export(ctx, actorOf(ctx), exportID)
	if problem.Is(err, problem.NotFound) {
		return nil, nil
	}
	return found, err
}

func (r *Resolver) exportConnection(ctx context.Context, first *int, after *string, filter *evidence.ExportFilter) (*model.ExportRequestConnection, error) {
	size, from, err := pageOf(first, after)
	if err != nil {
		return nil, err
	}
	f := or(filter, evidence.ExportFilter{})
	if err := checkIDs(f.CaseID, f.PermittedID); err != nil {
		return nil, err
	}
	if len(f.States) > maxPage {
		return nil, problem.New(problem.BadInput)
	}
	found, err := r.Evidence.Exports(ctx, actorOf(ctx), f, (*evidence.Place)(from), size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(e *evidence.ExportRequest) string { return place(e.RequestedAt, e.ID) })
	c := &model.ExportRequestConnection{Edges: []*model.ExportRequestEdge{}, Nodes: found, PageInfo: info}
	l := loadersOf(ctx)
	for i, e := range found {
		l.cases.expect(e.CaseID)
		l.users.expect(e.RequestedBy, e.PermittedID, e.DecidedBy, e.ClosedBy)
		l.exportFilesOf.expect(e.ID)
		c.Edges = append(c.Edges, &model.ExportRequestEdge{Cursor: places[i], Node: e})
	}
	return c, nil
}

func (r *Resolver) deputyConnection(ctx context.Context, first *int, after *string) (*model.DeputyConnection, error) {
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
	found, err := r.People.Deputies(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != "", func(d *identity.Deputy) string { return encode(d.ID) })
	c := &model.DeputyConnection{Edges: []*model.DeputyEdge{}, Nodes: found, PageInfo: info}
	for i, d := range found {
		loadersOf(ctx).users.expect(d.UserID, d.AppointedBy)
		c.Edges = append(c.Edges, &model.DeputyEdge{Cursor: places[i], Node: d})
	}
	return c, nil
}

// checkpoint is the newest of the actor's agency, with the key that checks it.
func (r *Resolver) checkpoint(ctx context.Context) (*model.Checkpoint, error) {
	c, err := r.Journal.LastCheckpoint(ctx, actorOf(ctx).Agency)
	if err != nil || c == nil {
		return nil, err
	}
	signer, err := r.Evidence.Keys.Signer(journal.CheckpointKey)
	if err != nil {
		return nil, err
	}
	public, _ := signer.Public().(ed25519.PublicKey)
	pem, err := journal.PublicKeyPEM(public)
	if err != nil {
		return nil, err
	}
	return &model.Checkpoint{
		Entries: c.Number, Hash: hex.EncodeToString(c.Hash), At: c.At, Text: string(c.Text()), Signature: base64.StdEncoding.EncodeToString(c.Signature),
		PublicKey: string(pem), Fingerprint: journal.Fingerprint(public),
	}, nil
}
