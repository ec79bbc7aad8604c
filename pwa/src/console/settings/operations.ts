import { graphql } from '$lib/api/graphql';

const callerCodeFragment = graphql(`
  fragment CallerCodeFacts on CallerCode {
    applied
    reason
    setBy { id displayName }
    setAt
    remindAt
    due
  }
`);

export const callerCodeQuery = graphql(
  `
  query CallerCode {
    callerCode { ...CallerCodeFacts }
  }
`,
  [callerCodeFragment],
);

export const setCallerCodeMutation = graphql(
  `
  mutation SetCallerCode($input: SetCallerCodeInput!) {
    setCallerCode(input: $input) {
      callerCode { ...CallerCodeFacts }
    }
  }
`,
  [callerCodeFragment],
);

const settingsFragment = graphql(`
  fragment SettingsFacts on Settings {
    version
    linkUses
    linkMinutes
    languages
    staffCodeHour
    watermark
    dataMegabytes
    sessionMegabytes
    sessionFiles
    fileMegabytes
    sendsPerNumber
    sendsPerUser
    sendsPerAgency
    idleMinutes
    passwords
    passwordLength
    authenticators
    bounds { setting min max }
  }
`);

export const settingsQuery = graphql(
  `
  query SettingsForm {
    settings { ...SettingsFacts }
  }
`,
  [settingsFragment],
);

export const updateSettingsMutation = graphql(
  `
  mutation UpdateSettings($input: UpdateSettingsInput!) {
    updateSettings(input: $input) {
      settings { ...SettingsFacts }
    }
  }
`,
  [settingsFragment],
);

export const settingsHistoryQuery = graphql(`
  query SettingsHistory($first: Int!, $after: String) {
    settingsHistory(first: $first, after: $after) {
      nodes { version changedAt changedBy { id displayName } reason changes { setting old new } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

/** What every page of the console goes by. */
export const chosenQuery = graphql(`
  query Chosen {
    settings { version languages watermark idleMinutes }
  }
`);
