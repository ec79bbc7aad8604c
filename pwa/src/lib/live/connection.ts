// One peer connection to the media server, agreed with a single POST of SDP (WHIP and WHEP), and kept up: whatever
// breaks is torn down and agreed anew with a fresh bearer. Knows no page and no document.

/** Where to POST the offer, and the bearer for it: what the mutations publish and watch answer. */
export interface Grant {
  readonly url: string;
  readonly token: string;
}

/**
 * How a connection stands. connecting: the first attempt is under way. connected: media can flow. interrupted: it was
 * connected, or an attempt failed, and the next attempt follows by itself. refused: the server said no for good, see
 * the error. stopped: by stop().
 */
export type LiveState = 'connecting' | 'connected' | 'interrupted' | 'refused' | 'stopped';

/** The server's no to an offer. */
export class LiveRefusal extends Error {
  override readonly name = 'LiveRefusal';

  constructor(
    /** The HTTP status. */
    readonly status: number,
    /** The stable reason, such as PUBLISHER_PRESENT; empty where the answer names none. */
    readonly reason: string,
    /** The server's sentence for the reader; empty where there is none. */
    message: string,
  ) {
    super(message);
  }
}

/** What every connection needs. */
export interface LiveOptions {
  /**
   * Answers a grant for the next attempt. An error that final says yes to ends the connection, any other one is
   * followed by another attempt.
   */
  readonly grant: () => Promise<Grant>;
  /** Whether an error of grant or of the server's answer is a no for good. LiveRefusals with 403, 409, 410, 422 are. */
  readonly final?: (error: unknown) => boolean;
  /** Told of each change of state; error says why, for interrupted and refused. */
  readonly onState?: (state: LiveState, error?: unknown) => void;
  /** The reader's language, for the server's sentences. */
  readonly language?: string;
}

/** The longest wait for addresses before the offer is sent, in ms. The server needs none: it answers where checks come from. */
const gatherWithin = 300;

/** How long the answer to an offer may take, in ms. */
const answerWithin = 10_000;

/** How long a transport may take to come up, and how long it may be in doubt before it is agreed anew, in ms. */
const connectWithin = 8_000;
const doubtWithin = 1_500;

/** How long a connection is held for the server's answer to the DELETE, in ms; nothing is sent over it. */
const goodbyeWithin = 1_000;

/** Waits before another attempt, in ms; the last one repeats. */
const pauses = [250, 500, 1_000, 2_000, 4_000];

const refusedForGood = [403, 409, 410, 415, 422];

/** A connection to the media server that comes back by itself until it is stopped or refused. */
export abstract class LiveConnection {
  readonly #options: LiveOptions;
  #state: LiveState = 'stopped';
  #run = 0;
  #failures = 0;
  #peer: RTCPeerConnection | undefined;
  #resource: { url: string; token: string } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;
  #retryNow: (() => void) | undefined;

  protected constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** Whether a bearer that ran out is renewed for a DELETE; it would be counted as another viewing for a viewer. */
  protected readonly renewsToEnd: boolean = false;

  /** Adds what is sent or wanted before the offer is made. */
  protected abstract prepare(peer: RTCPeerConnection): void | Promise<void>;

  /** How the connection stands. */
  get state(): LiveState {
    return this.#state;
  }

  /** The connection of the present attempt. */
  protected get peer(): RTCPeerConnection | undefined {
    return this.#peer;
  }

  /** Begins, and goes on by itself. Does nothing where it has begun. */
  start(): void {
    if (this.#state !== 'stopped' && this.#state !== 'refused') {
      return;
    }
    this.#failures = 0;
    this.#set('connecting');
    void this.#attempt(++this.#run);
  }

  /** Ends at once. tell: the server is told, without waiting for its answer; false where it was the server that ended it. */
  stop(tell = true): void {
    this.#run++;
    if (!tell) {
      this.#resource = undefined;
    }
    this.#teardown();
    this.#set('stopped');
  }

  /** Ends at once where the server itself has said that the video is over: there is nothing left to tell it. */
  leave(): void {
    this.#resource = undefined;
    this.stop();
  }

  /** Tries again now where a pause or a doubtful connection would be waited for: the network has changed. */
  nudge(): void {
    if (this.#retryNow) {
      this.#retryNow();
    } else if (this.#peer && this.#state === 'connected' && this.#peer.connectionState !== 'connected') {
      this.#again(this.#run, new Error('the network has changed'));
    }
  }

