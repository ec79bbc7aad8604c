import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type LiveOptions, type LiveState } from './connection';
import { WhepViewer } from './whep';
import { WhipPublisher } from './whip';

const answer = 'v=0 the answer';

/** The browser's peer connection, as far as these classes see it. */
class Peer {
  static all: Peer[] = [];
  connectionState: RTCPeerConnectionState = 'new';
  iceGatheringState: RTCIceGatheringState = 'complete';
  onconnectionstatechange: (() => void) | null = null;
  onicegatheringstatechange: (() => void) | null = null;
  ontrack: ((event: { track: unknown; streams: unknown[] }) => void) | null = null;
  localDescription: { sdp: string } | null = null;
  remote: string | undefined;
  closed = false;
  sent = 0;
  codecs: string[] = [];
  direction: string | undefined;
  parameters: { encodings: { maxBitrate?: number }[]; degradationPreference?: string } = { encodings: [{}] };
  track: unknown;

  constructor() {
    Peer.all.push(this);
  }

  addTransceiver(track: unknown, { direction }: { direction: string }): unknown {
    this.direction = direction;
    this.track = track;
    return {
      setCodecPreferences: (codecs: { mimeType: string }[]) => (this.codecs = codecs.map(({ mimeType }) => mimeType)),
      sender: {
        getParameters: () => this.parameters,
        setParameters: async (parameters: typeof this.parameters) => void (this.parameters = parameters),
        replaceTrack: async (next: unknown) => void (this.track = next),
      },
    };
  }

  async createOffer(): Promise<{ sdp: string }> {
    return { sdp: `offer ${Peer.all.length}` };
  }

  async setLocalDescription(offer: { sdp: string }): Promise<void> {
    this.localDescription = offer;
  }

  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.remote = sdp;
  }

  async getStats(): Promise<Map<string, unknown>> {
    return new Map([['t', { type: 'transport', bytesSent: this.sent }]]);
  }

  getSenders(): unknown[] {
    return [{ replaceTrack: async (next: unknown) => void (this.track = next) }];
  }

  close(): void {
    this.closed = true;
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

const capabilities = {
  codecs: ['video/VP8', 'video/rtx', 'video/H264', 'video/AV1', 'video/VP9', 'video/red'].map((mimeType) => ({ mimeType })),
};

interface Request {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}
let requests: Request[];
let respond: (request: Request) => Response | Promise<Response>;

beforeEach(() => {
  vi.useFakeTimers();
  Peer.all = [];
  requests = [];
  respond = ({ method }) =>
    method === 'POST'
      ? new Response(answer, { status: 201, headers: { location: `/whip/s/${requests.length}` } })
      : new Response(null, { status: 200 });
  vi.stubGlobal('location', { href: 'https://genba.example/v' });
  vi.stubGlobal('RTCPeerConnection', Peer);
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => capabilities });
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => capabilities });
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const request = {
      url,
      method: init.method ?? 'GET',
      headers: init.headers as Record<string, string>,
      body: init.body,
    };
    requests.push(request);
    return respond(request);
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const track = { kind: 'video' } as MediaStreamTrack;

function publisher(options: Partial<LiveOptions> = {}): {
  readonly whip: WhipPublisher;
  readonly states: LiveState[];
  readonly errors: unknown[];
} {
  const states: LiveState[] = [];
  const errors: unknown[] = [];
  let grants = 0;
  const whip = new WhipPublisher({
    track,
    grant: async () => ({ url: '/whip/s', token: `token ${++grants}` }),
    onState: (state, error) => {
      states.push(state);
      if (error) {
        errors.push(error);
      }
    },
    ...options,
  });
  return { whip, states, errors };
}

const settle = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const posts = (): Request[] => requests.filter(({ method }) => method === 'POST');
const deletes = (): Request[] => requests.filter(({ method }) => method === 'DELETE');

