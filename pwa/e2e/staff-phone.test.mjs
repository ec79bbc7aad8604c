// What stays on an officer's phone and what does not: without a network, through a restart, on a private phone, after a
// year; and what the centre shows to it.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { photo } from './material.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import * as staff from './staff-app.mjs';
import { story } from './story.mjs';

const t = staff.words.ja;

/** What the browser says while the network is away, and of a share that is over. */
const away = [/ERR_INTERNET_DISCONNECTED/, /WebSocket/, /status of (401|403|404|410)/];

/** How long a share that was ended may go on, in ms, and how long this machine may take to look at it. */
const endedWithin = 1_000;
const looking = 1_500;

let server, browser, manager, receiver, issued, own, app, other, code;

const test = story('staff-phone', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  manager = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server, { role: 'MANAGER' });
  receiver = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server);
  code = await staff.accessCode(receiver);
  issued = await staff.officersPhone(browser, { baseURL: server.baseURL });
  own = await staff.officersPhone(browser, { baseURL: server.baseURL });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function registered(context, officer, sheet) {
  await staff.registerOfficer(manager, officer);
  const { address } = await staff.printSheet(manager, { ...officer, ...sheet });
  const { page, number } = await staff.register(context, address);
  await staff.match(manager, number);
  await staff.see(page, t.home);
  return page;
}

test('a use reported beforehand is owed no more after it', async () => {
  app = await registered(issued, { name: '渡辺 一郎' });
  await app.getByRole('button', { name: t.usage }).tap();
  await staff.see(app, t.usageBefore);
  await app.getByLabel(t.purpose).fill('検問の現場');
  await app.getByRole('button', { name: t.send, exact: true }).tap();
  await app.getByText(t.reported).waitFor();
  await app.getByText('事前の報告が済んでいます。').waitFor();
  await staff.begin(app, code, { live: false });
  await staff.see(app, t.act);
  assert.equal(await app.getByText('この利用の報告がまだです').count(), 0);
});

test('what has not arrived fills the screen, is kept sealed through a restart, and is sent then', async () => {
  await issued.setOffline(true);
  await app.getByLabel(t.stored).setInputFiles(photo());
  await staff.see(app, t.unsent);
  await until('it is kept', async () => (await staff.keptItems(app)) === 1);
  const plain = await app.evaluate(
    () =>
      new Promise((done) => {
        const opening = indexedDB.open('genba-staff');
        opening.onsuccess = () => {
          const reading = opening.result.transaction('unsent').objectStore('unsent').getAll();
          reading.onsuccess = () => {
            opening.result.close();
            done(Array.from(new Uint8Array(reading.result[0].bytes.slice(0, 2))));
          };
        };
      }),
  );
  assert.notDeepEqual(plain, [0xff, 0xd8], 'no picture can be read from the store');
  await app.close({ runBeforeUnload: false });
  await issued.setOffline(false);
  app = await issued.newPage();
  await app.goto('/staff/');
  await app.getByText('1件 届きました').waitFor();
  await until('nothing is kept', async () => (await staff.keptItems(app)) === 0);
});

test('a file that was on its way goes on with the same upload after a restart', async () => {
  const requests = [];
  issued.on('request', (request) => {
    if (request.url().includes('/files/')) {
      requests.push(request.method());
    }
  });
  const held = (route) => (route.request().method() === 'PATCH' ? undefined : route.continue());
  await issued.route('**/files/**', held);
  await app.getByLabel(t.stored).setInputFiles(photo());
  await staff.see(app, t.unsent);
  await until('the upload is under way', () => requests.includes('PATCH'));
  await app.close({ runBeforeUnload: false });
  await issued.unroute('**/files/**', held);
  app = await issued.newPage();
  await app.goto('/staff/');
  await app.getByText('1件 届きました').waitFor();
  assert.equal(requests.filter((method) => method === 'POST').length, 1, 'no second upload was made');
  await until('nothing is kept', async () => (await staff.keptItems(app)) === 0);
});

