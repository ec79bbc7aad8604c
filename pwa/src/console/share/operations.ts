import { graphql } from '$lib/api/graphql';

export const otherAgenciesQuery = graphql(`
  query OtherAgencies {
    otherAgencies { id code nameJa nameEn }
  }
`);

export const shareSessionMutation = graphql(`
  mutation ShareSession($input: ShareSessionInput!) {
    shareSession(input: $input) {
      share { id }
    }
  }
`);

export const sharableOfficersQuery = graphql(`
  query SharableOfficers($containing: String) {
    sharableOfficers(containing: $containing) { id unit name number }
  }
`);

export const shareWithOfficersMutation = graphql(`
  mutation ShareWithOfficers($input: ShareWithOfficersInput!) {
    shareWithOfficers(input: $input) {
      shares { id }
    }
  }
`);

export const revokeShareMutation = graphql(`
  mutation RevokeShare($input: RevokeShareInput!) {
    revokeShare(input: $input) {
      share { id endedAt ending }
    }
  }
`);

/** What another agency shows us. */
export const sharedReportFragment = graphql(`
  fragment SharedReport on SharedReport {
    id
    agency { id nameJa nameEn }
    purpose
    ground
    givenAt
    expiresAt
    class
    municipality
    drill
    state
    over
    requestedAt
    live
    position { latitude longitude accuracy capturedAt }
    files { id kind capture state preview durationMs acquiredAt dueAt }
  }
`);

export const sharesReceivedSubscription = graphql(
  `
  subscription SharesReceived {
    sharesReceivedChanged { ...SharedReport }
  }
`,
  [sharedReportFragment],
);

export const watchShareMutation = graphql(`
  mutation WatchShare($input: WatchShareInput!) {
    watchShare(input: $input) { url token expiresAt }
  }
`);

export const openSharedMediaMutation = graphql(`
  mutation OpenSharedMedia($input: OpenSharedMediaInput!) {
    openSharedMedia(input: $input) { url expiresAt contentType }
  }
`);
