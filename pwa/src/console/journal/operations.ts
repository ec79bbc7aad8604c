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

const verificationFragment = graphql(`
  fragment VerificationFacts on JournalVerification {
    id
    startedAt
    startedBy { id displayName }
    finishedAt
    entries
    emptied
    checkpoints
    elsewhere
    faults { number what }
    failed
  }
`);

export const verificationQuery = graphql(
  `
  query JournalVerification {
    journalVerification { ...VerificationFacts }
  }
`,
  [verificationFragment],
);

export const verifyJournalMutation = graphql(
  `
  mutation VerifyJournal {
    verifyJournal { verification { ...VerificationFacts } }
  }
`,
  [verificationFragment],
);

export const exportJournalMutation = graphql(`
  mutation ExportJournal($input: ExportJournalInput!) {
    exportJournal(input: $input) { url expiresAt }
  }
`);
