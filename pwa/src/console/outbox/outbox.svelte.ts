// What was sent in demonstration mode, where messages are shown instead of sent.

/** One message as GET /outbox.json answers it. */
export interface Message {
  readonly id: string;
  readonly at: string;
  readonly channel: string;
  readonly to: string;
  readonly body: string;
}

/** How often the messages are read, in ms. */
const every = 2_000;

/** A part of a message: plain, or a link to our own caller's page. */
export interface Part {
  readonly text: string;
  readonly href: string | null;
}

/** Splits a message so that its links can be followed; only addresses of the caller's page here become links. */
export function partsOf(body: string, origin: string): Part[] {
  return body.split(/(https?:\/\/[^\s<>"]+)/).flatMap((text, index): Part[] => {
    if (text === '') {
      return [];
    }
    const url = index % 2 === 1 && URL.canParse(text) ? new URL(text) : null;
    return [{ text, href: url && url.origin === origin && url.pathname === '/v' ? url.href : null }];
  });
}

/** The messages, read again and again while they are shown. */
export class Outbox {
  #messages = $state.raw<readonly Message[] | null>(null);
  #available = $state(true);
  #reachable = $state(true);

  /** The messages, newest first; null until they were read. */
  get messages(): readonly Message[] | null {
    return this.#messages;
  }

  /** Whether the server has an outbox. */
  get available(): boolean {
    return this.#available;
  }

  get reachable(): boolean {
    return this.#reachable;
  }

  /** Reads until the answer is called. */
  start(): () => void {
    void this.#read();
    const timer = setInterval(() => void this.#read(), every);
    return () => clearInterval(timer);
  }

  async #read(): Promise<void> {
    try {
      const response = await fetch('/outbox.json', { cache: 'no-store' });
      this.#reachable = true;
      this.#available = response.ok && (response.headers.get('content-type') ?? '').includes('json');
      if (this.#available) {
        this.#messages = (await response.json()) as Message[];
      }
    } catch {
      this.#reachable = false;
    }
  }
}
