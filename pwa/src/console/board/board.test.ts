import { describe, expect, test, vi } from 'vitest';
import type { Api, Sink } from '$lib/api/client';
import { Board, type BoardEvent, type BoardRow } from './board.svelte';

const start = Date.parse('2026-11-23T00:00:00Z');
const at = (seconds: number): string => new Date(start + seconds * 1_000).toISOString();

function row(id: string, openedAt: number, facts: Partial<BoardRow> = {}): BoardRow {
  return {
    id,
    number: `2026-${id}`,
    class: 'OTHER',
    municipality: '',
    place: '',
    drill: false,
    openedAt: at(openedAt),
    dispatchedAt: null,
    changedAt: at(openedAt),
    closedAt: null,
    sessions: [],
    ...facts,
  };
}

const event = (cases: BoardRow[], removed: string[] = []): BoardEvent => ({ cursor: 'c', entries: [], cases, removed });

/** A board whose server knows these cases, once it has read them. */
async function board(rows: BoardRow[]) {
  const filters: unknown[] = [];
  const known = { rows };
  const sinks: Sink<unknown>[] = [];
  const api = {
    ask: async (_: unknown, variables: { filter: unknown }) => {
      filters.push(variables.filter);
      return { cases: { cursor: 'c0', nodes: known.rows, pageInfo: { hasNextPage: false, endCursor: null } } };
    },
    subscribe: (_document: unknown, _variables: unknown, sink: Sink<unknown>) => {
      sinks.push(sink);
      return () => undefined;
    },
  } as unknown as Api;
  const me = { id: 'me', userName: 'me', displayName: 'Me', role: 'DISPATCHER' } as const;
  const it = new Board(api, me, () => start + 60_000);
  it.start();
  await vi.waitFor(() => expect(sinks).toHaveLength(1));
  const shown = (): string[] => it.rows.map(({ id }) => id);
  return { it, shown, filters, known };
}

describe('the board', () => {
  test('shows the newest case first', async () => {
    const { it, shown } = await board([row('a', 1), row('b', 2)]);
    expect(shown()).toEqual(['b', 'a']);
    it.apply(event([row('c', 3)]));
    expect(shown()).toEqual(['c', 'b', 'a']);
    it.stop();
  });

  test('nothing comes or moves while it is held, but its facts are the newest', async () => {
    const { it, shown } = await board([row('a', 1), row('b', 2)]);
    it.hold(true);
    it.apply(event([row('c', 3), row('d', 4), row('a', 1, { place: '中町' })]));
    expect(shown()).toEqual(['b', 'a']);
    expect(it.rows[1]?.place).toBe('中町');
    expect(it.updates).toBe(2);
    await it.update();
    expect(shown()).toEqual(['d', 'c', 'b', 'a']);
    expect(it.updates).toBe(0);
    it.stop();
  });

  test('letting go puts the rows in order', async () => {
    const { it, shown } = await board([row('a', 1)]);
    it.hold(true);
    it.apply(event([row('b', 2)]));
    it.hold(false);
    expect(shown()).toEqual(['b', 'a']);
    it.stop();
  });

  test('a closed case leaves, and so does one that is removed', async () => {
    const { it, shown } = await board([row('a', 1), row('b', 2), row('c', 3)]);
    it.apply(event([row('b', 2, { closedAt: at(9) })], ['c']));
    expect(shown()).toEqual(['a']);
    it.stop();
  });

  test('while searching, another case is announced and not shown', async () => {
    const { it, shown, filters, known } = await board([row('a', 1)]);
    await it.choose('all', '中町');
    expect(filters.at(-1)).toEqual({ text: '中町' });
    it.apply(event([row('b', 2)]));
    expect(shown()).toEqual(['a']);
    expect(it.updates).toBe(1);
    known.rows = [row('a', 1), row('b', 2)];
    await it.update();
    expect(shown()).toEqual(['b', 'a']);
    it.stop();
  });

  test('tells its listeners of every event until they leave', async () => {
    const { it } = await board([]);
    const heard: BoardEvent[] = [];
    const leave = it.listen((one) => heard.push(one));
    it.apply(event([row('a', 1)]));
    leave();
    it.apply(event([row('b', 2)]));
    expect(heard).toHaveLength(1);
    it.stop();
  });
});
