// What stands on every page: read when somebody comes, when something of it changes, and each minute, since a pause
// ahead begins to be shown by time alone.
import type { ResultOf } from '$lib/api/graphql';
import type { Console } from '../console.svelte';
import { noticesQuery } from './operations';

/** One sentence that stands. */
export type Standing = ResultOf<typeof noticesQuery>['notices'][number];

/** How often it is read where nothing was told, in ms. */
const readAgain = 60_000;

let all = $state.raw<readonly Standing[]>([]);
let read: () => void = () => undefined;

/** What stands now. */
export const standing = {
  get all(): readonly Standing[] {
    return all;
  },
  /** Reads it anew: the reader has just changed something of it. */
  again(): void {
    read();
  },
};

/** Keeps it up to date while somebody is signed in. */
export function keepStanding(desk: Console): () => void {
  read = () => {
    desk.api.ask(noticesQuery, {}).then(
      ({ notices }) => {
        all = notices;
      },
      () => undefined, // the bar of the broken line says more; what stood goes on standing
    );
  };
  read();
  const timer = setInterval(() => read(), readAgain);
  const leave = desk.board?.listen((event) => {
    if (event.entries.some((entry) => /^(MAINTENANCE|OUTAGE)_/.test(entry.type))) {
      read();
    }
  });
  return () => {
    clearInterval(timer);
    leave?.();
    read = () => undefined;
    all = [];
  };
}

/** What a field of date and time says, as an instant: it is typed in Japan's time. */
export function instantOf(typed: string): string {
  return new Date(`${typed}:00+09:00`).toISOString();
}

/** An instant as a field of date and time shows it, in Japan's time. */
export function typedOf(at: number): string {
  return new Date(at + 9 * 3_600_000).toISOString().slice(0, 16);
}
