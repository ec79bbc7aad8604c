// The one way a page keeps up with the server: rows and a cursor from one query, then everything after that cursor.
import { Refusal } from './refusal';
import type { Sink } from './client';

/** How a follower stands: reading the rows, keeping up, without a line, or refused for good. */
export type FollowState = 'loading' | 'current' | 'broken' | 'refused';

/** How long to wait before the next try, in ms, by the number of tries that failed in a row. */
const waits = [250, 500, 1_000, 2_000, 4_000, 8_000] as const;

/** What a follower needs to know. */
export interface FollowOptions<Event> {
  /** Reads the rows anew and answers the cursor they were read at. */
  readonly load: () => Promise<string>;
  /** Asks for everything after the cursor; the answer stops it. */
  readonly subscribe: (after: string, sink: Sink<Event>) => () => void;
  /** The cursor to go on from once the event is applied. */
  readonly cursorOf: (event: Event) => string;
  /** Puts the changed objects in place of those shown. */
  readonly apply: (event: Event) => void;
  readonly onState: (state: FollowState, refusal?: Refusal) => void;
  /** Waits so many ms, or less where the signal asks for it. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    });
  });
}

/** The reasons that cannot be mended by asking again. */
const lasting = ['unauthenticated', 'forbidden', 'not_found', 'invalid'];

/** The reasons for which the rows are read again. */
const stale = ['RESYNC', 'BAD_CURSOR'];

/**
 * Follows until the answer is called. Nothing is missed and nothing comes twice: after a broken line it goes on from
 * the last cursor; where the server says RESYNC it reads the rows again.
 */
export function follow<Event>(options: FollowOptions<Event>): () => void {
  const { load, subscribe, cursorOf, apply, onState, wait = waitFor } = options;
  const stopped = new AbortController();
  let cursor: string | undefined;
  let failures = 0;

  const listen = (after: string): Promise<Refusal | undefined> =>
    new Promise((done) => {
      let stop: () => void = () => undefined;
      const end = (refusal?: Refusal): void => {
        stopped.signal.removeEventListener('abort', cancel);
        done(refusal);
      };
      const cancel = (): void => {
        stop();
        end();
      };
      stopped.signal.addEventListener('abort', cancel);
      stop = subscribe(after, {
        next: (event) => {
          const at = cursorOf(event);
          if (stopped.signal.aborted || at === cursor) {
            return;
          }
          cursor = at;
          failures = 0;
          apply(event);
        },
        failed: end,
        closed: () => end(),
      });
    });

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      let refusal: Refusal | undefined;
      try {
        if (cursor === undefined) {
          onState('loading');
          cursor = await load();
        }
        if (stopped.signal.aborted) {
          return;
        }
        onState('current');
        refusal = await listen(cursor);
      } catch (error) {
        if (error instanceof Refusal) {
          refusal = error;
        }
      }
      if (stopped.signal.aborted) {
        return;
      }
      if (refusal && stale.includes(refusal.reason)) {
        cursor = undefined;
      } else if (refusal && lasting.includes(refusal.code)) {
        onState('refused', refusal);
        return;
      } else {
        onState('broken');
      }
      await wait(waits[Math.min(failures, waits.length - 1)] ?? 0, stopped.signal);
      failures += 1;
    }
  };
  void run();
  return () => stopped.abort();
}
