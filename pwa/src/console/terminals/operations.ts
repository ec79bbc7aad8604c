import { graphql } from '$lib/api/graphql';

/** A terminal as the list shows it. */
export const terminalFragment = graphql(`
  fragment TerminalRow on Terminal {
    id
    kind
    number
    place
    state
    reason
    online
    version
    user { id displayName }
    seenAt
    fault
    faultNote
    faultAt
  }
`);

export const terminalsSubscription = graphql(
  `
  subscription Terminals {
    terminalsChanged { terminals { ...TerminalRow } }
  }
`,
  [terminalFragment],
);

export const enrolMutation = graphql(`
  mutation EnrolTerminal($input: EnrolTerminalInput!) {
    enrolTerminal(input: $input) { terminalID kind }
  }
`);

export const issueCodeMutation = graphql(`
  mutation IssueTerminalCode($input: IssueTerminalCodeInput!) {
    issueTerminalCode(input: $input) { code expiresAt }
  }
`);

export const placeMutation = graphql(`
  mutation PlaceTerminal($input: PlaceTerminalInput!) {
    placeTerminal(input: $input) { terminal { id } }
  }
`);

export const suspendMutation = graphql(`
  mutation SuspendTerminal($input: SuspendTerminalInput!) {
    suspendTerminal(input: $input) { terminal { id } }
  }
`);

export const reportMutation = graphql(`
  mutation ReportTerminal($input: ReportTerminalInput!) {
    reportTerminal(input: $input) { terminal { id } }
  }
`);

export const reinstateMutation = graphql(`
  mutation ReinstateTerminal($input: ReinstateTerminalInput!) {
    reinstateTerminal(input: $input) { terminal { id } }
  }
`);

export const revokeMutation = graphql(`
  mutation RevokeTerminal($input: RevokeTerminalInput!) {
    revokeTerminal(input: $input) { terminal { id } }
  }
`);

export const receptionsQuery = graphql(`
  query Receptions {
    receptions { id user { id displayName } ruleNumber ruleDate givenBy { id displayName } givenAt until endedAt }
    users(first: 100) { nodes { id displayName role status } }
  }
`);

export const grantReceptionMutation = graphql(`
  mutation GrantReception($input: GrantReceptionInput!) {
    grantReception(input: $input) { reception { id } }
  }
`);

export const endReceptionMutation = graphql(`
  mutation EndReception($input: EndReceptionInput!) {
    endReception(input: $input) { reception { id } }
  }
`);
