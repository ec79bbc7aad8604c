import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Locale } from '$lib/i18n.svelte';
import { readBrowser } from '$lib/phone/browser';
import { CallerFlow, type Screen } from './CallerFlow.svelte';

vi.mock('tus-js-client', () => import('tus-js-client/lib.es5/browser/index.js' as 'tus-js-client'));

const secret = 'AbCdEfGhIjKlMnOpQrStUv';
const chrome =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36';
const line = 'Mozilla/5.0 (Linux; Android 14; wv) Chrome/124.0 Mobile Safari/537.36 Line/14.5.0/IAB';

type Variables = Record<string, unknown> & { input: Record<string, unknown> };
type Answer = Record<string, unknown> | { refuse: string; code?: string; message?: string } | 'lost';

/** The server behind fetch: the operations asked of it, in order, and what it answers. */
let asked: { name: string; variables: Variables }[];
let requests: string[];
let answers: Record<string, (variables: Variables) => Answer>;
let session: Record<string, unknown>;

/** The browser's storage of this phone; it outlives a reload. */
let kept: Map<string, unknown>;

let sockets: Socket[];
let tracks: { stopped: boolean }[];
let openCamera: () => void;
let cameraWishes: unknown[];
let locate: { found: (position: unknown) => void; failed: (error: { code: number }) => void };
let watches: number;
let locale: Locale;

class Socket {
  static readonly OPEN = 1;
  readyState = 1;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(readonly url: URL) {
    sockets.push(this);
  }

  send(): void {
    // What it says is the feed's own test.
  }

  close(): void {
    this.readyState = 3;
  }
}

/** The centre changed something. */
function push(change: Record<string, unknown>): void {
  session = { ...session, ...change };
  const data = JSON.stringify({ type: 'next', id: '1', payload: { data: { ownSessionChanged: session } } });
  sockets.at(-1)?.onmessage?.({ data });
}

/** As much of IndexedDB as one store needs; every request succeeds a moment later. */
function storage(): unknown {
  const request = <T>(result: T): unknown => {
    const asking: { result: T; onsuccess?: () => void; onupgradeneeded?: () => void } = { result };
    queueMicrotask(() => {
      asking.onupgradeneeded?.();
      asking.onsuccess?.();
    });
    return asking;
  };
  const store = {
    get: (key: string) => request(kept.get(key)),
    put: (value: unknown, key: string) => request(kept.set(key, value)),
    delete: (key: string) => request(kept.delete(key)),
    getAll: () => request([...kept.values()]),
    getAllKeys: () => request([...kept.keys()]),
  };
  return { open: () => request({ createObjectStore: () => store, transaction: () => ({ objectStore: () => store }) }) };
}

class Peer {
  connectionState = 'new';
  iceGatheringState = 'complete';
  localDescription = { sdp: 'offer' };

  addTransceiver(): unknown {
    return {
      sender: { getParameters: () => ({ encodings: [] }), setParameters: async () => undefined, replaceTrack: async () => undefined },
    };
  }

  getSenders(): unknown[] {
    return [];
  }

  async createOffer(): Promise<unknown> {
    return { sdp: 'offer' };
  }

  async setLocalDescription(): Promise<void> {}
  async setRemoteDescription(): Promise<void> {}
  async getStats(): Promise<Map<string, unknown>> {
    return new Map();
  }

  close(): void {
    this.connectionState = 'closed';
  }
}

