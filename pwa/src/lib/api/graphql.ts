// GraphQL documents whose results and variables are typed by the schema. `npm run schema` renews schema.d.ts.
import { initGraphQLTada } from 'gql.tada';
import type { introspection } from './schema';

export type { ResultOf, VariablesOf } from 'gql.tada';

/** What the schema's scalars are in JSON. */
export interface Scalars {
  /** An instant, RFC 3339 in UTC. */
  Time: string;
  /** A day in Japan, YYYY-MM-DD. */
  Date: string;
  /** A whole number; all we send are below 2^53. */
  Int64: number;
  /** Opaque. */
  Cursor: string;
}

/**
 * Reads a GraphQL document for a client that takes documents: one literal text, then the list of the fragments it uses.
 * documents.test.ts checks it against the schema. What a fragment asks for is part of the document's result: the state
 * classes hand whole objects on.
 */
export const graphql = initGraphQLTada<{ introspection: introspection; scalars: Scalars; disableMasking: true }>();
