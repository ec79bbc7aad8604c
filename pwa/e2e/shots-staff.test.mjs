// Every screen of the officers' app, in both languages, light and dark, held upright, sideways and on a tablet.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { desk, launch, phone, sizes } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { photo } from './material.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import * as staff from './staff-app.mjs';
import { shown } from './story.mjs';

let server, browser, manager, supervisor, board, code;

const test = shown('shots-staff', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  manager = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server, { role: 'MANAGER' });
  supervisor = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server, { role: 'SUPERVISOR' });
  await supervisor.getByRole('link', { name: '職員', exact: true }).click();
  board = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server);
  code = await staff.accessCode(board);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const faults = [];

/** Looks at the screen in each size, light and dark, and puts the page back as it was. What is wrong is told at the end. */
async function look(page, name, locale) {
  for (const size of ['phone', 'sideways', 'tablet']) {
    await page.setViewportSize(sizes[size]);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const full = `staff-${name}-${size}-${locale}-${colorScheme}`;
      await shot(page, full);
      await assertLooksRight(page, full, { touch: true }).catch((error) => faults.push(error));
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(sizes.phone);
}

for (const { locale, browserLocale, name, device } of [
  { locale: 'ja', browserLocale: 'ja-JP', name: '佐藤 次郎', device: '貸与端末' },
  { locale: 'en', browserLocale: 'en-US', name: '田中 三郎', device: '個人所有の携帯電話機' },
]) {
  const t = staff.words[locale];
  const options = { locale };

  test(`the officer's screens from the sheet to the end (${locale})`, async () => {
    await staff.registerOfficer(manager, { name, number: '' });
    const { address } = await staff.printSheet(manager, { name, device });
    const plain = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    const outside = await plain.newPage();
    await outside.goto(address);
    await staff.see(outside, t.install);
    await look(outside, 'install', locale);
    await plain.close();

    const handset = await staff.officersPhone(browser, { baseURL: server.baseURL, locale: browserLocale });
    const page = await handset.newPage();
    await page.goto('/staff/');
    await staff.see(page, t.code);
    await page.getByLabel(t.codeLabel).fill('WRONG');
    await page.getByRole('button', { name: t.next, exact: true }).tap();
    await page.getByRole('alert').filter({ hasText: /\S/ }).waitFor();
    await look(page, 'code', locale);
    await page.getByLabel(t.codeLabel).fill(address.split('#r=')[1]);
    await page.getByRole('button', { name: t.next, exact: true }).tap();
    await staff.see(page, t.rules);
    await look(page, 'rules', locale);
    await page.getByRole('button', { name: t.accept }).tap();
    await staff.see(page, t.match);
    await look(page, 'match', locale);
    await staff.match(manager, await staff.matchNumber(page, options));
    await staff.see(page, t.home);
    await look(page, 'home', locale);
    await page.getByRole('button', { name: t.live, exact: true }).tap();
    await look(page, 'home-missing', locale);

    await staff.begin(page, code, { ...options, live: false });
    await staff.see(page, t.act);
    await page.getByRole('button', { name: t.live, exact: true }).tap();
    await page.getByText(t.connected).waitFor();
    await page.getByRole('button', { name: t.photo, exact: true }).tap();
    await page.getByText(t.arrived).waitFor();
    await look(page, 'camera', locale);
    await page.getByRole('button', { name: t.close, exact: true }).tap();
    await staff.see(page, t.act);
    await page.getByText(t.positionOn).waitFor();
    await look(page, 'act', locale);
    await page.getByRole('button', { name: t.photo, exact: true }).tap();
    await page.getByRole('button', { name: t.close, exact: true }).waitFor();
    await look(page, 'camera-photo', locale);
    await handset.setOffline(true);
    for (const tap of [1, 2]) {
      await page.getByRole('button', { name: t.photo, exact: true }).tap();
      await page.getByText(t.left).filter({ hasText: String(tap) }).waitFor();
    }
    await page.getByText(t.left).waitFor();
    await page.getByRole('button', { name: t.close, exact: true }).tap();
    await staff.see(page, t.unsent);
    await look(page, 'unsent', locale);
    await handset.setOffline(false);
    await page.getByRole('button', { name: t.retry }).tap();
    await staff.see(page, t.act);
    await page.getByRole('button', { name: t.finish }).tap();
    await look(page, 'finish', locale);
    await page.getByRole('button', { name: t.finishYes, exact: true }).tap();
    await staff.see(page, t.ended);
    await look(page, 'ended', locale);
    await page.getByRole('button', { name: t.usage }).tap();
    await staff.see(page, t.usageAfter);
    await page.getByRole('button', { name: t.reasonPreset }).tap();
    await page.getByRole('button', { name: t.send, exact: true }).tap();
    await look(page, 'usage-after', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await staff.see(page, t.home);
    await look(page, 'home-owed', locale);
    await page.getByRole('button', { name: t.usage }).tap();
    await page.getByLabel(t.purpose).fill('交通事故の現場');
    await page.getByRole('button', { name: t.reasonPreset }).tap();
    await page.getByRole('button', { name: t.send, exact: true }).tap();
    await page.getByText(t.reported).waitFor();
    await page.getByRole('button', { name: t.usage }).tap();
    await staff.see(page, t.usageBefore);
    await look(page, 'usage-before', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await page.getByRole('button', { name: t.rulesItem }).tap();
    await staff.see(page, t.again);
    await look(page, 'rules-again', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await handset.clearPermissions();
    await handset.grantPermissions(['clipboard-read']); // every other one is denied
    await staff.begin(page, code, options);
    await staff.see(page, t.noCamera);
    await look(page, 'no-camera', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await staff.see(page, t.act);
    await page.getByRole('button', { name: t.position }).tap();
    await page.getByText(t.positionDenied).waitFor();
    await look(page, 'no-position', locale);
    if (locale === 'ja') {
      const { staffPhone } = await dispatcher.ask(page, '{ staffPhone { session { id } } }', {}, 'staff');
      await handset.setOffline(true);
      await page.getByLabel(t.stored).setInputFiles(photo());
      await staff.see(page, t.unsent);
      await dispatcher.ask(supervisor, 'mutation End($input: EndSessionInput!) { endSession(input: $input) { session { id } } }', {
        input: { sessionID: staffPhone.session.id, reason: 'DONE' },
      });
      await handset.setOffline(false);
      await staff.see(page, t.endedByCentre);
      await look(page, 'ended-kept', locale);
    } else {
      await page.getByRole('button', { name: t.finish }).tap();
      await page.getByRole('button', { name: t.finishYes, exact: true }).tap();
      await staff.see(page, t.ended);
    }
    await page.getByRole('button', { name: t.again2 }).tap();
    await staff.see(page, t.home);
    await look(page, 'home-again', locale);
    await page.getByRole('button', { name: t.remove }).tap();
    await staff.see(page, t.removeHeading);
    await look(page, 'remove', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await page.getByRole('button', { name: t.leak }).tap();
    await look(page, 'leak', locale);
    await page.getByRole('button', { name: t.whatPreset }).tap();
    await page.getByRole('button', { name: t.send, exact: true }).tap();
    await staff.see(page, t.leakDone);
    await look(page, 'leak-done', locale);
    await page.getByRole('button', { name: t.back, exact: true }).tap();
    await staff.see(page, t.home);
    await look(page, 'home-leak', locale);

    const second = await handset.newPage();
    await handset.setOffline(true);
    await second.goto('/staff/');
    await staff.see(second, t.offline);
    await look(second, 'offline', locale);
    await second.close();
    await handset.setOffline(false);

    await supervisor.getByRole('button', { name: '停止して運用管理責任者へ送る' }).click();
    await staff.see(page, t.suspended);
    await look(page, 'suspended', locale);
    await manager.getByRole('button', { name: '職員用URLを破棄する', exact: true }).click();
    await staff.see(page, t.revoked);
    await look(page, 'wiped', locale);
    await handset.close();
    assert.deepEqual(faults.map(({ message }) => message), []);
  });
}
