// Every screen of the caller and of the console, in both languages, light and dark: nothing is cut off, unnamed or too
// small, and a picture of each is kept for whoever wants to look.
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, sizes, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { film, photo } from './material.mjs';
import { readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { chosen, shot } from './shots.mjs';
import { shown } from './story.mjs';

const languages = [
  { locale: 'ja', browserLocale: 'ja-JP' },
  { locale: 'en', browserLocale: 'en-US' },
];
const schemes = ['light', 'dark'];
const places = ['国道4号 北町交差点', '中央公園 南側入口', '駅前広場 タクシー乗り場', '県道12号 川沿いの土手'];

let server, browser, centre, board;

const test = shown('shots', () => browser);

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

/** Looks at the screen light and dark; names end in the language and the scheme. */
async function look(page, name, locale, { touch = false, size } = {}) {
  const faults = [];
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme });
    const full = [name, ...(size ? [size] : []), locale, colorScheme].join('-');
    if (chosen(full)) {
      await shot(page, full);
    }
    await assertLooksRight(page, full, { touch }).catch((error) => faults.push(error));
  }
  await page.emulateMedia({ colorScheme: null });
  if (faults.length > 0) {
    throw faults[0];
  }
}

let begun = 0;

/** A link that was just sent, and a phone of that language that is closed with the test. */
async function begin(t, { browserLocale, mode = 'LIVE', ...options }) {
  await board.goto('/console');
  const sent = await dispatcher.sendLink(board, { mode, place: places[begun++ % places.length] });
  const handset = await phone(browser, { baseURL: server.baseURL, locale: browserLocale, ...options });
  t.after(() => handset.close());
  return { ...sent, handset };
}

