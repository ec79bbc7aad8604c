// The agency's record, for audit: filtered by what stands in the address, read page by page.
import type { ResultOf, VariablesOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { usersQuery } from '../users/operations';
import { journalQuery } from './operations';

/** An entry with its hash. */
export type AuditEntry = ResultOf<typeof journalQuery>['journal']['nodes'][number];

/** A person the record can be filtered by. */
export type Person = ResultOf<typeof usersQuery>['users']['nodes'][number];

/** How many entries are read at once. */
const pageSize = 50;

/** How many people the filter offers. */
const people = 100;

/** What the record is filtered by, as it stands in the address. Days are Japan's. */
export interface JournalChoice {
  /** A person, a case, a video report or a file: everything by it and about it. */
  readonly follow: string;
  readonly actor: string;
  readonly caseID: string;
  readonly sessionID: string;
  readonly type: string;
  readonly since: string;
  readonly until: string;
}

const names = { follow: 'follow', actor: 'actor', caseID: 'case', sessionID: 'session', type: 'type', since: 'since', until: 'until' } as const;

/** The choice an address makes. */
export function choiceOf(search: URLSearchParams): JournalChoice {
  const read = (name: string): string => search.get(name) ?? '';
  return {
    follow: read(names.follow),
    actor: read(names.actor),
    caseID: read(names.caseID),
    sessionID: read(names.sessionID),
    type: read(names.type),
    since: read(names.since),
    until: read(names.until),
  };
}

/** The address of a choice: only what is chosen stands in it. */
export function searchOf(choice: JournalChoice): string {
  const search = new URLSearchParams();
  for (const [key, name] of Object.entries(names) as [keyof JournalChoice, string][]) {
    if (choice[key] !== '') {
      search.set(name, choice[key]);
    }
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

type Filter = NonNullable<VariablesOf<typeof journalQuery>['filter']>;

/** What the server is asked for a choice. The last day is whole. */
export function filterOf(choice: JournalChoice): Filter {
  const start = (day: string, later: number): string =>
    new Date(Date.parse(`${day}T00:00:00+09:00`) + later * 86_400_000).toISOString();
  return {
    ...(choice.follow === '' ? {} : { follow: choice.follow }),
    ...(choice.actor === '' ? {} : { actorID: choice.actor }),
    ...(choice.caseID === '' ? {} : { caseID: choice.caseID }),
    ...(choice.sessionID === '' ? {} : { sessionID: choice.sessionID }),
    ...(choice.type === '' ? {} : { types: [choice.type as NonNullable<Filter['types']>[number]] }),
    ...(choice.since === '' ? {} : { since: start(choice.since, 0) }),
    ...(choice.until === '' ? {} : { until: start(choice.until, 1) }),
  };
}

/** The state of the record's page. */
export class Journal {
  readonly #api: Api;
  #entries = $state.raw<readonly AuditEntry[] | null>(null);
  #people = $state.raw<readonly Person[]>([]);
  #end = $state<string | null>(null);
  #error = $state.raw<unknown>(null);
  #choice: JournalChoice | null = null;
  #reads = 0;

  constructor(api: Api) {
    this.#api = api;
  }

  /** The entries, newest first; null until they were read. */
  get entries(): readonly AuditEntry[] | null {
    return this.#entries;
  }

  /** The people to choose from. */
  get people(): readonly Person[] {
    return this.#people;
  }

  /** Whether older entries follow. */
  get hasMore(): boolean {
    return this.#end !== null;
  }

  /** Why it could not be read; null where it was. */
  get error(): unknown {
    return this.#error;
  }

  /** Reads the people to choose from. */
  async readPeople(): Promise<void> {
    try {
      const { users } = await this.#api.ask(usersQuery, { first: people, after: null });
      this.#people = users.nodes;
    } catch (error) {
      this.#error = error;
    }
  }

  /** Reads the newest entries of a choice. */
  async read(choice: JournalChoice): Promise<void> {
    this.#choice = choice;
    this.#entries = null;
    await this.#ask(null);
  }

  /** Reads the next older entries. */
  async more(): Promise<void> {
    await this.#ask(this.#end);
  }

  async #ask(after: string | null): Promise<void> {
    const read = ++this.#reads;
    const choice = this.#choice;
    if (!choice) {
      return;
    }
    try {
      const { journal } = await this.#api.ask(journalQuery, { first: pageSize, after, filter: filterOf(choice) });
      if (read === this.#reads) {
        this.#entries = after === null ? journal.nodes : [...(this.#entries ?? []), ...journal.nodes];
        this.#end = journal.pageInfo.hasNextPage ? journal.pageInfo.endCursor : null;
        this.#error = null;
      }
    } catch (error) {
      if (read === this.#reads) {
        this.#error = error;
      }
    }
  }
}