describe('a publisher', () => {
  test('posts its offer with the bearer and takes the answer', async () => {
    const { whip, states } = publisher({ language: 'ja' });
    whip.start();
    await settle();
    expect(posts()).toEqual([
      {
        url: '/whip/s',
        method: 'POST',
        headers: { authorization: 'Bearer token 1', 'content-type': 'application/sdp', 'accept-language': 'ja' },
        body: 'offer 1',
      },
    ]);
    expect(Peer.all[0]?.remote).toBe(answer);
    Peer.all[0]?.become('connected');
    expect(states).toEqual(['connecting', 'connected']);
  });

  test('sends video only, H.264 first and VP8 next, within its bitrate', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    expect(Peer.all[0]).toMatchObject({
      direction: 'sendonly',
      track,
      codecs: ['video/H264', 'video/VP8', 'video/rtx'],
      parameters: { degradationPreference: 'maintain-framerate', encodings: [{ maxBitrate: 2_000_000 }] },
    });
  });

  test('does not wait longer than a moment for addresses', async () => {
    vi.stubGlobal(
      'RTCPeerConnection',
      class extends Peer {
        override iceGatheringState: RTCIceGatheringState = 'gathering';
      },
    );
    const { whip } = publisher();
    whip.start();
    await settle(299);
    expect(posts()).toHaveLength(0);
    await settle(1);
    expect(posts()).toHaveLength(1);
  });

  test('publishes again with a new bearer after the transport failed', async () => {
    const { whip, states } = publisher();
    whip.start();
    await settle();
    Peer.all[0]?.become('connected');
    Peer.all[0]?.become('failed');
    await settle(250);
    expect(Peer.all[0]?.closed).toBe(true);
    expect(posts().map(({ headers }) => headers.authorization)).toEqual(['Bearer token 1', 'Bearer token 2']);
    expect(deletes()).toMatchObject([
      { url: 'https://genba.example/whip/s/1', headers: { authorization: 'Bearer token 1' } },
    ]);
    Peer.all[1]?.become('connected');
    expect(states).toEqual(['connecting', 'connected', 'interrupted', 'connected']);
  });

  test('a doubtful transport that recovers is kept', async () => {
    const { whip, states } = publisher();
    whip.start();
    await settle();
    Peer.all[0]?.become('connected');
    Peer.all[0]?.become('disconnected');
    await settle(1_400);
    Peer.all[0]?.become('connected');
    await settle(60_000);
    expect(Peer.all).toHaveLength(1);
    expect(states).toEqual(['connecting', 'connected']);
  });

  test('a doubtful transport that does not recover is agreed anew', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    Peer.all[0]?.become('connected');
    Peer.all[0]?.become('disconnected');
    await settle(1_500 + 250);
    expect(posts()).toHaveLength(2);
  });

  test('a transport that never comes up is agreed anew', async () => {
    const { whip, states } = publisher();
    whip.start();
    await settle(8_000 + 250);
    expect(posts()).toHaveLength(2);
    expect(states).toEqual(['connecting', 'interrupted']);
  });

  test('an unreachable server is asked again, less and less often', async () => {
    respond = () => Promise.reject(new TypeError('no network'));
    const { whip } = publisher();
    whip.start();
    await settle(250 + 500 + 1_000 + 2_000 + 4_000);
    expect(posts()).toHaveLength(6);
    await settle(3_999);
    expect(posts()).toHaveLength(6);
    whip.nudge();
    await settle();
    expect(posts()).toHaveLength(7);
  });

  test('an answer that does not come is not waited for', async () => {
    respond = () => new Promise(() => undefined);
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      requests.push({ url, method: init.method ?? '', headers: {}, body: init.body });
      return new Promise((_, fail) => init.signal?.addEventListener('abort', () => fail(new Error('aborted'))));
    });
    const { whip, states } = publisher();
    whip.start();
    await settle(10_000);
    expect(states).toEqual(['connecting', 'interrupted']);
    await settle(250);
    expect(posts()).toHaveLength(2);
  });

  test('a refusal ends it and says why', async () => {
    respond = () => Response.json({ reason: 'PUBLISHER_PRESENT', detail: 'Another phone is sending.' }, { status: 409 });
    const { whip, states, errors } = publisher();
    whip.start();
    await settle(60_000);
    expect(posts()).toHaveLength(1);
    expect(states).toEqual(['connecting', 'refused']);
    expect(errors).toMatchObject([{ status: 409, reason: 'PUBLISHER_PRESENT', message: 'Another phone is sending.' }]);
    expect(Peer.all[0]?.closed).toBe(true);
  });

  test('an expired bearer is no refusal', async () => {
    respond = () => new Response('', { status: 401 });
    const { whip } = publisher();
    whip.start();
    await settle(250);
    expect(posts()).toHaveLength(2);
  });

  test('a grant that is refused for good ends it', async () => {
    const { whip, states } = publisher({
      grant: () => Promise.reject(new Error('ended')),
      final: (error) => (error as Error).message === 'ended',
    });
    whip.start();
    await settle(60_000);
    expect(states).toEqual(['connecting', 'refused']);
  });

  test('stop closes the connection and tells the server', async () => {
    const { whip, states } = publisher();
    whip.start();
    await settle();
    Peer.all[0]?.become('connected');
    whip.stop();
    expect(Peer.all[0]?.track).toBeNull();
    expect(Peer.all[0]?.closed).toBe(false);
    expect(deletes()).toMatchObject([{ url: 'https://genba.example/whip/s/1' }]);
    await settle();
    expect(Peer.all[0]?.closed).toBe(true);
    await settle(60_000);
    expect(posts()).toHaveLength(1);
    expect(states).toEqual(['connecting', 'connected', 'stopped']);
  });

  test('stop does not wait long for the server', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    respond = () => new Promise(() => undefined);
    whip.stop();
    await settle(1_000);
    expect(Peer.all[0]?.closed).toBe(true);
  });

  test('stop after the server ended it tells nobody', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    whip.stop(false);
    expect(Peer.all[0]?.closed).toBe(true);
    expect(deletes()).toEqual([]);
  });

  test('stop while the offer is under way takes the resource back', async () => {
    let arrive: (response: Response) => void = () => undefined;
    respond = ({ method }) =>
      method === 'POST' ? new Promise((done) => (arrive = done)) : new Response(null, { status: 200 });
    const { whip } = publisher();
    whip.start();
    await settle();
    whip.stop();
    arrive(new Response(answer, { status: 201, headers: { location: '/whip/s/late' } }));
    await settle();
    expect(deletes()).toMatchObject([{ url: 'https://genba.example/whip/s/late' }]);
    expect(Peer.all[0]?.remote).toBeUndefined();
  });

  test('an expired bearer is renewed to end the publication', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    respond = ({ headers }) => new Response(null, { status: headers.authorization === 'Bearer token 1' ? 401 : 200 });
    whip.stop();
    await settle();
    expect(deletes().map(({ headers }) => headers.authorization)).toEqual(['Bearer token 1', 'Bearer token 2']);
  });

  test('another camera takes over without a new agreement, and after one too', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    const other = { kind: 'video', label: 'front' } as MediaStreamTrack;
    await whip.replaceTrack(other);
    expect(Peer.all[0]?.track).toBe(other);
    Peer.all[0]?.become('failed');
    await settle(250);
    expect(Peer.all[1]?.track).toBe(other);
  });

  test('counts its bytes across agreements', async () => {
    const { whip } = publisher();
    whip.start();
    await settle();
    const [first] = Peer.all;
    expect(first).toBeDefined();
    Object.assign(first ?? {}, { sent: 1_000 });
    expect(await whip.bytesSent()).toBe(1_000);
    first?.become('failed');
    await settle(250);
    Object.assign(Peer.all[1] ?? {}, { sent: 50 });
    expect(await whip.bytesSent()).toBe(1_050);
  });
});

