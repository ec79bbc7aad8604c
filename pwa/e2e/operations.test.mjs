// What keeps reception going: a pause that is announced ahead on every page, a fault from the server's alarm to its end,
// and who was taught what.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { startServer } from './server.mjs';
import * as staff from './staff-app.mjs';
import { story } from './story.mjs';

let server, browser, office, command, centre, manager, boss, board;

const test = story('operations', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  office = await desk(browser, { baseURL: server.baseURL });
  command = await desk(browser, { baseURL: server.baseURL });
  centre = await desk(browser, { baseURL: server.baseURL });
  manager = await dispatcher.signIn(office, server, { role: 'MANAGER' });
  boss = await dispatcher.signIn(command, server, { role: 'SUPERVISOR' });
  board = await dispatcher.signIn(centre, server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What a field of date and time takes for a moment so many minutes from now, in Japan's time. */
const inMinutes = (minutes) => new Date(Date.now() + minutes * 60_000 + 9 * 3_600_000).toISOString().slice(0, 16);

const pause = /映像通報を受理できません/;

test('the manager announces a pause with the number of the notice', async () => {
  await manager.getByRole('link', { name: '運用', exact: true }).click();
  await manager.getByRole('link', { name: '運用停止' }).click();
  const form = manager.getByRole('form', { name: '運用停止を知らせる' });
  await form.getByLabel('通知の番号').fill('警察庁丙生企発第10号');
  await form.getByLabel('始まり（日本時間）').fill(inMinutes(30));
  await form.getByLabel('終わり（日本時間）').fill(inMinutes(150));
  await form.getByRole('button', { name: '知らせる' }).click();
  await manager.getByRole('listitem').filter({ hasText: '警察庁通知 警察庁丙生企発第10号' }).waitFor();
  await assertLooksRight(manager, 'maintenance');
});

test('every console shows it at once', async () => {
  for (const page of [manager, boss, board]) {
    await page.getByText(pause).waitFor();
  }
});

test('the caller sees it with the link, in the language of the page', async () => {
  const { link } = await dispatcher.sendLink(board);
  const handset = await phone(browser, { baseURL: server.baseURL });
  const page = await handset.newPage();
  await page.goto(link);
  await page.getByText(/映像などを送れません。電話はそのまま使えます。/).waitFor();
  await page.getByRole('button', { name: 'English' }).tap();
  await page.getByText(/you cannot send video\. Your phone call goes on\./).waitFor();
  await assertLooksRight(page, 'caller with a pause ahead', { touch: true });
  assertNoFaults(handset);
  await handset.close();
});

test('the officers’ app shows it, too', async () => {
  await staff.registerOfficer(manager, { name: '佐藤 健' });
  const { address } = await staff.printSheet(manager, { name: '佐藤 健' });
  const handset = await staff.officersPhone(browser, { baseURL: server.baseURL });
  const { page, number } = await staff.register(handset, address);
  await staff.match(manager, number);
  await staff.see(page, staff.words.ja.home);
  await page.getByText(pause).waitFor();
  await assertLooksRight(page, 'officers’ app with a pause ahead', { touch: true });
  assertNoFaults(handset);
  await handset.close();
});

test('a pause that is called off is gone from every page', async () => {
  await manager.goto('/console/operations/maintenance');
  await manager.getByRole('button', { name: '中止する' }).click();
  for (const page of [manager, boss, board]) {
    await page.getByText(pause).waitFor({ state: 'detached' });
  }
});

test('a supervisor records a fault; it stands on every console and in the inbox', async () => {
  await boss.getByRole('link', { name: '運用', exact: true }).click();
  const form = boss.getByRole('form', { name: '障害を記録する' });
  await form.getByLabel('どこの障害か').selectOption('MESSAGES');
  await form.getByLabel('何が起きているか').fill('SMSが届かないとの申告が続いている');
  await form.getByRole('button', { name: '記録する' }).click();
  await board.getByText(/SMS・電子メールが届かないおそれがあります/).waitFor();
  await boss.getByRole('link', { name: '受信箱' }).click();
  await boss.getByText('SMSが届かないとの申告が続いている').waitFor();
  await assertLooksRight(boss, 'inbox with a fault');
});

test('it is closed only once it is recorded when, whom and how somebody was told', async () => {
  const fault = boss.getByRole('article').filter({ hasText: 'SMSが届かない' });
  await fault.getByText('まだだれにも連絡していません。').waitFor();
  assert.equal(await fault.getByRole('button', { name: '障害を終わりにする' }).isDisabled(), true);
  await fault.getByRole('button', { name: '連絡を記録する' }).click();
  const dialog = boss.getByRole('dialog', { name: '障害の連絡を記録する' });
  await dialog.getByLabel('連絡先').waitFor();
  assert.match(await dialog.getByLabel('連絡先').locator('option:checked').innerText(), /東北管区警察局福島県情報通信部機動通信課/);
  await dialog.getByLabel('相手の氏名').fill('当直 高橋');
  await dialog.getByLabel('伝えた内容').fill('SMSの不達が続いている旨を連絡。調査中との回答');
  await dialog.getByRole('button', { name: '記録する' }).click();
  await fault.getByText('東北管区警察局福島県情報通信部機動通信課').waitFor();
  await fault.getByRole('button', { name: '障害を終わりにする' }).click();
  const asking = boss.getByRole('dialog', { name: '障害を終わりにする' }).or(boss.getByRole('alertdialog', { name: '障害を終わりにする' }));
  await asking.getByRole('button', { name: '復旧した' }).click();
  await asking.getByRole('button', { name: '障害を終わりにする' }).click();
  await fault.waitFor({ state: 'detached' });
  await board.getByText(/SMS・電子メールが届かないおそれがあります/).waitFor({ state: 'detached' });
  await boss.getByRole('link', { name: '運用', exact: true }).click();
  await boss.getByText('結果：復旧した').waitFor();
  await boss.getByRole('link', { name: '連絡先' }).click();
  await boss.getByText('SMSの不達が続いている旨を連絡。調査中との回答').waitFor();
});

test('the manager sees who is untrained, officers too, and records training of many at once', async () => {
  await manager.getByRole('link', { name: '教養' }).click();
  await manager.getByText('4人のうち4人に、まだの教養か、期限の切れた教養があります。').waitFor();
  await manager.getByLabel('受理 太郎を選ぶ').check();
  await manager.getByLabel('佐藤 健を選ぶ').check();
  const form = manager.getByRole('form', { name: '教養を記録する' });
  await form.getByLabel('講師・方法').fill('指令課 教養担当');
  await form.getByRole('button', { name: '記録する' }).click();
  await manager.getByText('2人の教養を記録しました').waitFor();
  const row = manager.getByRole('row', { name: /佐藤 健/ });
  await until('the officer’s row says when', async () => /20\d\d/.test(await row.innerText()));
  await assertLooksRight(manager, 'training');
});

test('a record that is wrong is marked so, and counts no more', async () => {
  await manager.getByRole('button', { name: '佐藤 健' }).click();
  const dialog = manager.getByRole('dialog', { name: '佐藤 健の教養の記録' });
  await dialog.getByText('システムの利用方法').waitFor();
  await dialog.getByRole('button', { name: '誤りとして外す' }).click();
  const asking = manager.getByRole('dialog', { name: '誤りとして外す' }).or(manager.getByRole('alertdialog', { name: '誤りとして外す' }));
  await asking.getByRole('button', { name: '別の人だった' }).click();
  await asking.getByRole('button', { name: '誤りとして外す' }).click();
  await dialog.getByText('誤り：別の人だった').waitFor();
  await manager.keyboard.press('Escape');
  const row = manager.getByRole('row', { name: /佐藤 健/ });
  await until('the officer is untrained again', async () => !/20\d\d/.test(await row.innerText()));
  for (const context of [office, command, centre]) {
    assertNoFaults(context);
  }
});
