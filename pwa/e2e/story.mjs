// Tests that show what every page looked like when they failed, and tests of which each builds on the one before.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratch } from './paths.mjs';

/**
 * Answers a function like test. What every open page shows when one fails is saved as a picture and as its accessible
 * text under pwa/.e2e/failures.
 *   name  begins the names of the saved files
 *   open  answers the browser, once it is there
 */
export function shown(name, open) {
  let count = 0;
  return (title, run) => {
    const step = ++count;
    return test(title, async (t) => {
      try {
        await run(t);
      } catch (error) {
        await save(open(), `${name}-${step}`);
        throw error;
      }
    });
  };
}

/** The same for the steps of one story: after a failed step the others fail at once. */
export function story(name, open) {
  const step = shown(name, open);
  let broken;
  return (title, run) =>
    step(title, async (t) => {
      if (broken) {
        throw new Error(`not reached, because this failed: ${broken}`);
      }
      try {
        await run(t);
      } catch (error) {
        broken = title;
        throw error;
      }
    });
}

async function save(browser, name) {
  const folder = join(scratch, 'failures');
  mkdirSync(folder, { recursive: true });
  const pages = browser?.contexts().flatMap((context) => context.pages()) ?? [];
  for (const [index, page] of pages.entries()) {
    const path = join(folder, `${name}-${index + 1}`);
    try {
      await page.screenshot({ path: `${path}.png`, fullPage: true, timeout: 5_000 });
      writeFileSync(`${path}.yaml`, `${page.url().split('#')[0]}\n${await page.locator('body').ariaSnapshot({ timeout: 5_000 })}\n`);
    } catch (error) {
      // The failure itself says more than a page that cannot be looked at.
      writeFileSync(`${path}.txt`, String(error));
    }
  }
}