// Loading takes real time, which no fake clock can wait for.
beforeAll(async () => {
  await import('$lib/phone/tus');
});

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  requests = [];
  kept = new Map();
  sockets = [];
  tracks = [];
  cameraWishes = [];
  watches = 0;
  locale = 'ja';
  openCamera = () => undefined;
  session = {
    id: 's',
    asked: 'PHOTO',
    over: false,
    endReason: null,
    received: 0,
    limit: 5e9,
    phone: { id: 'p', state: 'PROVISIONAL' },
    uploads: [],
    notices: [],
  };
  answers = {
    Link: () => ({
      link: {
        agency: { nameJa: '県警察', nameEn: 'Police' },
        proof: { ja: ['さくら', 'みなと'], en: ['violet', 'harbour'] },
        asked: 'PHOTO',
        language: 'ja',
        codeRequired: false,
        terms: [
          { version: '3', language: 'ja', items: ['ア', 'イ', 'ウ', 'エ'], freedom: '自由', danger: 'あぶない' },
          { version: '3', language: 'en', items: ['a', 'b', 'c', 'd'], freedom: 'free', danger: 'danger' },
        ],
      },
    }),
    OpenLink: () => ({ openLink: { nonce: 'nonce' } }),
    ReportMismatch: () => ({ reportMismatch: { done: true } }),
    EnterCode: () => ({ enterCode: { pass: 'pass' } }),
    Join: ({ input }) => ({ join: { session: input.agreed ? session : null } }),
    OwnSession: () => ({ me: null }),
    Resume: () => ({ resume: { session } }),
    ReportTrouble: () => ({ reportTrouble: { done: true } }),
    ReportPosition: () => ({ reportPosition: { receivedAt: '2026-11-23T00:00:00Z' } }),
    Publish: () => ({ publish: { url: '/whip/s', token: 't' } }),
    BeginUpload: () => ({ beginUpload: { id: 'u', url: '/files/', token: 't', chunk: 100 } }),
    StopSending: () => ({ stopSending: { done: true } }),
  };
  vi.stubGlobal('location', { href: `https://genba.example/v#${secret}` });
  vi.stubGlobal('indexedDB', storage());
  vi.stubGlobal('WebSocket', Socket);
  vi.stubGlobal('RTCPeerConnection', Peer);
  vi.stubGlobal('RTCRtpSender', {});
  // A request that nobody answers: what happens to it is the upload queue's own test.
  vi.stubGlobal(
    'XMLHttpRequest',
    class {
      upload = {};
      open(method: string, url: string): void {
        requests.push(`${method} ${url}`);
      }
      setRequestHeader(): void {}
      send(): void {}
      abort(): void {
        requests.push('abort');
      }
    },
  );
  vi.stubGlobal('navigator', {
    mediaDevices: {
      getUserMedia: async (wish: unknown) => {
        cameraWishes.push(wish);
        openCamera();
        const track = { stopped: false, readyState: 'live', stop: () => (track.stopped = true) };
        tracks.push(track);
        return { getTracks: () => [track], getVideoTracks: () => [track] };
      },
    },
    geolocation: {
      watchPosition: (found: () => void, failed: () => void) => {
        locate = { found, failed };
        return ++watches;
      },
      clearWatch: () => watches--,
    },
  });
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    requests.push(`${init.method} ${url}`);
    if (url !== '/graphql') {
      return new Response('answer', { status: 201, headers: { location: '/whip/s/1' } });
    }
    const { query, variables } = JSON.parse(String(init.body)) as { query: string; variables: Variables };
    const name = /^\w+ (\w+)/.exec(query)?.[1] ?? '';
    asked.push({ name, variables });
    const answer = answers[name]?.(variables);
    if (answer === undefined || answer === 'lost') {
      throw new TypeError('no network');
    }
    return 'refuse' in answer
      ? Response.json({
          data: null,
          errors: [{ message: answer.message ?? '', extensions: { code: answer.code ?? 'FORBIDDEN', reason: answer.refuse } }],
        })
      : Response.json({ data: answer });
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const names = (): string[] => asked.map(({ name }) => name);
const inputs = (name: string): Record<string, unknown>[] =>
  asked.filter((each) => each.name === name).map(({ variables }) => variables.input);

/** Key generation takes real time, whatever the clock says: waits for the screen with a limit. */
async function shows(flow: CallerFlow, screen: Screen): Promise<void> {
  await vi.waitFor(() => expect(flow.screen).toBe(screen), { timeout: 5_000, interval: 5 });
}

