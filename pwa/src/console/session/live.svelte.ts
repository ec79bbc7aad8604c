// The live picture of one video report, as one console sees it.
import { Refusal } from '$lib/api/refusal';
import { WhepViewer } from '$lib/live/whep';
import type { Grant } from '$lib/live/connection';

/** How the picture stands: not asked for, on its way, moving, standing still, refused for good. */
export type PictureState = 'off' | 'connecting' | 'moving' | 'stalled' | 'refused';

/** After how long without a new frame the picture stands still, in ms. */
const stalledAfter = 2_000;

/** How often that is looked at, in ms. */
const lookEvery = 500;

/** Reasons for which asking for the live video once more would not help. */
const finalCodes = ['forbidden', 'not_found', 'unauthenticated', 'gone'];

/** What the picture tells its page. */
export interface LivePictureOptions {
  /** Asks for where to watch: one viewing. */
  readonly grant: () => Promise<Grant>;
  readonly language: string;
  readonly onFirstFrame: () => void;
  readonly sentence: (error: unknown) => string;
}

/** Watches by WHEP, comes back by itself, and knows whether frames come. */
export class LivePicture {
  readonly #options: LivePictureOptions;
  #viewer: WhepViewer | undefined;
  #state = $state<PictureState>('off');
  #stream = $state.raw<MediaStream | null>(null);
  #refusal = $state('');
  #stalledAt = $state<number | null>(null);
  #timer: ReturnType<typeof setInterval> | undefined;
  #seen: number | null = null;

  constructor(options: LivePictureOptions) {
    this.#options = options;
  }

  get state(): PictureState {
    return this.#state;
  }

  /** What a <video> shows. */
  get stream(): MediaStream | null {
    return this.#stream;
  }

  /** Why it was refused, for the reader. */
  get refusal(): string {
    return this.#refusal;
  }

  /** Since when the picture stands still, in ms since 1970. */
  get stalledAt(): number | null {
    return this.#stalledAt;
  }

  /** Begins to watch: each attempt is one viewing, journaled before its first byte. */
  start(): void {
    if (this.#viewer) {
      return;
    }
    const { grant, language, sentence } = this.#options;
    this.#state = 'connecting';
    this.#refusal = '';
    this.#viewer = new WhepViewer({
      grant,
      final: (error) => error instanceof Refusal && finalCodes.includes(error.code),
      language,
      onStream: (stream) => {
        this.#stream = stream;
      },
      onState: (state, error) => {
        if (state === 'refused') {
          this.#refusal = sentence(error);
          this.#halt('refused');
        } else if (state === 'interrupted' && this.#seen !== null && this.#viewer) {
          this.#stall(this.#seen);
        }
      },
    });
    this.#timer = setInterval(() => this.#look(), lookEvery);
    this.#viewer.start();
  }

  /** The server says that nothing comes any more: the last picture stays, marked as standing still. */
  hold(): void {
    if (this.#viewer && this.#seen !== null) {
      this.#viewer.leave();
      this.#viewer = undefined;
      clearInterval(this.#timer);
      this.#stall(this.#seen);
    } else {
      this.over();
    }
  }

  /** The live video is over: the picture goes. */
  over(): void {
    this.#viewer?.leave();
    this.#halt('off');
  }

  /** Stops watching. */
  stop(): void {
    this.#viewer?.stop();
    this.#halt('off');
  }

  /** Tries again now: the network has changed. */
  nudge(): void {
    this.#viewer?.nudge();
  }

  /** A frame was decoded and is being shown. */
  frame(): void {
    if (!this.#viewer) {
      return;
    }
    this.#seen = performance.now();
    if (this.#state !== 'moving') {
      this.#state = 'moving';
      this.#stalledAt = null;
      this.#options.onFirstFrame();
    }
  }

  #look(): void {
    // A page in the background draws nothing, whatever comes in.
    if (document.hidden) {
      this.#seen = this.#seen === null ? null : performance.now();
    } else if (this.#state === 'moving' && this.#seen !== null && performance.now() - this.#seen > stalledAfter) {
      this.#stall(this.#seen);
    }
  }

  #stall(seen: number): void {
    this.#state = 'stalled';
    this.#stalledAt ??= Date.now() - (performance.now() - seen);
  }

  #halt(state: 'off' | 'refused'): void {
    clearInterval(this.#timer);
    this.#viewer = undefined;
    this.#stream = null;
    this.#seen = null;
    this.#stalledAt = null;
    this.#state = state;
  }
}
