// The whole of one video report, from the sign-in to the day everything of it is destroyed.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { exif, film, filmSeconds, photo, probe, sha256 } from './material.mjs';
import { framesBetween, readFrame, FRAME_RATE } from './pattern.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';

const place = { latitude: 37.750123, longitude: 140.467893, accuracy: 9 };
const picture = photo();
const movie = film();

let server, browser, centre, handset, board, mobile;
let sessionID, link;
/** How long live video was sent, in seconds: at least and at most. */
const sent = { least: 0, most: 0 };

const test = story('main', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL, geolocation: place });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The file of that kind, once it is complete. */
const complete = (kind, within) =>
  until(
    `a complete ${kind}`,
    async () =>
      (await dispatcher.files(board, sessionID)).find((file) => file.kind === kind && file.state === 'COMPLETE'),
    within,
  );

test('a dispatcher signs in, asks for video and sends the link after reading the last four digits back', async () => {
  board = await dispatcher.signIn(centre, server);
  await board.getByRole('heading', { name: '受理状況' }).waitFor();
  await dispatcher.openCase(board);
  await dispatcher.request(board);
  for (const group of ['090', '1234', '5678']) {
    await board.getByRole('form').getByText(group, { exact: true }).waitFor();
  }
  await board.getByLabel('下4桁', { exact: true }).pressSequentially('5679');
  await board.getByRole('button', { name: '送信する' }).click();
  await board.getByRole('alert').filter({ hasText: '下4桁が違います' }).waitFor();
  await dispatcher.confirm(board);
  sessionID = decodeURIComponent(new URL(board.url()).pathname.split('/').at(-1));
});

test('the message holds the link and no fact of the case', async () => {
  const outbox = await centre.newPage();
  await outbox.goto('/outbox');
  const message = outbox.getByRole('listitem').first();
  await message.getByText('+819012345678').waitFor();
  const text = await message.innerText();
  assert.match(text, /福島県警察/);
  assert.doesNotMatch(text, /国道|北町|現場の状況/);
  await outbox.close();
  link = await dispatcher.newestLink(centre);
});

test('the caller sees the two words that the console reads aloud', async () => {
  mobile = await caller.openLink(handset, link);
  assert.deepEqual(await caller.proofWords(mobile), await dispatcher.proofWords(board));
  await caller.agree(mobile);
  const { consents, state } = await dispatcher.report(board, sessionID);
  assert.deepEqual(consents.map(({ agreed, language }) => ({ agreed, language })), [{ agreed: true, language: 'ja' }]);
  assert.equal(state, 'CONSENTED');
});

test('the position shows in the console as the phone gave it', async () => {
  await caller.sharePosition(mobile);
  await board.getByText(`${place.latitude.toFixed(6)},${place.longitude.toFixed(6)}`).waitFor();
  await board.getByText(/誤差 約9 ?m/).waitFor();
  assert.equal((await dispatcher.report(board, sessionID)).state, 'CONNECTED');
});

test('a photo arrives unchanged', async () => {
  await caller.takePhoto(mobile, picture);
  await mobile.getByText('警察に届きました').waitFor();
  await board.getByRole('button', { name: '写真 開いて見る' }).waitFor();
  const file = await complete('PHOTO');
  assert.equal(file.sha256, sha256(picture.buffer));
  assert.equal(file.size, picture.buffer.length);
  assert.equal(file.name, picture.name);
  const { takenAt, device, latitude, longitude } = file.metadata;
  assert.equal(takenAt, exif.takenAt + exif.offset);
  assert.match(device, new RegExp(exif.model));
  assert.ok(Math.abs(latitude - exif.latitude) < 1e-5 && Math.abs(longitude - exif.longitude) < 1e-5);
});

test('the photo is shown beside what it says of itself, and the look is recorded', async () => {
  await until('the preview', async () => (await complete('PHOTO')).preview === 'READY');
  await board.getByRole('button', { name: '写真 開いて見る' }).click();
  const dialog = board.getByRole('dialog');
  const image = dialog.getByRole('img');
  await until('the picture', () => image.evaluate((element) => element.complete && element.naturalWidth > 0));
  await dialog.getByText(exif.model).waitFor();
  await dialog.getByText(picture.name).waitFor();
  await dialog.getByText(/2026\/11\/20 8:30:15 JST/).waitFor();
  await board.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  const { session } = await dispatcher.ask(
    board,
    'query Looks($id: ID!) { session(id: $id) { viewings(first: 5) { nodes { mediaFileID purpose } } } }',
    { id: sessionID },
  );
  assert.equal(session.viewings.nodes.length, 1);
});

