// Whatever stands in the caller's way: the page says what to do, in the caller's language, and the dispatcher sees why.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { startServer } from './server.mjs';
import { shown } from './story.mjs';

const inLine =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.6.0';
const inInstagram =
  'Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 Instagram 330.0.0.40.92';

const languages = [
  { locale: 'ja', browserLocale: 'ja-JP' },
  { locale: 'en', browserLocale: 'en-US' },
];

let server, browser, centre, board;

const test = shown('denied', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  board = await dispatcher.signIn(centre, server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A link that was just sent, and a phone of that language that is closed with the test. */
async function begin(t, { browserLocale, mode = 'LIVE', ...options }) {
  await board.goto('/console');
  const sent = await dispatcher.sendLink(board, { mode });
  const handset = await phone(browser, { baseURL: server.baseURL, locale: browserLocale, ...options });
  t.after(() => handset.close());
  return { ...sent, handset };
}

/** The dispatcher is told why, in the console and by the server. */
async function told(sessionID, stall, words) {
  await board.getByRole('status').filter({ hasText: words }).first().waitFor();
  assert.equal((await dispatcher.report(board, sessionID)).stall, stall);
}

for (const { locale, browserLocale } of languages) {
  const t = caller.words[locale];

  test(`camera refused: the steps that allow it, and another way to help (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale, permissions: ['geolocation'] });
    const page = await caller.join(handset, link, { locale });
    await page.getByRole('button', { name: t.modes.LIVE }).tap();
    await page.getByRole('button', { name: t.useCamera }).tap();
    await caller.see(page, t.noCamera);
    assert.ok((await page.getByRole('listitem').count()) >= 3, 'the steps are listed');
    await page.getByLabel(t.modes.PHOTO).waitFor({ state: 'attached' });
    await told(sessionID, 'CAMERA_DENIED', 'カメラが許可されていない');
    assertNoFaults(handset);
  });

  test(`position refused: the steps that allow it (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale, geolocation: null, mode: 'POSITION' });
    const page = await caller.join(handset, link, { locale });
    await page.getByRole('button', { name: t.modes.POSITION }).tap();
    await caller.see(page, t.whyPosition);
    await page.getByRole('button', { name: t.sharePosition }).tap();
    await caller.see(page, t.noPosition);
    await told(sessionID, 'LOCATION_DENIED', '位置情報が許可されていない');
    assertNoFaults(handset);
  });

  for (const [app, userAgent] of [
    ['LINE', inLine],
    ['Instagram', inInstagram],
  ]) {
    test(`inside ${app}: the way out, and photos from there (${locale})`, async (step) => {
      const { sessionID, link, handset } = await begin(step, { browserLocale, userAgent });
      const page = await handset.newPage();
      await page.goto(link);
      await caller.see(page, t.inApp(app));
      await told(sessionID, 'UNSUPPORTED_BROWSER', 'このブラウザでは送れない');
      await page.getByRole('button', { name: t.stay }).tap();
      await caller.see(page, t.proof);
      assertNoFaults(handset);
    });
  }

  test(`no live video in the browser: photos instead (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale });
    await handset.addInitScript(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined }));
    const page = await caller.join(handset, link, { locale });
    await page.getByRole('button', { name: t.modes.LIVE }).tap();
    await caller.see(page, t.noLive);
    await page.getByLabel(t.modes.PHOTO).waitFor({ state: 'attached' });
    await told(sessionID, 'UNSUPPORTED_BROWSER', 'このブラウザでは送れない');
    assertNoFaults(handset);
  });

  test(`a link that nobody sent: one screen with a way out (${locale})`, async (step) => {
    const handset = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    step.after(() => handset.close());
    for (const link of ['/v#0123456789abcdefghijkl', '/v#short', '/v']) {
      const page = await handset.newPage();
      await page.goto(link);
      await caller.see(page, t.dead);
    }
    assertNoFaults(handset);
  });

  test(`no network: it says so, tries by itself and goes on (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale });
    const page = await caller.openLink(handset, link, { locale });
    await handset.setOffline(true);
    await page.getByRole('button', { name: t.same, exact: true }).tap();
    await page.getByText(t.unreachable).waitFor();
    await handset.setOffline(false);
    await caller.see(page, t.consent);
    await until('the link to be open', async () => (await dispatcher.report(board, sessionID)).state === 'OPENED');
    await page.getByText(t.unreachable).waitFor({ state: 'detached' });
    assertNoFaults(handset, { expected: [/net::ERR_INTERNET_DISCONNECTED/] });
  });

  test(`a caller who does not agree: nothing more is offered (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale });
    const page = await caller.openLink(handset, link, { locale });
    await page.getByRole('button', { name: t.same, exact: true }).tap();
    await caller.see(page, t.consent);
    await page.getByRole('button', { name: t.refuse }).tap();
    await caller.see(page, t.declined);
    assert.equal(await page.getByRole('main').getByRole('button').count(), 0, 'no button is left');
    await told(sessionID, 'REFUSED', '通報者が同意しなかった');
    const { consents, link: facts } = await dispatcher.report(board, sessionID);
    assert.deepEqual(consents.map(({ agreed, language }) => ({ agreed, language })), [{ agreed: false, language: locale }]);
    assert.equal(facts.used, 0);
    assertNoFaults(handset);
  });

  test(`words that differ: the page stops and the centre is warned (${locale})`, async (step) => {
    const { sessionID, link, handset } = await begin(step, { browserLocale });
    const page = await caller.openLink(handset, link, { locale });
    await page.getByRole('button', { name: t.different, exact: true }).tap();
    await caller.see(page, t.mismatch);
    assert.equal(await page.getByRole('main').getByRole('button').count(), 0, 'no button is left');
    await told(sessionID, 'PROOF_MISMATCH', '合言葉が違うと知らせがあった');
    assertNoFaults(handset);
  });
}
