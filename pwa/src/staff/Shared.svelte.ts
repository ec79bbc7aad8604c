import type { Locale } from '$lib/i18n.svelte';
import { type Api, Refusal, passes } from '$lib/phone/api';
import { Feed } from '$lib/phone/feed';
import type { LiveState } from '$lib/live/connection';
import { WhepViewer } from '$lib/live/whep';
import { type SharedReport, openFileMutation, sharedQuery, sharedSubscription, watchMutation } from './operations';

/** What the centre shows to this phone: it can be looked at for a while, and is kept nowhere. */
export class Shared {
  readonly #api: Api;
  readonly #language: () => Locale;
  readonly #onRefused: (error: unknown) => boolean;
  readonly #feed: Feed<{ sharesReceivedChanged: SharedReport[] }>;
  #reports = $state.raw<readonly SharedReport[]>([]);
  #open = $state('');
  #stream = $state.raw<MediaStream>();
  #state = $state<LiveState>('stopped');
  #file = $state.raw<{ id: string; url: string }>();
  #problem = $state('');
  #viewer: WhepViewer | undefined;

  constructor(api: Api, language: () => Locale, onRefused: (error: unknown) => boolean) {
    this.#api = api;
    this.#language = language;
    this.#onRefused = onRefused;
    this.#feed = new Feed({
      actor: 'staff',
      asked: sharedSubscription,
      language,
      onEvent: ({ sharesReceivedChanged }) => this.#changed(sharesReceivedChanged),
      onLost: () => void this.#look(),
      // The phone's own view says what has become of it.
      onRefused: () => this.#changed([]),
    });
  }

  /** What is shown now, newest first. */
  get reports(): readonly SharedReport[] {
    return this.#reports;
  }

  /** The one that is looked at; undefined where the list is, or where it ended. */
  get report(): SharedReport | undefined {
    return this.#reports.find(({ id }) => id === this.#open);
  }

  /** Whether one was opened, shown still or not. */
  get opened(): boolean {
    return this.#open !== '';
  }

  /** Live video that is watched; undefined before its first picture. */
  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  /** How the way from the centre stands. */
  get state(): LiveState {
    return this.#state;
  }

  /** The file that is looked at. */
  get file(): { readonly id: string; readonly url: string } | undefined {
    return this.#file;
  }

  /** The server's sentence, where it refused a look. */
  get problem(): string {
    return this.#problem;
  }

  /** Follows what is shown, or forgets it. */
  follow(on: boolean): void {
    if (on) {
      this.#feed.start();
    } else {
      this.#feed.stop();
      this.#changed([]);
    }
  }

  /** The network is back. */
  nudge(): void {
    this.#feed.nudge();
    this.#viewer?.nudge();
  }

  /** Opens one of them. */
  open(id: string): void {
    this.#open = id;
    this.#problem = '';
  }

  /** Back to the list, and everything is off. */
  close(): void {
    this.unwatch();
    this.#open = '';
    this.#file = undefined;
  }

  /** Watches its live video. */
  watch(): void {
    const shareID = this.#open;
    this.#file = undefined;
    this.#problem = '';
    this.#viewer ??= new WhepViewer({
      grant: async () => (await this.#api.run(watchMutation, { input: { shareID } })).watchShare,
      final: (error) => error instanceof Refusal && error.code !== 'UNAUTHENTICATED' && !passes(error),
      language: this.#language(),
      onStream: (stream) => (this.#stream = stream),
      onState: (state, error) => {
        this.#state = state;
        if (state === 'refused') {
          this.unwatch();
          this.#refused(error);
        }
      },
    });
    this.#viewer.start();
  }

  /** Watches no more. */
  unwatch(): void {
    this.#viewer?.stop();
    this.#viewer = undefined;
    this.#stream = undefined;
    this.#state = 'stopped';
  }

  /** Looks at one file. */
  async look(mediaFileID: string): Promise<void> {
    this.unwatch();
    this.#problem = '';
    const shareID = this.#open;
    try {
      const { openSharedMedia } = await this.#api.run(openFileMutation, { input: { shareID, mediaFileID } });
      if (this.#open === shareID) {
        this.#file = { id: mediaFileID, url: openSharedMedia.url };
      }
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(error: unknown): void {
    if (!this.#onRefused(error) && error instanceof Error && error.name !== 'Unreachable') {
      this.#problem = error.message;
    }
  }

  async #look(): Promise<void> {
    try {
      this.#changed((await this.#api.run(sharedQuery, {})).sharesReceived);
    } catch (error) {
      this.#onRefused(error);
    }
  }

  #changed(reports: readonly SharedReport[]): void {
    this.#reports = reports;
    const now = this.report;
    if (this.#open && !now) {
      this.unwatch();
      this.#file = undefined;
    } else if (this.#viewer && now && !now.live) {
      this.unwatch();
    }
  }
}