  async #attempt(run: number): Promise<void> {
    let grant: Grant;
    try {
      grant = await this.#options.grant();
      if (run !== this.#run) {
        return;
      }
      await this.#agree(run, grant);
    } catch (error) {
      if (run !== this.#run) {
        return;
      }
      if (this.#isFinal(error)) {
        this.#run++;
        this.#teardown();
        this.#set('refused', error);
      } else {
        this.#again(run, error);
      }
    }
  }

  async #agree(run: number, grant: Grant): Promise<void> {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#peer = peer;
    await this.prepare(peer);
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer);
    if (run !== this.#run) {
      return;
    }

    const abort = new AbortController();
    this.#abort = abort;
    const late = setTimeout(() => abort.abort(), answerWithin);
    let answer: string;
    try {
      const response = await fetch(grant.url, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${grant.token}`,
          'content-type': 'application/sdp',
          ...(this.#options.language ? { 'accept-language': this.#options.language } : {}),
        },
        body: peer.localDescription?.sdp ?? '',
        cache: 'no-store',
        credentials: 'same-origin',
        signal: abort.signal,
      });
      if (!response.ok) {
        throw await refusal(response);
      }
      const location = response.headers.get('location');
      const resource = location && { url: new URL(location, new URL(grant.url, baseURL())).href, token: grant.token };
      if (run !== this.#run) {
        if (resource) {
          void this.#delete(resource);
        }
        return;
      }
      this.#resource = resource || undefined;
      answer = await response.text();
    } finally {
      clearTimeout(late);
    }
    if (run !== this.#run) {
      return;
    }
    peer.onconnectionstatechange = () => this.#follow(run, peer);
    this.#wait(connectWithin, () => this.#again(run, new Error('the transport did not come up')));
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  #follow(run: number, peer: RTCPeerConnection): void {
    if (run !== this.#run || peer !== this.#peer) {
      return;
    }
    switch (peer.connectionState) {
      case 'connected':
        this.#clear();
        this.#failures = 0;
        this.#set('connected');
        break;
      case 'disconnected':
        this.#wait(doubtWithin, () => this.#again(run, new Error('nothing comes through')));
        break;
      case 'failed':
      case 'closed':
        this.#again(run, new Error('the transport failed'));
        break;
    }
  }

  /** Tears down and tries again after a pause that grows with each failure in a row. */
  #again(run: number, error: unknown): void {
    if (run !== this.#run) {
      return;
    }
    const next = ++this.#run;
    this.#teardown();
    this.#set('interrupted', error);
    const pause = pauses[Math.min(this.#failures++, pauses.length - 1)] ?? 0;
    this.#retryNow = () => {
      this.#retryNow = undefined;
      this.#clear();
      void this.#attempt(next);
    };
    this.#wait(pause, this.#retryNow);
  }

  #isFinal(error: unknown): boolean {
    return (
      (error instanceof LiveRefusal && refusedForGood.includes(error.status)) || (this.#options.final?.(error) ?? false)
    );
  }

  #teardown(): void {
    this.#clear();
    this.#retryNow = undefined;
    this.#abort?.abort();
    this.#abort = undefined;
    const peer = this.#peer;
    const resource = this.#resource;
    this.#peer = this.#resource = undefined;
    if (peer) {
      peer.onconnectionstatechange = null;
      peer.ontrack = null;
    }
    if (!resource) {
      peer?.close();
      return;
    }
    // Said first and hung up then: the other way round the server would not know what the DELETE is about.
    peer?.getSenders().forEach((sender) => void sender.replaceTrack(null).catch(() => undefined));
    const late = setTimeout(() => peer?.close(), goodbyeWithin);
    void this.#delete(resource).then(() => {
      clearTimeout(late);
      peer?.close();
    });
  }

  async #delete(resource: { url: string; token: string }): Promise<void> {
    const end = (token: string): Promise<Response> =>
      fetch(resource.url, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${token}` },
        credentials: 'same-origin',
        keepalive: true,
      });
    // The server notices a peer that is gone by itself: a lost DELETE costs seconds, not correctness.
    try {
      if ((await end(resource.token)).status === 401 && this.renewsToEnd) {
        await end((await this.#options.grant()).token);
      }
    } catch {
      // Nothing is left to do.
    }
  }

  #wait(milliseconds: number, then: () => void): void {
    this.#clear();
    this.#timer = setTimeout(then, milliseconds);
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(state: LiveState, error?: unknown): void {
    if (state !== this.#state) {
      this.#state = state;
      this.#options.onState?.(state, error);
    }
  }
}

/** Video formats in the order we want them: H.264 because it plays and seeks everywhere, VP8 next, then the repairs. */
export function preferCodecs(
  transceiver: RTCRtpTransceiver,
  capabilities: RTCRtpCapabilities | null | undefined,
): void {
  if (!capabilities || !('setCodecPreferences' in transceiver)) {
    return;
  }
  const order = ['video/h264', 'video/vp8', 'video/rtx'];
  const place = (mime: string): number => order.indexOf(mime.toLowerCase());
  const wanted = capabilities.codecs
    .filter((codec) => place(codec.mimeType) >= 0)
    .sort((a, b) => place(a.mimeType) - place(b.mimeType));
  if (wanted.length > 0) {
    transceiver.setCodecPreferences(wanted);
  }
}

function baseURL(): string {
  return globalThis.location?.href ?? 'http://localhost/';
}

async function gathered(peer: RTCPeerConnection): Promise<void> {
  if (peer.iceGatheringState === 'complete') {
    return;
  }
  await new Promise<void>((done) => {
    const end = (): void => {
      clearTimeout(timer);
      peer.onicegatheringstatechange = null;
      done();
    };
    const timer = setTimeout(end, gatherWithin);
    peer.onicegatheringstatechange = () => {
      if (peer.iceGatheringState === 'complete') {
        end();
      }
    };
  });
}

async function refusal(response: Response): Promise<LiveRefusal> {
  const text = await response.text().catch(() => '');
  try {
    const problem = JSON.parse(text) as { reason?: unknown; detail?: unknown; title?: unknown };
    const sentence = problem.detail ?? problem.title;
    return new LiveRefusal(
      response.status,
      typeof problem.reason === 'string' ? problem.reason : '',
      typeof sentence === 'string' ? sentence : '',
    );
  } catch {
    return new LiveRefusal(response.status, '', '');
  }
}
