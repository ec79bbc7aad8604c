// The documents several pages of the console share.
import { graphql } from '$lib/api/graphql';

export const meQuery = graphql(`
  query Me {
    me {
      kind
      reception
      terminal { id kind number }
      locked
      idleLimit
      agency { id code nameJa nameEn }
      user { id userName displayName role }
    }
  }
`);

export const signInMutation = graphql(`
  mutation SignIn($input: SignInInput!) {
    signIn(input: $input) {
      me {
        kind
        reception
        terminal { id kind number }
        agency { id code nameJa nameEn }
        user { id userName displayName role }
      }
    }
  }
`);

export const signOutMutation = graphql(`
  mutation SignOut {
    signOut { done }
  }
`);

export const ownTerminalSubscription = graphql(`
  subscription OwnTerminal {
    ownTerminalChanged { id }
  }
`);

/** An entry of the record, as timelines show it. */
export const entryFragment = graphql(`
  fragment Entry on JournalEntry {
    number
    at
    actorKind
    actorID
    actor { id displayName }
    type
    subjectKind
    subjectID
    caseID
    sessionID
    payload
  }
`);

/** What the board shows of a video report. */
export const boardSessionFragment = graphql(`
  fragment BoardSession on Session {
    id
    kind
    asked
    state
    dispatcher { id displayName }
    staffMember { id unit name }
    checks { supervisorTold }
    report { state late reportedAt }
    requestedAt
    linkSentAt
    openedAt
    codeOkAt
    consentedAt
    connectedAt
    firstFrameAt
    endedAt
    revokedAt
    expiredAt
    failedAt
    changedAt
    stall
    stalledAt
    endReason
    misdirected
    live
    arriving
    language
    counts { recordings photosNow photosBefore videosNow videosBefore snapshots incomplete positions }
    phones { id state joinedAt }
  }
`);

/** A row of the board. */
export const boardCaseFragment = graphql(
  `
  fragment BoardCase on Case {
    id
    number
    class
    municipality
    place
    drill
    openedAt
    dispatchedAt
    changedAt
    closedAt
    sessions { ...BoardSession }
  }
`,
  [boardSessionFragment],
);

export const updateCaseMutation = graphql(`
  mutation UpdateCase($input: UpdateCaseInput!) {
    updateCase(input: $input) {
      case { id class municipality place notes changedAt }
    }
  }
`);

export const markDispatchedMutation = graphql(`
  mutation MarkDispatched($input: MarkDispatchedInput!) {
    markDispatched(input: $input) {
      case { id dispatchedAt changedAt }
    }
  }
`);
