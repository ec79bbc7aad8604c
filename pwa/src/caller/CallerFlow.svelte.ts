import type { Operation } from '$lib/api/operation';
import type { Locale } from '$lib/i18n.svelte';
import { Api, Refusal, Unreachable, passes } from '$lib/phone/api';
import { type Browser, canSendLive, secretOf } from '$lib/phone/browser';
import { Camera, type CameraTrouble, refusedReason } from '$lib/phone/Camera.svelte';
import { Feed } from '$lib/phone/feed';
import { publishMutation, reportPositionMutation } from '$lib/phone/operations';
import { type Fix, Position } from '$lib/phone/Position.svelte';
import { Uploads } from '$lib/phone/Uploads.svelte';
import {
  type LinkTerms,
  type Mode,
  type OwnSession,
  enterCodeMutation,
  joinMutation,
  linkQuery,
  openLinkMutation,
  ownSessionQuery,
  ownSessionSubscription,
  reportMismatchMutation,
  reportTroubleMutation,
  resumeMutation,
  stopSendingMutation,
} from './operations';
import { Phone } from './phone';

/**
 * What the caller sees. opening: the page asks the server. browser: this browser cannot do it, see browserTrouble. dead:
 * the link cannot be used. proof, code, consent: the steps before anything is sent. mismatch, declined: the caller said no
 * to one of them. waiting, turnedAway: a second phone before and after the officer's no. act: what can be sent, and what
 * was. whyCamera, whyPosition: before the phone asks. noCamera, noPosition: after a no. live: the camera. thanks: the
 * caller is done. ended: the centre is.
 */
export type Screen =
  | 'opening'
  | 'browser'
  | 'dead'
  | 'proof'
  | 'mismatch'
  | 'code'
  | 'consent'
  | 'declined'
  | 'waiting'
  | 'turnedAway'
  | 'act'
  | 'whyCamera'
  | 'whyPosition'
  | 'noCamera'
  | 'noPosition'
  | 'live'
  | 'thanks'
  | 'ended';

/** Why this browser cannot do it. app: it is inside another app. storage: it keeps no key. live: it has no live video. */
export type BrowserTrouble = 'app' | 'storage' | 'live';

/** Something to tell beside the screen's own words; said is a sentence of the server. */
export type Notice =
  | 'unsafe'
  | 'asked'
  | 'liveRefused'
  | 'failed'
  | 'anotherPhone'
  | 'full'
  | 'termsChanged'
  | { readonly said: string };

/** What the flow needs of the page it runs in. */
export interface FlowOptions {
  /** The part of the address behind and with #. */
  readonly hash: string;
  /** What the phone runs. */
  readonly browser: Browser;
  /** The language in use. */
  readonly locale: () => Locale;
  /** Speaks another language: the phone's own is not offered. */
  readonly speak?: (language: string) => void;
}

type Trouble = 'CAMERA_DENIED' | 'LOCATION_DENIED' | 'UNSUPPORTED_BROWSER' | 'NETWORK';

/** Waits before a question is asked again, in ms; the last one repeats. */
const pauses = [1_000, 2_000, 4_000, 8_000];

/** Live video that does not get through for so long is told to the centre, in ms. */
const stuckAfter = 10_000;

/** One caller's way from the link to the end. Everything the page shows is here; pages only draw it. */
export class CallerFlow {
  /** The files that the caller sends. */
  readonly uploads: Uploads;
  /** Where the phone is. */
  readonly position: Position;
  /** Live video. */
  readonly camera: Camera;

  readonly #options: FlowOptions;
  readonly #secret: string;
  readonly #api: Api;
  readonly #feed: Feed<{ ownSessionChanged: OwnSession }>;
  readonly #told = new Set<Trouble>();

  #screen = $state<Screen>('opening');
  #link = $state.raw<LinkTerms>();
  #agency = $state.raw<{ nameJa: string; nameEn: string }>();
  #session = $state.raw<OwnSession>();
  #busy = $state(false);
  #unreachable = $state(false);
  #notice = $state.raw<Notice>();
  #codeWrong = $state(0);
  #browserTrouble = $state<BrowserTrouble>('app');
  #cameraTrouble = $state<CameraTrouble>('denied');
  #positionDeclined = $state(false);
  #receivedBefore = $state(0);
  #uploadsBefore = $state.raw<OwnSession['uploads']>([]);
  #stuck = $state(false);

