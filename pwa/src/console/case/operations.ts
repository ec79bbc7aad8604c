import { graphql } from '$lib/api/graphql';
import { boardCaseFragment, entryFragment } from '../operations';

export const caseQuery = graphql(
  `
  query Case($id: ID!) {
    case(id: $id) {
      ...BoardCase
      notes
      drillCaller { id number script { id titleJa titleEn } }
      erasedAt
      openedBy { id displayName }
      timeline(first: 50) {
        nodes { ...Entry }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`,
  [boardCaseFragment, entryFragment],
);

export const caseTimelineQuery = graphql(
  `
  query CaseTimeline($id: ID!, $after: String) {
    case(id: $id) {
      timeline(first: 50, after: $after) {
        nodes { ...Entry }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`,
  [entryFragment],
);

export const requestVideoMutation = graphql(`
  mutation RequestVideo($input: RequestVideoInput!) {
    requestVideo(input: $input) {
      numberDiffers
      session { id }
    }
  }
`);