test('the officer ends it after one question, and nothing is owed', async () => {
  await app.getByRole('button', { name: t.finish }).tap();
  await app.getByRole('button', { name: t.finishYes, exact: true }).tap();
  await staff.see(app, t.ended);
  assert.equal(await app.getByRole('button', { name: t.usage }).count(), 0);
  await app.getByRole('button', { name: t.again2 }).tap();
  await staff.see(app, t.home);
});

test('without a network the app opens by its worker, says so, and goes on when it is back', async () => {
  const kept = await until('the worker keeps the app', () =>
    app.evaluate(async () => {
      const [name] = await caches.keys();
      const requests = name ? await (await caches.open(name)).keys() : [];
      return requests.length > 0 && requests.map(({ url }) => new URL(url).pathname);
    }),
  );
  assert.ok(
    kept.every((path) => path === '/staff/' || path.startsWith('/assets/')),
    `nothing but the app is kept: ${kept.join(' ')}`,
  );
  await until('the worker answers', () => app.evaluate(() => navigator.serviceWorker.controller !== null));
  await issued.setOffline(true);
  await app.reload();
  await staff.see(app, t.offline);
  await assertLooksRight(app, 'without a network', { touch: true });
  await issued.setOffline(false);
  await staff.see(app, t.home);
});

test('everything from the code to the end goes by keyboard alone', async () => {
  const press = (key) => app.keyboard.press(key);
  const focused = () => app.evaluate(() => document.activeElement?.textContent?.trim());
  const tabTo = async (name) => {
    for (let steps = 0; (await focused()) !== name; steps++) {
      assert.ok(steps < 20, `${name} is reached by the tab key`);
      await press('Tab');
    }
  };
  await app.locator('h1:focus').waitFor();
  await press('Tab'); // the large camera button comes first
  assert.equal(await focused(), t.live);
  await press('Tab');
  await app.keyboard.type(code);
  await press('Tab');
  await press('Space');
  await press('Tab');
  await press('Space');
  await press('Shift+Tab');
  await press('Shift+Tab');
  await press('Enter');
  await app.getByText(t.connected).waitFor();
  await tabTo(t.photo);
  await press('Enter');
  await app.getByText('写真 1件 届きました').waitFor();
  await tabTo('映像を止める');
  await press('Enter');
  await app.getByText('映像は送っていません').waitFor();
  assert.equal(await focused(), t.live, 'the reader keeps their place');
  await tabTo(t.close);
  await press('Enter');
  await staff.see(app, t.act);
  await tabTo(t.finish);
  await press('Enter');
  await tabTo(t.finishYes);
  await press('Enter');
  await staff.see(app, t.ended);
  await tabTo(t.again2);
  await press('Enter');
  await staff.see(app, t.home);
});

test('a private phone offers no gallery and keeps nothing that was not received', async () => {
  other = await registered(own, { name: '高橋 二郎' }, { device: '個人所有の携帯電話機' });
  assert.equal(await other.getByRole('button', { name: t.sharedItem }).count(), 0, 'nothing is shown to it');
  await staff.begin(other, code);
  await other.getByText(t.connected).waitFor();
  await own.setOffline(true);
  for (const count of [1, 2]) {
    await other.getByRole('button', { name: t.photo, exact: true }).tap();
    await other.getByText(`未送信 ${count}件`).waitFor();
  }
  await other.getByRole('button', { name: t.photo, exact: true }).evaluate((button) => {
    button.click();
    button.click(); // faster than a picture is taken
  });
  await other.getByText('未送信 4件').waitFor();
  assert.equal(await staff.keptItems(other), 0);
  await own.setOffline(false);
  await other.getByText('写真 4件 届きました').waitFor();
  await other.getByText(t.connected).waitFor();
  await other.getByRole('button', { name: t.close, exact: true }).tap();
  await staff.see(other, t.act);
  assert.equal(await other.getByLabel(t.stored).count(), 0);
  await other.getByRole('button', { name: t.live, exact: true }).tap();
  await other.getByText(t.connected).waitFor();
});

