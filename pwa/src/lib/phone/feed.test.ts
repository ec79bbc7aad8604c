import { operation } from '$lib/api/operation';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Feed } from './feed';

/** The browser's WebSocket, as far as the feed sees it. */
class Socket {
  static readonly OPEN = 1;
  static all: Socket[] = [];
  readyState = 0;
  said: { type: string; id?: string; payload?: unknown }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(
    readonly url: URL,
    readonly protocol: string,
  ) {
    Socket.all.push(this);
  }

  send(text: string): void {
    this.said.push(JSON.parse(text) as { type: string });
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  hear(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  fall(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

const asked = operation('subscription OwnSessionChanged { ownSessionChanged { id } }');
let events: string[];
let refused: string[];
let lost: number;
let feed: Feed<{ ownSessionChanged: { id: string } }>;

beforeEach(() => {
  vi.useFakeTimers();
  Socket.all = [];
  events = [];
  refused = [];
  lost = 0;
  vi.stubGlobal('WebSocket', Socket);
  vi.stubGlobal('location', { href: 'https://genba.example/v#secret' });
  feed = new Feed({
    actor: 'caller',
    asked,
    language: () => 'ja',
    onEvent: ({ ownSessionChanged }) => events.push(ownSessionChanged.id),
    onLost: () => lost++,
    onRefused: (reason) => refused.push(reason),
  });
});

afterEach(() => {
  feed.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const last = (): Socket => Socket.all.at(-1) as Socket;

function subscribed(): Socket {
  const socket = last();
  socket.open();
  socket.hear({ type: 'connection_ack' });
  return socket;
}

test('says who it is, subscribes and hands events over', () => {
  feed.start();
  const socket = subscribed();
  expect(socket.url.href).toBe('wss://genba.example/graphql');
  expect(socket.protocol).toBe('graphql-transport-ws');
  expect(socket.said).toEqual([
    { type: 'connection_init', payload: { 'Genba-Actor': 'caller', language: 'ja' } },
    { id: '1', type: 'subscribe', payload: { query: asked.text } },
  ]);
  socket.hear({ type: 'next', id: '1', payload: { data: { ownSessionChanged: { id: 'a' } } } });
  expect(events).toEqual(['a']);
});

test('the address it connects to holds no secret', () => {
  feed.start();
  expect(last().url.href).not.toContain('secret');
});

test('answers a ping', () => {
  feed.start();
  const socket = subscribed();
  socket.hear({ type: 'ping' });
  expect(socket.said.at(-1)).toEqual({ type: 'pong' });
});

test('connects again after a break, later each time, and at once on a nudge', async () => {
  feed.start();
  last().fall();
  await vi.advanceTimersByTimeAsync(499);
  expect(Socket.all).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(Socket.all).toHaveLength(2);
  last().fall();
  await vi.advanceTimersByTimeAsync(999);
  expect(Socket.all).toHaveLength(2);
  feed.nudge();
  expect(Socket.all).toHaveLength(3);
  subscribed().hear({ type: 'next', id: '1', payload: { data: { ownSessionChanged: { id: 'b' } } } });
  expect(events).toEqual(['b']);
});

test('tells that it keeps failing, until it works again', async () => {
  feed.start();
  last().fall();
  expect(lost).toBe(0);
  await vi.advanceTimersByTimeAsync(500);
  last().fall();
  await vi.advanceTimersByTimeAsync(1_000);
  last().fall();
  expect(lost).toBe(2);
  await vi.advanceTimersByTimeAsync(2_000);
  subscribed().hear({ type: 'next', id: '1', payload: { data: { ownSessionChanged: { id: 'a' } } } });
  last().fall();
  expect(lost).toBe(2);
});

test('a connection on which nothing comes is given up', async () => {
  feed.start();
  subscribed();
  await vi.advanceTimersByTimeAsync(12_000);
  expect(last().said.at(-1)).toEqual({ type: 'ping' });
  await vi.advanceTimersByTimeAsync(12_000 + 500);
  expect(Socket.all).toHaveLength(2);
});

test('a connection that answers is kept', async () => {
  feed.start();
  const socket = subscribed();
  for (let beat = 0; beat < 10; beat++) {
    await vi.advanceTimersByTimeAsync(12_000);
    socket.hear({ type: 'pong' });
  }
  expect(Socket.all).toHaveLength(1);
});

test.each([4401, 4403])('a refusal with %i is not repeated', async (code) => {
  feed.start();
  last().fall(code);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Socket.all).toHaveLength(1);
  expect(refused).toEqual(['']);
});

test('a refused subscription is not repeated', async () => {
  feed.start();
  subscribed().hear({
    type: 'error',
    id: '1',
    payload: [{ message: 'over', extensions: { code: 'GONE', reason: 'SESSION_ENDED' } }],
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Socket.all).toHaveLength(1);
  expect(refused).toEqual(['SESSION_ENDED']);
});

test('a busy server is asked again', async () => {
  feed.start();
  subscribed().hear({ type: 'error', id: '1', payload: [{ message: 'later', extensions: { code: 'UNAVAILABLE' } }] });
  await vi.advanceTimersByTimeAsync(500);
  expect(Socket.all).toHaveLength(2);
  expect(refused).toEqual([]);
});

test('nothing comes after stop', async () => {
  feed.start();
  const socket = subscribed();
  feed.stop();
  socket.hear({ type: 'next', id: '1', payload: { data: { ownSessionChanged: { id: 'a' } } } });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events).toEqual([]);
  expect(Socket.all).toHaveLength(1);
});
