// Officers in the field at the console (第4の4): the sheet, the number face to face, the code, 受理, a leak and its order.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, until } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { OfficersPhone } from './officer.mjs';
import { startServer } from './server.mjs';
import { shot, shotEach } from './shots.mjs';
import { story } from './story.mjs';

let server, browser, manager, supervisor, receiver, phone, sessionID;
const contexts = [];

const test = story('staff-console', () => browser);

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
  phone = await OfficersPhone.make(server.baseURL);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the manager registers an officer and prints a sheet with the rules and its class of information', async () => {
  await manager.getByRole('link', { name: '職員', exact: true }).click();
  await manager.getByText('登録した職員はいません').waitFor();
  await shotEach(manager, 'console-staff-empty-ja', ['desk', 'terminal']);
  await manager.getByRole('button', { name: '職員を登録する' }).click();
  await manager.getByLabel('所属').last().fill('福島警察署');
  await manager.getByLabel('氏名').fill('佐藤 次郎');
  await manager.getByLabel('職員番号').fill('1234');
  await manager.getByRole('button', { name: '登録する', exact: true }).click();
  await manager.getByRole('button', { name: '用紙を出す' }).click();
  await manager.getByRole('radio', { name: '個人所有の携帯電話機' }).click();
  await manager.getByRole('button', { name: '用紙を作る' }).click();
  await manager.getByText('所属長の許可（職・氏名・年月日・番号）が必要です').waitFor();
  await shot(manager, 'console-staff-permission-ja');
  await manager.getByRole('radio', { name: '貸与端末' }).click();
  await manager.getByRole('button', { name: '用紙を作る' }).click();
  const paper = manager.getByRole('region', { name: '印字する用紙' });
  await paper.getByRole('img', { name: '登録用のQRコード' }).waitFor();
  assert.equal(await paper.getByText('機密性2（中）・完全性2（高）・可用性1（低）').count(), 2);
  await paper.getByText('映像通報は、原則として初動警察活動に必要な範囲内で行うこと').waitFor();
  await assertLooksRight(manager, 'the sheet');
  await shotEach(manager, 'console-staff-sheet-ja', ['desk', 'terminal']);
  await manager.emulateMedia({ media: 'print' });
  assert.equal(await manager.getByRole('button', { name: '印字する' }).count(), 0, 'only the paper is printed');
  await shot(manager, 'console-staff-sheet-print');
  await manager.emulateMedia({ media: null });
});

test('the number on the phone, typed face to face, switches the staff link on', async () => {
  const code = await manager.getByText(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/).innerText();
  const number = await phone.register(code.toLowerCase());
  assert.equal((await phone.view()).state, 'PENDING');
  const field = manager.getByLabel('電話機の番号（4桁）');
  await field.fill(number === '0000' ? '1111' : '0000');
  await manager.getByRole('button', { name: '確かめて有効にする' }).click();
  await manager.getByText('番号が違います。').waitFor();
  await shot(manager, 'console-staff-match-ja');
  await field.fill(number);
  await manager.getByRole('button', { name: '確かめて有効にする' }).click();
  await manager.getByText('登録が終わりました').waitFor();
  assert.equal((await phone.view()).state, 'ACTIVE');
  await manager.getByRole('button', { name: '閉じる' }).last().click();
  await manager.getByText('有効', { exact: true }).waitFor();
});