  #phone: Phone | undefined;
  #pass: string | undefined;
  #cameraKnown = false;
  #closed = false;
  #returning: Promise<boolean> | undefined;
  #retry: (() => void) | undefined;
  #stuckTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#secret = secretOf(options.hash);
    this.#api = new Api('caller', options.locale);
    this.uploads = new Uploads(this.#api, options.locale, (error) => this.#routed(error));
    this.position = new Position({
      send: (fix: Fix) =>
        this.#api.run(reportPositionMutation, { input: fix }).catch((error: unknown) => this.#routed(error)),
      onDenied: () => {
        this.#tell('LOCATION_DENIED');
        if (this.#screen === 'whyPosition') {
          this.#show('noPosition');
        }
      },
      onFound: () => {
        if (this.#screen === 'whyPosition') {
          this.#show('act');
        }
      },
    });
    this.camera = new Camera({
      grant: async () => (await this.#api.run(publishMutation, {})).publish,
      final: (error) => error instanceof Refusal && error.code !== 'UNAUTHENTICATED' && !passes(error),
      language: options.locale,
      onState: (state) => this.#watchStuck(state === 'connecting' || state === 'interrupted'),
      onRefused: (error) => this.#liveRefused(error),
    });
    this.#feed = new Feed({
      actor: 'caller',
      asked: ownSessionSubscription,
      language: options.locale,
      onEvent: ({ ownSessionChanged }) => this.#changed(ownSessionChanged),
      onLost: () => void this.#look(),
      onRefused: () => void this.#renew(),
    });
  }

  /** What the caller sees. */
  get screen(): Screen {
    return this.#screen;
  }

  /** What the link shows; undefined until it was asked for. */
  get link(): LinkTerms | undefined {
    return this.#link;
  }

  /** What stands above every screen: a drill, a pause that is near. */
  get notices(): LinkTerms['notices'] {
    return this.session?.notices ?? this.#link?.notices ?? [];
  }

  /** The terms in the language in use. */
  get terms(): LinkTerms['terms'][number] | undefined {
    const locale = this.#options.locale();
    return this.#link?.terms.find(({ language }) => language === locale) ?? this.#link?.terms[0];
  }

  /** The name of the command centre in the language in use; empty until it is known. */
  get agency(): string {
    const name = this.#agency;
    return (this.#options.locale() === 'ja' ? name?.nameJa : name?.nameEn) ?? '';
  }

  /** The own video report; undefined before joining. */
  get session(): OwnSession | undefined {
    return this.#session;
  }

  /** What the centre asks for. */
  get asked(): Mode {
    return this.#session?.asked ?? this.#link?.asked ?? 'PHOTO';
  }

  /** Whether the answer to a tap is awaited. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Whether the server cannot be reached; questions are asked again by themselves. */
  get unreachable(): boolean {
    return this.#unreachable;
  }

  /** Something to tell beside the screen's own words. */
  get notice(): Notice | undefined {
    return this.#notice;
  }

  /** How many wrong codes were entered on this page. */
  get codeWrong(): number {
    return this.#codeWrong;
  }

  /** Why this browser cannot do it. */
  get browserTrouble(): BrowserTrouble {
    return this.#browserTrouble;
  }

  /** Why there is no picture. */
  get cameraTrouble(): CameraTrouble {
    return this.#cameraTrouble;
  }

  /** Whether it is time to say why the position helps, and to offer sending it. */
  get offersPosition(): boolean {
    return this.position.state === 'off' && !this.#positionDeclined;
  }

  /** Whether live video has not got through for a while. */
  get stuck(): boolean {
    return this.#stuck;
  }

  /** What this phone had sent or begun before the page was loaded anew. */
  get uploadsBefore(): OwnSession['uploads'] {
    return this.#uploadsBefore;
  }

  /** Bytes of this video report that the caller has paid for, as far as this page knows. */
  get bytes(): number {
    return this.#receivedBefore + this.uploads.bytes + this.camera.bytes;
  }

  /** Whether leaving the page would lose something. */
  get losesByLeaving(): boolean {
    return this.uploads.left > 0 || this.camera.stream !== undefined;
  }

  /** Asks the server what the link is, or goes on where this phone was. */
  async start(): Promise<void> {
    if (!this.#secret) {
      this.#show('dead');
      return;
    }
    try {
      this.#phone = await Phone.of(this.#secret);
    } catch {
      this.#phone = undefined;
    }
    if (this.#phone?.id && (await this.#return())) {
      return;
    }
    await this.#load();
  }

  /** The network is back, or the page is back on the screen: whatever waits goes on now. */
  nudge(): void {
    this.#retry?.();
    this.#feed.nudge();
    this.uploads.nudge();
    void this.camera.nudge();
  }

  /** Goes on in a browser that can only send photos. */
  stayHere(): void {
    this.#show(this.#session ? 'act' : 'proof');
  }

  /** The words are the same. */
  async same(): Promise<void> {
    await this.#step(async () => {
      await this.#ask(openLinkMutation, { input: { secret: this.#secret } });
      this.#show(this.#link?.codeRequired ? 'code' : 'consent');
    });
  }

  /** The words differ: the centre is told, and nothing more is offered. */
  async different(): Promise<void> {
    this.#show('mismatch');
    await this.#phone?.forget();
    await this.#ask(reportMismatchMutation, { input: { secret: this.#secret } }).catch(() => undefined);
  }

  /** The code that the officer says. */
  async enterCode(code: string): Promise<void> {
    await this.#step(async () => {
      try {
        const { enterCode } = await this.#ask(enterCodeMutation, { input: { secret: this.#secret, code } });
        this.#pass = enterCode.pass;
        this.#show('consent');
      } catch (error) {
        if (error instanceof Refusal && error.reason === 'CODE_WRONG') {
          this.#codeWrong++;
          return;
        }
        throw error;
      }
    });
  }

  /** The answer to the four items. */
  async answer(agreed: boolean): Promise<void> {
    const terms = this.terms;
    if (!terms) {
      return;
    }
    const { systemLabel, browserLabel } = this.#options.browser;
    const answer = {
      secret: this.#secret,
      pass: this.#pass ?? null,
      version: terms.version,
      language: terms.language,
      system: systemLabel,
      browser: browserLabel,
    };
    if (!agreed) {
      this.#show('declined');
      await this.#phone?.forget();
      await this.#ask(joinMutation, { input: { ...answer, agreed } }).catch(() => undefined);
      return;
    }
    await this.#step(async () => {
      const phone = this.#phone;
      if (!phone) {
        this.#browserTrouble = 'storage';
        this.#show('browser');
        return;
      }
      const publicKey = await phone.publicKey();
      const { session } = (await this.#ask(joinMutation, { input: { ...answer, agreed, publicKey } })).join;
      if (session) {
        await phone.joined(session.phone.id);
        this.#enter(session);
      }
    });
  }

  /** Sends files. fromCamera: they were taken through this page just now. */
  send(files: readonly File[], fromCamera: boolean): void {
    if (files.length > 0) {
      this.#notice = undefined;
      this.uploads.add(files, fromCamera);
      this.#show('act');
    }
  }

  /** The caller wants to send live video. */
  async goLive(): Promise<void> {
    this.#notice = undefined;
    if (!canSendLive()) {
      this.#browserTrouble = 'live';
      this.#show('browser');
      this.#tell('UNSUPPORTED_BROWSER');
    } else if (this.#cameraKnown) {
      await this.openCamera();
    } else {
      this.#show('whyCamera');
    }
  }

  /** The caller knows why: the phone may ask. */
  async openCamera(): Promise<void> {
    await this.#step(async () => {
      const trouble = await this.camera.start();
      if (trouble) {
        this.#cameraTrouble = trouble;
        this.#show('noCamera');
        this.#tell('CAMERA_DENIED');
      } else if (this.camera.stream && !this.#closed) {
        this.#cameraKnown = true;
        this.#show('live');
      }
    });
  }

  /** The camera goes off. unsafe: because the caller is not safe. */
  stopLive(unsafe = false): void {
    this.#watchStuck(false);
    this.camera.stop();
    this.#notice = unsafe ? 'unsafe' : undefined;
    this.#show('act');
  }

  /** The caller wants to send their position. */
  goPosition(): void {
    this.#notice = undefined;
    this.#show('whyPosition');
  }

  /** How a position that was denied can be allowed. */
  explainPosition(): void {
    this.#show('noPosition');
  }

  /** The caller knows why: the phone may ask. */
  allowPosition(): void {
    this.position.start();
  }

  /** The caller does not want to send their position, or no longer. */
  declinePosition(): void {
    this.#positionDeclined = true;
    this.position.stop();
    if (this.#screen !== 'live') {
      this.#show('act');
    }
  }

  /** Back to what can be sent. */
  back(): void {
    this.#show('act');
  }

  /** The caller is done. */
  async finish(): Promise<void> {
    this.#stopMedia(true);
    this.#show('thanks');
    await this.#ask(stopSendingMutation, {}).catch((error: unknown) => this.#routed(error));
  }

  /** The notice was read. */
  dismiss(): void {
    this.#notice = undefined;
  }

  async #load(): Promise<void> {
    try {
      const { link } = await this.#ask(linkQuery, { secret: this.#secret });
      this.#link = link;
      this.#agency = link.agency;
      if (this.terms && this.terms.language !== this.#options.locale()) {
        this.#options.speak?.(this.terms.language);
      }
    } catch (error) {
      if (!this.#routed(error)) {
        this.#show('dead');
      }
      return;
    }
    if (!this.#phone || this.#options.browser.kind === 'app') {
      this.#browserTrouble = this.#phone ? 'app' : 'storage';
      this.#show('browser');
      this.#tell('UNSUPPORTED_BROWSER');
    } else {
      this.#show('proof');
    }
  }

  /** Goes on where this phone was; false where the server does not know it. */
  async #return(): Promise<boolean> {
    const phone = this.#phone;
    if (!phone?.id) {
      return false;
    }
    try {
      if (await this.#known(phone.id)) {
        return true;
      }
      const { openLink } = await this.#ask(openLinkMutation, { input: { secret: this.#secret } });
      const signature = await phone.sign(openLink.nonce);
      await this.#ask(resumeMutation, {
        input: { secret: this.#secret, phoneID: phone.id, nonce: openLink.nonce, signature },
      });
      return await this.#known(phone.id);
    } catch (error) {
      if (error instanceof Refusal && ['SESSION_ENDED', 'PHONE_REFUSED', 'PHONE_WAITING'].includes(error.reason)) {
        return this.#routed(error);
      }
      return false;
    }
  }

  async #known(phoneID: string): Promise<boolean> {
    const { me } = await this.#ask(ownSessionQuery, {});
    if (me?.session?.phone.id !== phoneID) {
      return false;
    }
    this.#agency = me.agency;
    this.#enter(me.session);
    return true;
  }

  /** Some networks let no WebSocket through: the same is asked by a plain question. */
  async #look(): Promise<void> {
    try {
      const { me } = await this.#api.run(ownSessionQuery, {});
      if (me?.session && !this.#closed) {
        this.#changed(me.session);
      }
    } catch (error) {
      this.#routed(error);
    }
  }

  /** The cookie no longer counts: the key proves who we are once more. */
  async #renew(): Promise<void> {
    this.#returning ??= this.#return().finally(() => (this.#returning = undefined));
    if (await this.#returning) {
      this.uploads.nudge();
    } else if (!this.#closed) {
      this.#close('dead');
    }
  }

  #enter(session: OwnSession): void {
    if (!this.#session) {
      this.#receivedBefore = session.received;
      this.#uploadsBefore = session.uploads;
    }
    this.#changed(session);
    if (!this.#closed) {
      this.#feed.start();
    }
  }

  #changed(session: OwnSession): void {
    const before = this.#session;
    this.#session = session;
    if (session.over) {
      this.#close('ended');
    } else if (session.phone.state === 'REFUSED') {
      this.#close('turnedAway');
    } else if (session.phone.state === 'WAITING') {
      this.#await();
    } else {
      if (this.#screen === 'waiting' || !before) {
        this.#show('act');
        this.uploads.nudge();
      }
      if (before && before.asked !== session.asked && this.#screen !== 'thanks') {
        this.#notice = 'asked';
        navigator.vibrate?.(200);
      }
    }
  }

  /** The officer has to admit this phone first; what it had chosen to send waits. */
  #await(): void {
    this.camera.stop();
    this.#watchStuck(false);
    this.#show('waiting');
  }

  /** Whether a refusal was about more than the question, and the page has gone where it leads. */
  #routed(error: unknown): boolean {
    if (!(error instanceof Refusal)) {
      return false;
    }
    switch (error.reason) {
      case 'SESSION_ENDED':
        this.#close('ended');
        return true;
      case 'LINK_UNUSABLE':
        this.#close('dead');
        return true;
      case 'PHONE_REFUSED':
        this.#close('turnedAway');
        return true;
      case 'PHONE_WAITING':
        this.#await();
        this.#feed.start();
        return true;
      case 'CONSENT_OUTDATED':
        this.#notice = 'termsChanged';
        void this.#reread();
        return true;
      case 'CODE_REQUIRED':
        this.#show('code');
        return true;
      case 'QUOTA_FULL':
        this.#notice = 'full';
        return false;
    }
    if (error.code === 'UNAUTHENTICATED' && this.#session) {
      void this.#renew();
      return true;
    }
    return false;
  }

  async #reread(): Promise<void> {
    try {
      this.#link = (await this.#ask(linkQuery, { secret: this.#secret })).link;
    } catch (error) {
      this.#routed(error);
    }
  }

  #liveRefused(error: unknown): void {
    this.#watchStuck(false);
    if (this.#routed(error) || this.#closed) {
      return;
    }
    this.#notice =
      refusedReason(error) === 'PUBLISHER_PRESENT'
        ? 'anotherPhone'
        : error instanceof Refusal
          ? { said: error.message }
          : 'liveRefused';
    this.#show('act');
  }

  #watchStuck(doubtful: boolean): void {
    if (!doubtful) {
      clearTimeout(this.#stuckTimer);
      this.#stuckTimer = undefined;
      this.#stuck = false;
    } else {
      this.#stuckTimer ??= setTimeout(() => {
        this.#stuck = true;
        this.#tell('NETWORK');
      }, stuckAfter);
    }
  }

  #stopMedia(tell: boolean): void {
    this.#watchStuck(false);
    this.camera.stop(tell);
    this.position.stop();
  }

  /** Nothing more can be sent from this page. */
  #close(screen: 'ended' | 'dead' | 'turnedAway'): void {
    this.#closed = true;
    this.#stopMedia(false);
    this.uploads.stop();
    this.#feed.stop();
    this.#notice = undefined;
    this.#show(screen);
  }

  /** Tells the centre once what stands in the way. */
  #tell(reason: Trouble): void {
    if (!this.#told.has(reason)) {
      this.#told.add(reason);
      this.#api.run(reportTroubleMutation, { input: { secret: this.#secret, reason } }).catch(() => this.#told.delete(reason));
    }
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
        this.#notice = error instanceof Refusal ? { said: error.message } : 'failed';
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Asks until there is an answer. Fails with a Refusal, or with Unreachable where the page has closed meanwhile. */
  async #ask<R, V>(asked: Operation<R, V>, variables: V): Promise<R> {
    for (let failures = 0; ; failures++) {
      try {
        const answer = await this.#api.run(asked, variables);
        this.#unreachable = false;
        return answer;
      } catch (error) {
        if (!passes(error)) {
          this.#unreachable = false;
          throw error;
        }
        this.#unreachable = true;
        const pause = pauses[Math.min(failures, pauses.length - 1)];
        await new Promise<void>((done) => {
          const timer = setTimeout(done, pause);
          this.#retry = () => {
            clearTimeout(timer);
            done();
          };
        });
        if (this.#closed) {
          throw new Unreachable('the page has closed', { cause: error });
        }
      }
    }
  }
}
