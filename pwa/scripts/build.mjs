// Builds every page into server/app/web/dist, each in a build of its own: one build for all of them would put what they
// share into common chunks, and the caller would download the parts of it that only the console uses.
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