test('what a dispatcher shows to the officer is watched with the officer’s name on it, and ends within a second', async () => {
  await receiver.getByRole('link', { name: '受理状況' }).click();
  await receiver.getByRole('link', { name: /高橋 二郎/ }).click();
  await receiver.getByRole('button', { name: '受理する', exact: true }).click();
  await until('a picture', async () => (await readFrame(receiver.getByLabel('ライブ映像', { exact: true }))) !== null);
  await receiver.getByRole('button', { name: 'その他の操作' }).click();
  await receiver.getByRole('menuitem', { name: '職員に見せる' }).click();
  const dialog = receiver.getByRole('dialog', { name: '職員に見せる' });
  await dialog.getByRole('checkbox', { name: /渡辺 一郎/ }).check();
  await dialog.getByRole('button', { name: '見せる', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });

  await app.getByRole('button', { name: t.sharedItem }).tap();
  await staff.see(app, t.shared);
  await app.getByRole('button', { name: /の映像通報/ }).tap();
  await app.getByRole('button', { name: t.watch }).tap();
  const video = app.getByLabel(t.sharedLive, { exact: true });
  const first = await until('a picture', async () => {
    const frame = await readFrame(video);
    return frame !== null && { frame };
  });
  await until('moving pictures', async () => framesBetween(first.frame, (await readFrame(video)) ?? first.frame) > 10);
  await app.getByText(/渡辺 一郎 .*JST/).first().waitFor();
  await receiver.getByText(/渡辺 一郎.*ライブ映像/).waitFor();
  await assertLooksRight(app, 'shared with me', { touch: true });
  await shot(app, 'staff-shared-live-ja');
  await app.getByRole('button', { name: '見るのをやめる' }).tap();
  await app.getByRole('button', { name: /^写真/ }).first().tap();
  await app.getByRole('img', { name: '写真' }).waitFor();
  await shot(app, 'staff-shared-photo-ja');
  await app.getByRole('button', { name: t.watch }).tap();
  await until('a picture again', async () => (await readFrame(video)) !== null);
  await receiver.getByRole('button', { name: '提供をやめる' }).click();
  const pressed = performance.now();
  await staff.see(app, t.sharedGone);
  const took = performance.now() - pressed;
  assert.ok(took < endedWithin + looking, `it took ${Math.round(took)} ms`);
  assert.equal(await app.locator('video').count(), 0);
  await app.getByRole('button', { name: t.back, exact: true }).tap();
  await app.getByRole('button', { name: t.back, exact: true }).tap();
  await staff.see(app, t.home);
});

test('the officer deletes the registration of a phone that is needed no more', async () => {
  await dispatcher.end(receiver);
  await staff.see(other, t.endedByCentre);
  await other.getByRole('button', { name: t.again2 }).tap();
  await other.getByRole('button', { name: t.remove }).tap();
  await staff.see(other, t.removeHeading);
  await other.getByRole('button', { name: t.removeYes }).tap();
  await staff.see(other, t.removed);
  await until('nothing is kept', async () => {
    assert.deepEqual(await staff.keeps(other), { databases: [], caches: [], workers: 0, stored: 0 });
    return true;
  });
});

test('after a year the rules are read and accepted again before anything begins', async () => {
  await server.clock('8784h');
  await app.reload();
  await staff.see(app, t.again);
  await assertLooksRight(app, 'the rules, yearly', { touch: true });
  await app.getByRole('button', { name: t.acceptAgain }).tap();
  await staff.see(app, t.home);
  await app.getByText('決まりを承認しました。').waitFor();
  assertNoFaults(issued, { expected: away });
  assertNoFaults(own, { expected: away });
});
