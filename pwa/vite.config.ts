import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

// Every page is an entry of its own. scripts/build.mjs builds them one after the other, so that what one page uses of a
// shared module never weighs on another. Scripts and styles are files under /assets/: the content security policy
// allows nothing inline.
export default defineConfig({
  appType: 'mpa',
  plugins: [svelte()],
  resolve: {
    alias: { $lib: at('./src/lib') },
    // The tests run the browser's half of Svelte, the one the pages run.
    ...(process.env.VITEST ? { conditions: ['browser'] } : {}),
  },
  build: {
    outDir: at('../server/app/web/dist'),
    emptyOutDir: true,
    target: ['es2022', 'safari15.4', 'chrome100', 'firefox100'],
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: '127.0.0.1',
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
  },
});
