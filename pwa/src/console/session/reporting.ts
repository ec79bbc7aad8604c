// What is done about a video report beside the picture: the report to the supervisor, where the link goes, the code.
import type { Api } from '$lib/api/client';
import { graphql, type VariablesOf } from '$lib/api/graphql';
import { sessionFragment } from './operations';
import type { SessionDetails } from './session.svelte';

const acknowledgeReportMutation = graphql(
  `
  mutation AcknowledgeReport($input: AcknowledgeReportInput!) {
    acknowledgeReport(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

const stopReportMutation = graphql(
  `
  mutation StopReport($input: StopReportInput!) {
    stopReport(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

const reportLateMutation = graphql(
  `
  mutation ReportLate($input: ReportLateInput!) {
    reportLate(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

const changeDestinationMutation = graphql(
  `
  mutation ChangeDestination($input: ChangeDestinationInput!) {
    changeDestination(input: $input) {
      session { ...SessionPage }
      numberDiffers
    }
  }
`,
  [sessionFragment],
);

const allowSendsMutation = graphql(
  `
  mutation AllowSends($input: AllowSendsInput!) {
    allowSends(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

const renewCodeMutation = graphql(
  `
  mutation RenewCode($input: RenewCodeInput!) {
    renewCode(input: $input) {
      session { ...SessionPage }
    }
  }
`,
  [sessionFragment],
);

/** Where the next link shall go. */
export type Destination = Omit<VariablesOf<typeof changeDestinationMutation>['input'], 'sessionID'>;

/** A supervisor takes note of the report (第4の1(1)). */
export async function acknowledgeReport(api: Api, sessionID: string): Promise<SessionDetails> {
  return (await api.ask(acknowledgeReportMutation, { input: { sessionID } })).acknowledgeReport.session;
}

/** A supervisor forbids the video report (第4の1(1), 第4の2). */
export async function stopReport(api: Api, sessionID: string, reason: string): Promise<SessionDetails> {
  return (await api.ask(stopReportMutation, { input: { sessionID, reason } })).stopReport.session;
}

/** The supervisor has now been told of what could not wait (後報). */
export async function reportLate(api: Api, sessionID: string): Promise<SessionDetails> {
  return (await api.ask(reportLateMutation, { input: { sessionID } })).reportLate.session;
}

/** Says where the next link shall go (第4の1(2)). Sends nothing. */
export async function changeDestination(api: Api, sessionID: string, to: Destination): Promise<SessionDetails> {
  return (await api.ask(changeDestinationMutation, { input: { sessionID, ...to } })).changeDestination.session;
}

/** A supervisor allows more messages to the destination. */
export async function allowSends(api: Api, sessionID: string, reason: string): Promise<SessionDetails> {
  return (await api.ask(allowSendsMutation, { input: { sessionID, reason } })).allowSends.session;
}

/** Makes a new access code (第5の1(2)). */
export async function renewCode(api: Api, sessionID: string): Promise<SessionDetails> {
  return (await api.ask(renewCodeMutation, { input: { sessionID } })).renewCode.session;
}
