// The supervisor at work: the wall, one key before a colleague's is watched, instructions, taking over, the change of
// shift, and a video report that another agency watches for a while.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo } from './material.mjs';
import { repository } from './paths.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';

let server, browser, centre, command, abroad, handset, board, boss, theirs, mobile, sessionID;

const step = story('supervision', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  command = await desk(browser, { baseURL: server.baseURL });
  abroad = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL });
  board = await dispatcher.signIn(centre, server);
  boss = await dispatcher.signIn(command, server, { role: 'SUPERVISOR' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Whose the video report is now. */
async function whose(page) {
  const { session } = await dispatcher.ask(page, 'query Q($id: ID!) { session(id: $id) { dispatcher { displayName } } }', { id: sessionID });
  return session.dispatcher.displayName;
}

/** The video moves: another picture of the camera than a moment ago. */
async function moves(video) {
  const first = await until('a picture', () => readFrame(video));
  await until('the next picture', async () => {
    const next = await readFrame(video);
    return next !== null && framesBetween(first, next) > 0;
  });
}

step('the wall shows the open video reports, and says that it is recorded as command', async () => {
  const { sessionID: id, link } = await dispatcher.sendLink(board, { mode: 'LIVE' });
  sessionID = id;
  mobile = await caller.join(handset, link);
  await caller.goLive(mobile);
  await moves(board.locator('video'));
  await boss.getByRole('link', { name: '映像壁面' }).click();
  const tile = boss.getByRole('article');
  await moves(tile.locator('video'));
  const { session } = await dispatcher.ask(
    boss,
    'query Q($id: ID!) { session(id: $id) { viewings { nodes { reason user { displayName } } } } }',
    { id: sessionID },
  );
  assert.deepEqual(
    session.viewings.nodes.map(({ reason, user }) => [user.displayName, reason]).sort(),
    [
      ['受理 太郎', null],
      ['指令 花子', 'COMMAND'],
    ],
  );
});

step('one key opens a colleague’s video report, an instruction reaches its dispatcher alone', async () => {
  await boss.getByRole('link', { name: /開く$/ }).click();
  await boss.waitForURL(/\/console\/session\//);
  await boss.getByRole('button', { name: 'ライブ映像を見る' }).waitFor();
  await boss.keyboard.press('v');
  await boss.getByRole('dialog', { name: 'ほかの受理担当者の映像通報です' }).waitFor();
  await boss.keyboard.press('1');
  await moves(boss.locator('video'));

  await boss.getByRole('button', { name: '指示を送る' }).click();
  await boss.getByLabel('指示', { exact: true }).fill('後部座席に人がいないか確かめる');
  await boss.getByRole('button', { name: '送る', exact: true }).click();
  const word = board.getByRole('log').getByText('後部座席に人がいないか確かめる');
  await word.waitFor();
  await boss.getByText('未確認', { exact: true }).waitFor();
  await board.getByRole('button', { name: '確認した' }).click();
  await word.waitFor({ state: 'detached' });
  await boss.getByRole('log').getByText(/確認$/).waitFor();
  assert.equal(await mobile.getByText('後部座席').count(), 0);
});

step('taking over tells the dispatcher, and the picture goes on', async () => {
  await boss.getByRole('button', { name: '代わって受理する' }).click();
  await boss.getByRole('alertdialog').getByRole('button', { name: '代わって受理する' }).click();
  await board.getByText('指令 花子が、あなたの映像通報を代わりに受理しています。').waitFor();
  assert.equal(await whose(boss), '指令 花子');
  await moves(boss.locator('video'));
  await moves(board.locator('video'));
});

step('at the change of shift all open video reports go in one step, and both are told', async () => {
  await boss.getByRole('button', { name: '利用者メニュー' }).click();
  await boss.getByRole('menuitem', { name: '交代：すべて引き継ぐ' }).click();
  const dialog = boss.getByRole('dialog');
  await dialog.getByRole('radio', { name: /受理 太郎/ }).check();
  await dialog.getByRole('button', { name: '引き継ぐ', exact: true }).click();
  await boss.getByText('受理 太郎に1件を引き継ぎました').waitFor();
  await board.getByText('指令 花子から映像通報を引き継ぎました。受理状況で確かめてください。').waitFor();
  assert.equal(await whose(board), '受理 太郎');
});

step('another agency watches what was given, by name, and is dark when the share ends', async () => {
  await caller.takePhoto(mobile, photo()).catch(() => undefined);
  const said = execFileSync(
    join(repository, 'bin', 'genba'),
    [
      ...['user', 'create', '--data', server.dataDir, '--keys', server.keysDir, '--agency', 'miyagi', '--agency-ja', '宮城県警察'],
      ...['--agency-en', 'Miyagi Prefectural Police', '--role', 'SUPERVISOR', '--user-name', 'ito', '--display-name', '伊藤 三郎'],
    ],
    { encoding: 'utf8' },
  );
  const [, password] = /: (\S+)\s*$/.exec(said);
  theirs = await abroad.newPage();
  await theirs.goto('/console');
  await theirs.getByLabel('所属コード').fill('miyagi');
  await theirs.getByLabel('ユーザID').fill('ito');
  await theirs.getByLabel('パスワード').fill(password);
  await theirs.getByRole('button', { name: 'サインイン' }).click();
  await theirs.getByRole('heading', { name: '受理状況', level: 1 }).waitFor();

  await boss.getByRole('button', { name: 'その他の操作' }).click();
  await boss.getByRole('menuitem', { name: '他機関へ提供する' }).click();
  const form = boss.getByRole('dialog');
  await form.getByLabel('提供先').selectOption({ label: '宮城県警察' });
  await form.getByRole('button', { name: '提供する', exact: true }).click();
  await form.getByText('提供する理由を書いてください。').waitFor();
  await form.getByLabel('提供する理由').fill('県境での追跡を引き継ぐため');
  await form.getByRole('button', { name: '提供する', exact: true }).click();
  await boss.getByText('いまはだれも見ていません').waitFor();

  await theirs.getByText('福島県警察から映像通報が提供されました').waitFor();
  await theirs.getByRole('link', { name: /福島県警察からの提供/ }).click();
  await theirs.getByText(/県境での追跡を引き継ぐため/).waitFor();
  await theirs.getByRole('button', { name: 'ライブ映像を見る' }).click();
  await moves(theirs.locator('video'));
  await boss.getByText('1人が見ています').waitFor();
  await boss.getByText(/伊藤 三郎/).waitFor();
  assert.equal(await theirs.getByRole('button', { name: /静止画/ }).count(), 0, 'nothing is taken');
  const elsewhere = await dispatcher.ask(
    theirs,
    'query Q($id: ID!) { session(id: $id) { id } mediaFiles { nodes { id } } cases { nodes { id } } }',
    { id: sessionID },
  );
  assert.deepEqual(elsewhere, { session: null, mediaFiles: { nodes: [] }, cases: { nodes: [] } }, 'nothing else is seen');

  await boss.getByRole('button', { name: '提供をやめる' }).click();
  await theirs.getByRole('heading', { name: 'この提供は終わりました' }).waitFor();
  assert.equal(await theirs.locator('video').count(), 0);
  await moves(board.locator('video'));
});

step('the inbox says what is left, and the duty log keeps a note', async () => {
  await boss.getByRole('link', { name: '受信箱' }).click();
  await boss.getByRole('heading', { name: '担当外の映像通報の閲覧（7日間）' }).waitFor();
  await boss.getByRole('row', { name: /指令 花子/ }).waitFor();
  await boss.getByRole('link', { name: '勤務記録' }).click();
  await boss.getByLabel('記録を書く').last().fill('宮城県警察へ提供、追跡を引き継いだ。');
  await boss.getByRole('button', { name: '記録する' }).click();
  await boss.getByRole('listitem').getByText('宮城県警察へ提供、追跡を引き継いだ。').waitFor();
  await dispatcher.end(board);
  assertNoFaults(centre);
  assertNoFaults(command);
  assertNoFaults(abroad, { expected: [/status of 4\d\d/] });
});

step('what an ended case brought opens for a purpose, by law with the law’s name', async () => {
  await until('the recording', async () => (await dispatcher.files(board, sessionID)).some(({ kind, state }) => kind === 'RECORDING' && state !== 'RECEIVING'));
  await board.getByRole('complementary').getByRole('button', { name: /^録画/ }).first().click();
  const asked = board.getByRole('dialog', { name: '終わった事案の映像等を開く目的' });
  await asked.waitFor();
  await board.keyboard.press('3');
  await asked.getByRole('button', { name: '開く' }).click();
  await asked.getByText('法令名と文書番号を書いてください。').waitFor();
  await asked.getByLabel('法令名').fill('刑事訴訟法第197条第2項');
  await asked.getByLabel('文書番号').fill('福捜第123号');
  await asked.getByRole('button', { name: '開く' }).click();
  await board.getByLabel('再生').waitFor();
  const { session } = await dispatcher.ask(board, 'query Q($id: ID!) { session(id: $id) { viewings { nodes { purpose mediaFileID } } } }', { id: sessionID });
  assert.equal(session.viewings.nodes.find(({ mediaFileID }) => mediaFileID).purpose, 'BY_LAW');
});
