import { graphql } from '$lib/api/graphql';

export const statisticsQuery = graphql(`
  query Statistics($from: Date!, $to: Date!) {
    statistics(from: $from, to: $to) {
      from
      to
      cases
      sessions
      byDay { day cases sessions connected }
      byClass { class cases sessions }
      byKind { kind files sessions }
      byOrigin { kind sessions }
      byEndReason { reason sessions }
      funnel { stage sessions }
    }
  }
`);
