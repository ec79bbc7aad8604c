// The live board: its rows, their order, and what is held back so that nothing moves under the pointer.
import type { ResultOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { follow, type FollowState } from '$lib/api/follow';
import { type Need, boardOrder, needOf } from '$lib/domain/needs';
import type { SignedIn } from '../console.svelte';
import { boardQuery, boardSubscription, openCaseMutation } from './operations';

/** A case as the board shows it. */
export type BoardRow = ResultOf<typeof boardQuery>['cases']['nodes'][number];

/** A video report as the board shows it. */
export type BoardSession = BoardRow['sessions'][number];

/** What the server tells of a change. */
export type BoardEvent = ResultOf<typeof boardSubscription>['caseBoardChanged'];

/** Which cases are shown. */
export type Scope = 'open' | 'all';

/** How many cases are read at once. */
const pageSize = 40;

type StallReason = NonNullable<BoardSession['stall']>;

/** The board of one user. It keeps up for as long as that user is signed in, whatever page is shown. */
export class Board {
  readonly #api: Api;
  readonly #me: SignedIn['user'];
  readonly #now: () => number;
  readonly #listeners = new Set<(event: BoardEvent) => void>();
  #rows = $state.raw<ReadonlyMap<string, BoardRow>>(new Map());
  #shown = $state.raw<readonly string[]>([]);
  #wanted = $derived.by(() =>
    boardOrder([...this.#rows.values()], this.#me.id, this.#now(), this.#me.role === 'SUPERVISOR'),
  );
  #held = $state(false);
  #state = $state<FollowState>('loading');
  #loaded = $state(false);
  #scope = $state<Scope>('open');
  #text = $state('');
  #end = $state<string | null>(null);
  #outside = $state(0);
  #stop: (() => void) | undefined;
  #reads = 0;

  constructor(api: Api, me: SignedIn['user'], now: () => number) {
    this.#api = api;
    this.#me = me;
    this.#now = now;
  }

  /** Begins to keep up. */
  start(): void {
    this.#stop?.();
    this.#stop = follow<ResultOf<typeof boardSubscription>>({
      load: () => this.#load(),
      subscribe: (after, sink) => this.#api.subscribe(boardSubscription, { after }, sink),
      cursorOf: (event) => event.caseBoardChanged.cursor,
      apply: (event) => this.apply(event.caseBoardChanged),
      onState: (state) => {
        this.#state = state;
      },
    });
  }

  /** Stops keeping up. */
  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** Tells of every change until the answer is called. */
  listen(listener: (event: BoardEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How it stands with the server. */
  get state(): FollowState {
    return this.#state;
  }

  /** Whether rows have been read once. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** The rows in the order they are shown. Their facts are always the newest; their order may be held. */
  get rows(): BoardRow[] {
    return this.#shown.flatMap((id) => {
      const row = this.#rows.get(id);
      return row ? [row] : [];
    });
  }

  /** How many rows would come, go or move if the order were not held. */
  get updates(): number {
    const shown = this.#shown.filter((id) => this.#rows.has(id));
    const moved = this.#wanted.filter((id, index) => shown[index] !== id).length;
    return (moved > 0 ? Math.max(1, this.#wanted.filter((id) => !shown.includes(id)).length) : 0) + this.#outside;
  }

  /** How many cases need the reader now. */
  get attention(): number {
    return [...this.#rows.values()].filter((row) => {
      const need = this.need(row);
      return need && (need.mine || this.#me.role === 'SUPERVISOR');
    }).length;
  }

  get scope(): Scope {
    return this.#scope;
  }

  get text(): string {
    return this.#text;
  }

  /** Whether there are cases beyond those read. */
  get hasMore(): boolean {
    return this.#end !== null;
  }

  /** What a case needs most. */
  need(row: BoardRow): Need<StallReason> | null {
    return needOf<StallReason>(row, this.#me.id, this.#now());
  }

  /** Whether the reader looks after a need. */
  isMine(need: Need): boolean {
    return need.mine || this.#me.role === 'SUPERVISOR';
  }

  /** Holds the order while the pointer or the focus is on the rows. */
  hold(held: boolean): void {
    this.#held = held;
    this.settle();
  }

  /** Puts the rows in their order unless it is held. Called as time passes, because waiting makes urgent. */
  settle(): void {
    if (!this.#held && this.#outside === 0) {
      this.#shown = this.#wanted;
    }
  }

  /** Puts the rows in their order, held or not. */
  async update(): Promise<void> {
    if (this.#outside > 0) {
      await this.#read();
    }
    this.#shown = this.#wanted;
  }

  /** Shows other cases: open or all, those with a text. */
  async choose(scope: Scope, text: string): Promise<void> {
    this.#scope = scope;
    this.#text = text;
    await this.#read();
    this.#shown = this.#wanted;
  }

  /** Reads the next cases. */
  async more(): Promise<void> {
    const after = this.#end;
    if (after === null) {
      return;
    }
    const { cases } = await this.#ask(after);
    const rows = new Map(this.#rows);
    for (const row of cases.nodes) {
      rows.set(row.id, row);
    }
    this.#rows = rows;
    this.#end = cases.pageInfo.hasNextPage ? cases.pageInfo.endCursor : null;
    this.#shown = this.#wanted;
  }

  /** Opens a case at once; everything is filled in later. */
  async open(): Promise<string> {
    const { openCase } = await this.#api.ask(openCaseMutation, { input: {} });
    this.#put([openCase.case]);
    return openCase.case.id;
  }

  /** Puts changed cases in place of those shown. */
  apply(event: BoardEvent): void {
    const whole = this.#text === '';
    const known = event.cases.filter((row) => whole || this.#rows.has(row.id));
    this.#outside += event.cases.length - known.length;
    this.#put(known, this.#scope === 'open' ? event.removed : []);
    this.#listeners.forEach((listener) => listener(event));
  }

  #put(changed: readonly BoardRow[], removed: readonly string[] = []): void {
    const rows = new Map(this.#rows);
    for (const row of changed) {
      if (this.#scope === 'open' && row.closedAt) {
        rows.delete(row.id);
      } else {
        rows.set(row.id, row);
      }
    }
    for (const id of removed) {
      rows.delete(id);
    }
    this.#rows = rows;
    this.settle();
  }

  async #load(): Promise<string> {
    const cursor = await this.#read();
    this.settle();
    return cursor;
  }

  /** Reads the rows anew; an answer that another reading overtook is dropped. */
  async #read(): Promise<string> {
    const read = ++this.#reads;
    const { cases } = await this.#ask(null);
    if (read === this.#reads) {
      this.#rows = new Map(cases.nodes.map((row) => [row.id, row]));
      this.#end = cases.pageInfo.hasNextPage ? cases.pageInfo.endCursor : null;
      this.#outside = 0;
      this.#loaded = true;
    }
    return cases.cursor;
  }

  #ask(after: string | null): Promise<ResultOf<typeof boardQuery>> {
    return this.#api.ask(boardQuery, {
      first: pageSize,
      after,
      filter: {
        ...(this.#scope === 'open' ? { open: true } : {}),
        ...(this.#text === '' ? {} : { text: this.#text }),
      },
      sort: 'CHANGED_NEWEST',
    });
  }
}
