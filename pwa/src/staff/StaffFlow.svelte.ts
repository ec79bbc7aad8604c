import type { Operation } from '$lib/api/operation';
import type { Locale } from '$lib/i18n.svelte';
import { Api, Refusal, Unreachable, passes } from '$lib/phone/api';
import { type Browser, canSendLive } from '$lib/phone/browser';
import { Camera, type CameraTrouble, refusedReason } from '$lib/phone/Camera.svelte';
import { Feed } from '$lib/phone/feed';
import { publishMutation, reportPositionMutation } from '$lib/phone/operations';
import { type Fix, Position } from '$lib/phone/Position.svelte';
import { type Item, Uploads } from '$lib/phone/Uploads.svelte';
import { codeOf, readCode } from './installed';
import {
  type Mode,
  type OwnPhone,
  type Registration,
  acceptRulesMutation,
  challengeMutation,
  endMutation,
  leakMutation,
  phoneQuery,
  phoneSubscription,
  registerMutation,
  registrationQuery,
  removeMutation,
  resumeMutation,
  startMutation,
  usageMutation,
} from './operations';
import { Shared } from './Shared.svelte';
import { Store, type Unsent } from './store';
import { endWorker } from './worker';

/**
 * What the officer sees. opening: the app asks the server. install: the page is not in the installed app. storage: the
 * browser keeps no key. code, rules, match: the registration. rulesAgain: the rules, yearly. home: nothing is being sent.
 * act: what can be sent, and what was. camera: the picture. noCamera: there is none. ended: the video report is over.
 * usage, leak, remove: the officer's reports and the own deletion. shared: what the centre shows to this phone.
 * suspended: a supervisor stopped the link. unknown: the server does not know this phone. wiped: everything is deleted.
 */
export type Screen =
  | 'opening'
  | 'install'
  | 'storage'
  | 'code'
  | 'rules'
  | 'match'
  | 'rulesAgain'
  | 'home'
  | 'act'
  | 'camera'
  | 'noCamera'
  | 'ended'
  | 'usage'
  | 'leak'
  | 'remove'
  | 'shared'
  | 'suspended'
  | 'unknown'
  | 'wiped';

/** Something to tell beside the screen's own words; said is a sentence of the server. */
export type Notice = 'failed' | 'unreachable' | 'asked' | 'liveRefused' | 'reported' | 'accepted' | { readonly said: string };

/** Why everything was deleted. */
export type WipedBy = 'revoked' | 'unmatched' | 'officer';

/** Who or what ended a video report. silent: nothing came for too long. */
export type EndedBy = 'officer' | 'centre' | 'cut' | 'silent';

/** How a video report ended, where it was not simply ended. */
const endings: Readonly<Record<string, EndedBy>> = { REVOKED: 'cut', EXPIRED: 'silent' };

/** What the officer declares before anything is sent (第4の4(2)アク). */
export interface Declared {
  readonly withinResponse: boolean;
  readonly noOtherPath: boolean;
}

/** What the flow needs of the page it runs in. */
export interface FlowOptions {
  /** The part of the address behind and with #. */
  readonly hash: string;
  /** Whether the page runs in the installed app. */
  readonly installed: boolean;
  /** What the phone runs. */
  readonly browser: Browser;
  /** The language in use. */
  readonly locale: () => Locale;
}

/** Waits before a question is asked again, in ms; the last one repeats. */
const pauses = [1_000, 2_000, 4_000, 8_000];

/** Larger items are not kept through a restart of the app, in bytes: they are sealed in memory. */
const mostKept = 200_000_000;

/** How often a wiped phone says so before it is left at that: the cookie may be gone as well. */
const wipeTries = 5;

/** One officer's way with the app. Everything the page shows is here; pages only draw it. */
export class StaffFlow {
  /** Where the phone is. */
  readonly position: Position;
  /** The camera, publishing or not. */
  readonly camera: Camera;
  /** What the centre shows to this phone, where it is an issued one. */
  readonly shared: Shared;

  readonly #options: FlowOptions;
  readonly #api: Api;
  readonly #feed: Feed<{ staffPhoneChanged: OwnPhone }>;
  readonly #numbers = new WeakMap<File, number>();