for (const { locale, browserLocale } of languages) {
  const t = caller.words[locale];
  const see = (page, name) => look(page, `caller-${name}`, locale, { touch: true });

  test(`the caller's screens from the link to the end (${locale})`, async (step) => {
    const { link, handset } = await begin(step, { browserLocale });
    const page = await caller.openLink(handset, link, { locale });
    await see(page, 'proof');
    await page.getByRole('button', { name: t.same, exact: true }).tap();
    await caller.see(page, t.consent);
    await see(page, 'consent');
    await page.getByRole('button', { name: t.agree }).tap();
    await caller.see(page, t.asked.LIVE);
    await see(page, 'act');
    await page.getByRole('button', { name: t.modes.POSITION }).tap();
    await caller.see(page, t.whyPosition);
    await see(page, 'why-position');
    await page.getByRole('button', { name: t.sharePosition }).tap();
    await page.getByText(t.positionOn).waitFor();
    await caller.chooseFiles(page, [photo(), film()], { locale });
    await page.getByText(t.arrived).waitFor();
    await see(page, 'sent');
    await page.getByRole('button', { name: t.modes.LIVE }).tap();
    await caller.see(page, t.whyCamera);
    await see(page, 'why-camera');
    await page.getByRole('button', { name: t.useCamera }).tap();
    await page.getByText(t.connected).waitFor();
    await see(page, 'live');
    await page.getByRole('button', { name: t.stop }).tap();
    await page.getByRole('button', { name: t.finish, exact: true }).tap();
    await caller.see(page, t.thanks);
    await see(page, 'thanks');
    await dispatcher.end(board);
    await page.getByText(t.ended).waitFor();
    await see(page, 'ended');
    assertNoFaults(handset);
  });

  test(`the caller's screens where something stands in the way (${locale})`, async (step) => {
    const refused = await begin(step, { browserLocale, permissions: ['clipboard-read'] });
    const page = await caller.join(refused.handset, refused.link, { locale });
    await page.getByRole('button', { name: t.modes.LIVE }).tap();
    await page.getByRole('button', { name: t.useCamera }).tap();
    await caller.see(page, t.noCamera);
    await see(page, 'no-camera');
    await page.getByRole('button', { name: t.back }).tap();
    await page.getByRole('button', { name: t.modes.POSITION }).tap();
    await page.getByRole('button', { name: t.sharePosition }).tap();
    await caller.see(page, t.noPosition);
    await see(page, 'no-position');

    const one = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    step.after(() => one.close());
    const first = await caller.join(one, refused.link, { locale });
    await caller.takePhoto(first, photo(), { locale });
    await first.getByText(t.arrived).waitFor();
    const two = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    step.after(() => two.close());
    const second = await caller.openLink(two, refused.link, { locale });
    await second.getByRole('button', { name: t.same, exact: true }).tap();
    await second.getByRole('button', { name: t.agree }).tap();
    await caller.see(second, t.waiting);
    await see(second, 'waiting');
    await look(board, 'console-second-phone', 'ja', { size: 'desk' });
    await board.getByRole('button', { name: '断る' }).last().click();
    await caller.see(second, t.turnedAway);
    await see(second, 'turned-away');

    const dead = await one.newPage();
    await dead.goto('/v#0123456789abcdefghijkl');
    await caller.see(dead, t.dead);
    await see(dead, 'dead');

    const { link, handset } = await begin(step, {
      browserLocale,
      userAgent:
        'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.6.0',
    });
    const inside = await handset.newPage();
    await inside.goto(link);
    await caller.see(inside, t.inApp('LINE'));
    await see(inside, 'in-app');
    await inside.getByRole('button', { name: t.stay }).tap();
    await inside.getByRole('button', { name: t.same, exact: true }).tap();
    await inside.getByRole('button', { name: t.refuse }).tap();
    await caller.see(inside, t.declined);
    await see(inside, 'declined');

    const differs = await begin(step, { browserLocale });
    const wrong = await caller.openLink(differs.handset, differs.link, { locale });
    await wrong.getByRole('button', { name: t.different, exact: true }).tap();
    await caller.see(wrong, t.mismatch);
    await see(wrong, 'mismatch');
    await look(board, 'console-mismatch', 'ja', { size: 'desk' });
  });

  test(`the console's screens of a dispatcher (${locale})`, async (step) => {
    const place = await desk(browser, { baseURL: server.baseURL, locale: browserLocale });
    step.after(() => place.close());
    const page = await place.newPage();
    const w = dispatcher.words[locale];
    const see = async (name, shown = page) => {
      for (const size of ['desk', 'phone']) {
        await shown.setViewportSize(sizes[size]);
        await look(shown, `console-${name}`, locale, { size });
      }
      await shown.setViewportSize(sizes.desk);
    };
    await page.goto('/console');
    await page.getByRole('form').waitFor();
    await see('sign-in');
    await dispatcher.enter(page, server, { locale });
    await page.getByRole('heading', { name: w.board, level: 1 }).waitFor();
    await dispatcher.openCase(page, { locale });
    await see('case');
    await page.getByRole('button', { name: w.request }).click();
    await page.getByRole('form').waitFor();
    await see('request');
    await page.keyboard.press('Escape');
    await dispatcher.request(page, { locale });
    await page.getByLabel(w.digits, { exact: true }).waitFor();
    await see('confirm');
    await dispatcher.confirm(page, { locale });
    await see('sent');
    const link = await dispatcher.newestLink(place);
    const handset = await phone(browser, { baseURL: server.baseURL });
    step.after(() => handset.close());
    const mobile = await caller.join(handset, link);
    await caller.sharePosition(mobile);
    await caller.takePhoto(mobile, photo());
    await mobile.getByText('警察に届きました').waitFor();
    await caller.goLive(mobile);
    const video = page.locator('video');
    await until('a picture', async () => (await readFrame(video)) !== null);
    // What had arrived was announced at the edge; it was read.
    const notices = page.getByRole('status').getByRole('button', { name: w.close });
    await until('the notices to be closed', async () => {
      await notices.first().click({ timeout: 500 }).catch(() => undefined);
      return (await notices.count()) === 0;
    });
    await see('live');
    const overview = await place.newPage();
    await overview.goto('/console');
    await overview.getByRole('main').getByRole('listitem').first().waitFor();
    await see('board', overview);
    await overview.close();
    await page.getByRole('button', { name: w.end, exact: true }).click();
    await page.getByRole('alertdialog').waitFor();
    await see('end');
    await page.keyboard.press('Escape');
    await page.getByRole('alertdialog').waitFor({ state: 'detached' });
    await mobile.getByRole('button', { name: 'とめる' }).tap();
    const sessionID = decodeURIComponent(new URL(page.url()).pathname.split('/').at(-1));
    await until('the preview', async () =>
      (await dispatcher.files(page, sessionID)).some((file) => file.kind === 'PHOTO' && file.preview === 'READY'),
    );
    await page.getByRole('complementary').getByRole('button', { name: w.photo }).click();
    const image = page.getByRole('dialog').getByRole('img');
    await until('the photo', () => image.evaluate((element) => element.complete && element.naturalWidth > 0));
    await see('viewer');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await dispatcher.end(page, { locale });
    await see('ended');
    await page.goto('/outbox');
    await page.getByRole('listitem').first().waitFor();
    await see('outbox');
    assertNoFaults(place, { expected: [/status of (401|403)/] });
  });

  test(`the screens of a supervisor and a manager (${locale})`, async (step) => {
    for (const [role, names] of [
      ['SUPERVISOR', ['statistics']],
      ['MANAGER', ['', 'journal', 'users']],
    ]) {
      const place = await desk(browser, { baseURL: server.baseURL, locale: browserLocale });
      step.after(() => place.close());
      const page = await dispatcher.signIn(place, server, { role, locale });
      for (const name of names) {
        await page.goto(`/console/${name}`);
        await page.getByRole('heading', { level: 1 }).waitFor();
        await page.getByRole('table').or(page.getByRole('list')).first().waitFor();
        for (const size of ['desk', 'phone']) {
          await page.setViewportSize(sizes[size]);
          await look(page, `console-${name || 'home'}`, locale, { size });
        }
        await page.setViewportSize(sizes.desk);
      }
      assertNoFaults(place);
    }
  });
}
