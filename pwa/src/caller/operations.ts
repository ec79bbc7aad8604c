// What this page asks of the server: stored texts, checked against the schema as they compile and in a test.
import { type Result, operation } from '$lib/api/operation';

/** Proof words and terms of a link. Changes nothing. */
export const linkQuery = operation(`query Link($secret: String!) {
  link(secret: $secret) {
    agency { nameJa nameEn }
    proof { ja en }
    asked
    language
    codeRequired
    terms { version language items freedom danger }
    notices { id kind ja en }
  }
}`);

/** The caller's tap: the words are the same. */
export const openLinkMutation = operation(`mutation OpenLink($input: OpenLinkInput!) {
  openLink(input: $input) { nonce }
}`);

/** The words are not the same. */
export const reportMismatchMutation = operation(`mutation ReportMismatch($input: ReportMismatchInput!) {
  reportMismatch(input: $input) { done }
}`);

/** The access code that the officer says. */
export const enterCodeMutation = operation(`mutation EnterCode($input: EnterCodeInput!) {
  enterCode(input: $input) { pass }
}`);

/** The answer to the four items; sets the caller's cookie. */
export const joinMutation = operation(`mutation Join($input: JoinInput!) {
  join(input: $input) {
    session {
      id asked over endReason received limit
      notices { id kind ja en }
      phone { id state }
      uploads { id complete }
    }
  }
}`);

/** Goes on with a phone that joined before; sets the caller's cookie. */
export const resumeMutation = operation(`mutation Resume($input: ResumeInput!) {
  resume(input: $input) {
    session {
      id asked over endReason received limit
      notices { id kind ja en }
      phone { id state }
      uploads { id complete }
    }
  }
}`);

/** The video report behind the cookie, where there is one. */
export const ownSessionQuery = operation(`query OwnSession {
  me {
    agency { nameJa nameEn }
    session {
      id asked over endReason received limit
      notices { id kind ja en }
      phone { id state }
      uploads { id complete }
    }
  }
}`);

/** The same, at once and after each change. */
export const ownSessionSubscription = operation(`subscription OwnSessionChanged {
  ownSessionChanged {
    id asked over endReason received limit
    notices { id kind ja en }
    phone { id state }
    uploads { id complete }
  }
}`);

/** What stands in the caller's way. */
export const reportTroubleMutation = operation(`mutation ReportTrouble($input: ReportTroubleInput!) {
  reportTrouble(input: $input) { done }
}`);

/** The caller is done. */
export const stopSendingMutation = operation(`mutation StopSending {
  stopSending { done }
}`);

/** What a link shows before anything is sent. */
export type LinkTerms = Result<typeof linkQuery>['link'];

/** The caller's own view of their video report. */
export type OwnSession = Result<typeof ownSessionSubscription>['ownSessionChanged'];

/** What the caller is asked for. */
export type Mode = OwnSession['asked'];
