// A second phone with the same link.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { assertNoFaults, desk, launch, phone } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo } from './material.mjs';
import { startServer } from './server.mjs';
import { shown } from './story.mjs';

const picture = photo();

let server, browser, centre, board, sessionID, link, first, second, one, two;

const test = shown('second', () => browser);

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

beforeEach(async () => {
  await board.goto('/console');
  ({ sessionID, link } = await dispatcher.sendLink(board, { mode: 'PHOTO' }));
  first = await phone(browser, { baseURL: server.baseURL });
  second = await phone(browser, { baseURL: server.baseURL, locale: 'en-US' });
  one = await caller.join(first, link);
  await caller.takePhoto(one, picture);
  await one.getByText('警察に届きました').waitFor();
  two = await caller.openLink(second, link, { locale: 'en' });
  await two.getByRole('button', { name: 'Same', exact: true }).tap();
  await two.getByRole('button', { name: 'Agree and start' }).tap();
  await caller.see(two, 'Waiting for the officer');
});
afterEach(async () => {
  await first?.close();
  await second?.close();
});

test('a second phone waits, the dispatcher is told, and the first one goes on', async () => {
  await board.getByRole('heading', { name: /別の電話が同じリンクで待っています/ }).waitFor();
  await caller.takePhoto(one, picture);
  await one.getByText('2件 届きました。').waitFor();
  const { link, counts, phones } = await dispatcher.report(board, sessionID);
  assert.equal(link.used, 1);
  assert.equal(counts.photosNow, 2, 'nothing of the second phone');
  assert.deepEqual(phones.map(({ state }) => state).sort(), ['BOUND', 'WAITING']);
  assertNoFaults(first);
});

test('a second phone that is let in sends, and takes nothing from the first one', async () => {
  await board.getByRole('button', { name: '入れる' }).click();
  await two.getByRole('heading', { name: 'Other ways to help' }).waitFor();
  await caller.takePhoto(two, picture, { locale: 'en' });
  await two.getByText('The police have it').waitFor();
  await caller.takePhoto(one, picture);
  await one.getByText('2件 届きました。').waitFor();
  assert.equal((await dispatcher.report(board, sessionID)).link.used, 2);
  assertNoFaults(first);
  assertNoFaults(second, { expected: [/status of (403|409)/] });
});

test('a second phone that is refused is told so, and sends nothing', async () => {
  await board.getByRole('button', { name: '断る' }).click();
  await caller.see(two, 'This phone cannot send');
  await caller.takePhoto(one, picture);
  await one.getByText('2件 届きました。').waitFor();
  const { link, counts, phones } = await dispatcher.report(board, sessionID);
  assert.equal(link.used, 1);
  assert.equal(counts.photosNow, 2);
  assert.deepEqual(phones.map(({ state }) => state).sort(), ['BOUND', 'REFUSED']);
});