  #uploads = $state.raw<Uploads>() as Uploads;
  #screen = $state<Screen>('opening');
  #phone = $state.raw<OwnPhone>();
  #registration = $state.raw<Registration>();
  #code = $state('');
  #codeProblem = $state<'incomplete' | 'unusable'>();
  #busy = $state(false);
  #unreachable = $state(false);
  #notice = $state.raw<Notice>();
  #cameraTrouble = $state<CameraTrouble>('denied');
  #codeWrong = $state(0);
  #kept = $state.raw<readonly Unsent[]>([]);
  #lost = $state(0);
  #endedBy = $state<EndedBy>('officer');
  #wipedBy = $state<WipedBy>('revoked');
  #receivedBefore = $state(0);
  /** The video report that is open; empty where none is. */
  #sending = $state('');

  #store: Store | undefined;
  #before: Screen = 'home';
  #endedHere = false;
  #returning: Promise<boolean> | undefined;
  #retry: (() => void) | undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#code = codeOf(options.hash);
    this.#api = new Api('staff', options.locale);
    this.#uploads = this.#newUploads();
    this.position = new Position({
      send: (fix: Fix) =>
        this.#api.run(reportPositionMutation, { input: fix }).catch((error: unknown) => this.#routed(error)),
      onDenied: () => undefined,
      onFound: () => undefined,
    });
    this.camera = new Camera({
      grant: async () => (await this.#api.run(publishMutation, {})).publish,
      final: (error) => error instanceof Refusal && error.code !== 'UNAUTHENTICATED' && !passes(error),
      language: options.locale,
      onState: () => undefined,
      onRefused: (error) => this.#liveRefused(error),
    });
    this.shared = new Shared(this.#api, options.locale, (error) => this.#routed(error));
    this.#feed = new Feed({
      actor: 'staff',
      asked: phoneSubscription,
      language: options.locale,
      onEvent: ({ staffPhoneChanged }) => this.#changed(staffPhoneChanged),
      onLost: () => void this.#look(),
      onRefused: () => void this.#renew(),
    });
  }

  /** What the officer sees. */
  get screen(): Screen {
    return this.#screen;
  }

  /** This phone's view of itself; undefined before it is registered. */
  get phone(): OwnPhone | undefined {
    return this.#phone;
  }

  /** What the sheet's code shows. */
  get registration(): Registration | undefined {
    return this.#registration;
  }

  /** The registration code, where one is known. */
  get code(): string {
    return this.#code;
  }

  /** What is wrong with the code that was entered: too short to be one, or it opened nothing. */
  get codeProblem(): 'incomplete' | 'unusable' | undefined {
    return this.#codeProblem;
  }

  /** The rules in the language in use: of the registration, or as they stand. */
  get rules(): Registration['rules'][number] | undefined {
    const all = this.#registration?.rules ?? this.#phone?.rules ?? [];
    const locale = this.#options.locale();
    return all.find(({ language }) => language === locale) ?? all[0];
  }

  /** The name of the command centre in the language in use; empty until it is known. */
  get agency(): string {
    const name = this.#phone?.agency ?? this.#registration?.agency;
    return (this.#options.locale() === 'ja' ? name?.nameJa : name?.nameEn) ?? '';
  }

  /** Whether this is a phone of the agency's, which may keep what is unsent and send what it has stored. */
  get issued(): boolean {
    return this.#phone?.device === 'ISSUED';
  }

  /** The files of this video report. */
  get uploads(): Uploads {
    return this.#uploads;
  }

  /** Items of an earlier video report that were not received. */
  get kept(): readonly Unsent[] {
    return this.#kept;
  }

  /** How many items of the video report that just ended are lost. */
  get lost(): number {
    return this.#lost;
  }

  /** What the centre asks for. */
  get asked(): Mode {
    return this.#phone?.session?.asked ?? 'LIVE';
  }

  /** Who ended the video report. */
  get endedBy(): EndedBy {
    return this.#endedBy;
  }

  /** Why everything was deleted. */
  get wipedBy(): WipedBy {
    return this.#wipedBy;
  }

  /** Whether the answer to a tap is awaited. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Whether the server cannot be reached. */
  get unreachable(): boolean {
    return this.#unreachable;
  }

  /** Something to tell beside the screen's own words. */
  get notice(): Notice | undefined {
    return this.#notice;
  }

  /** Why there is no picture. */
  get cameraTrouble(): CameraTrouble {
    return this.#cameraTrouble;
  }

  /** How many wrong access codes were entered on this page. */
  get codeWrong(): number {
    return this.#codeWrong;
  }

  /** Whether a video report is open. */
  get sending(): boolean {
    return this.#sending !== '';
  }

  /** Whether the officer still owes the report on the video report that is open. */
  get owesThis(): boolean {
    return this.#phone?.owed.some(({ sessionID }) => sessionID === this.#sending) ?? false;
  }

  /** Bytes that this video report has cost, as far as this page knows. */
  get bytes(): number {
    return this.#receivedBefore + this.#uploads.bytes + this.camera.bytes;
  }

  /** Whether leaving the page would lose something. */
  get losesByLeaving(): boolean {
    return this.#uploads.left > 0 || this.camera.stream !== undefined;
  }

  /** Opens the app where it stands. */
  async start(): Promise<void> {
    if (!this.#options.installed) {
      this.#screen = 'install';
      return;
    }
    try {
      this.#store = await Store.open();
    } catch {
      this.#screen = 'storage';
      return;
    }
    await this.#step(async () => {
      if (!this.#store?.phoneID) {
        await this.#readCode();
        return;
      }
      // A sheet that is read on a registered phone is of no use to it.
      history.replaceState(null, '', location.pathname);
      if (!(await this.#return())) {
        this.#show('unknown');
      }
    });
  }

  /** The network is gone: it is said at once, not when something next fails. */
  offline(): void {
    if (this.#phone) {
      this.#unreachable = true;
    }
  }

  /** The network is back, or the page is back on the screen: whatever waits goes on now. */
  nudge(): void {
    if (this.#unreachable && this.#phone) {
      void this.#look();
    }
    this.#retry?.();
    this.#feed.nudge();
    this.shared.nudge();
    this.#uploads.nudge();
    void this.camera.nudge();
  }

  /** The code as the officer types it from the paper. */
  async enterRegistration(typed: string): Promise<void> {
    const code = readCode(typed);
    if (!code) {
      this.#codeProblem = 'incomplete';
      return;
    }
    this.#code = code;
    await this.#step(() => this.#readCode());
  }

  /** The officer has read the rules and accepts them: the phone registers, or goes on for a year. */
  async acceptRules(): Promise<void> {
    const rules = this.rules;
    const store = this.#store;
    if (!rules || !store) {
      return;
    }
    await this.#step(async () => {
      if (this.#phone) {
        await this.#ask(acceptRulesMutation, { input: { version: rules.version, language: rules.language } });
        await this.#read();
        this.#notice = 'accepted';
        this.#screen = 'home';
        return;
      }
      const publicKey = await store.newKey();
      const { systemLabel, browserLabel } = this.#options.browser;
      const input = {
        code: this.#code,
        publicKey,
        rulesVersion: rules.version,
        rulesLanguage: rules.language,
        system: systemLabel,
        browser: browserLabel,
      };
      const { registerStaffPhone } = await this.#ask(registerMutation, { input });
      await store.registered(registerStaffPhone.phone.id);
      this.#registration = undefined;
      this.#code = '';
      history.replaceState(null, '', location.pathname);
      await this.#read();
      this.#feed.start();
    });
  }

  /** Begins a video report with the access code; the camera opens where live video is wanted. */
  async begin(code: string, declared: Declared, live: boolean): Promise<void> {
    if (!this.#phone) {
      return;
    }
    const input = { code, ...declared, asked: live ? ('LIVE' as const) : ('PHOTO' as const), language: this.#options.locale() };
    await this.#step(async () => {
      try {
        // Not asked again by itself: the nonce is good once, and the answer brings another cookie.
        await this.#api.run(startMutation, { input: { ...input, ...(await this.#proof()) } });
        this.#codeWrong = 0;
      } catch (error) {
        if (error instanceof Refusal && error.reason === 'CODE_WRONG') {
          this.#codeWrong++;
          return;
        }
        if (error instanceof Unreachable) {
          void this.#look(); // the answer may have been lost on its way
        }
        throw error;
      }
      this.#feed.stop();
      await this.#read();
      this.#feed.start();
    });
    if (live && this.sending) {
      await this.openCamera(true);
    }
  }

  /** Opens the camera; publish: live video begins at once. */
  async openCamera(publish: boolean): Promise<void> {
    if (publish && !canSendLive()) {
      this.#notice = 'liveRefused';
      return;
    }
    await this.#step(async () => {
      const trouble = this.camera.stream ? undefined : await this.camera.start(publish);
      if (trouble) {
        this.#cameraTrouble = trouble;
        this.#show('noCamera');
      } else if (this.camera.stream && this.sending) {
        if (publish) {
          this.camera.publish();
        }
        this.#show('camera');
      } else {
        this.camera.stop();
      }
    });
  }

  /** The camera goes off. */
  closeCamera(): void {
    this.camera.stop();
    this.#show(this.sending ? 'act' : 'home');
  }

  /** Sends files. fromCamera: they were taken through this app just now. */
  async send(files: readonly File[], fromCamera: boolean): Promise<void> {
    this.#notice = undefined;
    for (const file of files) {
      if (this.issued && file.size <= mostKept) {
        const number = await this.#store?.keepUnsent(file, fromCamera).catch(() => undefined);
        if (number !== undefined) {
          this.#numbers.set(file, number);
        }
      }
      this.#uploads.add([file], fromCamera);
    }
  }

  /** What has been received is kept no longer. */
  tidy(items: readonly Item[]): void {
    for (const { file, state } of items) {
      const number = this.#numbers.get(file);
      if (number !== undefined && (state === 'sent' || state === 'refused')) {
        this.#numbers.delete(file);
        void this.#store?.received(number);
      }
    }
  }

  /** The officer gives up what an earlier video report did not send. */
  async giveUp(): Promise<void> {
    for (const { number } of this.#kept) {
      await this.#store?.received(number);
    }
    this.#kept = [];
  }

  /** The officer is done. */
  async finish(): Promise<void> {
    await this.#step(async () => {
      this.#endedHere = true;
      try {
        await this.#ask(endMutation, {});
      } catch (error) {
        this.#endedHere = false;
        throw error;
      }
      await this.#read();
    });
  }

  /** Reports the use of a video report, or the use to come where there is none. */
  async reportUsage(purpose: string, late?: { readonly sessionID: string; readonly reason: string }): Promise<void> {
    await this.#step(async () => {
      const input = { purpose, ...(late ? { sessionID: late.sessionID, lateReason: late.reason } : {}) };
      await this.#ask(usageMutation, { input });
      await this.#read();
      this.#notice = 'reported';
      if (!this.#phone?.owed.length) {
        this.back();
        this.#notice = 'reported';
      }
    });
  }

  /** Reports a lost phone or a leaked link; a supervisor suspends it. */
  async reportLeak(what: string): Promise<void> {
    await this.#step(async () => {
      await this.#ask(leakMutation, { input: { what } });
      await this.#read();
    });
  }

  /** The officer needs the link no more (第4の4(2)カ). */
  async remove(): Promise<void> {
    await this.#step(async () => {
      await this.#ask(removeMutation, {});
      await this.#wipe('officer', false);
    });
  }

  /** The server does not know this phone: what it kept is of no use. */
  async forget(): Promise<void> {
    await this.#wipe('revoked', false);
  }

  /** Another screen of the officer's own choice. */
  go(screen: 'usage' | 'leak' | 'remove' | 'shared' | 'rulesAgain'): void {
    this.#notice = undefined;
    this.#before = this.#screen === 'act' ? 'act' : 'home';
    this.#show(screen);
  }

  /** Back to where the officer was. */
  back(): void {
    this.#notice = undefined;
    this.#show(this.sending ? 'act' : this.#before === 'act' ? 'home' : this.#before);
    this.#before = 'home';
  }

  /** The notice was read. */
  dismiss(): void {
    this.#notice = undefined;
  }

  async #readCode(): Promise<void> {
    this.#codeProblem = undefined;
    if (!this.#code) {
      this.#show('code');
      return;
    }
    try {
      this.#registration = (await this.#ask(registrationQuery, { code: this.#code })).staffRegistration;
      this.#show('rules');
    } catch (error) {
      this.#show('code');
      if (error instanceof Refusal && error.reason === 'REGISTRATION_UNUSABLE') {
        this.#codeProblem = 'unusable';
        this.#code = '';
        return;
      }
      throw error;
    }
  }

  /** A signature over a new nonce. */
  async #proof(): Promise<{ nonce: string; signature: string }> {
    const store = this.#store;
    if (!store) {
      throw new Unreachable('nothing is kept');
    }
    const { challengeStaffPhone } = await this.#ask(challengeMutation, { input: { phoneID: store.phoneID } });
    return { nonce: challengeStaffPhone.nonce, signature: await store.sign(challengeStaffPhone.nonce) };
  }

  /** Goes on as the phone that is registered; false where the server does not know it. */
  async #return(): Promise<boolean> {
    for (let tries = 0; ; tries++) {
      try {
        const { staffPhone } = await this.#ask(phoneQuery, {});
        if (staffPhone.id === this.#store?.phoneID) {
          this.#changed(staffPhone);
          this.#feed.start();
          return true;
        }
      } catch (error) {
        if (!(error instanceof Refusal) || error.code !== 'UNAUTHENTICATED') {
          throw error;
        }
      }
      if (tries === 2) {
        return false;
      }
      try {
        await this.#ask(resumeMutation, { input: { phoneID: this.#store?.phoneID ?? '', ...(await this.#proof()) } });
      } catch (error) {
        if (!(error instanceof Refusal && ['NONCE_INVALID', 'SIGNATURE_INVALID'].includes(error.reason))) {
          throw error;
        }
      }
    }
  }

  /** Some networks let no WebSocket through: the same is asked by a plain question. */
  async #look(): Promise<void> {
    try {
      const { staffPhone } = await this.#api.run(phoneQuery, {});
      this.#unreachable = false;
      this.#changed(staffPhone);
    } catch (error) {
      this.#unreachable = error instanceof Unreachable;
      this.#routed(error);
    }
  }

  async #read(): Promise<void> {
    this.#changed((await this.#ask(phoneQuery, {})).staffPhone);
  }

  /** The cookie no longer counts: the key proves who we are once more. */
  async #renew(): Promise<void> {
    this.#returning ??= this.#return()
      .catch(() => true)
      .finally(() => (this.#returning = undefined));
    if (await this.#returning) {
      this.#uploads.nudge();
    } else if (this.#screen !== 'wiped') {
      this.#stopMedia(false);
      this.#show('unknown');
    }
  }

  #changed(phone: OwnPhone): void {
    if (this.#screen === 'wiped') {
      return;
    }
    const before = this.#phone;
    this.#phone = phone;
    this.shared.follow(phone.state === 'ACTIVE' && this.issued);
    if (phone.wipe) {
      void this.#wipe(phone.state === 'EXPIRED' ? 'unmatched' : 'revoked', true);
    } else if (phone.state === 'SUSPENDED') {
      this.#leave('cut');
      this.#show('suspended');
    } else if (phone.state === 'PENDING') {
      this.#show('match');
    } else {
      this.#settle(phone, before);
    }
  }

  /** Where an active phone belongs. */
  #settle(phone: OwnPhone, before: OwnPhone | undefined): void {
    const { session } = phone;
    if (session && !session.over) {
      if (this.#sending !== session.id) {
        this.#enter(session);
      } else if (before?.session && before.session.asked !== session.asked) {
        this.#notice = 'asked';
        navigator.vibrate?.(200);
      }
    } else if (this.#sending) {
      this.#leave(this.#endedHere ? 'officer' : (endings[session?.state ?? ''] ?? 'centre'));
      this.#show('ended');
    } else if (['opening', 'match', 'suspended', 'rules', 'unknown'].includes(this.#screen)) {
      this.#show(phone.rulesOutdated ? 'rulesAgain' : 'home');
      void this.#readKept();
    }
  }

  #enter(session: NonNullable<OwnPhone['session']>): void {
    this.#sending = session.id;
    this.#receivedBefore = session.received;
    this.#lost = 0;
    this.#endedHere = false;
    this.#uploads = this.#newUploads();
    this.#show('act');
    void this.#takeUp();
  }

  /** What an earlier video report did not send goes with this one, and the position where the officer allowed it before. */
  async #takeUp(): Promise<void> {
    await this.#readKept();
    for (const { file, number, fromCamera, begun } of this.#kept) {
      this.#numbers.set(file, number);
      this.#uploads.add([file], fromCamera, begun);
    }
    this.#kept = [];
    try {
      if ((await navigator.permissions.query({ name: 'geolocation' })).state === 'granted' && this.sending) {
        this.position.start();
      }
    } catch {
      // The officer taps for it.
    }
  }

  async #readKept(): Promise<void> {
    this.#kept = (await this.#store?.unsent().catch(() => undefined)) ?? [];
  }

  /** The video report is over. */
  #leave(by: EndedBy): void {
    if (!this.#sending) {
      return;
    }
    this.#sending = '';
    this.#endedBy = by;
    const open = this.#uploads.left;
    this.#stopMedia(false);
    this.#lost = this.issued ? 0 : open;
    this.#notice = undefined;
    void this.#readKept();
  }

  #stopMedia(tell: boolean): void {
    this.camera.stop(tell);
    this.position.stop();
    this.#uploads.stop();
  }

  /** Deletes everything that this app keeps on the phone, and tells the centre so. */
  async #wipe(by: WipedBy, tell: boolean): Promise<void> {
    this.#wipedBy = by;
    this.#show('wiped');
    this.#sending = '';
    this.#feed.stop();
    this.shared.follow(false);
    this.#stopMedia(false);
    this.#uploads = this.#newUploads();
    this.#phone = this.#registration = undefined;
    this.#kept = [];
    await this.#store?.wipe().catch(() => undefined);
    this.#store = undefined;
    await endWorker();
    for (let tries = 0; tell && tries < wipeTries; tries++) {
      try {
        await this.#api.run(removeMutation, {});
        return;
      } catch (error) {
        if (!passes(error)) {
          return;
        }
        await this.#pause(tries);
      }
    }
  }

  #newUploads(): Uploads {
    return new Uploads(
      this.#api,
      this.#options.locale,
      (error) => this.#routed(error),
      ({ file, begun }) => {
        const number = this.#numbers.get(file);
        if (number !== undefined && begun) {
          void this.#store?.begun(number, begun).catch(() => undefined);
        }
      },
    );
  }

  /** Whether a refusal was about more than the question, and the page has gone where it leads. */
  #routed(error: unknown): boolean {
    if (!(error instanceof Refusal)) {
      return false;
    }
    if (['SESSION_ENDED', 'STAFF_LINK_SUSPENDED', 'STAFF_LINK_REVOKED', 'STAFF_LINK_PENDING'].includes(error.reason)) {
      void this.#look();
      return true;
    }
    if (error.reason === 'RULES_OUTDATED' && this.#phone) {
      void this.#look();
      this.#show('rulesAgain');
      return true;
    }
    if (error.code === 'UNAUTHENTICATED' && this.#phone) {
      void this.#renew();
      return true;
    }
    return false;
  }

  #liveRefused(error: unknown): void {
    if (this.#routed(error) || !this.sending) {
      return;
    }
    this.#notice = error instanceof Refusal && refusedReason(error) === '' ? { said: error.message } : 'liveRefused';
    this.#show('act');
  }

  #show(screen: Screen): void {
    this.#screen = screen;
  }

  /** One tap: a second one waits for the answer, and a refusal is shown. */
  async #step(take: () => Promise<void>): Promise<void> {
    if (this.#busy) {
      return;
    }
    this.#busy = true;
    this.#notice = undefined;
    try {
      await take();
    } catch (error) {
      if (!this.#routed(error)) {
        this.#notice =
          error instanceof Refusal ? { said: error.message } : error instanceof Unreachable ? 'unreachable' : 'failed';
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Asks until there is an answer. */
  async #ask<R, V>(asked: Operation<R, V>, variables: V): Promise<R> {
    for (let failures = 0; ; failures++) {
      try {
        const answer = await this.#api.run(asked, variables);
        this.#unreachable = false;
        return answer;
      } catch (error) {
        if (!passes(error) || (error instanceof Refusal && error.code === 'RATE_LIMITED')) {
          this.#unreachable = false;
          throw error;
        }
        this.#unreachable = true;
        await this.#pause(failures);
        if (this.#screen === 'wiped') {
          throw new Unreachable('the app has closed', { cause: error });
        }
      }
    }
  }

  async #pause(failures: number): Promise<void> {
    await new Promise<void>((done) => {
      const timer = setTimeout(done, pauses[Math.min(failures, pauses.length - 1)]);
      this.#retry = () => {
        clearTimeout(timer);
        done();
      };
    });
  }
}
