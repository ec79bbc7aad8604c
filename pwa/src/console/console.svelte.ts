// What every page of the console shares: who is signed in, the line to the server, the clock, the board.
import { createContext } from 'svelte';
import type { ResultOf } from '$lib/api/graphql';
import { Api } from '$lib/api/client';
import { Refusal, Unreachable } from '$lib/api/refusal';
import { Terminal, versionOf } from '$lib/api/terminal';
import { Clock } from '$lib/ui/clock.svelte';
import { Notices } from '$lib/ui/notices.svelte';
import { Board } from './board/board.svelte';
import { Connection } from './connection.svelte';
import { i18n } from './i18n';
import { meQuery, ownTerminalSubscription, signOutMutation } from './operations';
import { PasskeyFailure } from './passkey';
import { lockScreenMutation, stayAwakeMutation } from './people/operations';
import { Presence } from './presence.svelte';
import { Router } from './router.svelte';
import { Received } from './share/received.svelte';
import { chosenOf, type Chosen, defaultChosen } from './settings/chosen';
import { chosenQuery } from './settings/operations';
import { toldOf } from './supervision/told';

/** Whoever is signed in, with the agency. */
export type SignedIn = {
  readonly agency: NonNullable<ResultOf<typeof meQuery>['me']>['agency'];
  readonly user: NonNullable<NonNullable<ResultOf<typeof meQuery>['me']>['user']>;
  /** A manager who receives like a dispatcher, where another rule provides so (第5の2). */
  readonly reception: boolean;
  /** Where this is: some things are done at some kinds of terminal only. */
  readonly terminal: NonNullable<ResultOf<typeof meQuery>['me']>['terminal'];
};

/** Whether this browser is a terminal that the server answers. */
export type TerminalStanding = 'enrolled' | 'unknown' | 'suspended' | 'revoked';

const standings: Readonly<Record<string, TerminalStanding>> = {
  TERMINAL_UNKNOWN: 'unknown',
  TERMINAL_SUSPENDED: 'suspended',
  TERMINAL_REVOKED: 'revoked',
};

/** How long until a line that broke is opened again, in ms. */
const openAgain = 2_000;

/** How long until a line that was refused is asked for again, in ms. */
const askAgain = 15_000;

/** Why the sign-in page is shown. */
export type SignedOutReason = 'start' | 'expired' | 'left';

/** The console: one for the page. */
export class Console {
  readonly clock = new Clock();
  readonly connection = new Connection();
  readonly router = new Router();
  readonly notices = new Notices();
  readonly terminal = new Terminal(versionOf(import.meta.url, navigator.userAgent));
  readonly api = new Api({
    language: () => i18n.locale,
    terminal: this.terminal,
    onSignedOut: () => this.#expire(),
    onRefused: (refusal) => this.#onRefused(refusal),
    onReach: (way, reached) => this.connection.note(way, reached, this.clock.now),
    onServerTime: (server, ours) => this.clock.compare(server, ours),
  });
  #me = $state.raw<SignedIn | null>(null);
  #asking = $state(true);
  #unreachable = $state(false);
  #signedOut = $state<SignedOutReason>('start');
  #board = $state.raw<Board | null>(null);
  #received = $state.raw<Received | null>(null);
  #chosen = $state.raw<Chosen>(defaultChosen);
  #standing = $state<TerminalStanding>('enrolled');
  #line: () => void = () => undefined;
  #locked = $state(false);
  #idleLimit = 15 * 60_000;
  readonly presence = new Presence({
    limit: () => this.#idleLimit,
    onThere: () => {
      if (this.#me && !this.#locked) {
        this.api.ask(stayAwakeMutation, {}).catch(() => undefined); // the screen locks early at worst
      }
    },
    onGone: () => void this.lock(),
  });

  /** Whether this browser is a terminal that the server answers. */
  get standing(): TerminalStanding {
    return this.#standing;
  }

  /** Who is signed in; null while nobody is, or it is not known yet. */
  get me(): SignedIn | null {
    return this.#me;
  }

  /** Whether it is being asked who is signed in. */
  get asking(): boolean {
    return this.#asking;
  }

  /** Whether that could not be asked. */
  get unreachable(): boolean {
    return this.#unreachable;
  }

  /** Whether the screen is locked. */
  get locked(): boolean {
    return this.#locked;
  }

  /** Why nobody is signed in. */
  get signedOut(): SignedOutReason {
    return this.#signedOut;
  }

  /** The board of supervisors and dispatchers; a manager has none (第5の2). */
  get board(): Board | null {
    return this.#board;
  }

  /** What other agencies show us: supervisors alone see it. */
  get received(): Received | null {
    return this.#received;
  }

  /** What the agency has chosen, as far as pages show it. */
  get chosen(): Chosen {
    return this.#chosen;
  }

  /** Reads what the agency has chosen; until then, and without an answer, it is as before. */
  async readSettings(): Promise<void> {
    try {
      const { settings } = await this.api.ask(chosenQuery, {});
      this.#chosen = chosenOf(settings);
      this.#idleLimit = settings.idleMinutes * 60_000;
    } catch {
      // The server holds to them, whatever this page knows.
    }
  }

