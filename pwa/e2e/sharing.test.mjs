// A dispatcher shows a video report to an own officer: on the issued phone, by name, for a while, and nowhere else.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { OfficersPhone } from './officer.mjs';
import { framesBetween, readFrame } from './pattern.mjs';
import { startServer } from './server.mjs';
import { shot, shotEach } from './shots.mjs';
import * as staff from './staff-app.mjs';
import { story } from './story.mjs';

let server, browser, centre, board, manager, handset, field, mobile, sessionID, app, own;

const t = staff.words.ja;
const test = story('sharing', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL });
  manager = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server, { role: 'MANAGER' });
  board = await dispatcher.signIn(centre, server);
  field = await staff.officersPhone(browser, { baseURL: server.baseURL });
  const sheet = await officer('福島警察署', '渡辺 一郎', null);
  const registered = await staff.register(field, `${server.baseURL}/staff/#r=${sheet.code}`);
  app = registered.page;
  await sheet.match(await app.evaluate(async () => (await (await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'genba-actor': 'staff' },
    body: JSON.stringify({ query: '{ staffPhone { id } }' }),
  })).json()).data.staffPhone.id), registered.number);
  await staff.see(app, staff.words.ja.home);
  const other = await officer('郡山警察署', '高橋 二郎', { name: '所属 長', post: '郡山警察署長', number: '第12号', date: '2026-11-01' });
  own = await OfficersPhone.make(server.baseURL);
  const number = await own.register(other.code);
  await other.match(own.id, number);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** An officer with a sheet, for an issued phone or, with its permission, for a private one: {code, match}. */
async function officer(unit, name, permission) {
  const asked = async (query, input) => dispatcher.ask(manager, query, { input });
  const { registerStaffMember } = await asked(
    'mutation M($input: RegisterStaffMemberInput!) { registerStaffMember(input: $input) { member { id } } }',
    { unit, name },
  );
  const memberID = registerStaffMember.member.id;
  const { issueStaffSheet } = await asked('mutation M($input: IssueStaffSheetInput!) { issueStaffSheet(input: $input) { code } }', {
    memberID,
    device: permission ? 'PRIVATE' : 'ISSUED',
    ...(permission ? { permission } : {}),
  });
  return {
    code: issueStaffSheet.code,
    match: (linkID, number) =>
      asked('mutation M($input: MatchStaffPhoneInput!) { matchStaffPhone(input: $input) { link { state } } }', { linkID, number }),
  };
}

/** What the program's phone is shown. */
const shown = async (made) => (await made.must('{ sharesReceived { id live files { id kind preview } } }')).sharesReceived;

/** The ids of what the app is shown. */
const shares = async () => (await dispatcher.ask(app, '{ sharesReceived { id } }', {}, 'staff')).sharesReceived.map(({ id }) => id);

