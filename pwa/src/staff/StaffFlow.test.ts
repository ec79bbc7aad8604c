import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readBrowser } from '$lib/phone/browser';
import { type Screen, StaffFlow } from './StaffFlow.svelte';

vi.mock('tus-js-client', () => import('tus-js-client/lib.es5/browser/index.js' as 'tus-js-client'));

const chrome =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36';
const signing = { name: 'ECDSA', hash: 'SHA-256' };
const rules = [
  { version: '2026-11', language: 'ja', items: ['一'] },
  { version: '2026-11', language: 'en', items: ['one'] },
];
const declared = { withinResponse: true, noOtherPath: true };

type Variables = { input: Record<string, unknown> };
type Answer = Record<string, unknown> | { refuse: string; code?: string } | 'lost';

/** The server behind fetch: what was asked of it, in order, and what it answers. */
let asked: { name: string; input: Record<string, unknown> }[];
let answers: Record<string, (input: Record<string, unknown>) => Answer>;
let phone: Record<string, unknown>;
let session: Record<string, unknown>;

/** The browser's storage; it outlives a restart. */
let stores: Record<string, Map<unknown, unknown>>;
let deleted: boolean;
let sockets: Socket[];
let address: string;

class Socket {
  static readonly OPEN = 1;
  readyState = 1;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  closed = false;

  constructor() {
    sockets.push(this);
  }

  send(): void {
    // What it says is the feed's own test.
  }

  close(): void {
    this.closed = true;
  }
}

/** The centre changed something. */
function push(change: Record<string, unknown>): void {
  phone = { ...phone, ...change };
  const data = JSON.stringify({ type: 'next', id: '1', payload: { data: { staffPhoneChanged: phone, sharesReceivedChanged: [] } } });
  for (const socket of sockets.filter(({ closed }) => !closed)) {
    socket.onmessage?.({ data });
  }
}

/** As much of IndexedDB as the store needs; every request succeeds a moment later. */
function storage(): unknown {
  const request = <T>(result: T): unknown => {
    const asking: { result: T; onsuccess?: () => void; onupgradeneeded?: () => void } = { result };
    queueMicrotask(() => {
      asking.onupgradeneeded?.();
      asking.onsuccess?.();
    });
    return asking;
  };
  const store = (name: string): unknown => {
    const all = (stores[name] ??= new Map());
    return {
      get: (key: unknown) => request(all.get(key)),
      put: (value: unknown, key: unknown) => request(all.set(key, value)),
      add: (value: unknown) => {
        all.set(all.size + 1, value);
        return request(all.size);
      },
      delete: (key: unknown) => request(all.delete(key)),
      clear: () => request(all.clear()),
      getAllKeys: () => request([...all.keys()]),
    };
  };
  return {
    open: () =>
      request({ createObjectStore: store, transaction: () => ({ objectStore: store }), close: () => undefined }),
    deleteDatabase: () => {
      deleted = true;
      return request(undefined);
    },
  };
}