  /** Begins; the answer ends everything. */
  start(): () => void {
    const stops = [this.clock.start(), this.router.start(), this.presence.start()];
    if (this.router.page.name !== 'outbox') {
      void this.identify();
    }
    return () => {
      stops.forEach((stop) => stop());
      this.#leave();
    };
  }

  /** Asks who is signed in. */
  async identify(): Promise<void> {
    this.#asking = true;
    this.#unreachable = false;
    try {
      const { me } = await this.api.ask(meQuery, {});
      this.#standing = 'enrolled';
      if (me?.user) {
        this.#idleLimit = me.idleLimit * 1000;
        this.enter({ agency: me.agency, user: me.user, reception: me.reception, terminal: me.terminal }, me.locked);
      }
    } catch (error) {
      this.#unreachable = error instanceof Unreachable;
    } finally {
      this.#asking = false;
    }
  }

  /** Somebody has signed in. */
  enter(me: SignedIn, locked = false): void {
    this.#leave();
    this.#me = me;
    if ((this.#locked = locked)) {
      return;
    }
    if (me.user.role === 'OPERATOR') {
      return; // no agency's: no settings, no board, no terminal of an agency
    }
    this.#line = this.#bePresent();
    void this.readSettings();
    if (me.user.role !== 'MANAGER' || me.reception) {
      this.#board = new Board(this.api, me.user, () => this.clock.now);
      this.#board.listen((event) => toldOf(event.entries, me.user.id).forEach((text) => this.notices.problem(text)));
      this.#board.listen((event) => {
        if (event.entries.some(({ type }) => type === 'SETTINGS_CHANGED')) {
          void this.readSettings();
        }
      });
      this.#board.start();
    }
    if (me.user.role === 'SUPERVISOR') {
      this.#received = new Received(this.api, (agency) => {
        const name = i18n.locale === 'ja' ? agency.nameJa : agency.nameEn;
        this.notices.problem(i18n.t.supervision.share.arrived(name));
      });
      this.#received.start();
    }
  }

  /** Locks the screen: what it showed is gone until it is unlocked. */
  async lock(): Promise<void> {
    if (!this.#me || this.#locked) {
      return;
    }
    try {
      await this.api.ask(lockScreenMutation, {}); // first: a reload must not open what was locked
    } catch {
      // The server locks by itself when its own time is over.
    } finally {
      if (this.#me?.user.role === 'OPERATOR') {
        this.#expire(); // the server signs an operator out instead
      } else {
        this.#showLock();
      }
    }
  }

  /** Signs out. The server clears what the browser keeps for us. */
  async signOut(): Promise<void> {
    try {
      await this.api.ask(signOutMutation, {});
      this.#signedOut = 'left';
      this.#leave();
    } catch (error) {
      this.notices.problem(this.sentence(error));
    }
  }

  /** What to tell the reader of an error. */
  sentence(error: unknown): string {
    if (error instanceof PasskeyFailure) {
      return i18n.t.passkey[error.why];
    }
    // The server's own sentences for these two speak to callers.
    if (error instanceof Refusal && error.reason === 'SESSION_ENDED') {
      return i18n.t.failed.sessionEnded;
    }
    if (error instanceof Refusal && error.reason === 'DISK_FULL') {
      return i18n.t.failed.diskFull;
    }
    if (error instanceof Refusal && error.message !== '') {
      return error.id && error.code === 'internal'
        ? `${error.message} (${i18n.t.failed.number(error.id)})`
        : error.message;
    }
    return error instanceof Unreachable ? i18n.t.failed.unreachable : i18n.t.failed.unknown;
  }

  #expire(): void {
    if (this.#me) {
      this.#signedOut = 'expired';
      this.#leave();
    }
  }

  /** Gives up a key that was revoked for good, so that this browser can be enrolled anew. */
  async forgetTerminal(): Promise<void> {
    await this.terminal.forget();
    this.#standing = 'unknown';
  }

  #onRefused(refusal: Refusal): void {
    const standing = standings[refusal.reason];
    if (standing) {
      this.#standing = standing;
      this.#leave();
      this.notices.all.forEach(({ id }) => this.notices.close(id)); // what they tell is for whoever was here
    } else if (refusal.reason === 'SCREEN_LOCKED') {
      this.#showLock();
    } else if (refusal.reason === 'FORBIDDEN' && this.#me?.reception) {
      void this.identify(); // the reception has ended
    }
  }

  /** Holds a line that says that this terminal is there, and hears at once when it may no more. */
  #bePresent(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stop: () => void = () => undefined;
    const open = (): void => {
      stop = this.api.subscribe(ownTerminalSubscription, {}, {
        next: () => undefined,
        failed: () => {
          timer = setTimeout(open, askAgain); // who has to leave has been told already, and stops it
        },
        closed: () => {
          timer = setTimeout(open, openAgain);
        },
      });
    };
    open();
    return () => {
      clearTimeout(timer);
      stop();
    };
  }

  #showLock(): void {
    const me = this.#me;
    if (me && !this.#locked) {
      this.enter(me, true);
    }
  }

  #leave(): void {
    this.#line();
    this.#line = () => undefined;
    this.#board?.stop();
    this.#board = null;
    this.#received?.stop();
    this.#received = null;
    this.#me = null;
    this.#locked = false;
    this.connection.forgetSocket();
    void this.api.close();
  }
}

/** The console of the page a component stands in. */
export const [useConsole, provideConsole] = createContext<Console>();