test('a wrong code is told at once; with the right one the officer is on every board, and a dispatcher takes it', async () => {
  await receiver.getByRole('link', { name: '職員', exact: true }).click();
  const shown = receiver.getByRole('region', { name: '職員のアクセスコード' });
  const digits = await until('the code', async () => {
    const text = (await shown.innerText()).replace(/\s/g, '');
    return /(\d{6})/.exec(text)?.[1];
  });
  assert.equal((await phone.start(digits === '000000' ? '000001' : '000000')).reason, 'CODE_WRONG');
  await receiver.getByText('職員のアクセスコードが間違って入れられました。').waitFor();
  const { data, reason } = await phone.start(digits);
  assert.equal(reason, null);
  sessionID = data.startStaffSession.phone.session.id;
  await receiver.getByRole('link', { name: '受理状況' }).click();
  const row = receiver.getByRole('link', { name: /福島警察署 佐藤 次郎/ });
  await row.getByText('職員の映像通報が受理を待っています').waitFor();
  await shotEach(receiver, 'console-staff-board-ja', ['desk', 'terminal']);
  await row.click();
  await shotEach(receiver, 'console-staff-session-ja', ['desk', 'terminal']);
  await receiver.getByRole('button', { name: '受理する', exact: true }).click();
  await receiver.getByRole('button', { name: '受理する', exact: true }).waitFor({ state: 'detached' });
  assert.equal((await phone.view()).taken, true);
  await phone.position();
  await assertLooksRight(receiver, "an officer's video report");
  await shotEach(receiver, 'console-staff-taken-ja', ['desk']);
});

test('a leak goes from the dispatcher to the supervisor, who cuts, and to the manager, who revokes', async () => {
  await receiver.getByRole('link', { name: '職員', exact: true }).click();
  await receiver.getByRole('button', { name: '佐藤 次郎 への操作' }).click();
  await receiver.getByRole('menuitem', { name: '紛失・流出の報告を代わりに入れる' }).click();
  await receiver.getByLabel('何があったか').fill('電話機を落としたと無線で連絡');
  await receiver.getByRole('button', { name: '入れる', exact: true }).click();
  await supervisor.getByText('職員用URLの流出の報告がありました').waitFor();
  await supervisor.getByRole('link', { name: '職員', exact: true }).click();
  await supervisor.getByText('電話機を落としたと無線で連絡').waitFor();
  await shotEach(supervisor, 'console-staff-leak-ja', ['desk', 'terminal']);
  await supervisor.getByRole('button', { name: '停止して運用管理責任者へ送る' }).click();
  await supervisor.getByText('停止中', { exact: true }).waitFor();
  assert.equal((await phone.view()).session.over, true);
  await manager.getByRole('button', { name: '職員用URLを破棄する', exact: true }).click();
  await until('the phone is told to wipe itself', async () => (await phone.view()).wipe);
  await manager.getByText('電話機の消去待ち').waitFor();
  assert.equal((await dispatcher.report(supervisor, sessionID)).state, 'REVOKED');
});

test('the use that was not reported is chased, and a dispatcher files it with the reason', async () => {
  for (const context of contexts) {
    assertNoFaults(context);
    await context.close();
  }
  contexts.length = 0;
  await server.clock('31m'); // and the screens that nobody touched are locked
  receiver = await console_('DISPATCHER');
  supervisor = await console_('SUPERVISOR');
  await receiver.getByRole('link', { name: '職員', exact: true }).click();
  await receiver.getByRole('button', { name: '報告を代わりに入れる' }).click();
  await receiver.getByLabel('何のための利用か').fill('交通事故の現場');
  await receiver.getByLabel('事前に報告できなかった理由').fill('現場に急行したため');
  await receiver.getByRole('button', { name: '入れる', exact: true }).click();
  await supervisor.getByRole('link', { name: '職員', exact: true }).click();
  await supervisor.getByText('後報', { exact: true }).waitFor();
  await supervisor.getByRole('button', { name: '確かめた' }).click();
  await supervisor.getByText('✓ 確かめました').waitFor();
  await shotEach(supervisor, 'console-staff-reports-ja', ['desk']);
  await supervisor.evaluate(() => localStorage.setItem('language', 'en'));
  await supervisor.reload();
  await supervisor.getByRole('heading', { name: 'Usage reports' }).waitFor();
  await assertLooksRight(supervisor, 'the officers in English');
  await shotEach(supervisor, 'console-staff-reports-en', ['desk', 'terminal']);
  for (const context of contexts) {
    assertNoFaults(context);
  }
});
