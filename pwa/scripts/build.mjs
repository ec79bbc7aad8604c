// Builds every page into server/app/web/dist, each in a build of its own: one build for all of them would put what they
// share into common chunks, and the caller would download the parts of it that only the console uses.
import { cp, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['caller', 'console'];

for (const [index, page] of pages.entries()) {
  await build({
    root,
    logLevel: 'info',
    build: {
      emptyOutDir: index === 0,
      rolldownOptions: { input: { [page]: `${root}${page}.html` } },
    },
  });
}

// GraphiQL for --dev, from our own files: no page of ours asks another host.
const graphiql = `${root}../server/app/web/dist/assets/graphiql/`;
await mkdir(graphiql, { recursive: true });
for (const [name, from] of Object.entries({
  'graphiql.css': 'node_modules/graphiql/graphiql.min.css',
  'graphiql.js': 'node_modules/graphiql/graphiql.min.js',
  'react.js': 'node_modules/react/umd/react.production.min.js',
  'react-dom.js': 'node_modules/react-dom/umd/react-dom.production.min.js',
  'page.css': 'graphiql/page.css',
  'page.js': 'graphiql/page.js',
})) {
  await cp(`${root}${from}`, `${graphiql}${name}`);
}
await cp(`${root}graphiql/index.html`, `${root}../server/app/web/dist/graphiql.html`);
