// Chromium as our readers use it: a phone and a desk, with a camera that shows the pattern, and with every fault a page
// reports written down.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { makePattern } from './pattern.mjs';

const executable = '/usr/bin/chromium';

const userAgent =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36';

/** The sizes every screen is looked at in, in CSS pixels. */
export const sizes = {
  phone: { width: 390, height: 844 },
  sideways: { width: 844, height: 390 },
  tablet: { width: 820, height: 1180 },
  terminal: { width: 1280, height: 800 },
  desk: { width: 1440, height: 900 },
  wall: { width: 2560, height: 1440 },
};

/** Where a phone stands unless a test says otherwise: in front of Tokyo Station. */
export const tokyoStation = { latitude: 35.681236, longitude: 139.767125, accuracy: 12 };

/** How long anything in a page may take, in ms, before the test fails. */
export const patience = 15_000;

/** Starts Chromium with the pattern as its camera; camera: {width, height} chooses the picture's size. */
export async function launch({ camera, args = [] } = {}) {
  assert.ok(existsSync(executable), `${executable} is missing; scripts/setup.sh installs it`);
  return chromium.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${makePattern(camera)}`,
      '--allow-loopback-in-peer-connection',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--disable-sync',
      '--disable-quic',
      ...args,
    ],
  });
}

/**
 * A phone: 390×844, touch, at Tokyo Station. options: locale ('ja-JP' or 'en-US'), colorScheme, geolocation (null: the
 * reader denies it), permissions (what is not named is denied), and anything else a Playwright context takes.
 */
export async function phone(browser, { geolocation = tokyoStation, permissions, ...options } = {}) {
  return open(browser, {
    viewport: sizes.phone,
    deviceScaleFactor: 2,
    hasTouch: true,
    isMobile: true,
    userAgent,
    permissions: permissions ?? (geolocation ? ['geolocation', 'camera'] : ['camera']),
    ...(geolocation ? { geolocation } : {}),
    ...options,
  });
}

/** A console: 1440×900 with mouse and keyboard. options as for phone. */
export async function desk(browser, options = {}) {
  return open(browser, { viewport: sizes.desk, ...options });
}

const faults = new WeakMap();

async function open(browser, options) {
  const context = await browser.newContext({ locale: 'ja-JP', timezoneId: 'Asia/Tokyo', ...options });
  context.setDefaultTimeout(patience);
  const seen = [];
  faults.set(context, seen);
  await context.exposeBinding('reportPolicyViolation', ({ page }, what) => seen.push(`${page.url()}: ${what}`));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      globalThis.reportPolicyViolation(`refused by ${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`);
    });
  });
  context.on('weberror', (error) => seen.push(`uncaught: ${error.error().stack ?? error.error()}`));
  context.on('console', (message) => {
    if (message.type() === 'error') {
      seen.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  return context;
}

/**
 * Fails where a page of the context had an uncaught error, an error on its console, or something that the content
 * security policy or Trusted Types refused. Call it at the end of every test; expected names patterns that belong to
 * the test, such as the 4xx answer it provokes.
 */
export function assertNoFaults(context, { expected = [] } = {}) {
  const unexpected = faults.get(context).filter((fault) => !expected.some((pattern) => pattern.test(fault)));
  assert.deepEqual([...new Set(unexpected)], []);
}

/**
 * Gives the page a passkey device that knows its owner. Answers functions: verified(yes) makes the owner recognised or
 * not, remove() takes the device away.
 */
export async function addPasskeyDevice(page) {
  const client = await page.context().newCDPSession(page);
  await client.send('WebAuthn.enable');
  const { authenticatorId } = await client.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      ctap2Version: 'ctap2_1',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    verified: (isUserVerified) => client.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
    remove: () => client.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId }),
  };
}

/**
 * Asks again until the answer is true, and answers it. What: the sentence a failure begins with. ask may answer
 * anything falsy, or throw, while it is not yet true; within is in ms.
 */
export async function until(what, ask, within = patience) {
  const end = performance.now() + within;
  let last;
  do {
    try {
      last = await ask();
      if (last) {
        return last;
      }
    } catch (error) {
      last = error;
    }
    await new Promise((wake) => setTimeout(wake, 50));
  } while (performance.now() < end);
  throw new Error(`${what}: not within ${within} ms; last answer: ${last instanceof Error ? last.stack : String(last)}`);
}
