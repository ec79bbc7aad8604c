import { graphql } from '$lib/api/graphql';

export const installationQuery = graphql(`
  query Installation {
    installation {
      clockInDoubt
      ways { way failedAt }
      agencies {
        agency { id nameJa nameEn }
        people
        signedIn
        terminals
        online
        phones
        openSessions
        today
        files
        overdue
        faults
        entries
        checkpointAt
      }
    }
  }
`);
