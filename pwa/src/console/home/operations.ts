import { graphql } from '$lib/api/graphql';

export const clockQuery = graphql(`
  query ServerClock {
    settings { clockInDoubt }
    callerCode { applied due reason }
  }
`);

export const confirmClockMutation = graphql(`
  mutation ConfirmClock {
    confirmClock { done }
  }
`);
