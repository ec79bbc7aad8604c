package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"genba/policy"
)

// Guard asks the guard about one operation of any schema.
func Guard(ctx context.Context, p *policy.Policy, op *graphql.OperationContext) error {
	if err := (guard{policy: p}).MutateOperationContext(ctx, op); err != nil {
		return err
	}
	return nil
}

// The bounds that tests go up to.
const (
	MaxDepth         = maxDepth
	MaxAliases       = maxAliases
	MaxDirectives    = maxDirectives
	MaxBreadth       = maxBreadth
	MaxPage          = maxPage
	MaxBehind        = maxBehind
	MaxSubscriptions = maxSubscriptions
	MaxConnections   = maxConnections
)
