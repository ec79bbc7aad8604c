import { graphql } from '$lib/api/graphql';
import { boardCaseFragment, entryFragment } from '../operations';

export const boardQuery = graphql(
  `
  query Board($first: Int!, $after: String, $filter: CaseFilter, $sort: CaseSort!) {
    cases(first: $first, after: $after, filter: $filter, sort: $sort) {
      cursor
      nodes { ...BoardCase }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [boardCaseFragment],
);

export const boardSubscription = graphql(
  `
  subscription BoardChanged($after: Cursor) {
    caseBoardChanged(after: $after) {
      cursor
      entries { ...Entry }
      cases { ...BoardCase }
      removed
    }
  }
`,
  [boardCaseFragment, entryFragment],
);

export const openCaseMutation = graphql(
  `
  mutation OpenCase($input: OpenCaseInput!) {
    openCase(input: $input) {
      case { ...BoardCase }
    }
  }
`,
  [boardCaseFragment],
);
