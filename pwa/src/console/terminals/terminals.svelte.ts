// The agency's terminals as they stand now, and what is done with them.
import type { DocumentInput } from '@urql/core';
import type { Api } from '$lib/api/client';
import type { ResultOf } from '$lib/api/graphql';
import {
  issueCodeMutation,
  placeMutation,
  reinstateMutation,
  reportMutation,
  revokeMutation,
  suspendMutation,
  terminalsSubscription,
} from './operations';

/** One terminal. */
export type TerminalRow = ResultOf<typeof terminalsSubscription>['terminalsChanged']['terminals'][number];

/** The kinds of terminal, as the manager chooses one. */
export const terminalKinds = ['TABLET', 'NOTEBOOK', 'ADMIN'] as const;
export type TerminalKind = (typeof terminalKinds)[number];

/** What a supervisor or a manager does with a terminal. */
export type TerminalAct = 'place' | 'suspend' | 'lost' | 'faulty' | 'reinstate' | 'revoke';

/** A code that was just issued; the server shows it this once. */
export interface IssuedCode {
  readonly number: string;
  readonly code: string;
  readonly expiresAt: string;
}

/** How long until a line that broke is opened again, in ms. */
const openAgain = 2_000;

/** The list of terminals, live. */
export class Terminals {
  readonly #api: Api;
  #rows = $state.raw<readonly TerminalRow[] | null>(null);
  #refused = $state(false);

  constructor(api: Api) {
    this.#api = api;
  }

  /** The terminals, those in use first; null until they are known. */
  get rows(): readonly TerminalRow[] | null {
    return this.#rows;
  }

  /** Whether the server does not show them. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Follows them until the answer is called. */
  start(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stop: () => void = () => undefined;
    const open = (): void => {
      stop = this.#api.subscribe(terminalsSubscription, {}, {
        next: ({ terminalsChanged }) => {
          this.#rows = terminalsChanged.terminals;
        },
        failed: () => {
          this.#refused = true;
        },
        closed: () => {
          timer = setTimeout(open, openAgain);
        },
      });
    };
    open();
    return () => {
      clearTimeout(timer);
      stop();
    };
  }

  /** Asks for a code by which a new browser becomes a terminal. */
  async issue(kind: TerminalKind, number: string, place: string): Promise<IssuedCode> {
    const { issueTerminalCode } = await this.#api.ask(issueCodeMutation, { input: { kind, number, place } });
    return { number, ...issueTerminalCode };
  }

  /** Does something with a terminal. text: why, or where it stands now. */
  async act(act: TerminalAct, { id }: TerminalRow, text: string, number: string): Promise<void> {
    const ask = <Data, Variables>(document: DocumentInput<Data, Variables>, variables: Variables): Promise<Data> =>
      this.#api.ask(document, variables);
    switch (act) {
      case 'place':
        await ask(placeMutation, { input: { terminalID: id, number, place: text } });
        break;
      case 'suspend':
        await ask(suspendMutation, { input: { terminalID: id, reason: text } });
        break;
      case 'lost':
      case 'faulty':
        await ask(reportMutation, { input: { terminalID: id, fault: act === 'lost' ? 'LOST' : 'FAULTY', note: text } });
        break;
      case 'reinstate':
        await ask(reinstateMutation, { input: { terminalID: id } });
        break;
      case 'revoke':
        await ask(revokeMutation, { input: { terminalID: id, reason: text } });
    }
  }
}

/** What may be done with a terminal now, by whom. */
export function actsOn(row: TerminalRow, role: 'MANAGER' | 'SUPERVISOR' | 'DISPATCHER' | 'OPERATOR'): readonly TerminalAct[] {
  if (row.state === 'REVOKED' || role === 'DISPATCHER' || role === 'OPERATOR') {
    return [];
  }
  if (role === 'SUPERVISOR') {
    return row.state === 'SUSPENDED' ? ['place', 'lost', 'faulty'] : ['place', 'suspend', 'lost', 'faulty'];
  }
  return row.state === 'SUSPENDED' || row.fault ? ['reinstate', 'revoke'] : ['revoke'];
}
