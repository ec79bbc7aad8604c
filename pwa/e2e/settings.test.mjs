// A manager changes how the agency works, and each change is seen where it acts.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, sizes } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import { story } from './story.mjs';

let server, browser, office, centre, settings, board;

const test = story('settings', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  office = await desk(browser, { baseURL: server.baseURL });
  centre = await desk(browser, { baseURL: server.baseURL });
  board = await dispatcher.signIn(centre, server);
  settings = await dispatcher.signIn(office, server, { role: 'MANAGER' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Looks at a page in both languages and schemes, on the desk and on the notebook. */
async function look(page, name, { full = false } = {}) {
  for (const [language, label] of [['日本語', 'ja'], ['English', 'en']]) {
    await page.locator('header').getByRole('button').last().click();
    await page.getByRole('menuitemradio', { name: language }).or(page.getByRole('menuitem', { name: language })).first().click();
    for (const [width, height] of [[1440, 900], [1280, 800]]) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        const shown = `console-${name}-${width}-${label}-${colorScheme}`;
        await shot(page, shown, { full });
        await assertLooksRight(page, shown);
      }
    }
    await page.emulateMedia({ colorScheme: null });
    await page.setViewportSize(sizes.desk);
  }
  await page.locator('header').getByRole('button').last().click();
  await page.getByRole('menuitemradio', { name: '日本語' }).or(page.getByRole('menuitem', { name: '日本語' })).first().click();
}

/** Changes settings, with what the page said before the button. */
async function change(fields, reason) {
  for (const [label, value] of Object.entries(fields)) {
    const field = settings.getByLabel(label, { exact: true });
    if (await field.evaluate((each) => each.localName === 'select')) {
      await field.selectOption({ label: value });
    } else {
      await field.fill(value);
    }
  }
  await settings.getByLabel('変える理由').fill(reason);
  await settings.getByRole('button', { name: '設定を変える' }).click();
  await settings.getByText(/設定を変えました（第\d+版）/).last().waitFor();
}

test('a manager changes settings, sees old and new before and after, and who did it', async () => {
  await settings.getByRole('link', { name: '設定', exact: true }).first().click();
  await settings.getByRole('heading', { name: '運用の設定' }).waitFor();
  const uses = settings.getByLabel('1つのリンクで参加できる端末の数');
  await uses.fill('11');
  await settings.getByText('1から10までの整数を入れてください。').waitFor();
  assert.equal(await settings.getByRole('button', { name: '設定を変える' }).isDisabled(), true);
  await uses.fill('1');
  await settings.getByRole('row', { name: /1つのリンクで参加できる端末の数 2 1/ }).waitFor();
  await look(settings, 'settings', { full: true });
  await change({ 'リンクに参加できる時間（分）': '5' }, '訓練の結果を受けて');
  const history = settings.getByRole('region', { name: '設定の変更の記録' });
  await history.getByText('理由：訓練の結果を受けて').waitFor();
  await history.getByRole('row', { name: /リンクに参加できる時間（分） 10 5/ }).waitFor();
});

test('a new link has the uses and the time that were set', async () => {
  await dispatcher.sendLink(board);
  const id = new URL(board.url()).pathname.split('/').at(-1);
  const { session } = await dispatcher.ask(board, 'query($id: ID!) { session(id: $id) { link { uses issuedAt expiresAt } } }', { id });
  assert.equal(session.link.uses, 1);
  assert.equal(Date.parse(session.link.expiresAt) - Date.parse(session.link.issuedAt), 5 * 60_000);
});

test('a caller is spoken to in a language that is offered, and a viewer is named all over the picture', async (t) => {
  await settings.getByRole('radio', { name: '全面に出す' }).click();
  await change({ 通報者に使う言語: '日本語だけ', '通報者1件の通信量の上限（MB、ライブ映像を含む）': '30' }, '言語と透かし');
  await board.goto('/console');
  const sent = await dispatcher.sendLink(board, { mode: 'LIVE' });
  assert.equal(await board.getByRole('radio', { name: '英語' }).count(), 0);
  const handset = await phone(browser, { baseURL: server.baseURL, locale: 'en-US' });
  t.after(() => handset.close());
  const page = await caller.join(handset, sent.link ?? sent, { locale: 'ja' });
  await caller.goLive(page, { locale: 'ja' });
  await board.locator('video').first().waitFor();
  await readFrame(board.locator('video').first());
  assert.ok((await board.locator('.over p').count()) > 1, 'the viewer’s name stands all over the picture');
  await shot(board, 'console-watermark-across-ja');
  assertNoFaults(handset);
});

test('a manager verifies the chain, and follows a person and a file through the record', async () => {
  await settings.getByRole('link', { name: '記録', exact: true }).click();
  await settings.getByText('まだ検証していません。').waitFor();
  await settings.getByRole('button', { name: '検証する' }).click();
  await settings.getByText(/記録 [\d,]+ 件は、連なったままです/).waitFor();
  const record = settings.getByRole('main').getByRole('list');
  await record.getByRole('listitem').first().waitFor();
  await look(settings, 'audit', { full: false });
  await record.getByRole('link', { name: 'このファイルを追う' }).first().click();
  await settings.getByText('この人・事案・ファイルに関わるすべての記録を見ています').waitFor();
  await record.getByText('録画を始めました').first().waitFor();
  assert.equal(await record.getByText('設定を変えました').count(), 0);
  await shot(settings, 'console-audit-file-ja');
  await settings.getByRole('button', { name: '追うのをやめる' }).click();
  await record.getByRole('link', { name: '管理 一郎' }).first().click();
  await record.getByText('記録の連鎖を検証しました').first().waitFor();
});

test('an export of the record is journaled and ends in a signed checkpoint', async () => {
  const coming = settings.waitForEvent('download');
  await settings.getByRole('button', { name: 'JSON（1行1件）で書き出す' }).click();
  const file = await coming;
  assert.match(file.suggestedFilename(), /^genba-journal-.*\.jsonl$/);
  const chunks = [];
  for await (const chunk of await file.createReadStream()) {
    chunks.push(chunk);
  }
  const lines = Buffer.concat(chunks).toString().trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.at(-1).checkpoint.signature);
  assert.equal(lines.at(-2).type, 'JOURNAL_EXPORTED');
  await settings.getByRole('main').getByRole('list').getByText('記録を書き出しました').first().waitFor();
  assertNoFaults(office);
});

