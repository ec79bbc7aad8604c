import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Api, type Refusal } from './api';
import { Uploads } from './Uploads.svelte';

// The pages load the browser's half of the library; Node would take the other one.
vi.mock('tus-js-client', () => import('tus-js-client/lib.es5/browser/index.js' as 'tus-js-client'));

const chunk = 100;

interface Stored {
  readonly length: number;
  readonly bytes: number[];
}

/** A tus server behind the browser's XMLHttpRequest, with the faults that a test wants. */
const server = {
  files: new Map<string, Stored>(),
  log: [] as string[],
  /** Answers a request instead of the server: a status, 'lost' for no network, 'stall' for silence. */
  fault: (_request: { method: string; url: string; token: string }): number | 'lost' | 'stall' | undefined => undefined,
  body: '',
};

class Request {
  status = 0;
  responseText = '';
  upload: { onprogress?: (event: { lengthComputable: boolean; loaded: number }) => void } = {};
  onload: () => void = () => undefined;
  onerror: (error: Error) => void = () => undefined;
  #method = '';
  #url = '';
  #headers: Record<string, string> = {};
  #answer: Record<string, string> = {};
  #aborted = false;

  open(method: string, url: string): void {
    this.#method = method;
    this.#url = new URL(url).pathname;
  }

  setRequestHeader(name: string, value: string): void {
    this.#headers[name.toLowerCase()] = value;
  }

  getResponseHeader(name: string): string | null {
    return this.#answer[name.toLowerCase()] ?? null;
  }

  abort(): void {
    this.#aborted = true;
  }

