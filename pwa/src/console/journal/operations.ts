import { graphql } from '$lib/api/graphql';
import { entryFragment } from '../operations';

export const journalQuery = graphql(
  `
  query Journal($first: Int!, $after: String, $filter: JournalFilter) {
    journal(first: $first, after: $after, filter: $filter, sort: NEWEST) {
      nodes { ...Entry hash }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [entryFragment],
);
