import { graphql } from '$lib/api/graphql';

export const inboxQuery = graphql(`
  query Inbox {
    settings { clockInDoubt }
    openContactTasks {
      id
      openedAt
      number { groups whole }
      session { id case { id number } dispatcher { id displayName } }
    }
    sharesGiven {
      id
      toAgency { id nameJa nameEn }
      toOfficer { id unit name }
      purpose
      ground
      expiresAt
      endedAt
      ending
      watchers { viewingID name unit live openedAt }
      session { id case { id number } }
    }
  }
`);

export const looksQuery = graphql(`
  query LooksElsewhere($from: Date!, $to: Date!) {
    looksElsewhere(from: $from, to: $to) {
      user { id displayName role }
      sessions
      support
      command
      handover
    }
  }
`);