function page({ hash = `#${secret}`, agent = chrome } = {}): CallerFlow {
  const flow = new CallerFlow({ hash, browser: readBrowser(agent), locale: () => locale });
  void flow.start();
  return flow;
}

/** A caller who has agreed. */
async function joined(): Promise<CallerFlow> {
  const flow = page();
  await shows(flow, 'proof');
  await flow.same();
  await flow.answer(true);
  await shows(flow, 'act');
  return flow;
}

function photo(): File {
  return new File([new Uint8Array(50)], 'a.jpg', { type: 'image/jpeg' });
}

describe('opening the link', () => {
  test('speaks a language that the centre offers', async () => {
    locale = 'en';
    const offered = answers.Link?.({ input: {} }) as { link: { terms: { language: string }[] } };
    answers.Link = () => ({ link: { ...offered.link, terms: offered.link.terms.filter(({ language }) => language === 'ja') } });
    const spoken: string[] = [];
    const flow = new CallerFlow({ hash: `#${secret}`, browser: readBrowser(chrome), locale: () => locale, speak: (l) => spoken.push(l) });
    void flow.start();
    await shows(flow, 'proof');
    expect(spoken).toEqual(['ja']);
    expect(flow.terms?.language).toBe('ja');
  });

  test('asks what it is and changes nothing', async () => {
    const flow = page();
    await shows(flow, 'proof');
    expect(names()).toEqual(['Link']);
    expect(flow.link?.proof.ja).toEqual(['さくら', 'みなと']);
    expect(flow.agency).toBe('県警察');
  });

  test('puts the secret into no address and no storage', async () => {
    const flow = await joined();
    flow.send([photo()], true);
    await vi.waitFor(() => expect(requests).toContain('POST https://genba.example/files/'));
    expect(requests.join() + sockets.map(({ url }) => url.href).join() + [...kept.keys()].join()).not.toContain(secret);
    expect(JSON.stringify([...kept.values()])).not.toContain(secret);
  });

  test('without a secret is a dead link, and nothing is asked', async () => {
    const flow = page({ hash: '' });
    await shows(flow, 'dead');
    expect(asked).toEqual([]);
  });

  test('a dead link is one screen', async () => {
    answers.Link = () => ({ refuse: 'LINK_UNUSABLE', code: 'GONE' });
    await shows(page(), 'dead');
  });

  test('without a network is repeated by itself, and at once when the network is back', async () => {
    answers.Link = () => 'lost';
    const flow = page();
    await vi.waitFor(() => expect(flow.unreachable).toBe(true));
    expect(flow.screen).toBe('opening');
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked.length).toBe(before + 1);
    answers.Link = () => ({ refuse: 'LINK_UNUSABLE', code: 'GONE' });
    flow.nudge();
    await shows(flow, 'dead');
    expect(flow.unreachable).toBe(false);
  });

  test('inside another app spends nothing, tells the centre and can go on', async () => {
    const flow = page({ agent: line });
    await shows(flow, 'browser');
    expect(flow.browserTrouble).toBe('app');
    await vi.waitFor(() => expect(names()).toEqual(['Link', 'ReportTrouble']));
    expect(inputs('ReportTrouble')).toEqual([{ secret, reason: 'UNSUPPORTED_BROWSER' }]);
    flow.stayHere();
    expect(flow.screen).toBe('proof');
  });

  test('in a browser that keeps no key says so before anything is spent', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const flow = page();
    await shows(flow, 'browser');
    expect(flow.browserTrouble).toBe('storage');
    expect(names()).not.toContain('OpenLink');
  });
});

