// A dispatcher shows a video report to an own officer: on the issued phone, by name, for a while, and nowhere else.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { OfficersPhone } from './officer.mjs';
import { startServer } from './server.mjs';
import { shotEach } from './shots.mjs';
import { story } from './story.mjs';

let server, browser, centre, board, manager, handset, mobile, sessionID, issued, own;

const test = story('sharing', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL });
  manager = await dispatcher.signIn(await desk(browser, { baseURL: server.baseURL }), server, { role: 'MANAGER' });
  board = await dispatcher.signIn(centre, server);
  issued = await officer('福島警察署', '渡辺 一郎', null);
  own = await officer('郡山警察署', '高橋 二郎', { name: '所属 長', post: '郡山警察署長', number: '第12号', date: '2026-11-01' });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** An officer whose phone is registered and matched: an issued one, or a private one with its permission. */
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
  const made = await OfficersPhone.make(server.baseURL);
  const number = await made.register(issueStaffSheet.code);
  await asked('mutation M($input: MatchStaffPhoneInput!) { matchStaffPhone(input: $input) { link { state } } }', { linkID: made.id, number });
  return made;
}

/** What the phone is shown. */
const shown = async (made) => (await made.must('{ sharesReceived { id live files { id kind preview } } }')).sharesReceived;

test('the dispatcher finds the officer, chooses for how long, and sees that nobody looks yet', async () => {
  const { sessionID: id, link } = await dispatcher.sendLink(board, { mode: 'LIVE' });
  sessionID = id;
  mobile = await caller.join(handset, link);
  await caller.goLive(mobile);
  assert.deepEqual(await shown(issued), []);
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
  const [report] = await until('the share', async () => {
    const list = await shown(issued);
    return list.length > 0 && list;
  });
  assert.deepEqual(await shown(own), []);
  assert.equal(
    (await own.ask('mutation W($input: WatchShareInput!) { watchShare(input: $input) { url } }', { shareID: report.id })).reason,
    'PHONE_NOT_ISSUED',
  );
  await issued.must('mutation W($input: WatchShareInput!) { watchShare(input: $input) { url token } }', { shareID: report.id });
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
  assert.deepEqual(await shown(issued), []);
  assert.equal(
    (await issued.ask('mutation W($input: WatchShareInput!) { watchShare(input: $input) { url } }', { shareID: report.id })).reason,
    'SHARE_OVER',
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
});
