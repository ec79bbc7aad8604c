// What this page asks of the server: stored texts, checked against the schema as they compile and in a test.
import { type Result, operation } from '$lib/api/operation';

/** What a sheet's code is for. Changes nothing. */
export const registrationQuery = operation(`query Registration($code: String!) {
  staffRegistration(code: $code) {
    agency { nameJa nameEn }
    device
    expiresAt
    rules { version language items }
  }
}`);

/** Registers this phone; sets the phone's cookie. */
export const registerMutation = operation(`mutation Register($input: RegisterStaffPhoneInput!) {
  registerStaffPhone(input: $input) { phone { id } }
}`);

/** A nonce that this phone signs. */
export const challengeMutation = operation(`mutation Challenge($input: ChallengeStaffPhoneInput!) {
  challengeStaffPhone(input: $input) { nonce }
}`);

/** Proves the key; sets the phone's cookie. */
export const resumeMutation = operation(`mutation ResumePhone($input: ResumeStaffPhoneInput!) {
  resumeStaffPhone(input: $input) { phone { id } }
}`);

/** Accepts the rules again. */
export const acceptRulesMutation = operation(`mutation AcceptRules($input: AcceptStaffRulesInput!) {
  acceptStaffRules(input: $input) { phone { id } }
}`);

/** Begins a video report; sets another cookie. */
export const startMutation = operation(`mutation Start($input: StartStaffSessionInput!) {
  startStaffSession(input: $input) { phone { id } }
}`);

/** Ends the own video report. */
export const endMutation = operation(`mutation EndOwn {
  endOwnSession { done }
}`);

/** Reports the use, before or after. */
export const usageMutation = operation(`mutation Usage($input: ReportUsageInput!) {
  reportUsage(input: $input) { done }
}`);

/** Reports a lost phone or a leaked link. */
export const leakMutation = operation(`mutation Leak($input: ReportLeakInput!) {
  reportLeak(input: $input) { done }
}`);

/** This phone has deleted what it held. */
export const removeMutation = operation(`mutation Remove {
  removeStaffPhone { done }
}`);

/** This phone's view of itself. */
export const phoneQuery = operation(`query Phone {
  staffPhone {
    id state device matchNumber matchUntil wipe rulesAcceptedAt rulesDueAt rulesOutdated taken watched usageReported leakReportedAt
    agency { nameJa nameEn }
    officer { unit name }
    rules { version language items }
    session {
      id state asked over received
    }
    owed { sessionID startedAt endedAt chased }
    notices { id kind ja en }
  }
}`);

/** The same, at once and after each change. */
export const phoneSubscription = operation(`subscription PhoneChanged {
  staffPhoneChanged {
    id state device matchNumber matchUntil wipe rulesAcceptedAt rulesDueAt rulesOutdated taken watched usageReported leakReportedAt
    agency { nameJa nameEn }
    officer { unit name }
    rules { version language items }
    session {
      id state asked over received
    }
    owed { sessionID startedAt endedAt chased }
    notices { id kind ja en }
  }
}`);

/** What the centre shows to this phone, at once and after each change. */
export const sharedSubscription = operation(`subscription SharedChanged {
  sharesReceivedChanged {
    id expiresAt municipality drill over requestedAt live
    position { latitude longitude accuracy }
    files { id kind state acquiredAt }
  }
}`);

/** The same, asked for once. */
export const sharedQuery = operation(`query Shared {
  sharesReceived {
    id expiresAt municipality drill over requestedAt live
    position { latitude longitude accuracy }
    files { id kind state acquiredAt }
  }
}`);

/** A bearer for shared live video. */
export const watchMutation = operation(`mutation WatchShared($input: WatchShareInput!) {
  watchShare(input: $input) { url token }
}`);

/** A grant for one shared file. */
export const openFileMutation = operation(`mutation OpenShared($input: OpenSharedMediaInput!) {
  openSharedMedia(input: $input) { url }
}`);

/** A video report that is shown to this phone. */
export type SharedReport = Result<typeof sharedQuery>['sharesReceived'][number];

/** What a code shows. */
export type Registration = Result<typeof registrationQuery>['staffRegistration'];

/** This phone's view of itself. */
export type OwnPhone = Result<typeof phoneQuery>['staffPhone'];

/** A use that is still to be reported. */
export type Owed = OwnPhone['owed'][number];

/** What the centre asks for. */
export type Mode = NonNullable<OwnPhone['session']>['asked'];