describe('before anything is sent', () => {
  test('the tap opens the link, and the four items come', async () => {
    const flow = page();
    await shows(flow, 'proof');
    await flow.same();
    expect(flow.screen).toBe('consent');
    expect(names()).toEqual(['Link', 'OpenLink']);
    expect(flow.terms?.items).toEqual(['ア', 'イ', 'ウ', 'エ']);
    locale = 'en';
    expect(flow.terms?.items).toEqual(['a', 'b', 'c', 'd']);
  });

  test('other words alert the centre, and nothing else is offered', async () => {
    const flow = page();
    await shows(flow, 'proof');
    await flow.different();
    expect(flow.screen).toBe('mismatch');
    expect(names()).toEqual(['Link', 'ReportMismatch']);
    expect(kept.size).toBe(0);
  });

  test('a wrong code is counted, a right one leads on', async () => {
    const link = answers.Link?.({ input: {} }) as { link: object };
    answers.Link = () => ({ link: { ...link.link, codeRequired: true } });
    answers.EnterCode = ({ input }) => (input.code === '123456' ? { enterCode: { pass: 'pass' } } : { refuse: 'CODE_WRONG' });
    const flow = page();
    await shows(flow, 'proof');
    await flow.same();
    expect(flow.screen).toBe('code');
    await flow.enterCode('000000');
    expect(flow.screen).toBe('code');
    expect(flow.codeWrong).toBe(1);
    await flow.enterCode('123456');
    expect(flow.screen).toBe('consent');
    await flow.answer(true);
    expect(inputs('Join')[0]).toMatchObject({ pass: 'pass' });
  });

  test('too many wrong codes end on the dead link', async () => {
    answers.EnterCode = () => ({ refuse: 'LINK_UNUSABLE', code: 'GONE' });
    const flow = page();
    await shows(flow, 'proof');
    await flow.enterCode('000000');
    expect(flow.screen).toBe('dead');
  });

  test('agreeing sends the version that was read and a key, and the phone may act', async () => {
    const flow = await joined();
    const [join] = inputs('Join');
    expect(join).toMatchObject({
      secret,
      agreed: true,
      version: '3',
      language: 'ja',
      pass: null,
      system: 'Android 14',
      browser: 'Chrome 156',
    });
    const key = await crypto.subtle.importKey(
      'spki',
      Buffer.from(String(join?.publicKey), 'base64'),
      { name: 'ECDSA', namedCurve: 'P-256' },
      true,
      ['verify'],
    );
    expect(key.type).toBe('public');
    expect(sockets).toHaveLength(1);
    expect(flow.asked).toBe('PHOTO');
  });

  test('the key cannot leave the browser', async () => {
    await joined();
    const [{ keys }] = [...kept.values()] as [{ keys: CryptoKeyPair }];
    await expect(crypto.subtle.exportKey('pkcs8', keys.privateKey)).rejects.toThrow();
  });

  test('refusing is recorded, and nothing more is offered', async () => {
    const flow = page();
    await shows(flow, 'proof');
    await flow.same();
    await flow.answer(false);
    expect(flow.screen).toBe('declined');
    expect(inputs('Join')).toMatchObject([{ agreed: false, version: '3' }]);
    expect(inputs('Join')[0]).not.toHaveProperty('publicKey');
    expect(kept.size).toBe(0);
    expect(sockets).toHaveLength(0);
  });

  test('terms that changed meanwhile are read again', async () => {
    answers.Join = () => ({ refuse: 'CONSENT_OUTDATED', code: 'CONFLICT' });
    const flow = page();
    await shows(flow, 'proof');
    await flow.same();
    await flow.answer(true);
    expect(flow.screen).toBe('consent');
    expect(flow.notice).toBe('termsChanged');
    await vi.waitFor(() => expect(names().filter((name) => name === 'Link')).toHaveLength(2));
  });

  test('a second tap while the first one is answered does nothing', async () => {
    const flow = page();
    await shows(flow, 'proof');
    await Promise.all([flow.same(), flow.same()]);
    expect(names()).toEqual(['Link', 'OpenLink']);
  });
});

