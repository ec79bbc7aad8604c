import type { Variables } from '$lib/api/operation';
import { type Api, Refusal, passes } from './api';
import { beginUploadMutation } from './operations';
import type { Interrupted, Transfer } from './tus';

/**
 * How a file stands. waiting: its turn comes. sending. paused: the network is away, it goes on by itself. held: the
 * centre has not admitted the phone yet. sent: it has arrived. refused: the server will not take it. stopped: the video
 * report ended first.
 */
export type FileState = 'waiting' | 'sending' | 'paused' | 'held' | 'sent' | 'refused' | 'stopped';

type Kind = Variables<typeof beginUploadMutation>['input']['kind'];
type Capture = Variables<typeof beginUploadMutation>['input']['capture'];

/** A picture older than this was not taken just now, in ms. */
const justNow = 5 * 60_000;

/** Bearers last longer than this, by any clock; in ms. */
const renewAfter = 120_000;

/** Waits after a failed attempt, in ms; the last one repeats. Bytes that arrive start them anew. */
const pauses = [500, 1_000, 2_000, 4_000, 8_000];

/** An upload that the server knows, so that it can go on after a restart. */
export interface Begun {
  readonly id: string;
  /** Where its bytes go. */
  readonly url: string;
  /** What the phone claimed: it does not change with the time that passes. */
  readonly capture: Capture;
}

/** One file that the caller chose. */
export class Item {
  /** PHOTO or VIDEO. */
  readonly kind: Kind;
  /** NOW where the camera was opened from this page for it. */
  readonly capture: Capture;
  /** Bytes in all. */
  readonly size: number;
  /** Bytes that have left the phone. */
  sent = $state(0);
  /** How it stands. */
  state = $state<FileState>('waiting');
  /** The server's sentence, where it refused. */
  message = $state('');

  constructor(
    /** Counts the files of this page from 1. */
    readonly number: number,
    /** What the caller chose. */
    readonly file: File,
    fromCamera: boolean,
    /** The upload that it goes by, once there is one. */
    public begun?: Begun,
  ) {
    this.size = file.size;
    this.kind = file.type.startsWith('video/') ? 'VIDEO' : 'PHOTO';
    this.capture =
      begun?.capture ?? (fromCamera && Date.now() - file.lastModified < justNow ? 'NOW' : 'BEFORE');
  }

  /** Whether it still has to arrive. */
  get open(): boolean {
    return ['waiting', 'sending', 'paused', 'held'].includes(this.state);
  }
}

/** Sends files one after the other, through every break of the network. */
export class Uploads {
  readonly #api: Api;
  readonly #language: () => string;
  readonly #onRefused: (error: Refusal) => boolean;
  readonly #onBegun: ((item: Item) => void) | undefined;
  #items = $state<Item[]>([]);
  #running = false;
  #stopped = false;
  #current: Transfer | undefined;
  #wake: (() => void) | undefined;

  /**
   * onRefused is told of every refusal that is not about one file, such as SESSION_ENDED or PHONE_WAITING; true means
   * that the file waits for a nudge, false that it is refused. onBegun: the server knows the item's upload.
   */
  constructor(
    api: Api,
    language: () => string,
    onRefused: (error: Refusal) => boolean,
    onBegun?: (item: Item) => void,
  ) {
    this.#api = api;
    this.#language = language;
    this.#onRefused = onRefused;
    this.#onBegun = onBegun;
  }

  /** The files of this page, first chosen first. */
  get items(): readonly Item[] {
    return this.#items;
  }

  /** How many have not arrived yet. */
  get left(): number {
    return this.#items.filter((item) => item.open).length;
  }

  /** How many have arrived. */
  get arrived(): number {
    return this.#items.filter((item) => item.state === 'sent').length;
  }

  /** Bytes that have left the phone. */
  get bytes(): number {
    return this.#items.reduce((sum, item) => sum + item.sent, 0);
  }

  /** Takes files; sending begins by itself. fromCamera: they were taken through this page just now. */
  add(files: readonly File[], fromCamera: boolean, begun?: Begun): void {
    for (const file of files) {
      this.#items.push(new Item(this.#items.length + 1, file, fromCamera, begun));
    }
    void this.#work();
  }