test('a stored film arrives unchanged', async () => {
  await caller.chooseFiles(mobile, [movie]);
  await mobile.getByText('2件 届きました。').waitFor();
  await board.getByRole('button', { name: '動画 開いて見る' }).waitFor();
  const file = await complete('VIDEO');
  assert.equal(file.sha256, sha256(movie.buffer));
  assert.equal(file.capture, 'BEFORE');
  await until('its length', async () => {
    const { durationMs } = await complete('VIDEO');
    return Math.abs(durationMs / 1000 - filmSeconds) < 0.2;
  });
});

test('live video moves in the console, carries the picture of the camera, and can be cut out', async () => {
  const tapped = performance.now();
  await caller.goLive(mobile);
  const connected = performance.now();
  const video = board.getByLabel('ライブ映像', { exact: true });
  await video.waitFor();
  const shown = async () => {
    const frame = await readFrame(video);
    return frame === null ? null : { frame };
  };
  const first = await until('the first picture in the console', shown);
  await until('four seconds of moving pictures', async () => {
    const now = await shown();
    return now && framesBetween(first.frame, now.frame) >= 4 * FRAME_RATE;
  });
  await board.getByText('● ライブ').waitFor();
  await board.getByRole('button', { name: /^切り出し/ }).first().click();
  await board.getByRole('button', { name: '切り出し 開いて見る' }).waitFor();
  const still = await complete('SNAPSHOT');
  assert.equal(still.contentType, 'image/jpeg');

  sent.least = (performance.now() - connected) / 1000;
  await mobile.getByRole('button', { name: 'とめる' }).tap();
  await caller.see(mobile, 'カメラの映像を見せてください');
  sent.most = (performance.now() - tapped) / 1000;
});

test('the recording is as long as what was sent, plays and seeks in the console, and has no fault', async () => {
  await board.getByRole('button', { name: '録画 開いて見る' }).waitFor();
  const file = await complete('RECORDING');
  await board.getByRole('button', { name: '録画 開いて見る' }).click();
  const dialog = board.getByRole('dialog');
  const video = dialog.getByLabel('動画の再生');
  const duration = await until('the length of the recording', () =>
    video.evaluate((element) => element.readyState >= 1 && Number.isFinite(element.duration) && element.duration),
  );
  assert.ok(duration > sent.least - 1 && duration < sent.most + 1, `${duration} s of ${sent.least} to ${sent.most} s`);
  const pictureAt = async (seconds) => {
    await video.evaluate((element, to) => {
      element.currentTime = to;
    }, seconds);
    return until(`the picture at ${seconds} s`, async () => {
      const there = await video.evaluate(
        (element, to) => !element.seeking && element.readyState >= 2 && Math.abs(element.currentTime - to) < 0.2,
        seconds,
      );
      const frame = there ? await readFrame(video) : null;
      return frame === null ? null : { frame };
    });
  };
  const early = await pictureAt(1);
  const late = await pictureAt(3);
  const back = await pictureAt(1);
  const apart = framesBetween(early.frame, late.frame) / FRAME_RATE;
  assert.ok(Math.abs(apart - 2) < 0.5, `${apart} s of pictures between 1 s and 3 s`);
  assert.ok(Math.abs(framesBetween(early.frame, back.frame)) <= 2, 'seeking back shows the same picture');
  await video.evaluate((element) => element.play());
  await until('the film to play on', () => video.evaluate((element) => element.currentTime > 1.5));
  await board.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });

  const { url } = await dispatcher.openMedia(board, file.id);
  const { status, bytes } = await dispatcher.download(board, url);
  assert.equal(status, 200);
  const { seconds, frames } = probe(bytes);
  assert.ok(seconds > sent.least - 1 && seconds < sent.most + 1, `ffprobe: ${seconds} s`);
  assert.ok(frames > seconds * 10, `${frames} pictures in ${seconds} s`);
});