describe('coming back', () => {
  test('with the cookie goes on without a tap', async () => {
    await joined();
    asked = [];
    answers.OwnSession = () => ({ me: { agency: { nameJa: '県警察', nameEn: 'Police' }, session } });
    const flow = page();
    await shows(flow, 'act');
    expect(names()).toEqual(['OwnSession']);
    expect(flow.agency).toBe('県警察');
  });

  test('without the cookie the key proves who it is', async () => {
    await joined();
    const publicKey = String(inputs('Join')[0]?.publicKey);
    asked = [];
    let resumed = false;
    answers.Resume = () => {
      resumed = true;
      return { resume: { session } };
    };
    answers.OwnSession = () => ({ me: resumed ? { agency: { nameJa: '県警察', nameEn: 'Police' }, session } : null });
    const flow = page();
    await shows(flow, 'act');
    expect(names()).toEqual(['OwnSession', 'OpenLink', 'Resume', 'OwnSession']);
    const [resume] = inputs('Resume');
    expect(resume).toMatchObject({ secret, phoneID: 'p', nonce: 'nonce' });
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('spki', Buffer.from(publicKey, 'base64'), algorithm, false, ['verify']);
    const signature = Buffer.from(String(resume?.signature), 'base64');
    expect(await crypto.subtle.verify(algorithm, key, signature, new TextEncoder().encode('nonce'))).toBe(true);
  });

  test('another link’s cookie is not taken for this one', async () => {
    await joined();
    asked = [];
    answers.OwnSession = () => ({ me: { agency: {}, session: { ...session, phone: { id: 'other', state: 'BOUND' } } } });
    answers.Resume = () => ({ refuse: 'SIGNATURE_INVALID', code: 'UNAUTHENTICATED' });
    await shows(page(), 'proof');
  });

  test('after the end says that it ended', async () => {
    await joined();
    answers.Resume = () => ({ refuse: 'SESSION_ENDED', code: 'GONE' });
    await shows(page(), 'ended');
  });

  test('what had arrived and what was cut off is told', async () => {
    await joined();
    session = { ...session, received: 2_000_000, uploads: [{ id: '1', complete: true }, { id: '2', complete: false }] };
    answers.OwnSession = () => ({ me: { agency: { nameJa: '県警察', nameEn: 'Police' }, session } });
    const flow = page();
    await shows(flow, 'act');
    expect(flow.uploadsBefore).toHaveLength(2);
    expect(flow.bytes).toBe(2_000_000);
  });

  test('a key older than a day is forgotten', async () => {
    await joined();
    vi.setSystemTime(Date.now() + 25 * 60 * 60 * 1000);
    asked = [];
    await shows(page(), 'proof');
    expect(names()).toEqual(['Link']);
    expect(kept.size).toBe(1);
  });
});

