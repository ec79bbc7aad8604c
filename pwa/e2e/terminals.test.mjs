// The console answers on enrolled terminals only: a browser is enrolled by a code, is used, is suspended and cut.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, sizes, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { program } from './program.mjs';
import { readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import { story } from './story.mjs';

const refused = /status of 401|WebSocket/;
let server, browser, admin, office, receiving, page, adminPage;

const test = story('terminals', () => browser);

before(async () => {
  server = await startServer({ args: ['-strict'] });
  browser = await launch();
  admin = await desk(browser, { baseURL: server.baseURL });
  office = await desk(browser, { baseURL: server.baseURL });
  receiving = await desk(browser, { baseURL: server.baseURL });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function look(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await shot(page, `${name}-${colorScheme}`);
    await assertLooksRight(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}

/** Opens the console in a browser that is not enrolled, and enters the code. */
async function enrol(context, code) {
  const page = await context.newPage();
  await page.goto('/console');
  await page.getByRole('heading', { name: 'この端末は登録されていません' }).waitFor();
  await page.getByLabel('登録コード').fill(code);
  await page.getByRole('button', { name: 'この端末を登録する' }).click();
  await page.getByLabel('ユーザID').waitFor();
  return page;
}

test('a browser that is not enrolled is asked for a code and for nothing else', async () => {
  const page = await receiving.newPage();
  await page.goto('/console');
  await page.getByRole('heading', { name: 'この端末は登録されていません' }).waitFor();
  assert.equal(await page.getByLabel('パスワード').count(), 0);
  await look(page, 'console-enrol-desk-ja');
  await page.getByLabel('登録コード').fill('AAAAA-AAAAA');
  await page.getByRole('button', { name: 'この端末を登録する' }).click();
  await page.getByText(/登録コードが違うか、期限が切れています/).waitFor();
  await page.close();
});

test('a manager enrols another terminal by a code that works once', async () => {
  const operator = await program(server).signIn('MANAGER');
  adminPage = await enrol(admin, await operator.code('ADMIN', 'A-1', '課長席'));
  await dispatcher.enter(adminPage, server, { role: 'MANAGER' });
  await adminPage.getByRole('link', { name: '端末' }).click();
  await adminPage.getByRole('row', { name: /A-1/ }).getByText('接続中').waitFor();
  await adminPage.getByRole('button', { name: '端末を登録する' }).click();
  const dialog = adminPage.getByRole('dialog');
  await dialog.getByLabel('端末番号').fill('T-3');
  await dialog.getByLabel('配置場所').fill('第3指令台');
  await look(adminPage, 'console-terminal-add-desk-ja');
  await dialog.getByRole('button', { name: '登録コードを発行する' }).click();
  const code = (await dialog.getByLabel('登録コード').innerText()).trim();
  assert.match(code, /^[0-9A-Z]{5}-[0-9A-Z]{5}$/);
  await look(adminPage, 'console-terminal-code-desk-ja');
  await dialog.getByRole('button', { name: '閉じる' }).last().click();

  page = await enrol(receiving, code.toLowerCase());
  await dispatcher.enter(page, server);
  const row = adminPage.getByRole('row', { name: /T-3/ });
  await row.getByText('接続中').waitFor();
  await row.getByText('受理 太郎').waitFor();
  await look(adminPage, 'console-terminals-manager-desk-ja');

  const second = await desk(browser, { baseURL: server.baseURL });
  const other = await second.newPage();
  await other.goto('/console');
  await other.getByLabel('登録コード').fill(code);
  await other.getByRole('button', { name: 'この端末を登録する' }).click();
  await other.getByText(/登録コードが違うか、期限が切れています/).waitFor();
  await second.close();
});

test('a tablet shows the list in English, and says that statistics are a notebook’s', async (t) => {
  const operator = await program(server).signIn('MANAGER');
  const abroad = await desk(browser, { baseURL: server.baseURL, locale: 'en-US', viewport: sizes.terminal });
  t.after(() => abroad.close());
  const page = await abroad.newPage();
  await page.goto('/console');
  await page.getByRole('heading', { name: 'This terminal is not enrolled' }).waitFor();
  await look(page, 'console-enrol-terminal-en');
  await page.getByLabel('Enrolment code').fill(await operator.code('TABLET', 'T-9', 'Second row'));
  await page.getByRole('button', { name: 'Enrol this terminal' }).click();
  await page.getByLabel('User ID').waitFor();
  await dispatcher.enter(page, server, { role: 'SUPERVISOR', locale: 'en' });
  await page.getByRole('link', { name: 'Statistics' }).click();
  await page.getByRole('heading', { name: 'Statistics are shown on notebooks' }).or(page.getByText('Statistics are shown on notebooks')).first().waitFor();
  await page.getByRole('link', { name: 'Terminals' }).click();
  await page.getByRole('row', { name: /T-9/ }).getByText('Online').waitFor();
  await look(page, 'console-terminals-terminal-en');
  assertNoFaults(abroad, { expected: [refused] });
});

test('an administration desk shows no live media, on the video report or on the wall', async (t) => {
  const operator = await program(server).signIn('MANAGER');
  const apart = await desk(browser, { baseURL: server.baseURL });
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => apart.close());
  t.after(() => handset.close());
  const { sessionID, link } = await dispatcher.sendLink(page);
  await caller.goLive(await caller.join(handset, link));
  await until('a picture at the receiving terminal', async () => (await readFrame(page.getByLabel('ライブ映像', { exact: true }))) !== null);
  const chief = await enrol(apart, await operator.code('ADMIN', 'A-2', '課長席'));
  await dispatcher.enter(chief, server, { role: 'SUPERVISOR' });
  await chief.goto(`/console/session/${sessionID}`);
  await chief.getByText('管理用の端末では、ライブ映像を表示しません。').waitFor();
  assert.equal(await chief.locator('video').count(), 0);
  await look(chief, 'console-admin-desk-no-live-ja');
  await chief.goto('/console/wall');
  await chief.getByRole('article').waitFor();
  assert.equal(await chief.locator('video').count(), 0);
  await dispatcher.end(page);
  await page.getByRole('link', { name: '受理状況' }).click();
});

test('the cookie of a terminal opens nothing in another browser', async () => {
  const thief = await desk(browser, { baseURL: server.baseURL });
  await thief.addCookies(await receiving.cookies());
  const stolen = await thief.newPage();
  await stolen.goto('/console');
  await stolen.getByRole('heading', { name: 'この端末は登録されていません' }).waitFor();
  await thief.close();
});

test('a terminal keeps its key over a reload and a sign-out', async () => {
  await page.reload();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();
  await page.getByRole('button', { name: '利用者メニュー' }).click();
  await page.getByRole('menuitem', { name: 'サインアウト' }).click();
  await page.getByLabel('ユーザID').waitFor();
  await page.reload();
  await dispatcher.enter(page, server);
  await page.getByRole('heading', { name: '受理状況' }).waitFor();
});

test('a suspended terminal is cut at once, and comes back when it is reinstated', async (t) => {
  const operator = await program(server).signIn('MANAGER');
  const supervisor = await enrol(office, await operator.code('NOTEBOOK', 'N-1', '指令官席'));
  await dispatcher.enter(supervisor, server, { role: 'SUPERVISOR' });
  const { link } = await dispatcher.sendLink(page);
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  await caller.goLive(await caller.join(handset, link));
  await until('a picture', async () => (await readFrame(page.getByLabel('ライブ映像', { exact: true }))) !== null);

  await supervisor.getByRole('link', { name: '端末' }).click();
  await supervisor.getByRole('button', { name: '端末 T-3 の操作' }).click();
  await supervisor.getByRole('menuitem', { name: '停止する' }).click();
  const dialog = supervisor.getByRole('dialog');
  await dialog.getByLabel('理由').fill('紛失の疑い');
  await look(supervisor, 'console-terminal-suspend-desk-ja');
  await dialog.getByRole('button', { name: '停止する' }).click();
  await page.getByRole('heading', { name: 'この端末は停止されています' }).waitFor();
  assert.equal(await page.locator('video').count(), 0, 'the picture is gone');
  await look(page, 'console-suspended-desk-ja');
  await supervisor.getByRole('row', { name: /T-3/ }).getByText('停止中').waitFor();
  await look(supervisor, 'console-terminals-supervisor-desk-ja');

  await adminPage.getByRole('button', { name: '端末 T-3 の操作' }).click();
  await adminPage.getByRole('menuitem', { name: '停止を解く' }).click();
  await adminPage.getByRole('dialog').getByRole('button', { name: '停止を解く' }).click();
  await adminPage.getByRole('row', { name: /T-3/ }).getByText('接続なし').or(adminPage.getByRole('row', { name: /T-3/ }).getByText('接続中')).waitFor();
  await page.getByRole('button', { name: 'もう一度確かめる' }).click();
  await page.getByLabel('ユーザID').waitFor();
});

test('a terminal that is revoked is enrolled anew or not used at all', async () => {
  await adminPage.getByRole('button', { name: '端末 T-3 の操作' }).click();
  await adminPage.getByRole('menuitem', { name: '登録を抹消する' }).click();
  await adminPage.getByRole('dialog').getByLabel('理由').fill('更新');
  await adminPage.getByRole('dialog').getByRole('button', { name: '登録を抹消する' }).click();
  await adminPage.getByRole('row', { name: /T-3/ }).getByText('抹消').waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'この端末の登録は抹消されています' }).waitFor();
  await look(page, 'console-revoked-desk-ja');
  await page.getByRole('button', { name: 'この端末を登録し直す' }).click();
  await page.getByRole('heading', { name: 'この端末は登録されていません' }).waitFor();
  for (const context of [admin, office, receiving]) {
    assertNoFaults(context, { expected: [refused] });
  }
});
