// The requests for exports, read again while the page is open.
import type { Api } from '$lib/api/client';
import type { ResultOf } from '$lib/api/graphql';
import { type exportFragment, exportsQuery } from './operations';

/** One request for an export. */
export type ExportRequest = ResultOf<typeof exportFragment>;

const pageSize = 50;
/** How often the list is read again, in ms. */
const readEvery = 5_000;

/** The list of requests. */
export class Exports {
  readonly #api: Api;
  #all = $state.raw<readonly ExportRequest[] | null>(null);
  #end = $state.raw<string | null>(null);
  #error = $state.raw<unknown>(null);

  constructor(api: Api) {
    this.#api = api;
  }

  /** Begins to read; the answer ends it. */
  start(): () => void {
    void this.read();
    const timer = setInterval(() => void this.read(), readEvery);
    return () => clearInterval(timer);
  }

  /** Every request read so far, newest first; null before the first answer. */
  get all(): readonly ExportRequest[] | null {
    return this.#all;
  }

  get hasMore(): boolean {
    return this.#end !== null;
  }

  get error(): unknown {
    return this.#error;
  }

  async read(): Promise<void> {
    await this.#read(null);
  }

  async more(): Promise<void> {
    await this.#read(this.#end);
  }

  /** Puts a request in its place, as it is now. */
  put(request: ExportRequest): void {
    this.#all = (this.#all ?? []).map((one) => (one.id === request.id ? request : one));
  }

  async #read(after: string | null): Promise<void> {
    try {
      const { exportRequests } = await this.#api.ask(exportsQuery, { first: pageSize, after });
      const { nodes } = exportRequests;
      this.#all = after === null ? nodes : [...(this.#all ?? []), ...nodes];
      this.#end = exportRequests.pageInfo.hasNextPage ? exportRequests.pageInfo.endCursor : null;
      this.#error = null;
    } catch (error) {
      this.#error = error;
    }
  }
}

/** Where a request stands in the page: what waits for the reader comes first. */
export function groupOf(request: ExportRequest): 'needsYou' | 'openOnes' | 'media' | 'closed' {
  if (request.mayDecide || request.mayWrite) {
    return 'needsYou';
  }
  switch (request.state) {
    case 'REQUESTED':
    case 'APPROVED':
      return 'openOnes';
    case 'WRITTEN':
    case 'RECEIPTED':
      return 'media';
    default:
      return 'closed';
  }
}
