import { describe, expect, test } from 'vitest';
import { choiceOf, filterOf, searchOf } from './journal/journal.svelte';
import { partsOf } from './outbox/outbox.svelte';
import { pageOf, paths } from './router.svelte';
import { isRange, lastDays, rangeOf } from './statistics/statistics.svelte';
import { Timeline } from './timeline.svelte';

describe('addresses', () => {
  test.each([
    ['/console', { name: 'board' }],
    ['/console/', { name: 'board' }],
    [paths.case('a/b'), { name: 'case', id: 'a/b' }],
    [paths.session('s'), { name: 'session', id: 's' }],
    ['/console/statistics', { name: 'statistics' }],
    ['/console/terminals', { name: 'terminals' }],
    ['/console/terminals/a', { name: 'missing' }],
    ['/outbox', { name: 'outbox' }],
    [paths.inbox, { name: 'inbox' }],
    [paths.wall, { name: 'wall' }],
    [paths.duty, { name: 'duty' }],
    [paths.shared('s'), { name: 'shared', id: 's' }],
    ['/console/operations', { name: 'running', part: 'outages' }],
    [paths.running('training'), { name: 'running', part: 'training' }],
    ['/console/operations/else', { name: 'missing' }],
    ['/console/case', { name: 'missing' }],
    ['/console/case/a/b', { name: 'missing' }],
    ['/v', { name: 'missing' }],
  ])('%s', (path, page) => {
    expect(pageOf(path)).toEqual(page);
  });
});

describe('the record’s filter', () => {
  test('stands in the address as it was chosen', () => {
    const choice = choiceOf(new URLSearchParams('actor=u&type=CASE_OPENED&since=2026-11-23&until=2026-11-24'));
    expect(choiceOf(new URLSearchParams(searchOf(choice)))).toEqual(choice);
    expect(searchOf(choiceOf(new URLSearchParams('')))).toBe('');
  });

  test('asks for whole days of Japan', () => {
    const choice = choiceOf(new URLSearchParams('case=c&since=2026-11-23&until=2026-11-23'));
    expect(filterOf(choice)).toEqual({
      caseID: 'c',
      since: '2026-11-22T15:00:00.000Z',
      until: '2026-11-23T15:00:00.000Z',
    });
  });
});

describe('the statistics’ range', () => {
  const now = Date.parse('2026-11-23T16:00:00Z');

  test('counts days of Japan', () => {
    expect(lastDays(7, now)).toEqual({ from: '2026-11-18', to: '2026-11-24' });
  });

  test.each([
    ['2026-11-01', '2026-11-01', true],
    ['2026-11-02', '2026-11-01', false],
    ['2024-01-01', '2026-11-01', false],
    ['', '2026-11-01', false],
  ])('%s to %s: %s', (from, to, valid) => {
    expect(isRange({ from, to })).toBe(valid);
  });

  test('an address that names none means the last thirty days', () => {
    expect(rangeOf(new URLSearchParams('from=x'), now)).toEqual(lastDays(30, now));
  });
});

describe('a message of the outbox', () => {
  test('has our own link and no other', () => {
    const body = '開いてください http://localhost:1/v#abc と http://evil.example/v#abc';
    const links = partsOf(body, 'http://localhost:1').filter((part) => part.href !== null);
    expect(links.map((part) => part.href)).toEqual(['http://localhost:1/v#abc']);
    expect(partsOf(body, 'http://localhost:1').map((part) => part.text).join('')).toBe(body);
  });
});

describe('a timeline', () => {
  const entry = (number: number) =>
    ({
      number,
      at: '2026-11-23T00:00:00Z',
      actorKind: 'SYSTEM',
      actorID: '',
      actor: null,
      type: 'CASE_OPENED',
      subjectKind: 'CASE',
      subjectID: 'c',
      caseID: 'c',
      sessionID: null,
      payload: null,
    }) as const;
  const numbers = (timeline: Timeline): number[] => timeline.entries.map(({ number }) => number);
  const page = (nodes: number[], endCursor: string | null) => ({
    nodes: nodes.map(entry),
    pageInfo: { hasNextPage: endCursor !== null, endCursor },
  });

  test('holds each entry once, newest first', () => {
    const timeline = new Timeline();
    timeline.begin(page([5, 4], 'x'));
    timeline.add([entry(6), entry(5)]);
    timeline.older(page([3, 2], null));
    expect(numbers(timeline)).toEqual([6, 5, 4, 3, 2]);
    expect(timeline.end).toBeNull();
  });

  test('read anew it keeps the older pages it reaches, and drops what it does not reach', () => {
    const timeline = new Timeline();
    timeline.begin(page([5, 4], 'x'));
    timeline.older(page([3], 'y'));
    timeline.begin(page([6, 5], 'z'));
    expect(numbers(timeline)).toEqual([6, 5, 4, 3]);
    expect(timeline.end).toBe('y');
    timeline.begin(page([20, 19], 'w'));
    expect(numbers(timeline)).toEqual([20, 19]);
    expect(timeline.end).toBe('w');
  });
});
