import { graphql } from '$lib/api/graphql';

/** A note of the duty log. */
export const dutyNoteFragment = graphql(`
  fragment Note on DutyNote {
    id
    user { id displayName }
    text
    at
    case { id number }
    erasedAt
  }
`);

export const dutyLogQuery = graphql(
  `
  query DutyLog($first: Int!, $after: String) {
    dutyLog(first: $first, after: $after) {
      nodes { ...Note }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [dutyNoteFragment],
);

export const writeDutyNoteMutation = graphql(
  `
  mutation WriteDutyNote($input: WriteDutyNoteInput!) {
    writeDutyNote(input: $input) {
      note { ...Note }
    }
  }
`,
  [dutyNoteFragment],
);
