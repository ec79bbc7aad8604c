// What an officer's phone asks of the server about what it is shown.
import { type Result, operation } from '$lib/api/operation';

/** What the centre shows this phone, at once and after each change. */
export const sharedSubscription = operation(`subscription SharedWithMe {
  sharesReceivedChanged {
    id expiresAt class municipality drill over live
    position { latitude longitude accuracy capturedAt }
    files { id kind state preview durationMs acquiredAt }
  }
}`);

/** A grant to watch; each is one viewing. */
export const watchMutation = operation(`mutation WatchShared($input: WatchShareInput!) {
  watchShare(input: $input) { url token }
}`);

/** A grant to look at a file; each is one viewing. */
export const openMutation = operation(`mutation OpenShared($input: OpenSharedMediaInput!) {
  openSharedMedia(input: $input) { url contentType }
}`);

/** One video report that is shown to this phone. */
export type SharedReport = Result<typeof sharedSubscription>['sharesReceivedChanged'][number];