function respond(query: string, input: Record<string, unknown>): Response {
  const name = /(?:query|mutation) (\w+)/.exec(query)?.[1] ?? '';
  asked.push({ name, input });
  const answer = answers[name]?.(input) ?? {};
  if (answer === 'lost') {
    throw new TypeError('no network');
  }
  if ('refuse' in answer) {
    const { refuse, code } = answer as { refuse: string; code?: string };
    return Response.json({ errors: [{ message: refuse, extensions: { reason: refuse, code: code ?? 'FORBIDDEN' } }] });
  }
  return Response.json({ data: answer });
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  sockets = [];
  stores = {};
  deleted = false;
  address = '';
  session = { id: 's', state: 'CODE_OK', asked: 'LIVE', over: false, received: 0 };
  phone = {
    id: 'p',
    state: 'ACTIVE',
    device: 'PRIVATE',
    matchNumber: null,
    matchUntil: '2026-11-25T00:10:00Z',
    wipe: false,
    rulesAcceptedAt: '2026-11-25T00:00:00Z',
    rulesDueAt: '2027-11-25T00:00:00Z',
    rulesOutdated: false,
    taken: false,
    watched: false,
    usageReported: false,
    leakReportedAt: null,
    agency: { nameJa: '県警察', nameEn: 'Police' },
    officer: { unit: '署', name: '佐藤' },
    rules,
    notices: [],
    session: null,
    owed: [],
  };
  answers = {
    Registration: () => ({ staffRegistration: { agency: phone['agency'], device: 'PRIVATE', expiresAt: '', rules } }),
    Register: () => {
      phone = { ...phone, state: 'PENDING', matchNumber: '1234' };
      return { registerStaffPhone: { phone: { id: 'p' } } };
    },
    Challenge: () => ({ challengeStaffPhone: { nonce: 'a nonce' } }),
    ResumePhone: () => ({ resumeStaffPhone: { phone: { id: 'p' } } }),
    Phone: () => ({ staffPhone: phone }),
    AcceptRules: () => {
      phone = { ...phone, rulesOutdated: false };
      return { acceptStaffRules: { phone: { id: 'p' } } };
    },
    Start: () => {
      phone = { ...phone, session };
      return { startStaffSession: { phone: { id: 'p' } } };
    },
    EndOwn: () => {
      phone = { ...phone, session: { ...session, state: 'ENDED', over: true } };
      return { endOwnSession: { done: true } };
    },
    Remove: () => ({ removeStaffPhone: { done: true } }),
  };
  vi.stubGlobal('WebSocket', Socket);
  vi.stubGlobal('indexedDB', storage());
  vi.stubGlobal('localStorage', { clear: () => undefined });
  vi.stubGlobal('sessionStorage', { clear: () => undefined });
  vi.stubGlobal('caches', { keys: async () => [] });
  vi.stubGlobal('location', { href: 'https://genba.example/staff/', pathname: '/staff/', protocol: 'https:' });
  vi.stubGlobal('history', { replaceState: (_: unknown, __: string, to: string) => (address = to) });
  vi.stubGlobal('navigator', { permissions: { query: async () => ({ state: 'prompt' }) } });
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    const { query, variables } = JSON.parse(String(init.body)) as { query: string; variables: Variables };
    return respond(query, variables.input ?? {});
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function open({ hash = '', installed = true } = {}): StaffFlow {
  const flow = new StaffFlow({ hash, installed, browser: readBrowser(chrome), locale: () => 'ja' });
  void flow.start();
  return flow;
}

/** Waits, while time passes, until the officer sees that screen. */
async function shows(flow: StaffFlow, screen: Screen): Promise<void> {
  await vi.waitFor(() => expect(flow.screen).toBe(screen), { timeout: 30_000 });
}

const names = (): string[] => asked.map(({ name }) => name);

/** A phone that is registered and in use. */
async function registered(): Promise<StaffFlow> {
  const flow = open({ hash: '#r=MCVX1TBC1AHC' });
  await shows(flow, 'rules');
  await flow.acceptRules();
  await shows(flow, 'match');
  push({ state: 'ACTIVE', matchNumber: null });
  await shows(flow, 'home');
  asked = [];
  return flow;
}

describe('the registration', () => {
  test('outside the installed app nothing is asked and nothing is kept', async () => {
    const flow = open({ hash: '#r=MCVX1TBC1AHC', installed: false });
    await shows(flow, 'install');
    expect(flow.code).toBe('MCVX1TBC1AHC');
    expect(asked).toEqual([]);
    expect(stores).toEqual({});
  });

  test('by the code of the sheet, with the rules that were shown and a key that stays', async () => {
    const flow = open({ hash: '#r=MCVX1TBC1AHC' });
    await shows(flow, 'rules');
    await flow.acceptRules();
    await shows(flow, 'match');
    const sent = asked.find(({ name }) => name === 'Register')?.input;
    expect(sent).toMatchObject({ code: 'MCVX1TBC1AHC', rulesVersion: '2026-11', rulesLanguage: 'ja', system: 'Android 14' });
    const kept = stores['phone']?.get('self') as { keys: CryptoKeyPair; phoneID: string };
    expect(kept.phoneID).toBe('p');
    expect(kept.keys.privateKey.extractable).toBe(false);
    expect(address).toBe('/staff/');
    expect(flow.phone?.matchNumber).toBe('1234');
  });

  test('a code that opens nothing is asked for again', async () => {
    answers['Registration'] = () => ({ refuse: 'REGISTRATION_UNUSABLE' });
    const flow = open({ hash: '#r=MCVX1TBC1AHC' });
    await shows(flow, 'code');
    expect(flow.codeProblem).toBe('unusable');
    await flow.enterRegistration('short');
    expect(flow.codeProblem).toBe('incomplete');
    expect(names()).toEqual(['Registration']);
  });

  test('one that nobody matched in time is wiped', async () => {
    const flow = open({ hash: '#r=MCVX1TBC1AHC' });
    await shows(flow, 'rules');
    await flow.acceptRules();
    await shows(flow, 'match');
    push({ state: 'EXPIRED', wipe: true });
    await shows(flow, 'wiped');
    expect(flow.wipedBy).toBe('unmatched');
  });
});

describe('a phone that comes back', () => {
  test('proves its key where the cookie is gone', async () => {
    await registered();
    let cookie = false;
    answers['Phone'] = () => (cookie ? { staffPhone: phone } : { refuse: 'UNAUTHENTICATED', code: 'UNAUTHENTICATED' });
    answers['ResumePhone'] = () => {
      cookie = true;
      return { resumeStaffPhone: { phone: { id: 'p' } } };
    };
    const flow = open();
    await shows(flow, 'home');
    const { nonce, signature } = asked.find(({ name }) => name === 'ResumePhone')?.input as { nonce: string; signature: string };
    const { keys } = stores['phone']?.get('self') as { keys: CryptoKeyPair };
    const proven = await crypto.subtle.verify(signing, keys.publicKey, Buffer.from(signature, 'base64'), Buffer.from(nonce));
    expect(proven).toBe(true);
  });

  test('is not taken for a stranger because the network fails in between', async () => {
    await registered();
    let tries = 0;
    answers['Phone'] = () => (tries < 3 ? { refuse: 'UNAUTHENTICATED', code: 'UNAUTHENTICATED' } : { staffPhone: phone });
    answers['Challenge'] = () => (tries++ < 2 ? 'lost' : { challengeStaffPhone: { nonce: 'a nonce' } });
    const flow = open();
    await shows(flow, 'home');
  });

  test('that the server does not know is told so, and keeps its key until the officer deletes it', async () => {
    await registered();
    answers['Phone'] = () => ({ refuse: 'UNAUTHENTICATED', code: 'UNAUTHENTICATED' });
    answers['ResumePhone'] = () => ({ refuse: 'NONCE_INVALID' });
    const flow = open();
    await shows(flow, 'unknown');
    expect(deleted).toBe(false);
    await flow.forget();
    expect(deleted).toBe(true);
  });

  test('goes on with the video report that is open', async () => {
    await registered();
    phone = { ...phone, session };
    const flow = open();
    await shows(flow, 'act');
    expect(flow.sending).toBe(true);
  });

  test('accepts the rules anew where they are outdated', async () => {
    await registered();
    phone = { ...phone, rulesOutdated: true };
    const flow = open();
    await shows(flow, 'rulesAgain');
    await flow.acceptRules();
    expect(flow.screen).toBe('home');
    expect(flow.notice).toBe('accepted');
  });
});

describe('a video report', () => {
  test('begins with code, declarations and a signature', async () => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    expect(asked.find(({ name }) => name === 'Start')?.input).toMatchObject({
      code: '123456',
      withinResponse: true,
      noOtherPath: true,
      asked: 'PHOTO',
      nonce: 'a nonce',
    });
  });

  test('a wrong code is counted and begins nothing', async () => {
    const flow = await registered();
    answers['Start'] = () => ({ refuse: 'CODE_WRONG' });
    await flow.begin('000000', declared, false);
    await flow.begin('000001', declared, false);
    expect(flow.codeWrong).toBe(2);
    expect(flow.screen).toBe('home');
  });

  test('whose beginning was lost on the way is not begun twice, and goes on where it has begun', async () => {
    const flow = await registered();
    answers['Start'] = () => {
      phone = { ...phone, session };
      return 'lost';
    };
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    expect(names().filter((name) => name === 'Start')).toHaveLength(1);
  });

  test.each([
    ['ENDED', 'centre'],
    ['REVOKED', 'cut'],
    ['EXPIRED', 'silent'],
  ] as const)('%s is told as ended by: %s', async (state, by) => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    push({ session: { ...session, state, over: true } });
    await shows(flow, 'ended');
    expect(flow.endedBy).toBe(by);
    expect(flow.sending).toBe(false);
  });

  test('says that the network is gone at once, and again that it is back only once there is an answer', async () => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    flow.offline();
    expect(flow.unreachable).toBe(true);
    const answer = answers['Phone'];
    answers['Phone'] = () => 'lost';
    flow.nudge();
    await vi.advanceTimersByTimeAsync(10);
    expect(flow.unreachable).toBe(true);
    answers['Phone'] = answer!;
    flow.nudge();
    await vi.waitFor(() => expect(flow.unreachable).toBe(false));
  });

  test('that the officer ends is told so', async () => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    await flow.finish();
    await shows(flow, 'ended');
    expect(flow.endedBy).toBe('officer');
  });

  test('leaves the files of a private phone lost when it is cut, and says how many', async () => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    answers['BeginUpload'] = () => 'lost';
    await flow.send([new File(['x'], 'a.jpg', { type: 'image/jpeg' })], true);
    push({ session: { ...session, over: true, state: 'ENDED' } });
    await shows(flow, 'ended');
    expect(flow.lost).toBe(1);
    expect(stores['unsent']?.size ?? 0).toBe(0);
  });

  test('leaves those of an issued phone sealed, and the next one sends them', async () => {
    const flow = await registered();
    push({ device: 'ISSUED' });
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    answers['BeginUpload'] = () => 'lost';
    await flow.send([new File(['picture'], 'a.jpg', { type: 'image/jpeg' })], true);
    push({ session: { ...session, over: true, state: 'ENDED' } });
    await shows(flow, 'ended');
    expect(flow.lost).toBe(0);
    await vi.waitFor(() => expect(flow.kept).toHaveLength(1));
    const [sealed] = [...(stores['unsent']?.values() ?? [])] as { bytes: ArrayBuffer }[];
    expect(Buffer.from(sealed?.bytes ?? new ArrayBuffer(0)).toString('latin1')).not.toContain('picture');
    session = { ...session, id: 's2' };
    await flow.begin('123456', declared, false);
    await vi.waitFor(() => expect(flow.uploads.items).toHaveLength(1));
    expect(await flow.uploads.items[0]?.file.text()).toBe('picture');
    flow.uploads.stop();
  });
});

