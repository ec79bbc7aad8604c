// What other agencies show us, for as long as a supervisor is signed in.
import type { ResultOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { sharesReceivedSubscription, type sharedReportFragment } from './operations';

/** One video report of another agency. */
export type SharedReport = ResultOf<typeof sharedReportFragment>;

/** How long to wait before asking again after the line broke, in ms. */
const again = 2_000;

/** Keeps up with what is given. */
export class Received {
  readonly #api: Api;
  readonly #onArrival: (agency: SharedReport['agency']) => void;
  #reports = $state.raw<readonly SharedReport[] | null>(null);
  #stop: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api, onArrival: (agency: SharedReport['agency']) => void) {
    this.#api = api;
    this.#onArrival = onArrival;
  }

  /** Newest first; null until it is known. */
  get reports(): readonly SharedReport[] | null {
    return this.#reports;
  }

  /** Begins to keep up. */
  start(): void {
    const retry = (): void => {
      this.#stop = undefined;
      this.#timer = setTimeout(() => this.start(), again);
    };
    this.#stop = this.#api.subscribe(sharesReceivedSubscription, {}, {
      next: ({ sharesReceivedChanged: next }) => {
        const known = this.#reports && new Set(this.#reports.map(({ id }) => id));
        this.#reports = next;
        if (known) {
          next.filter(({ id }) => !known.has(id)).forEach(({ agency }) => this.#onArrival(agency));
        }
      },
      failed: retry,
      closed: retry,
    });
  }

  /** Stops keeping up. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#stop?.();
  }
}
