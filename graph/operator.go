package graph

import (
	"context"

	"genba/server/statistics"
)

// installation counts every agency, for whoever runs the installation.
func (r *Resolver) installation(ctx context.Context) (*statistics.Installation, error) {
	agencies, err := r.People.OtherAgencies(ctx, actorOf(ctx).Agency)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(agencies))
	for n, a := range agencies {
		ids[n] = a.ID
	}
	return r.Statistics.Installation(ctx, ids)
}
