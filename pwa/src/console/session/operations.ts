import { graphql } from '$lib/api/graphql';
import { entryFragment } from '../operations';

/** A file in the list and in the viewer. */
export const fileFragment = graphql(`
  fragment File on MediaFile {
    id
    kind
    capture
    state
    contentType
    size
    declaredSize
    name
    metadata { takenAt latitude longitude device }
    preview
    width
    height
    durationMs
    gaps
    createdAt
    acquiredAt
    dueAt
    misdirected
  }
`);

/** Everything the session page shows, but the timeline. */
export const sessionFragment = graphql(
  `
  fragment SessionPage on Session {
    id
    case { id number class place municipality drill dispatchedAt closedAt }
    kind
    asked
    state
    dispatcher { id displayName }
    staffMember { id unit name }
    declaredAt
    usageReport { id timing purpose lateReason filedAt acknowledgedAt }
    number { e164 groups whole }
    email
    language
    need
    lateReason
    checks { safe cameraPhone numberNotified explained supervisorTold }
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
    locationDeniedAt
    report { state late lateReason reportedAt answeredAt answeredBy { id displayName } reason }
    endReason
    misdirected
    live
    arriving
    counts { recordings photosNow photosBefore videosNow videosBefore snapshots incomplete positions }
    link { id state uses used issuedAt expiresAt diedAt code codeExpiresAt codeTriesLeft proof { ja en } }
    deliveries { id purpose channel status failure attempts queuedAt sentAt deliveredAt }
    contactTasks { id number { e164 groups whole } email openedAt doneAt outcome }
    phones { id state system browser language joinedAt boundAt stoppedAt }
    lastPosition { id latitude longitude accuracy capturedAt receivedAt }
    whispers { id text at readAt user { id displayName } }
    shares {
      id
      toAgency { id nameJa nameEn }
      toOfficer { id unit name }
      purpose
      ground
      expiresAt
      endedAt
      ending
      watchers { viewingID name unit live openedAt }
    }
    media(first: 50) {
      nodes { ...File }
      pageInfo { hasNextPage endCursor }
    }
  }
`,
  [fileFragment],
);

export const sessionQuery = graphql(
  `
  query Session($id: ID!) {
    session(id: $id) {
      ...SessionPage
      cursor
      timeline(first: 50) {
        nodes { ...Entry }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`,
  [sessionFragment, entryFragment],
);

export const sessionTimelineQuery = graphql(
  `
  query SessionTimeline($id: ID!, $after: String) {
    session(id: $id) {
      timeline(first: 50, after: $after) {
        nodes { ...Entry }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`,
  [entryFragment],
);

export const sessionFilesQuery = graphql(
  `
  query SessionFiles($id: ID!, $after: String) {
    session(id: $id) {
      media(first: 50, after: $after) {
        nodes { ...File }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`,
  [fileFragment],
);

export const sessionSubscription = graphql(
  `
  subscription SessionChanged($id: ID!, $after: Cursor) {
    sessionChanged(id: $id, after: $after) {
      cursor
      entries { ...Entry }
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment, entryFragment],
);

export const confirmSendMutation = graphql(
  `
  mutation ConfirmSend($input: ConfirmSendInput!) {
    confirmSend(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const askModeMutation = graphql(
  `
  mutation AskMode($input: AskModeInput!) {
    askMode(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const admitPhoneMutation = graphql(
  `
  mutation AdmitPhone($input: AdmitPhoneInput!) {
    admitPhone(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const revokeLinkMutation = graphql(
  `
  mutation RevokeLink($input: RevokeLinkInput!) {
    revokeLink(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const reportMisdirectedMutation = graphql(
  `
  mutation ReportMisdirected($input: ReportMisdirectedInput!) {
    reportMisdirected(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const closeContactTaskMutation = graphql(
  `
  mutation CloseContactTask($input: CloseContactTaskInput!) {
    closeContactTask(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const endSessionMutation = graphql(
  `
  mutation EndSession($input: EndSessionInput!) {
    endSession(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

export const reportFirstFrameMutation = graphql(`
  mutation ReportFirstFrame($input: ReportFirstFrameInput!) {
    reportFirstFrame(input: $input) {
      session { id firstFrameAt }
    }
  }
`);

export const watchMutation = graphql(`
  mutation Watch($input: WatchInput!) {
    watch(input: $input) {
      url
      token
      expiresAt
    }
  }
`);

export const openMediaMutation = graphql(
  `
  mutation OpenMedia($input: OpenMediaInput!) {
    openMedia(input: $input) {
      url
      expiresAt
      contentType
      mediaFile { ...File }
    }
  }
`,
  [fileFragment],
);

export const takeSnapshotMutation = graphql(`
  mutation TakeSnapshot($input: TakeSnapshotInput!) {
    takeSnapshot(input: $input) {
      id
      url
      token
      chunk
    }
  }
`);
