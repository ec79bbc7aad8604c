// Runs the tests in a browser: `npm run e2e` all of them, `npm run e2e -- photo` those whose file is named so.
//
// To write one, make NAME.test.mjs beside this file:
//
//   import assert from 'node:assert/strict';
//   import { after, before, test } from 'node:test';
//   import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
//   import { framesBetween, readFrame } from './pattern.mjs';
//   import { startServer } from './server.mjs';
//   import { shot } from './shots.mjs';
//
//   let server, browser;
//   before(async () => { server = await startServer(); browser = await launch(); });
//   after(async () => { await browser?.close(); await server?.stop(); });
//
//   test('the caller sees who we are', async (t) => {
//     const caller = await phone(browser, { baseURL: server.baseURL, locale: 'en-US' });
//     t.after(() => caller.close());
//     const page = await caller.newPage();
//     await page.goto('/v#…');
//     await page.getByRole('button', { name: 'Same' }).tap();
//     await shot(page, 'caller-who-we-are-en');
//     assertNoFaults(caller);
//   });
//
// - Find things as a reader does: getByRole, getByLabel, getByText. Names of tests are outcomes.
// - Never wait for a time: Playwright's own waiting, or until(what, ask), which ends as soon as the answer is yes.
//   Time that has to pass on the server passes by server.clock('192h').
// - readFrame(page.locator('video')) tells which picture of the camera a video shows; ask twice to know that it moves.
// - Each file has its own server and browser; files run one after the other.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePattern } from './pattern.mjs';
import { buildServer } from './server.mjs';

/** How long one test file may take, in ms. */
const fileWithin = 10 * 60_000;

const here = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs'))
  .filter((name) => wanted.length === 0 || wanted.includes(name.slice(0, -'.test.mjs'.length)))
  .sort();
if (files.length === 0) {
  throw new Error(`no test file in pwa/e2e${wanted.length ? ` is named ${wanted.join(' or ')}` : ''}`);
}

makePattern();
buildServer();
const tests = spawn(
  process.execPath,
  [
    ...['--test', '--test-concurrency=1', '--test-reporter=spec', `--test-timeout=${fileWithin}`],
    ...files.map((name) => join(here, name)),
  ],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => tests.kill(signal));
}
tests.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
