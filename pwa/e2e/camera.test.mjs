// The camera of the tests itself: every other test that looks at a moving picture relies on it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { assertNoFaults, launch, phone, until } from './browser.mjs';
import { FRAMES, framesBetween, readFrame } from './pattern.mjs';

const html = `<!doctype html><html lang="en"><title>camera</title><link rel="icon" href="data:,">
<video autoplay muted playsinline></video><img alt="grey" width="64" height="64"
 src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='64' height='64'%3E%3Crect width='64' height='64' fill='gray'/%3E%3C/svg%3E">`;

let server, browser, baseURL;
before(async () => {
  server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    if (request.url === '/strict') {
      response.setHeader('content-security-policy', "default-src 'self'");
    }
    response.end(html);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseURL = `http://localhost:${server.address().port}`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** The frame a video shows, in an object because frame 0 is a frame too; null where it shows none. */
async function shown(video) {
  const frame = await readFrame(video);
  return frame === null ? null : { frame };
}

test('a video tells which frame it shows, and the frames go on', async (t) => {
  const context = await phone(browser, { baseURL });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto('/');
  await page.evaluate(async () => {
    document.querySelector('video').srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
  });
  const video = page.locator('video');
  const first = await until('a first frame', () => shown(video));
  const later = await until('half a second of frames', async () => {
    const now = await shown(video);
    return now && framesBetween(first.frame, now.frame) >= 15 && now;
  });
  assert.ok(later.frame >= 0 && later.frame < FRAMES);
  assertNoFaults(context);
});

test('what is not the pattern has no frame number', async (t) => {
  const context = await phone(browser, { baseURL });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto('/');
  assert.equal(await readFrame(page.locator('img')), null);
});

test('faults of a page are noticed', async (t) => {
  const context = await phone(browser, { baseURL });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto('/strict');
  await until('the refused picture', () => {
    assert.throws(() => assertNoFaults(context), /refused by img-src/);
    return true;
  });
  await page.evaluate(() =>
    setTimeout(() => {
      throw new Error('on purpose');
    }),
  );
  await until('the uncaught error', () => {
    assert.throws(() => assertNoFaults(context), /on purpose/);
    return true;
  });
  assertNoFaults(context, { expected: [/refused by img-src/, /Content Security Policy/, /on purpose/] });
});
