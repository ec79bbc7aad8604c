// The officers' installed app (第4の4): registered by the printed QR code, a video report with everything in it, the
// reports after it, and the end of it: suspended during live video, revoked and wiped.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { photo } from './material.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import * as staff from './staff-app.mjs';
import { story } from './story.mjs';

const t = staff.words.ja;

/** How long a suspended link may go on, in ms, and how long this machine may take to look at it. */
const suspendedWithin = 1_000;
const looking = 1_500;

/** What the browser says where the server refuses a phone that was cut off. */
const cutOff = [/status of (401|403|404|410)/, /WebSocket/];

let server, browser, manager, supervisor, receiver, handset, app, code, sessionID;
const consoles = [];

const test = story('staff', () => browser);

async function console_(role) {
  const context = await desk(browser, { baseURL: server.baseURL });
  consoles.push(context);
  return dispatcher.signIn(context, server, { role });
}

/** The dispatcher takes the officer's video report from the board, and sees its picture by that. */
async function take() {
  await receiver.getByRole('link', { name: '受理状況' }).click();
  await receiver.getByRole('link', { name: /福島警察署 佐藤 次郎/ }).filter({ hasText: '受理を待っています' }).click();
  await receiver.getByRole('button', { name: '受理する', exact: true }).click();
  await app.getByText(t.taken).waitFor();
  sessionID = decodeURIComponent(new URL(receiver.url()).pathname.split('/').at(-1));
  return receiver.getByLabel('ライブ映像', { exact: true });
}

before(async () => {
  server = await startServer();
  browser = await launch();
  manager = await console_('MANAGER');
  supervisor = await console_('SUPERVISOR');
  receiver = await console_('DISPATCHER');
  handset = await staff.officersPhone(browser, { baseURL: server.baseURL });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the printed QR code opened in a browser registers nothing and says how to install the app', async () => {
  await staff.registerOfficer(manager);
  const { code: printed, address } = await staff.printSheet(manager);
  const plain = await phone(browser, { baseURL: server.baseURL });
  const page = await plain.newPage();
  await page.goto(address);
  await staff.see(page, t.install);
  await page.getByText(`${printed.slice(0, 4)}-${printed.slice(4, 8)}-${printed.slice(8)}`).waitFor();
  assert.equal(await page.getByRole('button', { name: t.accept }).count(), 0);
  await assertLooksRight(page, 'how to install', { touch: true });
  const manifest = await page.evaluate(async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json());
  assert.equal(manifest.start_url, '/staff/');
  assert.ok(manifest.icons.some(({ purpose }) => purpose === 'maskable'));
  for (const { src } of manifest.icons) {
    assert.equal((await fetch(`${server.baseURL}/staff/${src}`)).headers.get('content-type'), 'image/png');
  }
  assert.equal((await fetch(`${server.baseURL}/staff`, { redirect: 'manual' })).headers.get('location'), '/staff/');
  assertNoFaults(plain);
  await plain.close();
});

test('the installed app registers by the QR code of the sheet, and the number is matched face to face', async () => {
  const { address } = await staff.readSheet(manager);
  const registered = await staff.register(handset, address);
  app = registered.page;
  assert.equal(new URL(app.url()).hash, '', 'the code is no longer in the address');
  await staff.match(manager, registered.number);
  await staff.see(app, t.home);
  await app.getByText('福島警察署 佐藤 次郎').waitFor();
});

test('the key of the registered phone cannot be read out of it', async () => {
  const key = await app.evaluate(
    () =>
      new Promise((done) => {
        const opening = indexedDB.open('genba-staff');
        opening.onsuccess = () => {
          const reading = opening.result.transaction('phone').objectStore('phone').get('self');
          reading.onsuccess = async () => {
            const { privateKey } = reading.result.keys;
            opening.result.close();
            const said = await crypto.subtle.exportKey('pkcs8', privateKey).catch((error) => error.name);
            done({ extractable: privateKey.extractable, said });
          };
        };
      }),
  );
  assert.deepEqual(key, { extractable: false, said: 'InvalidAccessError' });
});

test('without the two declarations or with a wrong code nothing begins', async () => {
  code = await staff.accessCode(receiver);
  await app.getByRole('button', { name: t.live, exact: true }).tap();
  await app.getByText('アクセスコードを6桁で入れてください。').waitFor();
  await app.getByLabel(t.access).fill(code);
  await app.getByRole('button', { name: t.live, exact: true }).tap();
  await app.getByText('二つの申告にチェックを入れてください。').waitFor();
  await staff.begin(app, code === '000000' ? '000001' : '000000');
  await app.getByText('アクセスコードが違います。通信指令課に確かめてください。').waitFor();
  await receiver.getByText('職員のアクセスコードが間違って入れられました。').waitFor();
});

