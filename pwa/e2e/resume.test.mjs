// What a bad network, a server that dies and a page that is loaded anew cost: nothing that was sent.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo, sha256 } from './material.mjs';
import { scratch } from './paths.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';
import { startUplink } from './uplink.mjs';

const picture = photo();
/** How much of a photo passes before the way is cut, in bytes: more than the server keeps in memory. */
const part = 2_500_000;

let server, browser, centre, handset, board, mobile, uplink;
let sessionID, link, folder, args;

const test = story('resume', () => browser);

before(async () => {
  folder = mkdtempSync(join(scratch, 'resume-'));
  args = ['--folder', folder, '--listen', `127.0.0.1:${await freePort()}`];
  server = await startServer({ args });
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  uplink = await startUplink();
  handset = await phone(browser, { baseURL: server.baseURL, proxy: uplink.proxy });
});
after(async () => {
  await browser?.close();
  await uplink?.stop();
  await server?.stop();
  if (folder) {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** A port that nobody listens on now. */
async function freePort() {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Where the pieces began that the phone sent of its files, in the order they were sent. */
const offsets = [];

/** The file of that kind that is on its way. */
const arriving = async (kind) =>
  (await dispatcher.files(board, sessionID)).find((one) => one.kind === kind && one.state === 'RECEIVING');

/** How many bytes stand below a folder. */
function size(path) {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);
}

const whole = (kind, count = 1) =>
  until(
    `${count} whole ${kind}`,
    async () => {
      const all = (await dispatcher.files(board, sessionID)).filter((one) => one.kind === kind && one.state === 'COMPLETE');
      return all.length === count && all[0];
    },
    30_000,
  );

test('a photo cut off by the network goes on where it was and arrives unchanged', async () => {
  board = await dispatcher.signIn(centre, server);
  ({ sessionID, link } = await dispatcher.sendLink(board, { mode: 'PHOTO' }));
  mobile = await caller.join(handset, link);
  mobile.on('request', (request) => {
    if (request.method() === 'PATCH') {
      offsets.push(Number(request.headers()['upload-offset']));
    }
  });
  const { reached } = uplink.hold(part);
  await caller.takePhoto(mobile, picture);
  await reached;
  const before = await arriving('PHOTO');
  uplink.cut();
  await mobile.getByText('電波を待っています。自動で続けます').waitFor();
  await mobile.getByText('まだ届いていません（残り1件）。この画面を閉じないでください').waitFor();
  await board.getByText('1件 受信中').waitFor();
  uplink.restore();
  await mobile.getByText('警察に届きました').waitFor({ timeout: 30_000 });
  const file = await whole('PHOTO');
  assert.equal(file.id, before.id, 'the same upload went on');
  assert.ok(offsets.at(-1) > 0, `it went on from ${offsets.at(-1)}`);
  assert.equal(file.sha256, sha256(picture.buffer));
});

test('a photo goes on after the server died and was started again', async () => {
  offsets.length = 0;
  const empty = size(server.dataDir);
  const { reached } = uplink.hold(part);
  await caller.chooseFiles(mobile, [picture]);
  await reached;
  const before = await arriving('PHOTO');
  await until('a megabyte on disk', () => size(server.dataDir) > empty + 2 ** 20);
  await server.kill();
  await mobile.getByText('電波を待っています。自動で続けます').waitFor();
  server = await startServer({ args });
  await mobile.getByText('2件 届きました。').waitFor({ timeout: 30_000 });
  const file = await whole('PHOTO', 2);
  assert.equal(file.id, before.id, 'the same upload went on');
  assert.ok(offsets.at(-1) > 0, `it went on from ${offsets.at(-1)}`);
  assert.equal(file.sha256, sha256(picture.buffer));
});

test('the console comes back by itself after the server did', async () => {
  await board.getByRole('button', { name: '写真 開いて見る' }).nth(1).waitFor();
  await until('the bar that says it is offline to go', async () => !(await board.getByText(/サーバにつながっていません/).isVisible()));
});

test('a caller who loads the page anew goes on without a new consent', async () => {
  await mobile.reload();
  await mobile.getByRole('heading', { name: 'ほかのやり方' }).waitFor();
  await mobile.getByText('前に送ったもの 2件も届いています。').waitFor();
  await caller.takePhoto(mobile, picture);
  await mobile.getByText('警察に届きました').waitFor();
  await whole('PHOTO', 3);
  const { consents, phones, link } = await dispatcher.report(board, sessionID);
  assert.equal(consents.length, 1);
  assert.equal(phones.length, 1);
  assert.equal(link.used, 1);
});

test('a caller whose cookie is gone proves the phone by its key', async () => {
  await handset.clearCookies();
  await mobile.reload();
  await mobile.getByRole('heading', { name: 'ほかのやり方' }).waitFor();
  const { consents, phones, link } = await dispatcher.report(board, sessionID);
  assert.deepEqual([consents.length, phones.length, link.used], [1, 1, 1]);
});

test('live video comes back by itself after the network did', async () => {
  await caller.goLive(mobile);
  await board.getByRole('button', { name: /ライブ映像を見る/ }).click();
  const video = board.getByLabel('ライブ映像', { exact: true });
  const shown = async () => {
    const frame = await readFrame(video);
    return frame === null ? null : { frame };
  };
  await until('a picture', shown);
  await server.kill();
  await board.getByText('映像が止まっています').waitFor();
  server = await startServer({ args });
  await mobile.getByText('警察に届いています').waitFor({ timeout: 30_000 });
  const again = await until('a picture once more', shown, 30_000);
  await until('moving pictures', async () => {
    const now = await shown();
    return now && framesBetween(again.frame, now.frame) > 10;
  });
  const { state, consents } = await dispatcher.report(board, sessionID);
  assert.deepEqual([state, consents.length], ['CONNECTED', 1]);
});

test('no page reported a fault', () => {
  // Chromium writes every request that a dead network or server leaves unanswered to the console.
  const lost = [/net::ERR_/, /WebSocket/, /status of 50[234]/];
  assertNoFaults(handset, { expected: [...lost, /status of 4(01|09|23)/, /status of 404.*\/whip\//] });
  assertNoFaults(centre, { expected: [...lost, /status of 404.*\/whep\//] });
});
