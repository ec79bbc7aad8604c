// What happens around a message: the report to the supervisor, the access code, e-mail in place of SMS, the wrong number.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo } from './material.mjs';
import { startServer } from './server.mjs';
import { shown } from './story.mjs';

let server, browser, centre, board, command, supervisor;

const test = shown('messages', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  board = await dispatcher.signIn(centre, server);
  command = await desk(browser, { baseURL: server.baseURL });
  supervisor = await dispatcher.signIn(command, server, { role: 'SUPERVISOR' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const sessionOf = (page) => decodeURIComponent(new URL(page.url()).pathname.split('/').at(-1));
const row = (number) => supervisor.getByRole('region', { name: /^確認待ちの報告/ }).getByRole('listitem').filter({ hasText: number });
const caseNumber = async () => (await board.getByRole('heading', { level: 1 }).innerText()).match(/\d{4}-\d{6}/)[0];

/** A request that waits for the second confirmation. */
async function asked({ late = false } = {}) {
  await board.goto('/console');
  await dispatcher.openCase(board);
  const number = await caseNumber();
  if (!late) {
    await dispatcher.request(board);
    return number;
  }
  await board.getByRole('button', { name: '映像通報を依頼する' }).click();
  const panel = board.getByRole('form');
  await panel.getByLabel('必要な理由', { exact: true }).fill('現場の状況');
  for (const check of (await panel.getByRole('checkbox').all()).slice(0, 4)) {
    await check.check();
  }
  await panel.getByRole('button', { name: '緊急のため報告のいとまがない' }).click();
  await panel.getByLabel('携帯電話の番号', { exact: true }).fill('090-1234-5678');
  await panel.getByRole('button', { name: '送り先を確かめる' }).click();
  await board.waitForURL(/\/console\/session\//);
  return number;
}

test('an advance report shows at once on the supervisor’s board, and taking note shows to the dispatcher', async () => {
  await supervisor.goto('/console');
  const number = await asked();
  await board.getByText('事前報告：運用管理者の確認待ちです').waitFor();
  await row(number).getByRole('button', { name: '確認した' }).click();
  await row(number).waitFor({ state: 'detached' });
  await board.getByText('事前報告：運用管理者の確認待ちです').waitFor({ state: 'detached' });
  await dispatcher.confirm(board);
});

test('a request that the supervisor stops may not be sent, and the dispatcher is told why', async () => {
  const number = await asked();
  await row(number).getByRole('button', { name: '差し止める' }).click();
  const dialog = supervisor.getByRole('dialog', { name: '映像通報を差し止めますか' });
  await dialog.getByRole('button', { name: '差し止める', exact: true }).click();
  await dialog.getByText('理由を書いてください。').waitFor();
  await dialog.getByRole('button', { name: '映像の必要がない' }).click();
  await dialog.getByRole('button', { name: '差し止める', exact: true }).click();
  await row(number).waitFor({ state: 'detached' });
  await board.getByRole('alert').filter({ hasText: /差し止めました.*理由：映像の必要がない/s }).waitFor();
  assert.equal(await board.getByRole('button', { name: '送信する' }).count(), 0);
  await assert.rejects(
    dispatcher.ask(board, 'mutation Send($input: ConfirmSendInput!) { confirmSend(input: $input) { session { id } } }', {
      input: { sessionID: sessionOf(board), lastFour: '5678', idempotencyKey: 'x' },
    }),
    /REPORT_STOPPED/,
  );
});

test('a late report is stopped while the link lives: the phone is cut off at once', async (t) => {
  const number = await asked({ late: true });
  await dispatcher.confirm(board);
  await board.getByText('後報：運用管理者の確認待ちです').waitFor();
  await row(number).getByText('後報の理由：緊急のため報告のいとまがない').waitFor();
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const mobile = await caller.join(handset, await dispatcher.newestLink(centre));
  await row(number).getByRole('button', { name: '差し止める' }).click();
  const dialog = supervisor.getByRole('dialog', { name: '映像通報を差し止めますか' });
  await dialog.getByLabel('差し止める理由').fill('別の手段で確認した');
  await dialog.getByRole('button', { name: '差し止める', exact: true }).click();
  await mobile.getByText(caller.words.ja.ended).waitFor();
  await board.getByText('理由：別の手段で確認した').waitFor();
  assert.equal((await dispatcher.report(board, sessionOf(board))).state, 'REVOKED');
  assertNoFaults(handset, { expected: [/status of (401|403|404|410)/, /WebSocket/] });
});

test('a late report is made: by the dispatcher’s word, and the supervisor’s notice', async () => {
  const number = await asked({ late: true });
  await dispatcher.confirm(board);
  await board.getByRole('button', { name: '後報を済ませた' }).click();
  await board.getByRole('button', { name: '後報を済ませた' }).waitFor({ state: 'detached' });
  await row(number).getByRole('button', { name: '確認した' }).click();
  await row(number).waitFor({ state: 'detached' });
});

test('SMS does not arrive: the same report goes by e-mail, and the older link is dead', async (t) => {
  await asked();
  await dispatcher.confirm(board);
  const sessionID = sessionOf(board);
  const old = await dispatcher.newestLink(centre);
  const before = await dispatcher.proofWords(board);
  await board.getByRole('button', { name: 'その他の操作' }).click();
  await board.getByRole('menuitem', { name: 'メールで送る' }).click();
  const dialog = board.getByRole('dialog');
  await dialog.getByLabel('メールアドレス', { exact: true }).fill('caller@example.jp');
  await dialog.getByRole('button', { name: '送り先を確かめる' }).click();
  await dialog.getByLabel('メールアドレスをもう一度').pressSequentially('caller@example.jp');
  await dialog.getByRole('button', { name: 'もう一度送信する' }).click();
  await dialog.waitFor({ state: 'detached' });
  await until('other words', async () => String(await dispatcher.proofWords(board)) !== String(before));
  const link = await until('another link', async () => {
    const newest = await dispatcher.newestLink(centre);
    return newest !== old && newest;
  });
  const { session } = await dispatcher.ask(
    board,
    'query Links($id: ID!) { session(id: $id) { links { state } deliveries { channel status } } }',
    { id: sessionID },
  );
  assert.deepEqual(session.links.map(({ state }) => state), ['REVOKED', 'LIVE']);
  assert.deepEqual(session.deliveries.map(({ channel }) => channel), ['SMS', 'EMAIL']);
  const stranger = await phone(browser, { baseURL: server.baseURL });
  t.after(() => stranger.close());
  const page = await stranger.newPage();
  await page.goto(old);
  await caller.see(page, caller.words.ja.dead);
  const mobile = await caller.openLink(stranger, link);
  assert.deepEqual(await caller.proofWords(mobile), await dispatcher.proofWords(board));
  assertNoFaults(stranger);
});

test('the wrong number: one action revokes, corrects, hides, and asks to call; in the menu ever after, too', async (t) => {
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  await board.goto('/console');
  const { sessionID, link } = await dispatcher.sendLink(board, { mode: 'PHOTO' });
  const mobile = await caller.join(handset, link);
  await caller.takePhoto(mobile, photo());
  await mobile.getByText('警察に届きました').waitFor();
  await dispatcher.end(board);
  assert.equal(await board.getByRole('button', { name: '誤送信', exact: true }).count(), 0, 'the button goes with the link');
  await board.getByRole('button', { name: 'その他の操作' }).click();
  await board.getByRole('menuitem', { name: '誤送信' }).click();
  await board.getByRole('alertdialog').getByRole('button', { name: '誤送信として処理する' }).click();
  await board.getByText(/誤送信として処理しました/).first().waitFor();
  await board.getByRole('heading', { name: '誤送信先へ連絡してください' }).waitFor();
  await board.getByText('090 1234 5678').waitFor();
  const outbox = await centre.newPage();
  t.after(() => outbox.close());
  await outbox.goto('/outbox');
  await outbox.getByRole('listitem').first().filter({ hasText: '誤って送ったものです' }).waitFor();
  const [file] = await dispatcher.files(board, sessionID);
  await assert.rejects(dispatcher.openMedia(board, file.id), /MISDIRECTED/);
  await board.getByLabel('連絡の結果').fill('電話でおわびし、削除を頼んだ');
  await board.getByRole('button', { name: '連絡済みにする' }).click();
  await board.getByText('電話でおわびし、削除を頼んだ').waitFor();
  await board.getByRole('button', { name: '新しく依頼する' }).waitFor();
  assertNoFaults(handset, { expected: [/status of (401|403|404|410)/, /WebSocket/] });
});

// T13.
test('the page asks for nothing but to look: no name, no password, no payment, no permission before the words', async (t) => {
  await server.clock('11m');
  await board.goto('/console');
  const { link } = await dispatcher.sendLink(board);
  const handset = await phone(browser, { baseURL: server.baseURL });
  t.after(() => handset.close());
  const asked = [];
  await handset.exposeBinding('noteAsking', (_, what) => asked.push(what));
  await handset.addInitScript(() => {
    const note = (on, name) => {
      if (!on) {
        return; // not on the empty page that a tab begins with
      }
      const real = on[name].bind(on);
      on[name] = (...values) => {
        globalThis.noteAsking(name);
        return real(...values);
      };
    };
    note(navigator.mediaDevices, 'getUserMedia');
    note(navigator.geolocation, 'getCurrentPosition');
    note(navigator.geolocation, 'watchPosition');
    addEventListener('beforeinstallprompt', () => globalThis.noteAsking('install'));
  });
  const nothingToFillIn = async (page, where) =>
    assert.equal(await page.locator('input:not([type=file]), textarea, select, form').count(), 0, `${where} has a field`);
  const page = await caller.openLink(handset, link);
  assert.equal((await caller.proofWords(page)).length, 2);
  await nothingToFillIn(page, 'the first screen');
  await page.getByRole('button', { name: caller.words.ja.same, exact: true }).tap();
  await caller.see(page, caller.words.ja.consent);
  await nothingToFillIn(page, 'the terms');
  await page.getByRole('button', { name: caller.words.ja.agree }).tap();
  await page.getByRole('heading', { name: caller.words.ja.others }).waitFor();
  await nothingToFillIn(page, 'what to send');
  assert.deepEqual(asked, [], 'no permission was asked for before the caller chose what to send');
  await caller.goLive(page);
  assert.ok(asked.includes('getUserMedia'));
  const origins = new Set(await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin)));
  assert.deepEqual([...origins], [new URL(link).origin], 'our own domain only');
  assertNoFaults(handset);
});

test('the manager applies the access code; the dispatcher reads it aloud, sees wrong ones, and makes a new one', async (t) => {
  const office = await desk(browser, { baseURL: server.baseURL });
  t.after(() => office.close());
  const manager = await dispatcher.signIn(office, server, { role: 'MANAGER' });
  await manager.getByRole('navigation').getByRole('link', { name: '設定' }).click();
  await manager.getByText('適用していません').waitFor();
  await manager.getByRole('button', { name: '適用する' }).click();
  await manager.getByText('理由を書いてください。').waitFor();
  await manager.getByRole('button', { name: 'なりすましのおそれ' }).click();
  await manager.getByRole('button', { name: '適用する' }).click();
  await manager.getByText('適用しています').waitFor();

  for (const { locale, browserLocale } of [
    { locale: 'ja', browserLocale: 'ja-JP' },
    { locale: 'en', browserLocale: 'en-US' },
  ]) {
    await server.clock('11m');
    await board.goto('/console');
    const { sessionID, link } = await dispatcher.sendLink(board);
    const shownCode = async () => {
      const { session } = await dispatcher.ask(board, 'query Code($id: ID!) { session(id: $id) { link { code } } }', { id: sessionID });
      return session.link.code;
    };
    const code = await shownCode();
    await board.getByText(code.split('').join(' '), { exact: true }).waitFor();
    const handset = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    t.after(() => handset.close());
    const page = await caller.openLink(handset, link, { locale });
    await page.getByRole('button', { name: caller.words[locale].same, exact: true }).tap();
    const { heading, label, next } = caller.words[locale].code;
    await caller.see(page, heading);
    await page.getByLabel(label).fill(code === '000000' ? '000001' : '000000');
    await page.getByRole('button', { name: next }).tap();
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
    await board.getByText('1回間違えました。あと4回でリンクは使えなくなります。').waitFor();
    await board.getByRole('button', { name: '新しいコードを作る' }).click();
    const renewed = await until('another code', async () => {
      const now = await shownCode();
      return now !== code && now;
    });
    await board.getByText(renewed.split('').join(' '), { exact: true }).waitFor();
    await page.getByLabel(label).fill(renewed);
    await page.getByRole('button', { name: next }).tap();
    await caller.see(page, caller.words[locale].consent);
    await page.getByRole('button', { name: caller.words[locale].agree }).tap();
    await page.getByRole('heading', { name: caller.words[locale].others }).waitFor();
    assert.equal((await dispatcher.report(board, sessionID)).state, 'CONSENTED');
    assertNoFaults(handset);
  }

  await server.clock('24h');
  await manager.goto('/console');
  await dispatcher.enter(manager, server, { role: 'MANAGER' });
  await until('the reminder', async () => {
    await manager.goto('/console');
    return manager.getByRole('heading', { name: 'アクセスコードの適用を続けるか決めてください' }).isVisible();
  });
  await manager.getByRole('link', { name: '設定を開く' }).click();
  await manager.getByRole('button', { name: 'おそれがなくなった' }).click();
  await manager.getByRole('button', { name: '適用を止める' }).click();
  await manager.getByText('適用していません').waitFor();
  assertNoFaults(office, { expected: [/status of 401/, /WebSocket/] });
});

test('no page of the centre reported a fault', () => {
  assertNoFaults(centre, { expected: [/status of (401|403|409)/, /WebSocket/] });
  assertNoFaults(command, { expected: [/status of 401/, /WebSocket/] });
});