test('the dispatcher finds the officer, chooses for how long, and sees that nobody looks yet', async () => {
  const { sessionID: id, link } = await dispatcher.sendLink(board, { mode: 'LIVE' });
  sessionID = id;
  mobile = await caller.join(handset, link);
  await caller.goLive(mobile);
  assert.deepEqual(await shares(), []);
  await board.getByRole('button', { name: 'その他の操作' }).click();
  await board.getByRole('menuitem', { name: '職員に見せる' }).click();
  const dialog = board.getByRole('dialog', { name: '職員に見せる' });
  const found = dialog.getByRole('checkbox', { name: /渡辺 一郎/ });
  await found.waitFor();
  assert.equal(await dialog.getByRole('checkbox', { name: /高橋 二郎/ }).count(), 0, 'a private phone cannot be chosen');
  await dialog.getByRole('button', { name: '見せる', exact: true }).click();
  await dialog.getByText('見せる職員を選んでください。').waitFor();
  await dialog.getByLabel('所属・氏名・番号で探す').fill('渡辺');
  await found.check();
  await dialog.getByText('1人を選びました').waitFor();
  await dialog.getByLabel('所属・氏名・番号で探す').fill('だれでもない');
  await found.waitFor();
  await assertLooksRight(board, 'whom to show it');
  await shotEach(board, 'console-share-officers-ja', ['desk', 'terminal']);
  await dialog.getByRole('button', { name: '見せる', exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  await board.getByRole('heading', { name: '見せている相手' }).waitFor();
  await board.getByText('いまはだれも見ていません').waitFor();
});

test('the issued phone is shown it, and who looks stands on the screen; a private phone is shown nothing', async () => {
  await app.getByRole('button', { name: `${t.sharedItem} 1件` }).tap();
  const [shareID] = await shares();
  assert.deepEqual(await shown(own), []);
  assert.equal(
    (await own.ask('mutation W($input: WatchShareInput!) { watchShare(input: $input) { url } }', { shareID })).reason,
    'PHONE_NOT_ISSUED',
  );
  await app.getByRole('button', { name: /の映像通報/ }).tap();
  await app.getByRole('button', { name: 'ライブ映像を見る' }).tap();
  const video = app.getByLabel(t.sharedLive, { exact: true });
  const first = await until('a picture', async () => {
    const frame = await readFrame(video);
    return frame !== null && { frame };
  });
  await until('moving pictures', async () => framesBetween(first.frame, (await readFrame(video)) ?? first.frame) > 5);
  await app.getByText(/福島警察署 渡辺 一郎.*JST/).first().waitFor();
  assert.equal(await app.getByRole('button', { name: /切り出|保存/ }).count(), 0, 'nothing is taken');
  await assertLooksRight(app, 'what the officer is shown', { touch: true });
  for (const colorScheme of ['light', 'dark']) {
    await app.emulateMedia({ colorScheme });
    await shot(app, `staff-shared-live-ja-${colorScheme}`);
  }
  await app.getByRole('button', { name: 'English' }).tap();
  await app.getByRole('button', { name: 'Stop watching' }).waitFor();
  await shot(app, 'staff-shared-live-en-dark');
  await app.getByRole('button', { name: '日本語' }).tap();
  await app.emulateMedia({ colorScheme: null });
  await board.getByText('1人が見ています').waitFor();
  await board.getByText(/渡辺 一郎.*ライブ映像/).waitFor();
  await assertLooksRight(board, 'who looks');
  await shotEach(board, 'console-share-watched-ja', ['desk', 'terminal']);
  await board.getByRole('button', { name: 'その他の操作' }).click();
  await board.getByRole('menuitem', { name: '職員に見せる' }).click();
  await board.getByRole('dialog').getByText('提供中', { exact: true }).waitFor();
  await board.keyboard.press('Escape');

  await board.getByRole('button', { name: '提供をやめる' }).click();
  await board.getByText('提供をやめました').first().waitFor();
  await staff.see(app, t.sharedGone);
  assert.equal(await app.locator('video').count(), 0);
  assert.deepEqual(await shares(), []);
  await assert.rejects(
    dispatcher.ask(app, 'mutation W($input: WatchShareInput!) { watchShare(input: $input) { url } }', { input: { shareID } }, 'staff'),
    { reason: 'SHARE_OVER' },
  );
});

test('the same in English', async () => {
  await board.evaluate(() => localStorage.setItem('language', 'en'));
  await board.reload();
  await board.getByRole('button', { name: 'More', exact: true }).click();
  await board.getByRole('menuitem', { name: 'Show to officers' }).click();
  await board.getByRole('checkbox', { name: /渡辺 一郎/ }).waitFor();
  await assertLooksRight(board, 'whom to show it, in English');
  await shotEach(board, 'console-share-officers-en', ['desk', 'terminal']);
  await board.keyboard.press('Escape');
  await dispatcher.end(board, { locale: 'en' });
  assertNoFaults(centre);
  assertNoFaults(handset);
  assertNoFaults(field, { expected: [/status of 4\d\d/] });
});
