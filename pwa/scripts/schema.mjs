// Writes src/lib/api/schema.d.ts, the types gql.tada reads, from ../graph/schema/*.graphqls. No server is needed.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { minifyIntrospection, outputIntrospectionFile } from '@gql.tada/internal';
import { Source, concatAST, buildASTSchema, introspectionFromSchema, lexicographicSortSchema, parse } from 'graphql';

const schemaDir = new URL('../../graph/schema/', import.meta.url);
const target = new URL('../src/lib/api/schema.d.ts', import.meta.url);

const names = (await readdir(schemaDir)).filter((name) => name.endsWith('.graphqls')).sort();
if (names.length === 0) {
  throw new Error(`no .graphqls file in ${schemaDir.pathname}`);
}
const documents = await Promise.all(
  names.map(async (name) => parse(new Source(await readFile(new URL(name, schemaDir), 'utf8'), name))),
);
const schema = lexicographicSortSchema(buildASTSchema(concatAST(documents)));
const text = outputIntrospectionFile(minifyIntrospection(introspectionFromSchema(schema)), {
  fileType: '.d.ts',
  shouldPreprocess: true,
});
await writeFile(target, text);
