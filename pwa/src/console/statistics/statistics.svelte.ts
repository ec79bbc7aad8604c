// Counts of a range of days (第9). The range stands in the address.
import type { ResultOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { statisticsQuery } from './operations';

/** The counts of a range. */
export type Counts = ResultOf<typeof statisticsQuery>['statistics'];

/** Days of Japan's calendar, YYYY-MM-DD, both included. */
export interface Range {
  readonly from: string;
  readonly to: string;
}

/** The longest range, in days. */
export const longest = 800;

const dayLength = 86_400_000;

/** The day in Japan at a moment. */
export function dayAt(now: number): string {
  return new Date(now + 9 * 3_600_000).toISOString().slice(0, 10);
}

/** The last so many days up to a moment. */
export function lastDays(days: number, now: number): Range {
  return { from: dayAt(now - (days - 1) * dayLength), to: dayAt(now) };
}

/** Whether a range can be asked for. */
export function isRange({ from, to }: Range): boolean {
  const days = (Date.parse(to) - Date.parse(from)) / dayLength;
  return /^\d{4}-\d\d-\d\d$/.test(from) && /^\d{4}-\d\d-\d\d$/.test(to) && days >= 0 && days < longest;
}

/** The range an address names; the last thirty days where it names none. */
export function rangeOf(search: URLSearchParams, now: number): Range {
  const range = { from: search.get('from') ?? '', to: search.get('to') ?? '' };
  return isRange(range) ? range : lastDays(30, now);
}

/** The state of the statistics page. */
export class StatisticsView {
  readonly #api: Api;
  #counts = $state.raw<Counts | null>(null);
  #error = $state.raw<unknown>(null);
  #reads = 0;

  constructor(api: Api) {
    this.#api = api;
  }

  get counts(): Counts | null {
    return this.#counts;
  }

  /** Why they could not be read; null where they were. */
  get error(): unknown {
    return this.#error;
  }

  /** Reads the counts of a range. */
  async read(range: Range): Promise<void> {
    const read = ++this.#reads;
    this.#counts = null;
    this.#error = null;
    try {
      const { statistics } = await this.#api.ask(statisticsQuery, range);
      if (read === this.#reads) {
        this.#counts = statistics;
      }
    } catch (error) {
      if (read === this.#reads) {
        this.#error = error;
      }
    }
  }
}
