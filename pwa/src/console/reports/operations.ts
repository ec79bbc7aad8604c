import { graphql } from '$lib/api/graphql';

/** The reports that wait for a supervisor, oldest first. */
export const waitingReportsQuery = graphql(`
  query WaitingReports($first: Int!) {
    sessions(first: $first, filter: { report: WAITING }, sort: REQUESTED_OLDEST) {
      nodes {
        id
        case { id number class municipality place drill }
        dispatcher { id displayName }
        asked
        state
        need
        requestedAt
        linkSentAt
        endedAt
        revokedAt
        expiredAt
        failedAt
        report { state late lateReason reportedAt }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export const acknowledgeMutation = graphql(`
  mutation Acknowledge($input: AcknowledgeReportInput!) {
    acknowledgeReport(input: $input) { session { id report { state } } }
  }
`);

export const stopMutation = graphql(`
  mutation Stop($input: StopReportInput!) {
    stopReport(input: $input) { session { id report { state } } }
  }
`);
