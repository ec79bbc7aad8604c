// The console's line to the server: queries and mutations by POST, subscriptions by one WebSocket. It keeps no cache:
// the state classes hold what they show, and every answer is the server's present word.
import { Client, type DocumentInput, fetchExchange, stringifyDocument } from '@urql/core';
import { type Client as SocketClient, createClient } from 'graphql-ws';
import { Kind, type DocumentNode } from 'graphql';
import type { Terminal } from './terminal';
import { Refusal, Unreachable, failureOf, refusalOf } from './refusal';

/** Where everything is asked. */
const endpoint = '/graphql';

/** How long the server may take to answer a query or a mutation, in ms. Its own deadline is 5 s. */
const answerWithin = 15_000;

/** How often the socket is tried, and how long its answer may take, in ms. */
const keepAlive = 10_000;
const pongWithin = 5_000;

/** How long the socket stays when nothing is subscribed, in ms: pages change without a new handshake. */
const lingerFor = 3_000;

/** The close codes that say: do not come back with this sign-in. */
const refusedCodes = [4401, 4403];

/** What an Api needs of the page. */
export interface ApiOptions {
  /** The language errors are written in. */
  readonly language: () => string;
  /** The server does not know the sign-in (any more). */
  readonly onSignedOut: () => void;
  /** The server refused something, whatever it was. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Proves on each request where this browser is. */
  readonly terminal: Terminal;
  /** The server could be reached, or not, by this way. */
  readonly onReach: (way: 'request' | 'socket', reached: boolean) => void;
  /** What the server's clock said, at a moment of ours. */
  readonly onServerTime?: (server: Date, ours: Date) => void;
}

/** Who listens to a subscription. Exactly one of failed and closed is called, at its end, unless it was stopped. */
export interface Sink<Event> {
  next(event: Event): void;
  /** The server refused it. */
  failed(refusal: Refusal): void;
  /** The line broke, or the server is done. */
  closed(): void;
}

/** Runs documents of the schema as the actor "console". */
export class Api {
  readonly #options: ApiOptions;
  readonly #client: Client;
  #socket: SocketClient;

