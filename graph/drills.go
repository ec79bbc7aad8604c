package graph

import (
	"context"
	"strings"

	"genba/graph/model"
	"genba/server/cases"
	"genba/server/operations"
)

// grouped writes a number as it is typed.
func grouped(e164 string) string { return strings.Join(cases.Groups(e164), "-") }

func (r *Resolver) drillConnection(ctx context.Context, first *int, after *string) (*model.DrillConnection, error) {
	size, from, err := further(first, after)
	if err != nil {
		return nil, err
	}
	found, err := r.Operations.Drills(ctx, actorOf(ctx).Agency, from, size+1)
	if err != nil {
		return nil, err
	}
	found, places, info := paged(found, size, from != nil, func(d *operations.Drill) string { return place(d.StartedAt, d.ID) })
	c := &model.DrillConnection{Edges: []*model.DrillEdge{}, Nodes: found, PageInfo: info}
	l := loadersOf(ctx)
	for i, d := range found {
		l.users.expect(d.StartedBy, d.EndedBy)
		l.drillCallersOf.expect(d.ID)
		c.Edges = append(c.Edges, &model.DrillEdge{Cursor: places[i], Node: d})
	}
	return c, nil
}

func (r *Resolver) drillCallers(ctx context.Context, d *operations.Drill) ([]*operations.DrillCaller, error) {
	callers, err := loadersOf(ctx).drillCallersOf.get(ctx, d.ID)
	for _, c := range callers {
		loadersOf(ctx).cases.expect(c.CaseID)
	}
	if callers == nil {
		callers = []*operations.DrillCaller{}
	}
	return callers, err
}

func (r *Resolver) startDrill(ctx context.Context, in model.StartDrillInput) (*model.DrillPayload, error) {
	d := operations.NewDrill{Title: in.Title}
	for _, c := range in.Callers {
		d.Callers = append(d.Callers, operations.NewDrillCaller{Script: c.Script, Failures: c.Failures})
	}
	return drillPayload(r.Operations.StartDrill(ctx, actorOf(ctx), d))
}

func drillPayload(d *operations.Drill, err error) (*model.DrillPayload, error) {
	if err != nil {
		return nil, err
	}
	return &model.DrillPayload{Drill: d}, nil
}

func (r *Resolver) drillNumbersPayload(ctx context.Context, err error) (*model.DrillNumbersPayload, error) {
	if err != nil {
		return nil, err
	}
	numbers, err := r.Operations.DrillNumbers(ctx, actorOf(ctx).Agency)
	return &model.DrillNumbersPayload{Numbers: numbers}, err
}
