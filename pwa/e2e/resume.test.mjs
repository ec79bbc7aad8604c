// What a bad network, a server that dies and a page that is loaded anew cost: nothing that was sent.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { film, photo, sha256 } from './material.mjs';
import { scratch } from './paths.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';

const picture = photo();
const movie = film();
/** A slow uplink, in bytes a second: a photo of 3 MB takes seconds, so that it can be cut. */
const slow = 800_000;

let server, browser, centre, handset, board, mobile, uplink;
let sessionID, link, folder, args;

const test = story('resume', () => browser);

before(async () => {
  folder = mkdtempSync(join(scratch, 'resume-'));
  args = ['--folder', folder, '--listen', `127.0.0.1:${await freePort()}`];
  server = await startServer({ args });
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL });
});
after(async () => {
  await browser?.close();
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

/** The network of the phone: how fast it sends, or not at all. */
async function network(speed) {
  uplink ??= await handset.newCDPSession(mobile);
  await uplink.send('Network.enable');
  await uplink.send('Network.emulateNetworkConditions', {
    offline: speed === 0,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: speed || -1,
  });
}

/** Waits until part of the file of that kind, but not all of it, is at the server. */
const partly = (kind) =>
  until(`a part of the ${kind}`, async () => {
    const file = (await dispatcher.files(board, sessionID)).find((one) => one.kind === kind);
    return file && file.state === 'RECEIVING' && file.size > 0 && file.size < file.declaredSize && file;
  });

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
  await network(slow);
  await caller.takePhoto(mobile, picture);
  await partly('PHOTO');
  await network(0);
  await mobile.getByText('電波を待っています。自動で続けます').waitFor();
  await mobile.getByText('まだ届いていません（残り1件）。この画面を閉じないでください').waitFor();
  const before = await partly('PHOTO');
  await network(slow);
  await mobile.getByText('警察に届きました').waitFor({ timeout: 30_000 });
  const file = await whole('PHOTO');
  assert.equal(file.id, before.id, 'the same upload went on');
  assert.equal(file.sha256, sha256(picture.buffer));
});

test('a film goes on after the server died and was started again', async () => {
  await network(slow / 4);
  await caller.chooseFiles(mobile, [movie]);
  const before = await partly('VIDEO');
  await server.kill();
  server = await startServer({ args });
  await network(-1);
  await mobile.getByText('2件 届きました。').waitFor({ timeout: 30_000 });
  const file = await whole('VIDEO');
  assert.equal(file.id, before.id, 'the same upload went on');
  assert.equal(file.sha256, sha256(movie.buffer));
});

test('the console comes back by itself after the server did', async () => {
  await board.getByRole('button', { name: '動画 開いて見る' }).waitFor();
  await until('the bar that says it is offline to go', async () => !(await board.getByText(/サーバにつながっていません/).isVisible()));
});

test('a caller who loads the page anew goes on without a new consent', async () => {
  await mobile.reload();
  await mobile.getByRole('heading', { name: 'ほかのやり方' }).waitFor();
  await mobile.getByText('前に送ったもの 2件も届いています。').waitFor();
  await caller.takePhoto(mobile, picture);
  await mobile.getByText('警察に届きました').waitFor();
  await whole('PHOTO', 2);
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
  assertNoFaults(handset, { expected: [...lost, /status of 4(01|09|23)/] });
  assertNoFaults(centre, { expected: lost });
});
