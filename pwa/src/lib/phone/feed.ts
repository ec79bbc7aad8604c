// One subscription over graphql-transport-ws, kept up by itself.
import type { Operation } from '$lib/api/operation';
import type { PhoneActor } from './api';

/** What a feed needs. */
export interface FeedOptions<R> {
  /** Whose page asks. */
  readonly actor: PhoneActor;
  /** The subscription. */
  readonly asked: Operation<R, Record<string, never>>;
  /** ja or en. */
  readonly language: () => string;
  /** Told of each event. */
  readonly onEvent: (event: R) => void;
  /** Attempts keep failing: it is time to ask another way. Told at each of them. */
  readonly onLost: () => void;
  /** The server refused for good: it is not asked again. reason: as in Refusal, may be empty. */
  readonly onRefused: (reason: string) => void;
}

/** Waits before connecting again, in ms; the last one repeats. */
const pauses = [500, 1_000, 2_000, 4_000, 8_000];

/** We say something this often, and a connection on which nothing came for twice as long is given up; in ms. */
const pingEvery = 12_000;

interface Message {
  readonly type: string;
  readonly payload?: unknown;
}

/** Follows one subscription through every break of the network. */
export class Feed<R> {
  readonly #options: FeedOptions<R>;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #failures = 0;
  #heard = false;
  #on = false;

  constructor(options: FeedOptions<R>) {
    this.#options = options;
  }

  /** Begins; does nothing where it has begun. */
  start(): void {
    if (!this.#on) {
      this.#on = true;
      this.#connect();
    }
  }

  /** Ends at once. */
  stop(): void {
    this.#on = false;
    this.#drop();
  }

  /** Connects again now: the network has changed, or the page is back on the screen. */
  nudge(): void {
    if (this.#on && this.#socket?.readyState !== WebSocket.OPEN) {
      this.#failures = 0;
      this.#connect();
    }
  }

  #connect(): void {
    this.#drop();
    const url = new URL('/graphql', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url, 'graphql-transport-ws');
    this.#socket = socket;
    const say = (message: unknown): void => socket.send(JSON.stringify(message));
    this.#heard = true;
    this.#beat = setInterval(() => {
      if (!this.#heard) {
        this.#again();
      } else {
        this.#heard = false;
        if (socket.readyState === WebSocket.OPEN) {
          say({ type: 'ping' });
        }
      }
    }, pingEvery);
    socket.onopen = () =>
      say({ type: 'connection_init', payload: { 'Genba-Actor': this.#options.actor, language: this.#options.language() } });
    socket.onmessage = ({ data }) => {
      this.#heard = true;
      const message = JSON.parse(String(data)) as Message;
      switch (message.type) {
        case 'connection_ack':
          say({ id: '1', type: 'subscribe', payload: { query: this.#options.asked.text } });
          break;
        case 'ping':
          say({ type: 'pong' });
          break;
        case 'next': {
          this.#failures = 0;
          const { data: event } = message.payload as { data?: R | null };
          if (event) {
            this.#options.onEvent(event);
          }
          break;
        }
        case 'error': {
          const [first] = message.payload as { extensions?: { code?: string; reason?: string } }[];
          if (['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL'].includes(first?.extensions?.code ?? '')) {
            this.#again();
          } else {
            this.#refuse(first?.extensions?.reason ?? '');
          }
          break;
        }
        case 'complete':
          this.#again();
          break;
      }
    };
    socket.onclose = ({ code }) => (code === 4401 || code === 4403 ? this.#refuse('') : this.#again());
  }

  #refuse(reason: string): void {
    this.stop();
    this.#options.onRefused(reason);
  }

  #again(): void {
    this.#drop();
    if (this.#failures > 0) {
      this.#options.onLost();
    }
    const pause = pauses[Math.min(this.#failures++, pauses.length - 1)];
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }
}
