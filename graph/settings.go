package graph

import (
	"context"
	"strconv"

	"genba/graph/model"
	"genba/server/identity"
)

// settingsHistory is a page of the versions of the actor's agency's settings.
func (r *Resolver) settingsHistory(ctx context.Context, first *int, after *string) (*model.SettingsVersionConnection, error) {
	size, err := pageSize(first)
	if err != nil {
		return nil, err
	}
	before, err := parseNumber(after)
	if err != nil {
		return nil, err
	}
	rows, err := r.People.SettingsHistory(ctx, actorOf(ctx).Agency, before, size+1)
	if err != nil {
		return nil, err
	}
	rows, places, info := paged(rows, size, before > 0, func(v *identity.SettingsVersion) string { return encode(strconv.FormatInt(v.Version, 10)) })
	c := &model.SettingsVersionConnection{Nodes: rows, Edges: make([]*model.SettingsVersionEdge, len(rows)), PageInfo: info}
	for n, v := range rows {
		c.Edges[n] = &model.SettingsVersionEdge{Cursor: places[n], Node: v}
	}
	return c, nil
}
