import { graphql } from '$lib/api/graphql';

export const usersQuery = graphql(`
  query Users($first: Int!, $after: String) {
    users(first: $first, after: $after) {
      nodes { id userName displayName role status }
      pageInfo { hasNextPage endCursor }
    }
  }
`);
