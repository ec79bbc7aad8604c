import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Fix, Position } from './Position.svelte';

let found: (position: unknown) => void;
let failed: (error: { code: number }) => void;
let cleared: number[];
let sent: Fix[];
let answer: () => Promise<unknown>;
let told: string[];
let position: Position;

beforeEach(() => {
  vi.useFakeTimers();
  cleared = [];
  sent = [];
  told = [];
  answer = () => Promise.resolve();
  vi.stubGlobal('navigator', {
    geolocation: {
      watchPosition: (ok: typeof found, no: typeof failed) => {
        found = ok;
        failed = no;
        return 7;
      },
      clearWatch: (watch: number) => cleared.push(watch),
    },
  });
  position = new Position({
    send: (fix) => {
      sent.push(fix);
      return answer();
    },
    onDenied: () => told.push('denied'),
    onFound: () => told.push('found'),
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const fix = (latitude: number): unknown => ({
  coords: { latitude, longitude: 139.7, accuracy: 12, altitude: null, heading: NaN, speed: 0 },
  timestamp: Date.UTC(2026, 10, 23),
});
const latitudes = (): number[] => sent.map(({ latitude }) => latitude);

test('a fix is reported as it is, without what the phone does not know', async () => {
  position.start();
  expect(position.state).toBe('asking');
  found(fix(35.6));
  expect(sent).toEqual([
    {
      latitude: 35.6,
      longitude: 139.7,
      accuracy: 12,
      altitude: null,
      heading: null,
      speed: 0,
      capturedAt: '2026-11-23T00:00:00.000Z',
    },
  ]);
  expect(position.state).toBe('on');
  expect(told).toEqual(['found']);
});

test('of many fixes in a second the newest is reported', async () => {
  position.start();
  for (const latitude of [1, 2, 3, 4]) {
    found(fix(latitude));
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(latitudes()).toEqual([1]);
  await vi.advanceTimersByTimeAsync(959);
  expect(latitudes()).toEqual([1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(latitudes()).toEqual([1, 4]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(latitudes()).toEqual([1, 4]);
});

test('on a slow network one report is on its way, and one waits', async () => {
  let arrive: () => void = () => undefined;
  answer = () => new Promise<void>((done) => (arrive = done));
  position.start();
  for (const latitude of [1, 2, 3]) {
    found(fix(latitude));
    await vi.advanceTimersByTimeAsync(2_000);
  }
  expect(latitudes()).toEqual([1]);
  arrive();
  await vi.advanceTimersByTimeAsync(0);
  expect(latitudes()).toEqual([1, 3]);
});

test('a report that fails is dropped', async () => {
  answer = () => Promise.reject(new Error('no network'));
  position.start();
  found(fix(1));
  await vi.advanceTimersByTimeAsync(1_000);
  found(fix(2));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(latitudes()).toEqual([1, 2]);
});

test('nothing is reported after stop', async () => {
  position.start();
  found(fix(1));
  found(fix(2));
  position.stop();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(latitudes()).toEqual([1]);
  expect(cleared).toEqual([7]);
  expect(position.state).toBe('off');
});

test('a no of the caller ends it and is told', () => {
  position.start();
  failed({ code: 1 });
  expect(position.state).toBe('denied');
  expect(told).toEqual(['denied']);
  expect(cleared).toEqual([7]);
});

test('a phone that finds nothing goes on searching', () => {
  position.start();
  failed({ code: 3 });
  expect(position.state).toBe('lost');
  found(fix(1));
  expect(position.state).toBe('on');
});

test('a browser without positions counts as a no', () => {
  vi.stubGlobal('navigator', {});
  position.start();
  expect(position.state).toBe('denied');
});