  constructor(options: ApiOptions) {
    this.#options = options;
    this.#client = new Client({
      url: endpoint,
      exchanges: [fetchExchange],
      requestPolicy: 'network-only',
      preferGetMethod: false,
      fetchOptions: () => ({
        headers: {
          'Genba-Actor': 'console',
          'Accept-Language': options.language(),
          // The library would also take event streams, which cannot carry the sign-in's cookie.
          Accept: 'application/graphql-response+json, application/json',
        },
      }),
      fetch: (input, init) => this.#fetch(input, init),
    });
    this.#socket = this.#open();
  }

  /** Runs a query or a mutation. Throws Refusal or Unreachable. */
  async ask<Data, Variables>(document: DocumentInput<Data, Variables>, variables: Variables): Promise<Data> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, fail) => {
      timer = setTimeout(() => fail(new Unreachable(`no answer within ${answerWithin} ms`)), answerWithin);
    });
    try {
      const { data, error } = await Promise.race([this.#run(document, variables), late]);
      if (error) {
        throw failureOf(error);
      }
      if (data === undefined) {
        throw new Unreachable('an answer without data');
      }
      return data;
    } catch (error) {
      if (error instanceof Unreachable) {
        this.#options.onReach('request', false);
      } else if (error instanceof Refusal) {
        this.#refused(error);
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Subscribes; the answer stops it. A broken line is not mended here: follow() does that, with its cursor. */
  subscribe<Data, Variables>(
    document: DocumentInput<Data, Variables>,
    variables: Variables,
    sink: Sink<Data>,
  ): () => void {
    let over = false;
    const end = (last: () => void): void => {
      if (!over) {
        over = true;
        last();
      }
    };
    const stop = this.#socket.subscribe<Data>(
      { query: stringifyDocument(document as DocumentNode), variables: variables as Record<string, unknown> },
      {
        next: ({ data, errors }) => {
          if (errors && errors.length > 0) {
            end(() => this.#failed(errors, sink));
          } else if (data && !over) {
            sink.next(data);
          }
        },
        error: (cause) => end(() => this.#failed(cause, sink)),
        complete: () => end(() => sink.closed()),
      },
    );
    return () => {
      over = true;
      stop();
    };
  }

  /** Closes the socket at once, as after signing out. The next subscription opens a new one. */
  async close(): Promise<void> {
    const old = this.#socket;
    this.#socket = this.#open();
    await old.dispose();
  }

  #run<Data, Variables>(document: DocumentInput<Data, Variables>, variables: Variables) {
    const input = variables as Record<string, unknown>;
    const isMutation = (document as DocumentNode).definitions.some(
      (definition) => definition.kind === Kind.OPERATION_DEFINITION && definition.operation === 'mutation',
    );
    const typed = document as DocumentInput<Data, Record<string, unknown>>;
    return isMutation
      ? this.#client.mutation(typed, input).toPromise()
      : this.#client.query(typed, input).toPromise();
  }

  async #fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    let response = await this.#send(input, init);
    if (response.headers.get('www-authenticate')?.startsWith('DPoP')) {
      response = await this.#send(input, init); // the nonce was too old; the answer brought another
    }
    this.#options.onReach('request', response.status < 502 || response.status > 504);
    const date = response.headers.get('date');
    if (date) {
      this.#options.onServerTime?.(new Date(date), new Date());
    }
    return response;
  }

  async #send(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const { terminal } = this.#options;
    const proof = await terminal.proof('POST', endpoint);
    const headers = new Headers(init?.headers);
    if (proof) {
      headers.set('DPoP', proof);
    }
    const response = await fetch(input, { ...init, headers, credentials: 'same-origin', cache: 'no-store' });
    terminal.hear(response.headers.get('dpop-nonce'));
    return response;
  }

  #refused(refusal: Refusal): void {
    if (refusal.reason === 'UNAUTHENTICATED') {
      this.#options.onSignedOut();
    }
    this.#options.onRefused?.(refusal);
  }

  #failed<Event>(cause: unknown, sink: Sink<Event>): void {
    if (Array.isArray(cause)) {
      const refusal = refusalOf(cause);
      this.#refused(refusal);
      sink.failed(refusal);
    } else if (typeof cause === 'object' && cause !== null && 'code' in cause && refusedCodes.includes(Number(cause.code))) {
      const reason = 'reason' in cause && typeof cause.reason === 'string' ? cause.reason : '';
      if (reason === 'TERMINAL_NONCE') {
        this.#options.terminal.renew();
        sink.closed();
        return;
      }
      const refusal = new Refusal('', 'unauthenticated', reason || 'UNAUTHENTICATED');
      this.#refused(refusal);
      sink.failed(refusal);
    } else {
      sink.closed();
    }
  }

  #open(): SocketClient {
    const options = this.#options;
    let pong: ReturnType<typeof setTimeout> | undefined;
    const client = createClient({
      url: () => `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${endpoint}`,
      connectionParams: async () => {
        const proof = await options.terminal.proof('GET', endpoint);
        return { 'Genba-Actor': 'console', language: options.language(), ...(proof ? { DPoP: proof } : {}) };
      },
      lazy: true,
      lazyCloseTimeout: lingerFor,
      // A subscription sent again by the library would start at its first cursor and repeat what came since.
      retryAttempts: 0,
      keepAlive,
      on: {
        connected: () => options.onReach('socket', true),
        ping: (received) => {
          if (!received) {
            pong = setTimeout(() => client.terminate(), pongWithin);
          }
        },
        pong: (received) => {
          if (received) {
            clearTimeout(pong);
          }
        },
        closed: (event) => {
          clearTimeout(pong);
          const code = typeof event === 'object' && event !== null && 'code' in event ? Number(event.code) : 0;
          options.onReach('socket', code === 1000 || refusedCodes.includes(code));
        },
      },
    });
    return client;
  }
}