test('the bytes of the last moments are counted too', async () => {
  const { whip } = publisher();
  whip.start();
  await settle();
  Object.assign(Peer.all[0] ?? {}, { sent: 700 });
  const counting = whip.bytesSent();
  whip.stop();
  expect(await counting).toBe(700);
});

describe('a viewer', () => {
  test('wants video only and hands its stream over', async () => {
    const streams: unknown[] = [];
    const viewer = new WhepViewer({
      grant: async () => ({ url: '/whep/s', token: 't' }),
      onStream: (stream) => streams.push(stream),
    });
    viewer.start();
    await settle();
    expect(Peer.all[0]).toMatchObject({ direction: 'recvonly', track: 'video', codecs: ['video/H264', 'video/VP8', 'video/rtx'] });
    Peer.all[0]?.ontrack?.({ track, streams: ['stream'] });
    expect(streams).toEqual(['stream']);
  });

  test('does not ask for another viewing to end one', async () => {
    let grants = 0;
    const viewer = new WhepViewer({
      grant: async () => ({ url: '/whep/s', token: `t${++grants}` }),
      onStream: () => undefined,
    });
    viewer.start();
    await settle();
    respond = () => new Response(null, { status: 401 });
    viewer.stop();
    await settle();
    expect(deletes()).toHaveLength(1);
    expect(grants).toBe(1);
  });
});
