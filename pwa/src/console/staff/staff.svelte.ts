// The officers, their links, the code and their reports, read again and again while they are shown.
import type { Api } from '$lib/api/client';
import type { ResultOf } from '$lib/api/graphql';
import { leakQuery, staffQuery, usageQuery } from './operations';

/** An officer as the list shows them. */
export type Member = ResultOf<typeof staffQuery>['staffMembers']['nodes'][number];

/** One of an officer's links. */
export type Link = Member['links'][number];

/** A usage report as the list shows it. */
export type Usage = ResultOf<typeof usageQuery>['usageReports']['nodes'][number];

/** A use that is still to be reported. */
export type Owed = ResultOf<typeof usageQuery>['owedUsage'][number];

/** A leak report as the list shows it. */
export type Leak = ResultOf<typeof leakQuery>['leakReports']['nodes'][number];

/** How often everything is read, in ms. */
const every = 4_000;

/** How many officers are read at once. */
const pageSize = 50;

/** Whether a link can still be revoked. */
export function lives(link: Pick<Link, 'state'>): boolean {
  return link.state === 'PENDING' || link.state === 'ACTIVE' || link.state === 'SUSPENDED';
}

/** A registration code in groups of four, as it is typed by hand. */
export function inGroups(code: string): string {
  return code.replace(/(.{4})(?=.)/g, '$1-');
}

/** The state of the staff page. */
export class Staff {
  readonly #api: Api;
  readonly #onError: (error: unknown) => void;
  readonly #leaks: boolean;
  #members = $state.raw<readonly Member[] | null>(null);
  #units = $state.raw<ResultOf<typeof staffQuery>['staffUnits']>([]);
  #code = $state.raw<ResultOf<typeof staffQuery>['staffCode']>(null);
  #usage = $state.raw<readonly Usage[]>([]);
  #owed = $state.raw<readonly Owed[]>([]);
  #leakReports = $state.raw<readonly Leak[]>([]);
  #unit = $state('');
  #size = $state(pageSize);
  #more = $state(false);
  #reads = 0;

  /** leaks: whether the reader may read leak reports. */
  constructor(api: Api, leaks: boolean, onError: (error: unknown) => void) {
    this.#api = api;
    this.#leaks = leaks;
    this.#onError = onError;
  }

  /** Reads until the answer is called. */
  start(): () => void {
    void this.read();
    const timer = setInterval(() => void this.read(true), every);
    return () => clearInterval(timer);
  }

  /** Null until they were read. */
  get members(): readonly Member[] | null {
    return this.#members;
  }

  get units(): ResultOf<typeof staffQuery>['staffUnits'] {
    return this.#units;
  }

  get code(): ResultOf<typeof staffQuery>['staffCode'] {
    return this.#code;
  }

  get usage(): readonly Usage[] {
    return this.#usage;
  }

  get owed(): readonly Owed[] {
    return this.#owed;
  }

  get leaks(): readonly Leak[] {
    return this.#leakReports;
  }

  /** The unit that is shown; empty for all. */
  get unit(): string {
    return this.#unit;
  }

  /** Whether there are officers beyond those shown. */
  get hasMore(): boolean {
    return this.#more;
  }

  /** Shows one unit, or all. */
  async choose(unit: string): Promise<void> {
    this.#unit = unit;
    this.#size = pageSize;
    await this.read();
  }

  /** Shows more officers: the server gives a hundred at most, and the reader narrows by unit beyond that. */
  async moreMembers(): Promise<void> {
    this.#size = 2 * pageSize;
    await this.read();
  }

  /** Reads everything anew; an answer that another reading overtook is dropped. quiet: a failure is not told. */
  async read(quiet = false): Promise<void> {
    const read = ++this.#reads;
    try {
      const [staff, usage, leaks] = await Promise.all([
        this.#api.ask(staffQuery, { first: this.#size, after: null, filter: this.#unit === '' ? null : { unit: this.#unit } }),
        this.#api.ask(usageQuery, {}),
        this.#leaks ? this.#api.ask(leakQuery, {}) : null,
      ]);
      if (read !== this.#reads) {
        return;
      }
      this.#members = staff.staffMembers.nodes;
      this.#more = staff.staffMembers.pageInfo.hasNextPage;
      this.#units = staff.staffUnits;
      this.#code = staff.staffCode;
      this.#usage = usage.usageReports.nodes;
      this.#owed = usage.owedUsage;
      this.#leakReports = leaks?.leakReports.nodes ?? [];
    } catch (error) {
      if (!quiet) {
        this.#onError(error);
      }
    }
  }

  /** Does something, and reads what came of it. Answers whether it was done. */
  async act(what: () => Promise<unknown>): Promise<boolean> {
    try {
      await what();
    } catch (error) {
      this.#onError(error);
      return false;
    }
    await this.read(true);
    return true;
  }
}
