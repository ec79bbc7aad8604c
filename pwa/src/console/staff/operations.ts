// What the staff page asks of the server.
import { graphql } from '$lib/api/graphql';

export const staffLinkFragment = graphql(`
  fragment StaffLinkRow on StaffLink {
    id
    device
    state
    permission { name post number date }
    rulesDue
    rulesDueAt
    system
    browser
    registeredAt
    seenAt
    revokeReason
    wipedAt
  }
`);

export const staffMemberFragment = graphql(
  `
  fragment StaffMemberRow on StaffMember {
    id
    unit
    name
    number
    links { ...StaffLinkRow }
  }
`,
  [staffLinkFragment],
);

export const staffQuery = graphql(
  `
  query Staff($first: Int!, $after: String, $filter: StaffMemberFilter) {
    staffUnits { name members }
    staffCode { code expiresAt }
    staffMembers(first: $first, after: $after, filter: $filter) {
      nodes { ...StaffMemberRow }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [staffMemberFragment],
);

export const memberQuery = graphql(
  `
  query StaffMember($id: ID!) {
    staffMember(id: $id) { ...StaffMemberRow }
  }
`,
  [staffMemberFragment],
);

export const usageQuery = graphql(`
  query StaffUsage {
    usageReports(first: 50) {
      nodes {
        id
        timing
        purpose
        lateReason
        filedAt
        acknowledgedAt
        member { id unit name }
        onBehalfBy { id displayName }
      }
    }
    owedUsage {
      sessionID
      startedAt
      endedAt
      chasedAt
      member { id unit name }
    }
  }
`);

export const leakQuery = graphql(`
  query StaffLeaks {
    leakReports(first: 50) {
      nodes {
        id
        what
        filedAt
        forwardedAt
        closedAt
        outcome
        member { id unit name links { id state device } }
        link { id state }
        onBehalfBy { id displayName }
        forwardedBy { id displayName }
      }
    }
  }
`);

export const registerMemberMutation = graphql(`
  mutation RegisterStaffMember($input: RegisterStaffMemberInput!) {
    registerStaffMember(input: $input) { member { id } }
  }
`);

export const updateMemberMutation = graphql(`
  mutation UpdateStaffMember($input: UpdateStaffMemberInput!) {
    updateStaffMember(input: $input) { member { id } }
  }
`);

export const removeMemberMutation = graphql(`
  mutation RemoveStaffMember($input: RemoveStaffMemberInput!) {
    removeStaffMember(input: $input) { member { id } }
  }
`);

export const issueSheetMutation = graphql(`
  mutation IssueStaffSheet($input: IssueStaffSheetInput!) {
    issueStaffSheet(input: $input) {
      code
      expiresAt
      device
      member { id unit name number }
      rules { version language items }
    }
  }
`);

export const matchMutation = graphql(`
  mutation MatchStaffPhone($input: MatchStaffPhoneInput!) {
    matchStaffPhone(input: $input) { link { id state } }
  }
`);

export const suspendLinkMutation = graphql(`
  mutation SuspendStaffLink($input: SuspendStaffLinkInput!) {
    suspendStaffLink(input: $input) { link { id state } }
  }
`);

export const revokeLinksMutation = graphql(`
  mutation RevokeStaffLinks($input: RevokeStaffLinksInput!) {
    revokeStaffLinks(input: $input) { links { id state } }
  }
`);

export const reissueCodeMutation = graphql(`
  mutation ReissueStaffCode {
    reissueStaffCode { staffCode { code expiresAt } }
  }
`);

export const fileUsageMutation = graphql(`
  mutation FileUsageReport($input: FileUsageReportInput!) {
    fileUsageReport(input: $input) { report { id } }
  }
`);

export const acknowledgeUsageMutation = graphql(`
  mutation AcknowledgeUsageReport($input: AcknowledgeUsageReportInput!) {
    acknowledgeUsageReport(input: $input) { report { id } }
  }
`);

export const fileLeakMutation = graphql(`
  mutation FileLeakReport($input: FileLeakReportInput!) {
    fileLeakReport(input: $input) { done }
  }
`);

export const forwardLeakMutation = graphql(`
  mutation ForwardLeakReport($input: ForwardLeakReportInput!) {
    forwardLeakReport(input: $input) { report { id } }
  }
`);

export const dismissLeakMutation = graphql(`
  mutation DismissLeakReport($input: DismissLeakReportInput!) {
    dismissLeakReport(input: $input) { report { id } }
  }
`);

export const takeStaffMutation = graphql(`
  mutation TakeStaffSession($input: TakeStaffSessionInput!) {
    takeStaffSession(input: $input) { session { id } }
  }
`);

export const assignStaffMutation = graphql(`
  mutation AssignStaff($input: AssignStaffInput!) {
    assignStaff(input: $input) { case { id } }
  }
`);
