// GraphQL over fetch, and what its answers mean for the page.
import type { Operation } from '$lib/api/operation';

/** The server's no. The message is its sentence for the reader. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    /** The class of the refusal, such as RATE_LIMITED. */
    readonly code: string,
    /** The finer, stable reason, such as CODE_WRONG. */
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** No answer, or none that the server's program gave: try again later. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** Whether the same question may well be answered a little later. */
export function passes(error: unknown): boolean {
  return (
    error instanceof Unreachable ||
    (error instanceof Refusal && ['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL'].includes(error.code))
  );
}

/** How long an answer may take, in ms. */
const answerWithin = 15_000;

interface Answer<R> {
  readonly data?: R | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string; readonly reason?: string };
  }[];
}

/** Whose page asks: which of the cookies counts. */
export type PhoneActor = 'caller' | 'staff';

/** Asks the server as a phone. */
export class Api {
  readonly #actor: PhoneActor;
  readonly #language: () => string;

  /** language: ja or en, asked for at each question. */
  constructor(actor: PhoneActor, language: () => string) {
    this.#actor = actor;
    this.#language = language;
  }

  /** Runs one operation. Fails with a Refusal or with Unreachable. */
  async run<R, V>(asked: Operation<R, V>, variables: V): Promise<R> {
    const abort = new AbortController();
    const late = setTimeout(() => abort.abort(), answerWithin);
    try {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json',
          'accept-language': this.#language(),
          'genba-actor': this.#actor,
        },
        body: JSON.stringify({ query: asked.text, variables }),
        cache: 'no-store',
        credentials: 'same-origin',
        signal: abort.signal,
      });
      const answer = (await response.json()) as Answer<R>;
      const error = answer.errors?.[0];
      if (error) {
        throw new Refusal(error.extensions?.code ?? 'INTERNAL', error.extensions?.reason ?? '', error.message);
      }
      if (!answer.data) {
        throw new Unreachable(`status ${response.status} without data`);
      }
      return answer.data;
    } catch (error) {
      throw error instanceof Refusal || error instanceof Unreachable
        ? error
        : new Unreachable('no answer', { cause: error });
    } finally {
      clearTimeout(late);
    }
  }
}
