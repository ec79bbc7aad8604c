// What the manager decides at the desk: reception by another rule, a sealed password that is opened, officers' links
// revoked together; and what waits for a supervisor in the inbox.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { OfficersPhone } from './officer.mjs';
import { repository } from './paths.mjs';
import { startServer } from './server.mjs';
import { shotEach } from './shots.mjs';
import { story } from './story.mjs';

let server, browser, manager, supervisor, receiver, officers;
const contexts = [];

const test = story('office', () => browser);

async function console_(role) {
  const context = await desk(browser, { baseURL: server.baseURL });
  contexts.push(context);
  return dispatcher.signIn(context, server, { role });
}

before(async () => {
  server = await startServer();
  browser = await launch();
  manager = await console_('MANAGER');
  supervisor = await console_('SUPERVISOR');
  receiver = await console_('DISPATCHER');
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('another manager is given reception by a rule and until a day, and it is taken back', async () => {
  execFileSync(join(repository, 'bin', 'genba'), [
    ...['user', 'create', '--data', server.dataDir, '--keys', server.keysDir, '--agency', server.demo.agency, '--role', 'MANAGER'],
    ...['--user-name', 'jiseki', '--display-name', '次席 三郎'],
  ]);
  await manager.getByRole('link', { name: '端末' }).click();
  await manager.getByRole('button', { name: '受理の権限を与える' }).click();
  const dialog = manager.getByRole('dialog');
  await dialog.getByLabel('与える相手').selectOption({ label: '次席 三郎' });
  await dialog.getByLabel('根拠となる定めの番号').fill('達（総指）第500号');
  await dialog.getByLabel('根拠となる定めの日付').fill('2026-11-01');
  await dialog.getByLabel('最後の日').fill('2027-01-31');
  await assertLooksRight(manager, 'giving reception');
  await shotEach(manager, 'console-reception-give-ja', ['desk', 'terminal']);
  await dialog.getByRole('button', { name: '受理の権限を与える' }).click();
  const row = manager.getByRole('row', { name: /次席 三郎/ });
  await row.getByText(/達（総指）第500号/).waitFor();
  await row.getByRole('button').click();
  await shotEach(manager, 'console-reception-end-ja', ['desk']);
  await manager.getByRole('alertdialog').getByRole('button').last().click();
  await row.getByText(/^終了（/).waitFor();
});

test('a sealed password that is opened is told on the supervisor’s and the manager’s screens at once', async () => {
  const { users } = await dispatcher.ask(manager, '{ users(first: 50) { nodes { id userName role } } }');
  const person = users.nodes.find(({ role }) => role === 'DISPATCHER');
  const { sealPassword } = await dispatcher.ask(
    manager,
    'mutation S($input: SealPasswordInput!) { sealPassword(input: $input) { password } }',
    { input: { userID: person.id, reason: '夜間の故障に備える' } },
  );
  const night = await desk(browser, { baseURL: server.baseURL });
  const page = await night.newPage();
  await page.goto('/console');
  await page.getByRole('button', { name: '緊急用の封筒を開ける' }).click();
  await page.getByLabel('ユーザID').fill(person.userName);
  await page.getByLabel('パスワード').fill(sealPassword.password);
  await page.getByRole('button', { name: 'サインイン' }).click();
  await page.getByRole('heading', { name: '受理状況' }).waitFor();
  for (const told of [supervisor, manager]) {
    await told.getByText('緊急用の封筒のパスワードが使われました。').waitFor();
  }
  await shotEach(supervisor, 'console-sealed-opened-ja', ['desk']);
  assert.equal(await receiver.getByText('緊急用の封筒のパスワードが使われました。').count(), 0, 'it is the supervisor’s and the manager’s');
  await night.close();
});

test('the next video report of the officer whom the dispatcher names comes into that case', async () => {
  officers = [];
  for (const name of ['佐藤 次郎', '高橋 四郎']) {
    const asked = (query, input) => dispatcher.ask(manager, query, { input });
    const { registerStaffMember } = await asked(
      'mutation M($input: RegisterStaffMemberInput!) { registerStaffMember(input: $input) { member { id } } }',
      { unit: '福島警察署', name },
    );
    const { issueStaffSheet } = await asked('mutation M($input: IssueStaffSheetInput!) { issueStaffSheet(input: $input) { code } }', {
      memberID: registerStaffMember.member.id,
      device: 'ISSUED',
    });
    const made = await OfficersPhone.make(server.baseURL);
    const number = await made.register(issueStaffSheet.code);
    await asked('mutation M($input: MatchStaffPhoneInput!) { matchStaffPhone(input: $input) { link { state } } }', { linkID: made.id, number });
    officers.push(made);
  }
  await dispatcher.openCase(receiver, { place: '県庁前' });
  const caseID = decodeURIComponent(new URL(receiver.url()).pathname.split('/').at(-1));
  await receiver.getByRole('button', { name: '職員の映像通報をこの事案で受ける' }).click();
  const dialog = receiver.getByRole('dialog');
  await dialog.getByLabel('氏名').selectOption({ label: '福島警察署 佐藤 次郎' });
  await assertLooksRight(receiver, 'whose video report comes here');
  await shotEach(receiver, 'console-assign-ja', ['desk', 'terminal']);
  await dialog.getByRole('button', { name: '登録する' }).click();
  await receiver.getByText('佐藤 次郎 の映像通報をこの事案で待ちます').waitFor();
  const { staffCode } = await dispatcher.ask(receiver, '{ staffCode { code } }');
  const { data } = await officers[0].start(staffCode.code);
  const { session } = await dispatcher.ask(receiver, 'query S($id: ID!) { session(id: $id) { case { id } dispatcher { displayName } } }', {
    id: data.startStaffSession.phone.session.id,
  });
  assert.equal(session.case.id, caseID);
  assert.equal(session.dispatcher.displayName, '受理 太郎');
  await receiver.goto(`/console/session/${data.startStaffSession.phone.session.id}`);
  await receiver.getByRole('button', { name: /^終了/ }).click();
  const end = receiver.getByRole('alertdialog', { name: '職員の映像通報を終了する' });
  await end.getByText('映像を確認しました。送信を終了してください。').waitFor();
  assert.equal(await end.getByText('電話はまだ切らないでください').count(), 0, 'an officer is no caller');
  assert.equal(await end.getByRole('button', { name: /誤送信/ }).count(), 0, 'no link went astray');
  await assertLooksRight(receiver, 'the end of an officer’s video report');
  await shotEach(receiver, 'console-staff-end-ja', ['desk', 'terminal']);
  await receiver.keyboard.press('1');
  await until('the end', async () => (await officers[0].view()).session.over);
});

test('what waits for the supervisor and the manager stands in their inbox: leaks, exports, reports', async () => {
  const { staffMembers } = await dispatcher.ask(manager, '{ staffMembers { nodes { id name } } }');
  const member = (name) => staffMembers.nodes.find((one) => one.name === name).id;
  await dispatcher.ask(receiver, 'mutation L($input: FileLeakReportInput!) { fileLeakReport(input: $input) { done } }', {
    input: { memberID: member('高橋 四郎'), what: '用紙をなくした' },
  });
  await dispatcher.ask(receiver, 'mutation U($input: FileUsageReportInput!) { fileUsageReport(input: $input) { report { id } } }', {
    input: { memberID: member('佐藤 次郎'), purpose: '県庁前の事故' },
  });
  await supervisor.getByRole('link', { name: '受信箱' }).click();
  await supervisor.getByRole('heading', { name: /^職員用URLの流出・紛失の報告/ }).waitFor();
  await supervisor.getByRole('link', { name: /福島警察署 高橋 四郎.*報告待ち/ }).waitFor();
  await supervisor.getByRole('heading', { name: /^職員の利用報告/ }).waitFor();
  await assertLooksRight(supervisor, 'the inbox');
  await shotEach(supervisor, 'console-inbox-waiting-ja', ['desk', 'terminal']);
  await manager.goto('/console');
  await manager.getByRole('link', { name: /福島警察署 高橋 四郎/ }).waitFor();
  await assertLooksRight(manager, 'what waits for the manager');
  await shotEach(manager, 'console-home-waiting-ja', ['desk', 'terminal']);
  await supervisor.evaluate(() => localStorage.setItem('language', 'en'));
  await supervisor.reload();
  await supervisor.getByRole('heading', { name: /^Lost phones and leaked staff links/ }).waitFor();
  await shotEach(supervisor, 'console-inbox-waiting-en', ['desk', 'terminal']);
});

test('before transfers the manager revokes the links of a unit together, and the phones are told to wipe themselves', async () => {
  await manager.getByRole('link', { name: '職員', exact: true }).click();
  await manager.getByRole('checkbox', { name: 'すべて選ぶ' }).check();
  await manager.getByRole('button', { name: '選んだ職員用URLを破棄する（2）' }).click();
  const dialog = manager.getByRole('alertdialog');
  await shotEach(manager, 'console-staff-bulk-ja', ['desk', 'terminal']);
  await dialog.getByRole('button', { name: /異動/ }).click();
  await until('both are told', async () => (await Promise.all(officers.map((one) => one.view()))).every(({ wipe }) => wipe));
  for (const context of contexts) {
    assertNoFaults(context);
  }
});
