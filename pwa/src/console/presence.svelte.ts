// Whether somebody is there: the screen locks when nobody was for a while, and never while a session is watched.

/** How often it is looked whether the time is over, and how often the server is told, in ms. */
const lookEvery = 5_000;
const tellEvery = 60_000;

/** What a presence needs of the page. */
export interface PresenceOptions {
  /** After how many ms without a deed the screen locks. */
  readonly limit: () => number;
  /** Somebody is there: the server shall know. */
  readonly onThere: () => void;
  /** Nobody was there for the limit. */
  readonly onGone: () => void;
}

/** Follows the reader's hands. */
export class Presence {
  readonly #options: PresenceOptions;
  #last = 0;
  #told = 0;
  #watching = 0;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** A session is watched until the answer is called. */
  watch(): () => void {
    this.#watching++;
    let over = false;
    return () => {
      if (!over) {
        over = true;
        this.#watching--;
        this.#last = Date.now();
      }
    };
  }

  /** Begins; the answer ends it. */
  start(): () => void {
    this.#last = this.#told = Date.now();
    const there = (): void => this.note(Date.now());
    const events = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const;
    events.forEach((name) => addEventListener(name, there, { capture: true, passive: true }));
    const timer = setInterval(() => this.look(Date.now()), lookEvery);
    return () => {
      events.forEach((name) => removeEventListener(name, there, { capture: true }));
      clearInterval(timer);
    };
  }

  /** Somebody did something. */
  note(now: number): void {
    this.#last = now;
    if (now - this.#told >= tellEvery) {
      this.#told = now;
      this.#options.onThere();
    }
  }

  /** Looks whether the time is over. */
  look(now: number): void {
    if (this.#watching > 0) {
      this.#last = now;
    } else if (now - this.#last >= this.#options.limit()) {
      this.#options.onGone();
    }
  }
}
