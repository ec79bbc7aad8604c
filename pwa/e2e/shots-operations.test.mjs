// The screens of running the system, in both languages, light and dark: faults, pauses, contacts, drills, training, what
// stands on every page, and the inbox.
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, sizes } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import { shown } from './story.mjs';

const languages = [
  { locale: 'ja', browserLocale: 'ja-JP' },
  { locale: 'en', browserLocale: 'en-US' },
];

let server, browser;

const test = shown('shots-operations', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function look(page, name, locale) {
  const faults = [];
  for (const size of ['desk', 'terminal', 'phone']) {
    await page.setViewportSize(sizes[size]);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const full = `${name}-${size}-${locale}-${colorScheme}`;
      await shot(page, full);
      await assertLooksRight(page, full).catch((error) => faults.push(error));
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(sizes.desk);
  if (faults.length > 0) {
    throw faults[0];
  }
}

/** What the pages show: made once, by the roles whose it is. */
async function furnish(manager, boss) {
  const ask = (page, name, type, input) =>
    dispatcher.ask(page, `mutation M($input: ${type}!) { ${name}(input: $input) { __typename } }`, { input });
  const at = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString();
  await ask(manager, 'announceMaintenance', 'AnnounceMaintenanceInput', { notice: '警察庁丙生企発第10号', beginsAt: at(20), endsAt: at(22) });
  await ask(manager, 'announceMaintenance', 'AnnounceMaintenanceInput', { reason: '庁舎の法定電気設備点検による停電', beginsAt: at(60), endsAt: at(68) });
  await ask(manager, 'addDrillNumber', 'AddDrillNumberInput', { number: '090-1234-5678', label: '訓練用スマートフォン1号' });
  for (const [unit, name] of [['福島署 地域課', '佐藤 健'], ['福島署 交通課', '鈴木 一郎'], ['郡山署 地域課', '高橋 明']]) {
    await ask(manager, 'registerStaffMember', 'RegisterStaffMemberInput', { unit, name });
  }
  const { users } = await dispatcher.ask(manager, '{ users { nodes { id } } }');
  await ask(manager, 'recordTraining', 'RecordTrainingInput', {
    courseID: 'SYSTEM', trainedOn: at(-24).slice(0, 10), teacher: '指令課 教養担当', userIDs: users.nodes.map(({ id }) => id),
  });
  const open = async (part, description) => {
    const { openOutage } = await dispatcher.ask(boss, 'mutation M($input: OpenOutageInput!) { openOutage(input: $input) { outage { id } } }', { input: { part, description } });
    return openOutage.outage.id;
  };
  const { contacts } = await dispatcher.ask(boss, '{ contacts { id } }');
  const told = { contactID: contacts[0].id, toldAt: at(-0.1), way: 'PHONE', person: '当直 高橋', text: '録画できない旨を連絡。調査中との回答を受けた。' };
  const first = await open('RECORDING', 'ライブ映像の録画が始まらない');
  await ask(boss, 'tellOutage', 'TellOutageInput', { outageID: first, ...told });
  await ask(boss, 'closeOutage', 'CloseOutageInput', { outageID: first, outcome: 'サーバの再起動で復旧した' });
  const second = await open('MESSAGES', '特定の携帯電話会社にSMSが届かないとの申告が続いている');
  await ask(boss, 'tellOutage', 'TellOutageInput', { outageID: second, ...told });
  await open('TERMINALS', '受理端末3号のタッチパネルが反応しない');
}

for (const [round, { locale, browserLocale }] of languages.entries()) {
  test(`running the system (${locale})`, async (step) => {
    const places = {};
    const pages = {};
    for (const role of ['MANAGER', 'SUPERVISOR', 'DISPATCHER']) {
      places[role] = await desk(browser, { baseURL: server.baseURL, locale: browserLocale });
      step.after(() => places[role].close());
      pages[role] = await dispatcher.signIn(places[role], server, { role, locale });
    }
    const { MANAGER: manager, SUPERVISOR: boss, DISPATCHER: board } = pages;
    if (round === 0) {
      await furnish(manager, boss);
    }
    await look(board, 'running-board', locale);
    await boss.goto('/console/operations/drills');
    await boss.getByRole('form').first().waitFor();
    await look(boss, 'running-drill-start', locale);
    const { startDrill } = await dispatcher.ask(boss, 'mutation M($input: StartDrillInput!) { startDrill(input: $input) { drill { id } } }', {
      input: { title: '十一月の月例訓練', callers: [{ script: 'TRAFFIC', failures: ['LATE_SMS', 'WEAK_NETWORK'] }, { script: 'WALKER' }] },
    });
    await boss.getByRole('region').first().waitFor();
    for (const part of ['outages', 'maintenance', 'contacts', 'drills']) {
      await boss.goto(`/console/operations/${part}`);
      await boss.getByRole('main').getByRole('listitem').first().waitFor();
      await look(boss, `running-${part}`, locale);
    }
    await boss.goto('/console/inbox');
    await boss.getByRole('article').first().waitFor();
    await look(boss, 'running-inbox', locale);
    await boss.goto('/console/operations/outages');
    await boss.getByRole('article').first().getByRole('button').first().click();
    await boss.getByRole('dialog').getByRole('textbox').first().waitFor();
    await look(boss, 'running-tell', locale);
    for (const part of ['maintenance', 'contacts', 'training']) {
      await manager.goto(`/console/operations/${part}`);
      await manager.getByRole('main').locator('li, tr').first().waitFor();
      await look(manager, `running-manager-${part}`, locale);
    }
    await dispatcher.ask(boss, 'mutation M($input: EndDrillInput!) { endDrill(input: $input) { drill { id } } }', { input: { drillID: startDrill.drill.id, remark: '下4桁の確認' } });
    for (const context of Object.values(places)) {
      assertNoFaults(context);
    }
  });
}