describe('the end of a link', () => {
  test('suspended, everything stops and the officer is told; restored, it goes on', async () => {
    const flow = await registered();
    await flow.begin('123456', declared, false);
    await shows(flow, 'act');
    push({ state: 'SUSPENDED', session: { ...session, over: true, state: 'REVOKED' } });
    await shows(flow, 'suspended');
    expect(flow.sending).toBe(false);
    push({ state: 'ACTIVE' });
    await shows(flow, 'home');
  });

  test('revoked, everything is deleted first and the centre is told until it hears', async () => {
    const flow = await registered();
    let tries = 0;
    let goneBefore: boolean | undefined;
    answers['Remove'] = () => {
      goneBefore ??= deleted && (stores['phone']?.size ?? 0) === 0;
      return tries++ < 2 ? 'lost' : { removeStaffPhone: { done: true } };
    };
    push({ state: 'REVOKED', wipe: true });
    await shows(flow, 'wiped');
    await vi.waitFor(() => expect(tries).toBe(3), { timeout: 30_000 });
    expect(goneBefore).toBe(true);
    expect(flow.wipedBy).toBe('revoked');
    expect(flow.phone).toBeUndefined();
    expect(sockets.every(({ closed }) => closed)).toBe(true);
  });

  test('deleted by the officer, the centre hears first', async () => {
    const flow = await registered();
    await flow.remove();
    expect(flow.screen).toBe('wiped');
    expect(flow.wipedBy).toBe('officer');
    expect(names().filter((name) => name === 'Remove')).toHaveLength(1);
    expect(deleted).toBe(true);
  });
});
