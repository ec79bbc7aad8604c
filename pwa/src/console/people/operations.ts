// The documents of signing in by passkey, of locking and confirming, and of the manager's work with people.
import { graphql } from '$lib/api/graphql';

export const beginSignInMutation = graphql(`
  mutation BeginSignIn {
    beginSignIn { challenge options }
  }
`);

export const finishSignInMutation = graphql(`
  mutation FinishSignIn($input: FinishSignInInput!) {
    finishSignIn(input: $input) {
      me { kind reception terminal { id kind number } locked idleLimit agency { id code nameJa nameEn } user { id userName displayName role } }
    }
  }
`);

export const signInSealedMutation = graphql(`
  mutation SignInSealed($input: SignInSealedInput!) {
    signInSealed(input: $input) {
      me { kind reception terminal { id kind number } locked idleLimit agency { id code nameJa nameEn } user { id userName displayName role } }
    }
  }
`);

export const beginEnrolmentMutation = graphql(`
  mutation BeginEnrolment($input: BeginEnrolmentInput!) {
    beginEnrolment(input: $input) {
      displayName
      passwordAllowed
      passkey { challenge options }
    }
  }
`);

export const finishEnrolmentMutation = graphql(`
  mutation FinishEnrolment($input: FinishEnrolmentInput!) {
    finishEnrolment(input: $input) {
      me { kind reception terminal { id kind number } locked idleLimit agency { id code nameJa nameEn } user { id userName displayName role } }
    }
  }
`);

export const stayAwakeMutation = graphql(`
  mutation StayAwake {
    stayAwake { done }
  }
`);

export const lockScreenMutation = graphql(`
  mutation LockScreen {
    lockScreen { done }
  }
`);

export const beginUnlockMutation = graphql(`
  mutation BeginUnlock {
    beginUnlock {
      password
      passkey { challenge options }
    }
  }
`);

export const unlockScreenMutation = graphql(`
  mutation UnlockScreen($input: UnlockScreenInput!) {
    unlockScreen(input: $input) {
      me { kind reception terminal { id kind number } locked idleLimit agency { id code nameJa nameEn } user { id userName displayName role } }
    }
  }
`);

export const beginConfirmationMutation = graphql(`
  mutation BeginConfirmation($input: BeginConfirmationInput!) {
    beginConfirmation(input: $input) {
      password
      passkey { challenge options }
    }
  }
`);

export const revealNumberMutation = graphql(`
  mutation RevealNumber($input: RevealNumberInput!) {
    revealNumber(input: $input) {
      number { e164 groups whole }
      email
    }
  }
`);

/** A person, as the manager sees them. */
export const personFragment = graphql(`
  fragment Person on User {
    id
    userName
    displayName
    role
    status
    statusReason
    statusSince
    passwordReason
    hasPassword
    credentials { id label authenticator createdAt usedAt }
    enrolment { issuedAt expiresAt }
    sealedPassword { reason sealedAt openedAt }
    lastSeenAt
  }
`);

export const peopleQuery = graphql(
  `
  query People($first: Int!, $after: String) {
    users(first: $first, after: $after) {
      nodes { ...Person }
      pageInfo { hasNextPage endCursor }
    }
    fingerprintTasks { id label openedAt doneAt user { id userName displayName } doneBy { id displayName } }
    unusedCredentials { since never user { id userName displayName } passkey { id label } }
    settings { version authenticators }
  }
`,
  [personFragment],
);

export const registerUserMutation = graphql(
  `
  mutation RegisterUser($input: RegisterUserInput!) {
    registerUser(input: $input) { user { ...Person } code expiresAt }
  }
`,
  [personFragment],
);

export const issueEnrolmentMutation = graphql(
  `
  mutation IssueEnrolment($input: IssueEnrolmentInput!) {
    issueEnrolment(input: $input) { user { ...Person } code expiresAt }
  }
`,
  [personFragment],
);

export const renameUserMutation = graphql(
  `
  mutation RenameUser($input: RenameUserInput!) {
    renameUser(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const changeRoleMutation = graphql(
  `
  mutation ChangeRole($input: ChangeRoleInput!) {
    changeRole(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const allowPasswordMutation = graphql(
  `
  mutation AllowPassword($input: AllowPasswordInput!) {
    allowPassword(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const suspendUserMutation = graphql(
  `
  mutation SuspendUser($input: SuspendUserInput!) {
    suspendUser(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const reinstateUserMutation = graphql(
  `
  mutation ReinstateUser($input: ReinstateUserInput!) {
    reinstateUser(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const removeUserMutation = graphql(
  `
  mutation RemoveUser($input: RemoveUserInput!) {
    removeUser(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const removeCredentialMutation = graphql(
  `
  mutation RemoveCredential($input: RemoveCredentialInput!) {
    removeCredential(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);

export const sealPasswordMutation = graphql(
  `
  mutation SealPassword($input: SealPasswordInput!) {
    sealPassword(input: $input) { user { ...Person } password }
  }
`,
  [personFragment],
);

export const tickFingerprintTaskMutation = graphql(`
  mutation TickFingerprintTask($input: TickFingerprintTaskInput!) {
    tickFingerprintTask(input: $input) { task { id doneAt } }
  }
`);

export const setAuthenticatorsMutation = graphql(`
  mutation SetAuthenticators($input: SetAuthenticatorsInput!) {
    setAuthenticators(input: $input) { settings { version authenticators } }
  }
`);

export const beginOwnPasskeyMutation = graphql(`
  mutation BeginOwnPasskey {
    beginOwnPasskey { challenge options }
  }
`);

export const addOwnPasskeyMutation = graphql(
  `
  mutation AddOwnPasskey($input: AddOwnPasskeyInput!) {
    addOwnPasskey(input: $input) { user { ...Person } }
  }
`,
  [personFragment],
);
