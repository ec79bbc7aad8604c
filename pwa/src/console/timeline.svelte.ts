// The record of a case or a video report, newest first.
import type { ResultOf } from '$lib/api/graphql';
import type { entryFragment } from './operations';

/** One entry of the record. */
export type Entry = ResultOf<typeof entryFragment>;

/** A page of entries as a connection answers it. */
export interface EntryPage {
  readonly nodes: readonly Entry[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

/** Entries, newest first, each once. */
export class Timeline {
  #entries = $state.raw<readonly Entry[]>([]);
  #end = $state<string | null>(null);

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Where older entries follow; null where there are none. */
  get end(): string | null {
    return this.#end;
  }

  /** Begins anew with the newest page. Older pages that were read stay. */
  begin(page: EntryPage): void {
    const reaches = this.#entries.some((entry) => page.nodes.some((node) => node.number === entry.number));
    const kept = reaches ? this.#entries : [];
    this.#entries = merged(kept, page.nodes);
    if (kept.length === 0) {
      this.#end = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    }
  }

  /** Adds what has just happened. */
  add(entries: readonly Entry[]): void {
    this.#entries = merged(this.#entries, entries);
  }

  /** Adds an older page. */
  older(page: EntryPage): void {
    this.#entries = merged(this.#entries, page.nodes);
    this.#end = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  }
}

function merged(one: readonly Entry[], other: readonly Entry[]): Entry[] {
  const byNumber = new Map([...one, ...other].map((entry) => [entry.number, entry]));
  return [...byNumber.values()].sort((a, b) => b.number - a.number);
}