  /** Goes on now: the network is back, or the phone was admitted. */
  nudge(): void {
    this.#wake?.();
    void this.#work();
  }

  /** Ends everything at once: nothing more is sent. */
  stop(): void {
    this.#stopped = true;
    this.#current?.abort();
    this.#wake?.();
    for (const item of this.#items) {
      if (item.open) {
        item.state = 'stopped';
      }
    }
  }

  async #work(): Promise<void> {
    if (this.#running) {
      return;
    }
    this.#running = true;
    try {
      for (let item = this.#next(); item; item = this.#next()) {
        await this.#send(item);
      }
    } finally {
      this.#running = false;
    }
  }

  #next(): Item | undefined {
    return this.#stopped ? undefined : this.#items.find((item) => item.open);
  }

  async #send(item: Item): Promise<void> {
    let transfer: Transfer | undefined;
    let id = item.begun?.id;
    let token = '';
    let renewed = 0;
    let failures = 0;
    let before = 0;

    const begin = async (): Promise<{ id: string; url: string; token: string; chunk: number }> => {
      const { beginUpload } = await this.#api.run(beginUploadMutation, {
        input: { ...(id ? { resume: id } : {}), kind: item.kind, capture: item.capture, size: item.size, name: item.file.name },
      });
      ({ id, token } = beginUpload);
      renewed = performance.now();
      return beginUpload;
    };

    while (item.open && !this.#stopped) {
      try {
        item.state = 'sending';
        if (!transfer) {
          const [grant, tus] = await Promise.all([begin(), import('./tus')]);
          if (this.#stopped) {
            return;
          }
          transfer = new tus.Transfer(item.file, {
            url: grant.url,
            at: item.begun?.url,
            chunk: grant.chunk,
            onCreated: (url) => {
              item.begun = { id: grant.id, url, capture: item.capture };
              this.#onBegun?.(item);
            },
            token: async () => {
              if (!token || performance.now() - renewed > renewAfter) {
                await begin();
              }
              return token;
            },
            language: this.#language,
            onProgress: (sent) => {
              item.sent = Math.max(item.sent, sent);
            },
          });
        }
        this.#current = transfer;
        await transfer.attempt();
        item.sent = item.size;
        item.state = 'sent';
        return;
      } catch (error) {
        if (this.#stopped) {
          return;
        }
        const verdict = judge(error);
        if (verdict === 'renew') {
          token = '';
        } else if (verdict === 'anew' || (item.begun && verdict !== 'later' && verdict.reason === 'NOT_FOUND')) {
          transfer = id = item.begun = undefined;
        } else if (verdict !== 'later') {
          if (!this.#onRefused(verdict)) {
            item.state = 'refused';
            item.message = verdict.message;
            return;
          }
          item.state = 'held';
          await this.#woken();
          continue;
        }
        if (item.sent > before) {
          before = item.sent;
          failures = 0;
        }
        item.state = 'paused';
        await this.#woken(pauses[Math.min(failures++, pauses.length - 1)]);
      } finally {
        this.#current = undefined;
      }
    }
  }

  /** Waits for a nudge, or for so many ms. */
  async #woken(within?: number): Promise<void> {
    await new Promise<void>((done) => {
      const timer = within === undefined ? undefined : setTimeout(() => this.#wake?.(), within);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        done();
      };
    });
  }
}

/** What follows a failed attempt: later, with a new bearer, from the beginning, or the server's no. */
function judge(error: unknown): 'later' | 'renew' | 'anew' | Refusal {
  if (error instanceof Refusal) {
    return passes(error) ? 'later' : error;
  }
  const { name, status, reason, message } = error as Interrupted;
  if (name !== 'Interrupted' || status === 0 || status >= 500 || status === 409 || status === 423 || status === 429) {
    return reason === 'DISK_FULL' ? new Refusal('UNAVAILABLE', reason, message) : 'later';
  }
  if (status === 401) {
    return 'renew';
  }
  return status === 404 ? 'anew' : new Refusal('', reason, message);
}
