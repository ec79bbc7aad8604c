// One case: its facts as they are written down, its video reports, its record.
import type { ResultOf, VariablesOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { Refusal } from '$lib/api/refusal';
import type { Board } from '../board/board.svelte';
import { markDispatchedMutation, updateCaseMutation } from '../operations';
import { Timeline } from '../timeline.svelte';
import { caseQuery, caseTimelineQuery } from './operations';

/** A case as its page shows it. */
export type CaseDetails = NonNullable<ResultOf<typeof caseQuery>['case']>;

/** A fact that can be written at any time. */
export type Fact = 'place' | 'municipality' | 'notes';

/** The class of a case. */
export type CaseClass = CaseDetails['class'];

const facts: readonly Fact[] = ['place', 'municipality', 'notes'];

/** How long after the last key a fact is saved, in ms. */
const saveAfter = 800;

/** How a case page stands. */
export type CaseStanding = 'loading' | 'shown' | 'missing' | 'failed';

/** The state of a case page. */
export class CaseView {
  readonly id: string;
  readonly timeline = new Timeline();
  readonly #api: Api;
  readonly #onError: (error: unknown) => void;
  #details = $state.raw<CaseDetails | null>(null);
  #standing = $state<CaseStanding>('loading');
  #drafts = $state<Partial<Record<Fact, string>>>({});
  #saving = $state(0);
  #savedAt = $state<number | null>(null);
  #reading = false;
  #stale = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unlisten: (() => void) | undefined;

  constructor(id: string, api: Api, board: Board, onError: (error: unknown) => void) {
    this.id = id;
    this.#api = api;
    this.#onError = onError;
    this.#unlisten = board.listen((event) => {
      if (event.cases.some((row) => row.id === id) || event.entries.some((entry) => entry.caseID === id)) {
        void this.read();
      }
    });
    void this.read();
  }

  /** Saves what is written and stops keeping up. */
  stop(): void {
    this.#unlisten?.();
    this.#unlisten = undefined;
    void this.save();
  }

  get details(): CaseDetails | null {
    return this.#details;
  }

  get standing(): CaseStanding {
    return this.#standing;
  }

  /** saving, unsaved, saved, or nothing to say. */
  get saving(): 'saving' | 'unsaved' | 'saved' | null {
    if (this.#saving > 0) {
      return 'saving';
    }
    if (facts.some((fact) => this.#drafts[fact] !== undefined)) {
      return 'unsaved';
    }
    return this.#savedAt === null ? null : 'saved';
  }

  /** A fact as it stands in its field: what is being written, else what is stored. */
  fact(name: Fact): string {
    return this.#drafts[name] ?? this.#details?.[name] ?? '';
  }

  /** Writes a fact; it is saved shortly after. */
  write(name: Fact, value: string): void {
    this.#drafts[name] = value;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.save(), saveAfter);
  }

  /** Saves what is written now. */
  async save(): Promise<void> {
    clearTimeout(this.#timer);
    const drafts = { ...this.#drafts };
    if (Object.keys(drafts).length > 0) {
      await this.#update(drafts);
    }
  }

  /** Chooses the class. */
  async classify(value: CaseClass): Promise<void> {
    if (this.#details) {
      this.#details = { ...this.#details, class: value };
    }
    await this.#update({ class: value });
  }

  /** Marks that help was sent. It waits for nothing else. */
  async dispatched(): Promise<void> {
    if (this.#details?.dispatchedAt) {
      return;
    }
    try {
      const { markDispatched } = await this.#api.ask(markDispatchedMutation, { input: { caseID: this.id } });
      if (this.#details) {
        this.#details = { ...this.#details, ...markDispatched.case };
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Reads the case anew; called while it is being read, it is read once more after that. */
  async read(): Promise<void> {
    if (this.#reading) {
      this.#stale = true;
      return;
    }
    this.#reading = true;
    try {
      do {
        this.#stale = false;
        const answer = await this.#api.ask(caseQuery, { id: this.id });
        if (answer.case) {
          this.#details = answer.case;
          this.timeline.begin(answer.case.timeline);
        }
        this.#standing = answer.case ? 'shown' : 'missing';
      } while (this.#stale);
    } catch (error) {
      if (error instanceof Refusal && ['not_found', 'invalid'].includes(error.code)) {
        this.#standing = 'missing';
      } else if (!this.#details) {
        this.#standing = 'failed';
      }
    } finally {
      this.#reading = false;
    }
  }

  /** Reads older entries of the record. */
  async older(): Promise<void> {
    try {
      const answer = await this.#api.ask(caseTimelineQuery, { id: this.id, after: this.timeline.end });
      if (answer.case) {
        this.timeline.older(answer.case.timeline);
      }
    } catch (error) {
      this.#onError(error);
    }
  }

  async #update(change: Omit<VariablesOf<typeof updateCaseMutation>['input'], 'caseID'>): Promise<void> {
    this.#saving += 1;
    try {
      const { updateCase } = await this.#api.ask(updateCaseMutation, { input: { caseID: this.id, ...change } });
      if (this.#details) {
        this.#details = { ...this.#details, ...updateCase.case };
      }
      for (const fact of facts) {
        // What was typed meanwhile is not yet saved.
        if (this.#drafts[fact] === change[fact]) {
          delete this.#drafts[fact];
        }
      }
      this.#savedAt = Date.now();
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#saving -= 1;
    }
  }
}