test('the dispatcher ends the report with its reason, and the caller sees that it is over', async () => {
  await dispatcher.end(board);
  await mobile.getByText('警察が、映像通報を終わりにしました。撮影は終わりです。').waitFor();
  await mobile.getByText('電話はまだ切らないでください。').first().waitFor();
  const { state, endReason, live } = await dispatcher.report(board, sessionID);
  assert.deepEqual({ state, endReason, live }, { state: 'ENDED', endReason: 'DONE', live: false });
  await mobile.reload();
  await mobile.getByText('警察が、映像通報を終わりにしました。撮影は終わりです。').or(
    mobile.getByRole('heading', { name: 'このリンクは使えません' }),
  ).waitFor();
  assertNoFaults(centre);
});

test('the supervisor finds it in the statistics', async (t) => {
  const other = await desk(browser, { baseURL: server.baseURL });
  t.after(() => other.close());
  const page = await dispatcher.signIn(other, server, { role: 'SUPERVISOR' });
  await page.getByRole('link', { name: '統計' }).click();
  await page.getByRole('heading', { name: '統計' }).waitFor();
  for (const [row, count] of [
    ['ライブ映像', '1'],
    ['その場で撮った写真', '1'],
    ['以前からの動画', '1'],
  ]) {
    await page.getByRole('row', { name: new RegExp(`^${row} ${count}\\b`) }).waitFor();
  }
  await page.getByRole('row', { name: /^目的を果たした 1/ }).waitFor();
  assertNoFaults(other);
});

test('on the eighth day everything is gone: not before, and with its keys', async () => {
  const before = await dispatcher.files(board, sessionID);
  assert.equal(before.length, 4);
  const [{ dueAt }] = before;
  assert.ok(before.every((file) => file.dueAt === dueAt));
  const dueDay = new Date(Date.parse(dueAt) + 9 * 3_600_000).toISOString().slice(0, 10);
  const days = (folder) => readdirSync(folder, { recursive: true }).map(String).filter((name) => name.includes(dueDay));
  assert.equal(days(server.keysDir).length, 1, 'one key of that day');
  assert.match(dueAt, /T15:00:00/, 'midnight in Japan');

  const minute = 60;
  const seconds = Math.floor((Date.parse(dueAt) - Date.now()) / 1000);
  await server.clock(`${seconds - 2 * minute}s`);
  await board.reload();
  await dispatcher.enter(board, server);
  const still = before.find((file) => file.kind === 'PHOTO');
  const { url } = await dispatcher.openMedia(board, still.id);
  assert.equal((await dispatcher.download(board, url)).status, 200, 'two minutes before it is still there');

  await server.clock(`${4 * minute}s`);
  assert.equal((await dispatcher.download(board, url)).status, 410);
  for (const file of before) {
    await assert.rejects(dispatcher.openMedia(board, file.id), /GONE|NOT_FOUND/);
  }
  assert.deepEqual(await dispatcher.files(board, sessionID), []);
  assert.equal(days(server.keysDir).length, 0, 'the key of the day is destroyed');
  await server.clock(`${192 * 60 - Math.floor(seconds / 60) - 2}m`);

  const kept = everything(server.dataDir);
  for (const needle of [picture.name, movie.name, exif.model]) {
    assert.ok(!kept.includes(Buffer.from(needle)), `the data folder still names ${needle}`);
  }
  for (const material of [picture.buffer, movie.buffer]) {
    assert.equal(leak(kept, material), -1, 'the data folder still holds bytes of the file');
  }
});

test('no page reported a fault', () => {
  assertNoFaults(handset, { expected: [/status of 401/, /status of 410/] });
  assertNoFaults(centre, { expected: [/status of 401/, /status of 410/, /WebSocket/] });
});

/** All bytes below a folder. */
function everything(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Buffer.concat(names.map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name))));
}

/**
 * Where in hay 64 bytes of the material stand that begin at a multiple of 64 in it, or -1. Any copied run of 127 bytes
 * holds such a window. Windows of one repeated byte tell nothing and are left out.
 */
function leak(hay, material) {
  const width = 64;
  const starts = new Map();
  for (let at = 0; at + width <= material.length; at += width) {
    const window = material.subarray(at, at + width);
    if (window.some((byte) => byte !== window[0])) {
      const key = window.readUInt32LE(0);
      starts.set(key, [...(starts.get(key) ?? []), window]);
    }
  }
  for (let at = 0; at + width <= hay.length; at++) {
    const windows = starts.get(hay.readUInt32LE(at));
    if (windows?.some((window) => window.equals(hay.subarray(at, at + width)))) {
      return at;
    }
  }
  return -1;
}
