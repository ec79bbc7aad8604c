// Why somebody looks: asked once on a page, where the video report is a colleague's or has ended, and sent with each look.
import type { VariablesOf } from '$lib/api/graphql';
import type { openMediaMutation, watchMutation } from './operations';

/** Why a colleague's is looked at (第4の2). */
export type LookReason = NonNullable<VariablesOf<typeof watchMutation>['input']['reason']>;

/** What for (第6の3(1)). */
export type Purpose = NonNullable<VariablesOf<typeof openMediaMutation>['input']['purpose']>;

/** What is said of a look. */
export interface Look {
  readonly reason: LookReason | null;
  readonly purpose: Purpose;
  readonly law: string | null;
  readonly document: string | null;
}

/** What is asked now. */
export type Asking = 'reason' | 'purpose';

/** Asks what has to be asked before something is looked at. */
export class Looking {
  #asking = $state<Asking | null>(null);
  #reason: LookReason | null = null;
  #purpose: Omit<Look, 'reason'> | null = null;
  #answered: ((yes: boolean) => void) | undefined;

  /** What the reader is asked now; null: nothing. */
  get asking(): Asking | null {
    return this.#asking;
  }

  /** What was said so far. */
  get look(): Look {
    return {
      reason: this.#reason,
      ...(this.#purpose ?? { purpose: 'INITIAL_RESPONSE', law: null, document: null }),
    };
  }

  /** Answers whether to go on: everything that is needed was said, now or before. */
  async allow({ colleagues, ended }: { colleagues: boolean; ended: boolean }): Promise<boolean> {
    if (colleagues && this.#reason === null && !(await this.#ask('reason'))) {
      return false;
    }
    return !ended || this.#purpose !== null || (await this.#ask('purpose'));
  }

  /** The reason was chosen. */
  because(reason: LookReason): void {
    this.#reason = reason;
    this.#end(true);
  }

  /** The purpose was chosen. */
  for(purpose: Purpose, law = '', document = ''): void {
    this.#purpose = { purpose, law: law === '' ? null : law, document: document === '' ? null : document };
    this.#end(true);
  }

  /** Nothing was chosen: nothing is looked at. */
  leave(): void {
    this.#end(false);
  }

  #ask(what: Asking): Promise<boolean> {
    this.#answered?.(false);
    this.#asking = what;
    return new Promise((done) => {
      this.#answered = done;
    });
  }

  #end(yes: boolean): void {
    this.#asking = null;
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(yes);
  }
}
