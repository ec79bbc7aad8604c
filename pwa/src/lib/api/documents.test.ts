import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type DocumentNode,
  type GraphQLSchema,
  Kind,
  NoUnusedFragmentsRule,
  buildASTSchema,
  concatAST,
  parse,
  specifiedRules,
  validate,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { graphql } from './graphql';
import { type Result, type Variables, operation } from './operation';

const src = fileURLToPath(new URL('../..', import.meta.url));
const schemaDir = fileURLToPath(new URL('../../../../graph/schema', import.meta.url));

function readSchema(): GraphQLSchema {
  const files = readdirSync(schemaDir).filter((name) => name.endsWith('.graphqls'));
  return buildASTSchema(concatAST(files.map((name) => parse(readFileSync(join(schemaDir, name), 'utf8')))));
}

/** Every document written in a file as graphql(`…`) or operation(`…`), by the place it stands in. */
function documentsIn(file: string): [string, DocumentNode][] {
  const text = readFileSync(join(src, file), 'utf8');
  return Array.from(text.matchAll(/\b(?:graphql|operation)\(\s*(`[^`]*`|'[^'\n]*')/g), (found) => {
    const line = text.slice(0, found.index).split('\n').length;
    return [`${file}:${line}`, parse((found[1] ?? '').slice(1, -1))];
  });
}

const documents = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(ts|svelte)$/.test(file) && !file.endsWith('.test.ts') && !file.endsWith('.d.ts'))
  .flatMap(documentsIn);
const fragments = documents.flatMap(([, document]) =>
  document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION),
);
const operations = documents.flatMap(([place, document]) =>
  document.definitions
    .filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    .map((definition): [string, DocumentNode] => [
      `${place} ${definition.name?.value ?? ''}`,
      { kind: Kind.DOCUMENT, definitions: [definition, ...fragments] },
    ]),
);

describe('what the pages ask for', () => {
  const schema = readSchema();
  const rules = specifiedRules.filter((rule) => rule !== NoUnusedFragmentsRule);

  test('stands in the schema', () => {
    const faults = operations.flatMap(([place, document]) =>
      validate(schema, document, rules).map((error) => `${place}: ${error.message}`),
    );
    expect(faults).toEqual([]);
  });

  test('a field that is not in the schema is found', () => {
    expect(validate(schema, parse('{ me { shoeSize } }'), rules)).not.toEqual([]);
  });
});

test('an operation carries the types of the schema', () => {
  const ask = operation('query ($secret: String!) { link(secret: $secret) { __typename } }');
  const variables: Variables<typeof ask> = { secret: 's' };
  const result: Result<typeof ask> = { link: { __typename: 'LinkTerms' } };
  // @ts-expect-error the secret is a string
  const wrongVariables: Variables<typeof ask> = { secret: 1 };
  // @ts-expect-error there is no other type behind link
  const wrongResult: Result<typeof ask> = { link: { __typename: 'Case' } };
  expect(ask.text).toContain('link(secret: $secret)');
  expect([variables, result, wrongVariables, wrongResult]).toHaveLength(4);
});

test('a document carries the types of the schema', () => {
  const document = graphql('query { me { __typename } }');
  expect(document.kind).toBe(Kind.DOCUMENT);
});
