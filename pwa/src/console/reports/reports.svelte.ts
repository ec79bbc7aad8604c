// The reports that wait for a supervisor (第4の1(1)), kept up to date by what the board tells.
import type { Api } from '$lib/api/client';
import type { ResultOf } from '$lib/api/graphql';
import type { BoardEvent } from '../board/board.svelte';
import { acknowledgeMutation, stopMutation, waitingReportsQuery } from './operations';

/** A report that waits. */
export type WaitingReport = ResultOf<typeof waitingReportsQuery>['sessions']['nodes'][number];

/** How many are read at once. */
const pageSize = 50;

/** What may change the list. */
const types = new Set(['VIDEO_REQUESTED', 'ADVANCE_REPORTED', 'REPORT_ACKNOWLEDGED', 'REPORT_STOPPED', 'LINK_ISSUED', 'SESSION_ENDED', 'SESSION_EXPIRED', 'LINK_REVOKED']);

/** The list of one supervisor. */
export class WaitingReports {
  readonly #api: Api;
  readonly #onError: (error: unknown) => void;
  #list = $state.raw<readonly WaitingReport[]>([]);
  #more = $state(false);
  #acting = $state.raw<ReadonlySet<string>>(new Set());
  #reads = 0;

  constructor(api: Api, onError: (error: unknown) => void) {
    this.#api = api;
    this.#onError = onError;
  }

  /** The reports, oldest first. */
  get list(): readonly WaitingReport[] {
    return this.#list;
  }

  /** Whether there are more than were read. */
  get more(): boolean {
    return this.#more;
  }

  /** Whether a report is being answered. */
  acting(id: string): boolean {
    return this.#acting.has(id);
  }

  /** Reads the list anew; an answer that another reading overtook is dropped. */
  async read(): Promise<void> {
    const read = ++this.#reads;
    try {
      const { sessions } = await this.#api.ask(waitingReportsQuery, { first: pageSize });
      if (read === this.#reads) {
        this.#list = sessions.nodes;
        this.#more = sessions.pageInfo.hasNextPage;
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Takes what happened on the board. */
  heard(event: BoardEvent): void {
    if (event.entries.some((entry) => types.has(entry.type))) {
      void this.read();
    }
  }

  /** Takes note of a report. */
  acknowledge(id: string): Promise<void> {
    return this.#answer(id, () => this.#api.ask(acknowledgeMutation, { input: { sessionID: id } }));
  }

  /** Forbids the video report. */
  stop(id: string, reason: string): Promise<void> {
    return this.#answer(id, () => this.#api.ask(stopMutation, { input: { sessionID: id, reason } }));
  }

  async #answer(id: string, ask: () => Promise<unknown>): Promise<void> {
    if (this.acting(id)) {
      return;
    }
    this.#acting = new Set([...this.#acting, id]);
    try {
      await ask();
      this.#list = this.#list.filter((report) => report.id !== id);
    } catch (error) {
      this.#onError(error);
      await this.read();
    } finally {
      this.#acting = new Set([...this.#acting].filter((one) => one !== id));
    }
  }
}
