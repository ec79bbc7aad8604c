// The documents of exports: asking, deciding, writing, and the media that carry them.
import { graphql } from '$lib/api/graphql';

export const exportFragment = graphql(`
  fragment Export on ExportRequest {
    id
    caseID
    caseNumber
    ground
    law
    document
    incident
    description
    medium
    permitted { id displayName }
    requestedBy { id displayName }
    requestedAt
    state
    alarm
    firstDueAt
    files { mediaFileID kind size sha256 acquiredAt dueAt purgedAt }
    decidedBy { id displayName }
    decidedAs
    decidedAt
    refusal
    mayDecide
    mayWrite
    writtenAt
    archiveSHA256
    archiveSize
    receiver
    receiptedAt
    returnBy
    overdue
    closedAt
    closedBy { id displayName }
    closingNote
  }
`);

export const exportsQuery = graphql(
  `
  query Exports($first: Int!, $after: String) {
    exportRequests(first: $first, after: $after) {
      nodes { ...Export }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [exportFragment],
);

export const peopleQuery = graphql(`
  query ExportPeople {
    users(first: 100) {
      nodes { id displayName role status }
    }
  }
`);

export const exportableQuery = graphql(`
  query Exportable($caseID: ID!) {
    mediaFiles(first: 100, filter: { caseID: $caseID }, sort: ACQUIRED_OLDEST) {
      nodes { id kind capture state size sha256 acquiredAt dueAt misdirected }
    }
  }
`);

export const requestExportMutation = graphql(
  `
  mutation RequestExport($input: RequestExportInput!) {
    requestExport(input: $input) {
      exportRequest { ...Export }
    }
  }
`,
  [exportFragment],
);

export const decideExportMutation = graphql(
  `
  mutation DecideExport($input: DecideExportInput!) {
    decideExport(input: $input) {
      exportRequest { ...Export }
    }
  }
`,
  [exportFragment],
);

export const beginExportMutation = graphql(`
  mutation BeginExport($input: BeginExportInput!) {
    beginExport(input: $input) {
      writingID
      url
      grant
      expiresAt
      fileName
      passphrase
    }
  }
`);

export const finishExportMutation = graphql(
  `
  mutation FinishExport($input: FinishExportInput!) {
    finishExport(input: $input) {
      exportRequest { ...Export }
    }
  }
`,
  [exportFragment],
);

export const receiptExportMutation = graphql(
  `
  mutation ReceiptExport($input: ReceiptExportInput!) {
    receiptExport(input: $input) {
      exportRequest { ...Export }
    }
  }
`,
  [exportFragment],
);

export const closeExportMutation = graphql(
  `
  mutation CloseExport($input: CloseExportInput!) {
    closeExport(input: $input) {
      exportRequest { ...Export }
    }
  }
`,
  [exportFragment],
);

export const deputiesQuery = graphql(`
  query Deputies {
    deputies(first: 50) {
      nodes { id user { id displayName } reason from until endedAt active appointedBy { displayName } }
    }
  }
`);

export const appointDeputyMutation = graphql(`
  mutation AppointDeputy($input: AppointDeputyInput!) {
    appointDeputy(input: $input) {
      deputy { id }
    }
  }
`);

export const endDeputyMutation = graphql(`
  mutation EndDeputy($input: EndDeputyInput!) {
    endDeputy(input: $input) {
      deputy { id }
    }
  }
`);