describe('the centre', () => {
  test('may ask for something else at any time', async () => {
    const flow = await joined();
    push({ asked: 'LIVE' });
    expect(flow.asked).toBe('LIVE');
    expect(flow.notice).toBe('asked');
  });

  test('is heard without a WebSocket too', async () => {
    const flow = await joined();
    answers.OwnSession = () => ({ me: { agency: { nameJa: '県警察', nameEn: 'Police' }, session: { ...session, over: true } } });
    sockets.at(-1)?.onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(500);
    sockets.at(-1)?.onclose?.({ code: 1006 });
    await shows(flow, 'ended');
  });

  test('ends everything at once', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    flow.allowPosition();
    flow.send([photo()], true);
    await vi.waitFor(() => expect(requests).toContain('POST https://genba.example/files/'));
    push({ over: true, endReason: 'IMPROPER_FILMING' });
    expect(flow.screen).toBe('ended');
    expect(tracks.every(({ stopped }) => stopped)).toBe(true);
    expect(flow.camera.stream).toBeUndefined();
    expect(requests).toContain('abort');
    expect(flow.uploads.items.map(({ state }) => state)).toEqual(['stopped']);
    expect(watches).toBe(0);
    expect(sockets.at(-1)?.readyState).toBe(3);
    expect(flow.losesByLeaving).toBe(false);
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(asked.length).toBe(before);
  });

  test('admits a second phone, or does not', async () => {
    session.phone = { id: 'p', state: 'WAITING' };
    const flow = page();
    await shows(flow, 'proof');
    await flow.same();
    await flow.answer(true);
    expect(flow.screen).toBe('waiting');
    push({ phone: { id: 'p', state: 'BOUND' } });
    expect(flow.screen).toBe('act');
    push({ phone: { id: 'p', state: 'REFUSED' } });
    expect(flow.screen).toBe('turnedAway');
  });

  test('makes a phone wait whose first photo came second, and takes the photo afterwards', async () => {
    const flow = await joined();
    answers.BeginUpload = () => ({ refuse: 'PHONE_WAITING' });
    flow.send([photo()], true);
    await shows(flow, 'waiting');
    answers.BeginUpload = () => ({ beginUpload: { id: 'u', url: '/files/', token: 't', chunk: 100 } });
    push({ phone: { id: 'p', state: 'BOUND' } });
    expect(flow.screen).toBe('act');
    await vi.waitFor(() => expect(requests).toContain('POST https://genba.example/files/'));
  });

  test('that forgot the cookie is convinced by the key, and the file goes on', async () => {
    const flow = await joined();
    let known = false;
    answers.BeginUpload = () =>
      known
        ? { beginUpload: { id: 'u', url: '/files/', token: 't', chunk: 100 } }
        : { refuse: 'UNAUTHENTICATED', code: 'UNAUTHENTICATED' };
    answers.Resume = () => {
      known = true;
      return { resume: { session } };
    };
    answers.OwnSession = () => ({ me: known ? { agency: { nameJa: '県警察', nameEn: 'Police' }, session } : null });
    flow.send([photo()], true);
    await vi.waitFor(() => expect(requests).toContain('POST https://genba.example/files/'));
    expect(flow.screen).toBe('act');
  });

  test('that is full says so', async () => {
    const flow = await joined();
    answers.BeginUpload = () => ({ refuse: 'QUOTA_FULL', code: 'TOO_LARGE', message: 'Full.' });
    flow.send([photo()], true);
    await vi.waitFor(() => expect(flow.notice).toBe('full'));
    expect(flow.uploads.items).toMatchObject([{ state: 'refused', message: 'Full.' }]);
  });
});

