// Stopping what must not go on, and what machines that look at links do to them: nothing.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo } from './material.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shown } from './story.mjs';

/** How long a revoked link may go on, in ms, and how long this machine may take to look at it. */
const revokedWithin = 1_000;
const looking = 1_500;

/** Chromium refuses whatever is not among the permissions it was given. */
const refusing = ['clipboard-read'];

let server, browser, centre;

const test = shown('revoke', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  await (await dispatcher.signIn(centre, server)).close();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Presses a button, and again in the question that follows. */
async function press(board, name, sure) {
  await board.getByRole('button', { name, exact: true }).click();
  await board.getByRole('alertdialog').getByRole('button', { name: sure }).click();
}

test('revoking during live video stops it in the console and on the phone within a second', async (t) => {
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const board = await centre.newPage();
  await board.goto('/console');
  t.after(() => board.close());
  const { sessionID, link } = await dispatcher.sendLink(board);
  const mobile = await caller.join(handset, link);
  await caller.goLive(mobile);
  const video = board.getByLabel('ライブ映像', { exact: true });
  const first = await until('a picture', async () => {
    const frame = await readFrame(video);
    return frame !== null && { frame };
  });
  await until('moving pictures', async () => framesBetween(first.frame, (await readFrame(video)) ?? first.frame) > 10);

  await board.getByRole('button', { name: 'その他の操作' }).click();
  await board.getByRole('menuitem', { name: 'リンクを破棄' }).click();
  await board.getByRole('alertdialog').getByRole('button', { name: '破棄する' }).click();
  const pressed = performance.now();
  await Promise.all([
    mobile.getByText(caller.words.ja.ended).waitFor(),
    video.waitFor({ state: 'detached' }),
    board.getByText(/リンクを破棄しました。新しい映像は受け取れません。/).waitFor(),
  ]);
  const took = performance.now() - pressed;
  assert.ok(took < revokedWithin + looking, `it took ${Math.round(took)} ms`);
  assert.equal(await mobile.locator('video').count(), 0, 'the camera is off');
  const { state, live } = await dispatcher.report(board, sessionID);
  assert.deepEqual({ state, live }, { state: 'REVOKED', live: false });

  const other = await phone(browser, { baseURL: server.baseURL, locale: 'en-US' });
  t.after(() => other.close());
  const stranger = await other.newPage();
  await stranger.goto(link);
  await caller.see(stranger, 'This link does not work');
  assertNoFaults(other);
  assertNoFaults(handset, { expected: [/status of (401|403|404|410)/, /WebSocket/] });
});

test('a mis-sent link dies, its material is hidden from the dispatcher and a correction goes out', async (t) => {
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const board = await centre.newPage();
  await board.goto('/console');
  t.after(() => board.close());
  const { sessionID, link } = await dispatcher.sendLink(board, { mode: 'PHOTO' });
  const mobile = await caller.join(handset, link);
  await caller.takePhoto(mobile, photo());
  await mobile.getByText('警察に届きました').waitFor();
  const [file] = await until('the photo', async () => {
    const all = await dispatcher.files(board, sessionID);
    return all[0]?.preview === 'READY' && all;
  });
  const { url } = await dispatcher.openMedia(board, file.id);
  assert.equal((await dispatcher.download(board, url)).status, 200);

  await press(board, '誤送信', '誤送信として処理する');
  await board.getByText(/誤送信として処理しました/).first().waitFor();
  await mobile.getByText(caller.words.ja.ended).waitFor();
  assert.notEqual((await dispatcher.download(board, url)).status, 200, 'a grant given before opens nothing');
  await assert.rejects(dispatcher.openMedia(board, file.id));
  assert.equal((await dispatcher.report(board, sessionID)).misdirected, true);
  const outbox = await centre.newPage();
  t.after(() => outbox.close());
  await outbox.goto('/outbox');
  const correction = outbox.getByRole('listitem').filter({ hasText: '福島県警察' }).first();
  await until('the corrective message', async () => !(await correction.innerText()).includes('/v#'));
});

test('what previews links, follows them and presses everything spends nothing', async (t) => {
  const board = await centre.newPage();
  await board.goto('/console');
  t.after(() => board.close());
  const { sessionID, link } = await dispatcher.sendLink(board, { mode: 'PHOTO' });
  const before = await dispatcher.report(board, sessionID);
  const agents = [
    'facebookexternalhit/1.1',
    'Twitterbot/1.0',
    'Slackbot-LinkExpanding 1.0',
    'WhatsApp/2.23.20',
    'Mozilla/5.0 (compatible; Googlebot/2.1)',
    'Mozilla/5.0 (compatible; bingbot/2.0)',
    'LinkedInBot/1.0',
    'TelegramBot (like TwitterBot)',
    'Line/13.0',
    'curl/8.5.0',
  ];
  for (const agent of agents) {
    for (const method of ['GET', 'HEAD']) {
      const { status } = await fetch(link.split('#')[0], { method, headers: { 'user-agent': agent } });
      assert.equal(status, 200, `${method} as ${agent}`);
    }
  }

  const robot = await phone(browser, { baseURL: server.baseURL, geolocation: null, permissions: refusing });
  t.after(() => robot.close());
  const visit = await robot.newPage();
  await visit.goto(link);
  await caller.see(visit, 'いま電話で話している警察のページです');
  const pressed = new Set();
  // It presses each button once that it has not pressed, but not the ones that say no.
  const no = ['ちがう', '同意しない（電話は続きます）', 'English', '日本語'];
  for (let left = true; left; ) {
    left = false;
    await until('the page to rest', async () => !(await visit.getByRole('button', { name: 'お待ちください…' }).isVisible()));
    for (const button of await visit.getByRole('button').all()) {
      const name = (await button.innerText({ timeout: 1_000 }).catch(() => '')).trim();
      if (name && !no.includes(name) && !pressed.has(name) && (await button.isEnabled().catch(() => false))) {
        pressed.add(name);
        left = true;
        await button.tap().catch(() => undefined);
        break;
      }
    }
  }
  assert.ok(pressed.has('同じ') && pressed.has('同意してはじめる') && pressed.has('カメラを使う'), [...pressed].join(', '));
  const visited = await dispatcher.report(board, sessionID);
  assert.equal(visited.link.used, before.link.used);
  assert.equal(visited.link.state, 'LIVE');
  assert.ok(visited.phones.every((one) => one.state === 'PROVISIONAL'));

  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const mobile = await caller.join(handset, link);
  await caller.takePhoto(mobile, photo());
  await mobile.getByText('警察に届きました').waitFor();
  const after = await dispatcher.report(board, sessionID);
  assert.equal(after.state, 'CONNECTED');
  assert.equal(after.link.used, 1);
  assertNoFaults(handset);
});
