// What can go wrong between a page and the server: a refusal, which has words for the reader, or silence.
import type { CombinedError } from '@urql/core';

/** The server refused. The message is a sentence for the reader, in the language the page asked in. */
export class Refusal extends Error {
  override readonly name = 'Refusal';

  constructor(
    message: string,
    /** The class of the refusal: invalid, unauthenticated, forbidden, not_found … */
    readonly code: string,
    /** The fine, stable reason: DIGITS_MISMATCH, RESYNC … */
    readonly reason: string,
    /** Finds the refusal in the server's log; empty where it has none. */
    readonly id = '',
  ) {
    super(message);
  }
}

/** The server did not answer, or not in time. Whether it acted is not known. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** One GraphQL error as it stands in an answer or in an error message of the socket. */
export interface WireError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The refusal behind the first of the errors of an answer. */
export function refusalOf(errors: readonly WireError[]): Refusal {
  const error = errors[0];
  const extensions = error?.extensions;
  return new Refusal(
    error?.message ?? '',
    word(extensions?.['code']).toLowerCase(),
    word(extensions?.['reason']),
    word(extensions?.['id']),
  );
}

/** What an operation failed of: a Refusal where the server answered in GraphQL, else Unreachable. */
export function failureOf(error: CombinedError): Refusal | Unreachable {
  if (error.graphQLErrors.length > 0) {
    return refusalOf(error.graphQLErrors);
  }
  return new Unreachable(error.message, { cause: error });
}