  async send(body: Blob | null): Promise<void> {
    const bytes = body ? Array.from(new Uint8Array(await body.arrayBuffer())) : [];
    const token = (this.#headers.authorization ?? '').replace('Bearer ', '');
    server.log.push(`${this.#method} ${this.#url} ${token}`);
    const fault = server.fault({ method: this.#method, url: this.#url, token });
    if (this.#aborted || fault === 'stall') {
      return;
    }
    if (fault === 'lost') {
      this.onerror(new Error('no network'));
      return;
    }
    if (fault !== undefined) {
      this.status = fault;
      this.responseText = server.body;
      this.onload();
      return;
    }
    if (this.#method === 'POST') {
      const url = `/files/${server.files.size + 1}`;
      server.files.set(url, { length: Number(this.#headers['upload-length']), bytes: [] });
      this.status = 201;
      this.#answer = { location: url };
    } else {
      const file = server.files.get(this.#url);
      if (!file) {
        this.status = 404;
      } else {
        if (this.#method === 'PATCH') {
          expect(Number(this.#headers['upload-offset'])).toBe(file.bytes.length);
          file.bytes.push(...bytes);
          this.upload.onprogress?.({ lengthComputable: true, loaded: bytes.length });
        }
        this.status = this.#method === 'HEAD' ? 200 : 204;
        this.#answer = { 'upload-offset': String(file.bytes.length), 'upload-length': String(file.length) };
      }
    }
    this.onload();
  }
}

let begun: Record<string, unknown>[];
let refuseBegin: { code: string; reason: string; message: string } | 'lost' | undefined;
let refusals: string[];
let holds: boolean;
let uploads: Uploads;

// Loading takes real time, which no fake clock can wait for.
beforeAll(async () => {
  await import('./tus');
});

beforeEach(() => {
  vi.useFakeTimers();
  server.files.clear();
  server.log = [];
  server.fault = () => undefined;
  server.body = '';
  begun = [];
  refuseBegin = undefined;
  refusals = [];
  holds = false;
  vi.stubGlobal('location', { href: 'https://genba.example/v' });
  vi.stubGlobal('XMLHttpRequest', Request);
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    const { variables } = JSON.parse(String(init.body)) as { variables: { input: Record<string, unknown> } };
    if (refuseBegin === 'lost') {
      throw new TypeError('no network');
    }
    if (refuseBegin) {
      const { message, ...extensions } = refuseBegin;
      return Response.json({ data: null, errors: [{ message, extensions }] });
    }
    begun.push(variables.input);
    const id = variables.input.resume ?? `u${begun.length}`;
    return Response.json({ data: { beginUpload: { id, url: '/files/', token: `t${begun.length}`, chunk } } });
  });
  uploads = new Uploads(
    new Api('caller', () => 'en'),
    () => 'en',
    (error: Refusal) => {
      refusals.push(error.reason);
      return holds;
    },
  );
});

afterEach(() => {
  uploads.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function file(size: number, { name = 'a.jpg', type = 'image/jpeg', lastModified = Date.now() } = {}): File {
  return new File([Uint8Array.from({ length: size }, (_, at) => at % 251)], name, { type, lastModified });
}

/** Lets time pass until the condition holds, at most for so many ms of the phone's time. */
async function until(what: () => boolean, within = 60_000): Promise<void> {
  for (let passed = 0; !what() && passed < within; passed += 50) {
    await vi.advanceTimersByTimeAsync(50);
  }
  expect(what()).toBe(true);
}

const states = (): string[] => uploads.items.map(({ state }) => state);
const stored = (): number[] => [...server.files.values()].map(({ bytes }) => bytes.length);

describe('a file', () => {
  test('arrives whole, in pieces of the size the server wants', async () => {
    uploads.add([file(250)], true);
    expect(uploads.left).toBe(1);
    await until(() => uploads.left === 0);
    expect(states()).toEqual(['sent']);
    expect(uploads).toMatchObject({ arrived: 1, bytes: 250 });
    expect(server.files.get('/files/1')?.bytes).toEqual(Array.from({ length: 250 }, (_, at) => at % 251));
    expect(server.log).toEqual(['POST /files/ t1', 'PATCH /files/1 t1', 'PATCH /files/1 t1', 'PATCH /files/1 t1']);
    expect(begun).toEqual([{ kind: 'PHOTO', capture: 'NOW', size: 250, name: 'a.jpg' }]);
  });

  test('that was chosen or is older is said to be from before', async () => {
    uploads.add([file(1, { name: 'b.mp4', type: 'video/mp4' })], false);
    uploads.add([file(1, { lastModified: Date.now() - 6 * 60_000 })], true);
    await until(() => uploads.left === 0);
    expect(begun).toMatchObject([
      { kind: 'VIDEO', capture: 'BEFORE' },
      { kind: 'PHOTO', capture: 'BEFORE' },
    ]);
  });

  test('several go one after the other', async () => {
    uploads.add([file(150), file(150)], false);
    await until(() => uploads.left === 0);
    expect(server.log.map((line) => line.replace(/ t\d$/, ''))).toEqual([
      'POST /files/',
      'PATCH /files/1',
      'PATCH /files/1',
      'POST /files/',
      'PATCH /files/2',
      'PATCH /files/2',
    ]);
    expect(stored()).toEqual([150, 150]);
  });
});

describe('when the network', () => {
  test('goes in the middle, the file goes on where the server stands', async () => {
    let patches = 0;
    server.fault = ({ method }) => (method === 'PATCH' && ++patches === 2 ? 'lost' : undefined);
    uploads.add([file(250)], true);
    await until(() => states()[0] === 'paused');
    expect(uploads.left).toBe(1);
    await until(() => uploads.left === 0);
    expect(stored()).toEqual([250]);
    expect(server.log.filter((line) => line.startsWith('POST'))).toHaveLength(1);
    expect(server.log.filter((line) => line.startsWith('HEAD'))).toHaveLength(1);
  });

  test('falls silent, the attempt is given up and repeated', async () => {
    let patches = 0;
    server.fault = ({ method }) => (method === 'PATCH' && ++patches === 1 ? 'stall' : undefined);
    uploads.add([file(50)], true);
    await until(() => states()[0] === 'paused', 31_000);
    await until(() => uploads.left === 0);
    expect(stored()).toEqual([50]);
  });

  test('is away for long, nothing is lost, and a nudge goes on at once', async () => {
    refuseBegin = 'lost';
    uploads.add([file(50)], true);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(states()).toEqual(['paused']);
    refuseBegin = undefined;
    uploads.nudge();
    await until(() => uploads.left === 0, 100);
  });

  test.each([500, 503, 423, 429])('answers %i, the file is sent again', async (status) => {
    let patches = 0;
    server.fault = ({ method }) => (method === 'PATCH' && ++patches <= 2 ? status : undefined);
    uploads.add([file(50)], true);
    await until(() => uploads.left === 0);
    expect(stored()).toEqual([50]);
  });
});

describe('the bearer', () => {
  test('is renewed for the same upload when the server says that it is over', async () => {
    server.fault = ({ method, token }) => (method === 'PATCH' && token === 't1' ? 401 : undefined);
    uploads.add([file(50)], true);
    await until(() => uploads.left === 0);
    expect(begun).toMatchObject([{ size: 50 }, { resume: 'u1', size: 50 }]);
    expect(stored()).toEqual([50]);
  });

  test('is renewed before it runs out', async () => {
    let away = true;
    server.fault = ({ method }) => (method !== 'POST' && away ? 'lost' : undefined);
    uploads.add([file(50)], true);
    await vi.advanceTimersByTimeAsync(125_000);
    away = false;
    await until(() => uploads.left === 0);
    expect(begun.slice(1).every(({ resume }) => resume === 'u1')).toBe(true);
    expect(server.log.slice(-2)).toEqual(['HEAD /files/1 t2', 'PATCH /files/1 t2']);
  });
});

describe('a refusal', () => {
  test('about one file is shown with the server’s sentence, and the next file goes', async () => {
    server.body = JSON.stringify({ reason: 'UNSUPPORTED_TYPE', detail: 'Choose a photo or a video.' });
    server.fault = ({ method, url }) => (method === 'PATCH' && url === '/files/1' ? 415 : undefined);
    uploads.add([file(50), file(60)], false);
    await until(() => uploads.left === 0);
    expect(states()).toEqual(['refused', 'sent']);
    expect(uploads.items[0]?.message).toBe('Choose a photo or a video.');
    expect(refusals).toEqual(['UNSUPPORTED_TYPE']);
  });

  test('before the first byte is shown too', async () => {
    refuseBegin = { code: 'TOO_LARGE', reason: 'TOO_LARGE', message: 'Too large.' };
    uploads.add([file(50)], false);
    await until(() => uploads.left === 0);
    expect(states()).toEqual(['refused']);
    expect(uploads.items[0]?.message).toBe('Too large.');
  });

  test('to a phone that waits for the officer holds the file until the nudge', async () => {
    holds = true;
    refuseBegin = { code: 'FORBIDDEN', reason: 'PHONE_WAITING', message: 'Wait.' };
    uploads.add([file(50)], false);
    await until(() => states()[0] === 'held');
    await vi.advanceTimersByTimeAsync(600_000);
    expect(states()).toEqual(['held']);
    expect(refusals).toEqual(['PHONE_WAITING']);
    refuseBegin = undefined;
    uploads.nudge();
    await until(() => uploads.left === 0, 100);
    expect(states()).toEqual(['sent']);
  });

  test('because the upload is unknown begins another one', async () => {
    server.fault = ({ method, url }) => (method === 'PATCH' && url === '/files/1' ? 404 : undefined);
    uploads.add([file(50)], false);
    await until(() => uploads.left === 0);
    expect(begun).toHaveLength(2);
    expect(begun[1]).not.toHaveProperty('resume');
    expect(server.files.get('/files/2')?.bytes).toHaveLength(50);
  });
});

describe('after a restart of the app', () => {
  const taken = { id: 'u1', url: 'https://genba.example/files/1', capture: 'NOW' } as const;

  test('a file goes on with the upload that it had', async () => {
    server.files.set('/files/1', { length: 250, bytes: Array.from({ length: 100 }, (_, at) => at % 251) });
    uploads.add([file(250, { lastModified: Date.now() - 60 * 60_000 })], true, taken);
    await until(() => uploads.left === 0);
    expect(begun).toMatchObject([{ resume: 'u1', capture: 'NOW', size: 250 }]);
    expect(server.files.get('/files/1')?.bytes).toEqual(Array.from({ length: 250 }, (_, at) => at % 251));
    expect(server.log.filter((line) => line.startsWith('POST'))).toEqual([]);
  });

  test('it begins anew where the server knows that upload no more', async () => {
    uploads.add([file(50)], true, taken);
    await until(() => uploads.left === 0);
    expect(begun[1]).not.toHaveProperty('resume');
    expect(server.files.get('/files/1')?.bytes).toHaveLength(50);
  });
});

test('after stop nothing is sent any more', async () => {
  server.fault = ({ method }) => (method === 'PATCH' ? 'stall' : undefined);
  uploads.add([file(50), file(60)], false);
  await until(() => server.log.some((line) => line.startsWith('PATCH')));
  const requests = server.log.length;
  uploads.stop();
  expect(states()).toEqual(['stopped', 'stopped']);
  server.fault = () => undefined;
  uploads.nudge();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(server.log).toHaveLength(requests);
});