describe('live video', () => {
  test('comes after the reason, from the camera on the back, without a microphone', async () => {
    const flow = await joined();
    await flow.goLive();
    expect(flow.screen).toBe('whyCamera');
    expect(cameraWishes).toEqual([]);
    await flow.openCamera();
    expect(flow.screen).toBe('live');
    expect(cameraWishes).toMatchObject([{ audio: false, video: { facingMode: 'environment' } }]);
    await vi.waitFor(() => expect(requests).toContain('POST /whip/s'));
    expect(flow.losesByLeaving).toBe(true);
  });

  test('stops, and comes back without the reason', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    flow.stopLive();
    expect(flow.screen).toBe('act');
    expect(tracks[0]?.stopped).toBe(true);
    await flow.goLive();
    expect(flow.screen).toBe('live');
  });

  test('asks every minute whether the caller is safe', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    await vi.advanceTimersByTimeAsync(59_000);
    expect(flow.camera.askSafety).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(flow.camera.askSafety).toBe(true);
    flow.camera.safe();
    expect(flow.camera.askSafety).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(flow.camera.askSafety).toBe(true);
    flow.stopLive(true);
    expect(flow.screen).toBe('act');
    expect(flow.notice).toBe('unsafe');
    expect(tracks[0]?.stopped).toBe(true);
  });

  test.each([
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'missing'],
    ['NotReadableError', 'busy'],
  ] as const)('%s is told as %s, to the centre once', async (name, trouble) => {
    openCamera = () => {
      throw new DOMException('', name);
    };
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    await flow.openCamera();
    expect(flow.screen).toBe('noCamera');
    expect(flow.cameraTrouble).toBe(trouble);
    await vi.waitFor(() => expect(inputs('ReportTrouble')).toEqual([{ secret, reason: 'CAMERA_DENIED' }]));
  });

  test('a browser without it can still send photos', async () => {
    vi.stubGlobal('RTCPeerConnection', undefined);
    const flow = await joined();
    await flow.goLive();
    expect(flow.screen).toBe('browser');
    expect(flow.browserTrouble).toBe('live');
    flow.send([photo()], true);
    expect(flow.screen).toBe('act');
  });

  test('that another phone sends already gives way to photos', async () => {
    const network = fetch;
    vi.stubGlobal('fetch', (url: string, init: RequestInit) =>
      url === '/whip/s' && init.method === 'POST'
        ? Promise.resolve(Response.json({ reason: 'PUBLISHER_PRESENT' }, { status: 409 }))
        : network(url, init),
    );
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    await shows(flow, 'act');
    expect(flow.notice).toBe('anotherPhone');
    expect(tracks[0]?.stopped).toBe(true);
  });

  test('that does not get through is told to the centre', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(flow.stuck).toBe(true);
    await vi.waitFor(() => expect(inputs('ReportTrouble')).toEqual([{ secret, reason: 'NETWORK' }]));
  });

  test('the other camera takes the place of the first one', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    await flow.camera.flip();
    expect(cameraWishes).toMatchObject([{}, { video: { facingMode: 'user' } }]);
    expect(tracks.map(({ stopped }) => stopped)).toEqual([true, false]);
    expect(flow.screen).toBe('live');
  });

  test('a phone with one camera keeps it', async () => {
    const flow = await joined();
    await flow.goLive();
    await flow.openCamera();
    openCamera = () => {
      openCamera = () => undefined;
      throw new DOMException('', 'OverconstrainedError');
    };
    await flow.camera.flip();
    expect(flow.camera.facing).toBe('environment');
    expect(tracks.at(-1)?.stopped).toBe(false);
  });
});

describe('the position', () => {
  test('comes after the reason', async () => {
    const flow = await joined();
    flow.goPosition();
    expect(flow.screen).toBe('whyPosition');
    expect(watches).toBe(0);
    flow.allowPosition();
    locate.found({ coords: { latitude: 35, longitude: 139, accuracy: 9, altitude: null, heading: null, speed: null }, timestamp: 0 });
    expect(flow.screen).toBe('act');
    await vi.waitFor(() => expect(inputs('ReportPosition')).toMatchObject([{ latitude: 35, longitude: 139, accuracy: 9 }]));
  });

  test('denied blocks nothing else', async () => {
    const flow = await joined();
    flow.goPosition();
    flow.allowPosition();
    locate.failed({ code: 1 });
    expect(flow.screen).toBe('noPosition');
    await vi.waitFor(() => expect(inputs('ReportTrouble')).toEqual([{ secret, reason: 'LOCATION_DENIED' }]));
    flow.send([photo()], true);
    expect(flow.screen).toBe('act');
    await vi.waitFor(() => expect(names()).toContain('BeginUpload'));
    await flow.goLive();
    expect(flow.screen).toBe('whyCamera');
  });

  test('declined is not offered again', async () => {
    const flow = await joined();
    expect(flow.offersPosition).toBe(true);
    flow.declinePosition();
    expect(flow.offersPosition).toBe(false);
  });
});

test('the caller ends it, and may go on', async () => {
  const flow = await joined();
  flow.allowPosition();
  await flow.finish();
  expect(flow.screen).toBe('thanks');
  expect(names()).toContain('StopSending');
  expect(watches).toBe(0);
  flow.back();
  expect(flow.screen).toBe('act');
});
