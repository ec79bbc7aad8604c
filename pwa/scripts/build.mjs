// Builds every page into server/app/web/dist, each in a build of its own: one build for all of them would put what they
// share into common chunks, and the caller would download the parts of it that only the console uses.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['caller', 'console', 'staff'];
const dist = `${root}../server/app/web/dist/`;
const assets = async () => (await readdir(`${dist}assets`).catch(() => [])).map((name) => `/assets/${name}`);
let before = [];

for (const [index, page] of pages.entries()) {
  before = index === 0 ? [] : await assets();
  await build({
    root,
    logLevel: 'info',
    build: {
      emptyOutDir: index === 0,
      rolldownOptions: { input: { [page]: `${root}${page}.html` } },
    },
  });
}

// The officers' app: its manifest, its icons, and its worker with the list of the app's own files.
await mkdir(`${dist}staff`, { recursive: true });
for (const name of await readdir(`${root}staff`)) {
  await cp(`${root}staff/${name}`, `${dist}staff/${name}`);
}
const page = await readFile(`${dist}staff.html`, 'utf8');
const shared = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, address]) => address);
const own = (await assets()).filter((address) => !before.includes(address));
const shell = ['/staff/', ...new Set([...own, ...shared])].sort();
const version = createHash('sha256').update(page).update(shell.join()).digest('hex').slice(0, 12);
const worker = (await readFile(`${root}staff/sw.js`, 'utf8'))
  .replace('/* the list */ []', JSON.stringify(shell))
  .replace('staff-version', `staff-${version}`);
await writeFile(`${dist}staff/sw.js`, worker);

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
