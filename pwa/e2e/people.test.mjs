// People and what they sign in with: a code, a finger, a role that needs another touch, and being put out at once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addPasskeyDevice, assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';

/** What the browser says when somebody is put out, or a screen is locked. */
const expected = [/status of 40[13]/, /WebSocket/];

/** How long a suspended person may go on watching, in ms, and how long this machine may take to look at it. */
const cutWithin = 1_000;
const looking = 1_500;

let server, browser, office, manager;

before(async () => {
  server = await startServer();
  browser = await launch();
  office = await desk(browser, { baseURL: server.baseURL });
  manager = await dispatcher.signIn(office, server, { role: 'MANAGER' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The manager registers somebody and reads the code. */
async function register(name, userName, { passwordReason = '' } = {}) {
  await manager.goto('/console/users');
  await manager.getByRole('button', { name: '利用者を登録する' }).click();
  await manager.getByLabel('ユーザID').fill(userName);
  await manager.getByLabel('氏名').fill(name);
  await manager.getByLabel('パスワードを許可する理由').fill(passwordReason);
  await manager.getByRole('button', { name: '登録してコードを出す' }).click();
  const code = manager.getByText(/^[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}$/);
  await code.waitFor();
  return code.innerText();
}

/** A person's own browser, with a reader. */
async function seat(t) {
  const context = await desk(browser, { baseURL: server.baseURL });
  t.after(() => context.close());
  const page = await context.newPage();
  const reader = await addPasskeyDevice(page);
  return { context, page, reader };
}

/** The first sign-in with a code and a finger. */
async function enrol(page, userName, code) {
  await page.goto('/console');
  await page.getByRole('link', { name: 'はじめて使う（登録コードがある）' }).click();
  await page.getByLabel('ユーザID').fill(userName);
  await page.getByLabel('登録コード').fill(code.toLowerCase().replaceAll('-', ' '));
  await page.getByRole('button', { name: '次へ' }).click();
  await page.getByLabel('この端末の名前').fill('受理端末1');
  await page.getByRole('button', { name: '指紋を登録する' }).click();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();
}

/** A person on the manager's list. */
async function open(name) {
  await manager.goto('/console/users');
  await manager.getByRole('link', { name, exact: true }).click();
  await manager.getByRole('heading', { name, level: 1 }).waitFor();
}

test('a person enrols with a code, signs in by finger, locks and unlocks', async (t) => {
  const { context, page, reader } = await seat(t);
  await enrol(page, 'kobayashi', await register('小林 一', 'kobayashi'));
  await shot(manager, 'people-code-ja');

  await page.getByRole('banner').getByRole('button', { name: '利用者メニュー' }).click();
  await page.getByRole('menuitem', { name: '画面をロックする' }).click();
  await page.getByRole('heading', { name: '画面をロックしました' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: '画面をロックしました' }).waitFor();
  assert.equal(await page.getByText('受理状況').count(), 0, 'nothing is shown behind the lock');
  await page.getByRole('button', { name: '指紋で解除する' }).click();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();

  await page.getByRole('banner').getByRole('button', { name: '利用者メニュー' }).click();
  await page.getByRole('menuitem', { name: 'サインアウト' }).click();
  await reader.verified(false);
  await page.getByRole('button', { name: '指紋で入る' }).click();
  await page.getByText('指紋を確認できませんでした。もう一度お試しください。').waitFor();
  await reader.verified(true);
  await page.getByRole('button', { name: '指紋で入る' }).click();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();

  await server.clock('16m');
  await page.reload();
  await page.getByRole('heading', { name: '画面をロックしました' }).waitFor();
  await page.getByRole('button', { name: '指紋で解除する' }).click();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();
  assertNoFaults(context, { expected });
});

test('the manager changes a role with a touch for that very person', async (t) => {
  const { context, page } = await seat(t);
  await unlock();
  await enrol(page, 'mori', await register('森 二郎', 'mori'));

  await addPasskeyDevice(manager);
  await open('管理 一郎');
  await manager.getByLabel('この端末の名前').fill('管理端末');
  await manager.getByRole('button', { name: '自分のパスキーを加える' }).click();
  const dialog = manager.getByRole('alertdialog');
  await dialog.getByLabel('パスワード').fill(server.demo.users.find(({ role }) => role === 'MANAGER').password);
  await dialog.getByRole('button', { name: '確認する' }).click();
  await manager.getByText('管理端末').waitFor();

  await open('森 二郎');
  await manager.getByRole('button', { name: '運用管理者に変える' }).click();
  await shot(manager, 'people-confirm-ja');
  await manager.getByRole('alertdialog').getByRole('button', { name: '指紋で確認する' }).click();
  await manager.getByText(/mori・運用管理者・/).waitFor();
  await page.getByRole('form', { name: 'サインイン' }).waitFor();
  assertNoFaults(context, { expected });
});

test('suspending cuts live video within a second, and the session passes to a supervisor', async (t) => {
  const { context, page } = await seat(t);
  await enrol(page, 'hoshi', await register('星 三郎', 'hoshi'));
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const { sessionID, link } = await dispatcher.sendLink(page);
  const mobile = await caller.join(handset, link);
  await caller.goLive(mobile);
  const video = page.getByLabel('ライブ映像', { exact: true });
  const first = await until('a picture', async () => {
    const frame = await readFrame(video);
    return frame !== null && { frame };
  });
  await until('moving pictures', async () => framesBetween(first.frame, (await readFrame(video)) ?? first.frame) > 10);

  await open('星 三郎');
  await manager.getByLabel('理由', { exact: true }).fill('確認が要るため');
  await manager.getByRole('button', { name: '停止する' }).click();
  const pressed = performance.now();
  await Promise.all([
    video.waitFor({ state: 'detached' }),
    page.getByRole('form', { name: 'サインイン' }).waitFor(),
  ]);
  const took = performance.now() - pressed;
  assert.ok(took < cutWithin + looking, `it took ${Math.round(took)} ms`);
  await manager.getByText(/hoshi・受理担当者・停止/).waitFor();
  await page.getByRole('button', { name: '指紋で入る' }).click();
  await page.getByText('この利用者は停止されています。運用管理責任者に連絡してください。').waitFor();

  const centre = await desk(browser, { baseURL: server.baseURL });
  t.after(() => centre.close());
  const supervisor = await dispatcher.signIn(centre, server, { role: 'SUPERVISOR' });
  const heir = await dispatcher.ask(supervisor, 'query($id: ID!) { session(id: $id) { dispatcher { displayName } } }', { id: sessionID });
  assert.equal(heir.session.dispatcher.displayName, '指令 花子');

  await manager.getByRole('button', { name: '抹消する' }).waitFor();
  await manager.getByLabel('理由', { exact: true }).fill('異動');
  await manager.getByRole('button', { name: '抹消する' }).click();
  await manager.getByText(/hoshi・受理担当者・抹消/).waitFor();
  await manager.goto('/console/users');
  await manager.getByRole('button', { name: '端末から消した' }).click();
  await manager.getByText(/管理 一郎 が .* に消しました/).waitFor();
  await shot(manager, 'people-list-ja');
  assertNoFaults(context, { expected });
  assertNoFaults(office, { expected });
});

/** Opens the manager's own lock with the password. */
async function unlock() {
  await manager.goto('/console/users');
  const locked = manager.getByRole('heading', { name: '画面をロックしました' });
  await locked.or(manager.getByRole('heading', { name: '利用者' })).first().waitFor();
  if (await locked.isVisible()) {
    await manager.getByLabel('パスワード').fill(server.demo.users.find(({ role }) => role === 'MANAGER').password);
    await manager.getByRole('button', { name: '解除する' }).click();
    await manager.getByRole('heading', { name: '利用者' }).first().waitFor();
  }
}