test('whoever runs the installation sees counts and health only, and announces a pause to everybody', async (t) => {
  const room = await desk(browser, { baseURL: server.baseURL });
  t.after(() => room.close());
  const page = await room.newPage();
  await page.goto('/console');
  await page.getByLabel('所属コード').fill('operators');
  await dispatcher.enter(page, server, { role: 'OPERATOR' });
  await page.getByRole('heading', { name: '設置の状況' }).waitFor();
  const row = page.getByRole('row', { name: /福島県警察/ });
  await row.waitFor();
  const text = await page.getByRole('main').innerText();
  for (const hidden of ['管理 一郎', '受理 太郎', '国道4号', '2026-000']) {
    assert.ok(!text.includes(hidden), hidden);
  }
  await page.getByLabel('通知の番号').fill('警察庁丙生企発第10号');
  await page.getByRole('button', { name: '知らせる' }).click();
  await page.getByRole('main').getByText(/警察庁丙生企発第10号/).waitFor();
  await look(page, 'operator', { full: true });
  for (const path of ['/console/journal', '/console/users', '/console/settings', '/console/inbox']) {
    await page.goto(path);
    await page.getByRole('heading', { name: '設置の状況' }).waitFor();
  }
  await board.goto('/console');
  await board.getByText(/運用停止：/).first().waitFor();
  assertNoFaults(room);
});
