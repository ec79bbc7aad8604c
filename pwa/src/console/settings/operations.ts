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
