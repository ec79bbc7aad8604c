// What the centre shows this officer's phone, for as long as it does. Nothing of it is kept on the phone.
import type { Operation } from '$lib/api/operation';
import type { Grant } from '$lib/live/connection';
import { Api } from '$lib/phone/api';
import { Feed } from '$lib/phone/feed';
import { type SharedReport, openMutation, sharedSubscription, watchMutation } from './operations';

/** How long to wait before the server is asked again after it refused, in ms: the phone proves its key meanwhile. */
const refusedPause = 5_000;

/** Keeps up with what is shown. */
export class Shared {
  readonly #api: Api;
  readonly #feed: Feed<{ sharesReceivedChanged: readonly SharedReport[] }>;
  #reports = $state.raw<readonly SharedReport[]>([]);
  #open = $state(false);
  #following = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(language: () => string) {
    this.#api = new Api('staff', language);
    this.#feed = new Feed({
      actor: 'staff',
      asked: sharedSubscription as Operation<{ sharesReceivedChanged: readonly SharedReport[] }, Record<string, never>>,
      language,
      onEvent: ({ sharesReceivedChanged: next }) => {
        if (next.some(({ id }) => !this.#reports.some((one) => one.id === id))) {
          navigator.vibrate?.(200);
        }
        this.#reports = next;
        this.#open &&= next.length > 0;
      },
      onLost: () => undefined,
      onRefused: () => {
        this.#reports = [];
        this.#timer = setTimeout(() => this.#following && this.#feed.start(), refusedPause);
      },
    });
  }

  /** Newest first. */
  get reports(): readonly SharedReport[] {
    return this.#reports;
  }

  /** Whether the officer looks. */
  get open(): boolean {
    return this.#open;
  }

  /** Follows while the phone is an issued one in use; nothing else is shown anything. */
  follow(wanted: boolean): void {
    if (wanted === this.#following) {
      return;
    }
    this.#following = wanted;
    clearTimeout(this.#timer);
    if (wanted) {
      this.#feed.start();
    } else {
      this.#feed.stop();
      this.#reports = [];
      this.#open = false;
    }
  }

  /** The network is back. */
  nudge(): void {
    this.#feed.nudge();
  }

  look(): void {
    this.#open = true;
  }

  leave(): void {
    this.#open = false;
  }

  /** Where to watch: one viewing, on record before its first byte. */
  async watch(shareID: string): Promise<Grant> {
    return (await this.#api.run(watchMutation, { input: { shareID } })).watchShare;
  }

  /** Where a file is shown: one viewing, on record before its first byte. */
  async file(shareID: string, mediaFileID: string): Promise<string> {
    return (await this.#api.run(openMutation, { input: { shareID, mediaFileID } })).openSharedMedia.url;
  }
}