test('with the code of the day live video, photo and position go in one video report and are seen in the console', async () => {
  await staff.begin(app, code);
  await app.getByText(t.connected).waitFor();
  const video = await take();
  const first = await until('a picture', async () => {
    const frame = await readFrame(video);
    return frame !== null && { frame };
  });
  await until('moving pictures', async () => framesBetween(first.frame, (await readFrame(video)) ?? first.frame) > 10);
  await app.getByText(t.watched).waitFor();
  await app.getByRole('button', { name: t.photo, exact: true }).tap();
  await app.getByText('写真 1件 届きました').waitFor();
  await until('the photo in the console', async () =>
    (await dispatcher.files(receiver, sessionID)).some(({ kind, capture }) => kind === 'PHOTO' && capture === 'NOW'),
  );
  await until('the position in the console', async () => (await dispatcher.report(receiver, sessionID)).lastPosition);
  await assertLooksRight(app, 'the camera', { touch: true });
  await app.getByRole('button', { name: t.close, exact: true }).tap();
  await staff.see(app, t.act);
  await app.getByLabel(t.stored).setInputFiles(photo());
  await app.getByText('2件 届きました').waitFor();
  await assertLooksRight(app, 'the video report', { touch: true });
});

test('the centre ends it, and the officer reports the use with the reason why only after', async () => {
  await dispatcher.end(receiver);
  await staff.see(app, t.endedByCentre);
  await app.getByRole('button', { name: t.usage }).tap();
  await staff.see(app, t.usageAfter);
  await app.getByRole('button', { name: t.send, exact: true }).tap();
  await app.getByText('何のための利用かを入れてください。').waitFor();
  await app.getByLabel(t.purpose).fill('交通事故の現場');
  await app.getByRole('button', { name: t.reasonPreset }).tap();
  await assertLooksRight(app, 'the usage report', { touch: true });
  await app.getByRole('button', { name: t.send, exact: true }).tap();
  await app.getByText(t.reported).waitFor();
  await staff.see(app, t.home);
  await supervisor.getByRole('link', { name: '職員', exact: true }).click();
  await supervisor.getByText('交通事故の現場').waitFor();
  await supervisor.getByText('後報', { exact: true }).waitFor();
});

test('a leak reported from the phone suspends it during live video within a second, and the server ends what it publishes', async () => {
  let resource, bearer;
  app.on('response', async (response) => {
    if (response.url().includes('/whip/') && response.status() === 201) {
      resource = new URL(response.headers().location, server.baseURL).href;
      bearer = (await response.request().allHeaders()).authorization;
    }
  });
  await app.getByRole('button', { name: t.leak }).tap();
  await app.getByRole('button', { name: t.whatPreset }).tap();
  await app.getByRole('button', { name: t.send, exact: true }).tap();
  await staff.see(app, t.leakDone);
  await app.getByRole('button', { name: t.back, exact: true }).tap();
  await staff.begin(app, code);
  await app.getByText(t.connected).waitFor();
  const video = await take();
  await until('a picture', async () => (await readFrame(video)) !== null);
  await until('the resource', () => resource && bearer);

  await supervisor.getByText(t.whatPreset).waitFor();
  await supervisor.getByRole('button', { name: '停止して運用管理責任者へ送る' }).click();
  const pressed = performance.now();
  await Promise.all([staff.see(app, t.suspended), video.waitFor({ state: 'detached' })]);
  const took = performance.now() - pressed;
  assert.ok(took < suspendedWithin + looking, `it took ${Math.round(took)} ms`);
  assert.equal(await app.locator('video').count(), 0, 'the camera is off');
  const { state, live } = await dispatcher.report(supervisor, sessionID);
  assert.deepEqual({ state, live }, { state: 'REVOKED', live: false });
  const again = await fetch(resource, { method: 'DELETE', headers: { authorization: bearer, origin: server.baseURL } });
  assert.ok([401, 403, 404, 410].includes(again.status), `the resource is gone: ${again.status}`);
  await assertLooksRight(app, 'suspended', { touch: true });
});

test('revoked, the phone deletes key, caches and worker, says what to delete by hand, and the centre knows', async () => {
  await until('the worker keeps the app', async () => (await staff.keeps(app)).caches.length > 0);
  await manager.getByRole('button', { name: '職員用URLを破棄する', exact: true }).click();
  await staff.see(app, t.revoked);
  await app.getByRole('heading', { name: t.hand }).waitFor();
  await until('nothing is kept', async () => {
    const kept = await staff.keeps(app);
    assert.deepEqual(kept, { databases: [], caches: [], workers: 0, stored: 0 });
    return true;
  });
  await manager.getByText('電話機の消去待ち').waitFor({ state: 'detached' });
  await manager.getByText('登録した電話機はありません').waitFor();
  await assertLooksRight(app, 'wiped', { touch: true });
  await app.reload();
  await staff.see(app, t.code);
  assertNoFaults(handset, { expected: cutOff });
  for (const context of consoles) {
    assertNoFaults(context, { expected: cutOff });
  }
});
