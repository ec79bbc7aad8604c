// A drill: a supervisor starts it, the server plays the caller, the dispatcher receives as ever, everything is marked, and
// a real call goes first.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';

let server, browser, command, centre, office, boss, board, manager;

const test = story('drill', () => browser);

/** A played caller takes its time, as people do; machines are slow. In ms. */
const played = 60_000;

before(async () => {
  server = await startServer();
  browser = await launch();
  command = await desk(browser, { baseURL: server.baseURL });
  centre = await desk(browser, { baseURL: server.baseURL });
  office = await desk(browser, { baseURL: server.baseURL });
  boss = await dispatcher.signIn(command, server, { role: 'SUPERVISOR' });
  board = await dispatcher.signIn(centre, server);
  manager = await dispatcher.signIn(office, server, { role: 'MANAGER' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The video moves. */
async function moves(video) {
  const at = () => video.evaluate((element) => (element.videoWidth > 0 ? element.currentTime : 0));
  const first = await until('a picture', at, played);
  await until('the next picture', async () => (await at()) > first, played);
}

const caller = () => boss.getByRole('region', { name: /^訓練中/ }).getByRole('listitem');

test('a supervisor starts a drill with a caller whom the server plays', async () => {
  await boss.getByRole('link', { name: '運用', exact: true }).click();
  await boss.getByRole('link', { name: '訓練', exact: true }).click();
  const form = boss.getByRole('form', { name: '訓練を始める' });
  await form.getByLabel('訓練の名称').fill('十一月の月例訓練');
  await form.getByLabel('通報の内容').selectOption('TRAFFIC');
  await assertLooksRight(boss, 'starting a drill');
  await form.getByRole('button', { name: '訓練を始める' }).click();
  await caller().getByText('依頼を待っています').waitFor();
  await assertLooksRight(boss, 'a drill');
});

test('its case is on the board, marked, and the request has the number of the played caller', async () => {
  const row = board.locator('main').getByText('国道4号 仮想町交差点');
  await row.waitFor();
  await board.getByText('訓練', { exact: true }).first().waitFor();
  await row.click();
  await board.waitForURL(/\/console\/case\//);
  await board.getByText(/訓練の通報者役「交差点の追突事故」：番号 090-1000-0001/).waitFor();
  await board.getByRole('button', { name: '映像通報を依頼する' }).click();
  const panel = board.getByRole('form');
  assert.equal(await panel.getByLabel('携帯電話の番号', { exact: true }).inputValue(), '090-1000-0001');
  await panel.getByLabel('必要な理由', { exact: true }).fill('訓練');
  for (const check of await panel.getByRole('checkbox').all()) {
    await check.check();
  }
  await panel.getByRole('button', { name: '送り先を確かめる' }).click();
  await board.waitForURL(/\/console\/session\//);
  await dispatcher.confirm(board, { digits: '0001' });
});

test('the played caller opens the link, agrees, and shows live video and a position', async () => {
  await moves(board.locator('video').first());
  await board.getByText('訓練', { exact: true }).first().waitFor();
  await caller().getByText('通報中').waitFor();
  await boss.getByRole('link', { name: '映像壁面' }).click();
  const tile = boss.getByRole('article');
  await tile.getByText('訓練').waitFor();
  await moves(tile.locator('video'));
  const sessionID = decodeURIComponent(new URL(board.url()).pathname.split('/').at(-1));
  const { counts } = await dispatcher.report(board, sessionID);
  assert.ok(counts.positions > 0);
  await boss.goBack();
});

test('a photo that is asked for comes from the bundle', async () => {
  const sessionID = decodeURIComponent(new URL(board.url()).pathname.split('/').at(-1));
  await dispatcher.ask(board, 'mutation A($input: AskModeInput!) { askMode(input: $input) { session { id } } }', { input: { sessionID, mode: 'PHOTO' } });
  await until('the photo', async () => (await dispatcher.report(board, sessionID)).counts.photosNow === 1, played);
  await dispatcher.ask(board, 'mutation A($input: AskModeInput!) { askMode(input: $input) { session { id } } }', { input: { sessionID, mode: 'LIVE' } });
  await until('live video again', async () => (await dispatcher.report(board, sessionID)).live, played);
});

test('a real call goes first: the played caller gives way, until the supervisor lets it go on', async () => {
  const sessionID = decodeURIComponent(new URL(board.url()).pathname.split('/').at(-1));
  await board.getByRole('link', { name: '受理状況' }).click();
  await dispatcher.openCase(board, { place: '本当の通報' });
  await caller().getByText('本当の通報のため中断').waitFor();
  await until('the caller is silent', async () => !(await dispatcher.report(board, sessionID)).live, played);
  await caller().getByRole('button', { name: '再開する' }).click();
  await caller().getByText('通報中').waitFor();
  await until('the caller goes on', async () => (await dispatcher.report(board, sessionID)).live, played);
});

test('a message of a drill goes to listed phones alone, and the caller’s page says that it is a drill', async () => {
  await manager.getByRole('link', { name: '運用', exact: true }).click();
  await manager.getByRole('link', { name: '訓練', exact: true }).click();
  const { openCase } = await dispatcher.ask(board, 'mutation O($input: OpenCaseInput!) { openCase(input: $input) { case { id } } }', {
    input: { place: '訓練の場所', drill: true },
  });
  await board.goto(`/console/case/${openCase.case.id}`);
  await board.getByRole('button', { name: '映像通報を依頼する' }).waitFor();
  await assert.rejects(dispatcher.request(board, { number: '090-1234-5678' }));
  await board.getByText('訓練のメッセージは、登録された訓練用の番号にだけ送れます。').waitFor();
  const list = manager.getByRole('form', { name: '登録する' });
  await list.getByLabel('携帯電話の番号').fill('090-1234-5678');
  await list.getByLabel('どの電話機か').fill('訓練用1号');
  await list.getByRole('button', { name: '登録する' }).click();
  await manager.getByText('090-1234-5678').waitFor();
  await assertLooksRight(manager, 'drill numbers');
  await board.getByRole('form').getByRole('button', { name: '送り先を確かめる' }).click();
  await board.waitForURL(/\/console\/session\//);
  await dispatcher.confirm(board);
  const handset = await phone(browser, { baseURL: server.baseURL });
  const page = await handset.newPage();
  await page.goto(await dispatcher.newestLink(centre));
  await page.getByText('訓練です。本当の通報ではありません。').waitFor();
  await assertLooksRight(page, 'caller in a drill', { touch: true });
  assertNoFaults(handset);
  await handset.close();
});

test('the end of a drill ends its video reports and records who was trained', async () => {
  await boss.getByLabel('講評').fill('下4桁の確認をもう少し早く');
  await boss.getByRole('button', { name: '訓練を終える' }).click();
  await boss.getByText('下4桁の確認をもう少し早く').waitFor();
  await manager.getByRole('link', { name: '教養' }).click();
  await manager.getByRole('radio', { name: '全員' }).click();
  await manager.getByRole('button', { name: '受理 太郎' }).click();
  await manager.getByRole('dialog').getByText('映像通報の訓練').waitFor();
  const { statistics } = await dispatcher.ask(boss, 'query S($day: Date!) { statistics(from: $day, to: $day) { cases } }', {
    day: new Date(Date.now() + 9 * 3_600_000).toISOString().slice(0, 10),
  });
  assert.equal(statistics.cases, 1, 'only the real case counts');
  for (const context of [command, centre, office]) {
    assertNoFaults(context);
  }
});
