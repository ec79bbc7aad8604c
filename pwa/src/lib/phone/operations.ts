// What every phone that sends asks of the server: stored texts, checked against the schema as they compile and in a test.
import { operation } from '$lib/api/operation';

/** One position fix. */
export const reportPositionMutation = operation(`mutation ReportPosition($input: ReportPositionInput!) {
  reportPosition(input: $input) { receivedAt }
}`);

/** A bearer for the bytes of one file, new or going on. */
export const beginUploadMutation = operation(`mutation BeginUpload($input: BeginUploadInput!) {
  beginUpload(input: $input) { id url token chunk }
}`);

/** A bearer for live video. */
export const publishMutation = operation(`mutation Publish {
  publish { url token }
}`);
