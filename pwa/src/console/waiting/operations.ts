import { graphql } from '$lib/api/graphql';

export const waitingQuery = graphql(`
  query Waiting {
    exportRequests(first: 50) {
      nodes { id caseNumber state alarm firstDueAt requestedAt requestedBy { id displayName } mayDecide mayWrite overdue medium }
    }
    leakReports(first: 20, filter: { open: true }) {
      nodes { id filedAt forwardedAt member { id unit name } }
    }
    usageReports(first: 20, filter: { acknowledged: false }) {
      nodes { id filedAt timing member { id unit name } }
    }
    owedUsage { sessionID endedAt chasedAt member { id unit name } }
  }
`);

/** What happens to officers, their reports, and a sealed password that is opened: a manager has no board to hear it from. */
export const alarmsSubscription = graphql(`
  subscription Alarms {
    staffChanged { cursor entries { type } }
  }
`);
