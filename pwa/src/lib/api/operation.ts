// GraphQL operations as plain text with types, for pages that send them with fetch: no parser and no client library is
// downloaded with them.
import type { ResultOf, VariablesOf, graphql } from './graphql';

// Both stand for their types alone and are never run: the first has no value, the second is dropped by the build.
declare const typed: typeof graphql;
const documentOf = <const Text extends string>(text: Text) => typed(text);

type DocumentOf<Text extends string> = ReturnType<typeof documentOf<Text>>;

declare const types: unique symbol;

/** The text of an operation, with the types of its result and its variables. */
export interface Operation<Result, Variables> {
  readonly text: string;
  readonly [types]?: (variables: Variables) => Result;
}

/** An operation written as one literal text, without fragments; documents.test.ts checks it against the schema. */
export function operation<const Text extends string>(
  text: Text,
): Operation<ResultOf<DocumentOf<Text>>, VariablesOf<DocumentOf<Text>>> {
  return { text };
}

/** What an operation answers. */
export type Result<O> = O extends Operation<infer R, never> ? R : never;

/** What an operation takes. */
export type Variables<O> = O extends Operation<unknown, infer V> ? V : never;
