import { describe, expect, test, vi } from 'vitest';
import type { Sink } from './client';
import { type FollowState, follow } from './follow';
import { Refusal, Unreachable } from './refusal';

interface Event {
  cursor: string;
  what: string;
}

/** A server whose subscriptions the test plays; every wait is over at once and written down. */
function server(load: () => Promise<string>) {
  const asked: string[] = [];
  const sinks: Sink<Event>[] = [];
  const applied: string[] = [];
  const states: FollowState[] = [];
  const waits: number[] = [];
  let stops = 0;
  const stop = follow<Event>({
    load,
    subscribe: (after, sink) => {
      asked.push(after);
      sinks.push(sink);
      return () => {
        stops += 1;
      };
    },
    cursorOf: (event) => event.cursor,
    apply: (event) => applied.push(event.what),
    onState: (state) => states.push(state),
    wait: async (ms) => {
      waits.push(ms);
    },
  });
  const subscribed = (count: number): Promise<void> => vi.waitFor(() => expect(asked).toHaveLength(count));
  return { asked, sinks, applied, states, waits, stop, subscribed, stops: () => stops };
}

describe('follow', () => {
  test('subscribes after the cursor the rows were read at', async () => {
    const it = server(async () => 'c1');
    await it.subscribed(1);
    expect(it.asked).toEqual(['c1']);
    expect(it.states).toEqual(['loading', 'current']);
    it.stop();
    expect(it.stops()).toBe(1);
  });

  test('a broken line goes on from the last cursor, without reading the rows again', async () => {
    const load = vi.fn(async () => 'c1');
    const it = server(load);
    await it.subscribed(1);
    it.sinks[0]?.next({ cursor: 'c2', what: 'two' });
    it.sinks[0]?.next({ cursor: 'c3', what: 'three' });
    it.sinks[0]?.closed();
    await it.subscribed(2);
    expect(it.asked).toEqual(['c1', 'c3']);
    expect(it.applied).toEqual(['two', 'three']);
    expect(load).toHaveBeenCalledTimes(1);
    expect(it.states).toEqual(['loading', 'current', 'broken', 'current']);
    it.stop();
  });

  test('an event that was applied is not applied again', async () => {
    const it = server(async () => 'c1');
    await it.subscribed(1);
    it.sinks[0]?.next({ cursor: 'c2', what: 'two' });
    it.sinks[0]?.next({ cursor: 'c2', what: 'two' });
    expect(it.applied).toEqual(['two']);
    it.stop();
  });

  test('RESYNC reads the rows again and subscribes from their cursor', async () => {
    const cursors = ['c1', 'c9'];
    const load = vi.fn(async () => cursors.shift() ?? '');
    const it = server(load);
    await it.subscribed(1);
    it.sinks[0]?.failed(new Refusal('', 'gone', 'RESYNC'));
    await it.subscribed(2);
    expect(it.asked).toEqual(['c1', 'c9']);
    expect(load).toHaveBeenCalledTimes(2);
    it.stop();
  });

  test('what cannot be mended is not tried again', async () => {
    const it = server(async () => 'c1');
    await it.subscribed(1);
    it.sinks[0]?.failed(new Refusal('', 'forbidden', 'FORBIDDEN'));
    await vi.waitFor(() => expect(it.states.at(-1)).toBe('refused'));
    expect(it.asked).toHaveLength(1);
  });

  test('tries further and further apart, and soon again after an event', async () => {
    let fails = 3;
    const it = server(async () => {
      if (fails-- > 0) {
        throw new Unreachable('no line');
      }
      return 'c1';
    });
    await it.subscribed(1);
    expect(it.waits).toEqual([250, 500, 1_000]);
    it.sinks[0]?.next({ cursor: 'c2', what: 'two' });
    it.sinks[0]?.closed();
    await it.subscribed(2);
    expect(it.waits.at(-1)).toBe(250);
    it.stop();
  });

  test('nothing is applied after it was stopped', async () => {
    const it = server(async () => 'c1');
    await it.subscribed(1);
    it.stop();
    it.sinks[0]?.next({ cursor: 'c2', what: 'two' });
    expect(it.applied).toEqual([]);
  });
});
