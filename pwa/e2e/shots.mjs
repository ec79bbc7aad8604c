// Pictures of the screens. `make screenshots` writes them to docs/screenshots, any other run to pwa/.e2e/screenshots.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { repository, scratch } from './paths.mjs';
import { sizes } from './browser.mjs';

const forDocs = process.env.GENBA_SCREENSHOTS === 'docs';
const folder = forDocs ? join(repository, 'docs', 'screenshots') : join(scratch, 'screenshots');

/** The pictures that the documents show. */
const inDocs = new Set([
  'caller-proof-ja-light',
  'caller-consent-ja-light',
  'caller-act-en-light',
  'caller-live-ja-light',
  'console-board-desk-ja-light',
  'console-request-desk-ja-light',
  'console-live-desk-ja-light',
  'console-live-desk-en-dark',
]);

/** Whether this run keeps the picture of that name: all of them, but only the few of the documents for those. */
export function chosen(name) {
  return !forDocs || inDocs.has(name);
}

/** Saves what the page shows as NAME.png, once fonts and pictures are there; full: all of it. Answers the file's path. */
export async function shot(page, name, { full = false } = {}) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.png`);
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.all(Array.from(document.images, (image) => image.decode().catch(() => undefined)));
  });
  await page.screenshot({ path, fullPage: full, animations: 'disabled', caret: 'hide', scale: 'css' });
  return path;
}

/**
 * Saves the page light and dark in each of the named sizes (see sizes in browser.mjs), as NAME-SIZE-LIGHT.png and so on,
 * and puts the page back as it was. Fails where a page is wider than its window.
 */
export async function shotEach(page, name, names = ['desk', 'wall']) {
  const before = page.viewportSize();
  for (const size of names) {
    await page.setViewportSize(sizes[size]);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await shot(page, `${name}-${size}-${colorScheme}`);
    }
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    if (overflow > 0) {
      throw new Error(`${name} is ${overflow} px wider than a ${size} window`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(before);
}
