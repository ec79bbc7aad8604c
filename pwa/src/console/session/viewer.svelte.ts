// One file being looked at: under a grant that is journaled before the first byte, and asked for anew when it runs out.
import type { Api } from '$lib/api/client';
import type { Look } from './look.svelte';
import { openMediaMutation } from './operations';
import type { MediaFile } from './session.svelte';

/** How a look stands. */
export type ViewerState = 'closed' | 'opening' | 'open' | 'expired' | 'refused';

/** The zoom steps of a photo; 1 fits the window. */
export const zooms = [1, 1.5, 2, 3, 4, 6] as const;

/** The viewer of a session page. It opens nothing by itself. */
export class Viewer {
  readonly #api: Api;
  readonly #sentence: (error: unknown) => string;
  readonly #look: () => Look;
  #state = $state<ViewerState>('closed');
  #file = $state.raw<MediaFile | null>(null);
  #url = $state('');
  #refusal = $state('');
  #zoom = $state(0);
  #asked = 0;
  /** Where playback goes on after a grant was renewed, in seconds. */
  resumeAt = 0;

  constructor(api: Api, sentence: (error: unknown) => string, look: () => Look = () => ({ reason: null, purpose: 'INITIAL_RESPONSE', law: null, document: null })) {
    this.#api = api;
    this.#sentence = sentence;
    this.#look = look;
  }

  get state(): ViewerState {
    return this.#state;
  }

  get file(): MediaFile | null {
    return this.#file;
  }

  /** Where the bytes are, for as long as the grant lasts. */
  get url(): string {
    return this.#url;
  }

  /** Why it was refused, for the reader. */
  get refusal(): string {
    return this.#refusal;
  }

  /** How large a photo is shown: 1 fits the window. */
  get zoom(): number {
    return zooms[this.#zoom] ?? 1;
  }

  /** Opens a file: one viewing. */
  async open(file: MediaFile): Promise<void> {
    const asked = ++this.#asked;
    this.#file = file;
    this.#state = 'opening';
    this.#zoom = 0;
    this.#url = '';
    this.resumeAt = 0;
    await this.#ask(asked, file);
  }

  /** Asks for a new grant where the last one ran out, and goes on where it was. */
  async reopen(at = 0): Promise<void> {
    const file = this.#file;
    if (file) {
      this.resumeAt = at;
      this.#state = 'opening';
      await this.#ask(++this.#asked, file);
    }
  }

  /** The bytes do not come (any more). */
  broke(at = 0): void {
    if (this.#state === 'open') {
      this.resumeAt = at;
      this.#state = 'expired';
    }
  }

  /** Shows a photo larger or smaller. */
  zoomBy(steps: number): void {
    this.#zoom = Math.min(Math.max(this.#zoom + steps, 0), zooms.length - 1);
  }

  /** Shows all of a photo. */
  fit(): void {
    this.#zoom = 0;
  }

  close(): void {
    this.#asked += 1;
    this.#state = 'closed';
    this.#file = null;
    this.#url = '';
  }

  async #ask(asked: number, file: MediaFile): Promise<void> {
    try {
      const { openMedia } = await this.#api.ask(openMediaMutation, { input: { mediaFileID: file.id, ...this.#look() } });
      if (asked === this.#asked) {
        this.#file = openMedia.mediaFile;
        this.#url = openMedia.url;
        this.#state = 'open';
      }
    } catch (error) {
      if (asked === this.#asked) {
        this.#refusal = this.#sentence(error);
        this.#state = 'refused';
      }
    }
  }
}
