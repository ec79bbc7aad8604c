// The screens around a message, in both languages, light and dark: the supervisor's reports, what the dispatcher sees of
// them, e-mail in place of SMS, the access code on both sides, and the manager's switch for it.
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch, phone, sizes } from './browser.mjs';
import * as caller from './caller.mjs';
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

const test = shown('shots-messages', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function look(page, name, locale, names) {
  const faults = [];
  for (const size of names) {
    await page.setViewportSize(sizes[size]);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const full = `${name}-${size}-${locale}-${colorScheme}`;
      await shot(page, full);
      await assertLooksRight(page, full, { touch: name.startsWith('caller') }).catch((error) => faults.push(error));
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(sizes[names[0]]);
  if (faults.length > 0) {
    throw faults[0];
  }
}

const button = {
  ja: { menu: 'その他の操作', email: 'メールで送る', apply: '適用する', lift: '適用を止める', stop: '差し止める' },
  en: { menu: 'More', email: 'Send by e-mail', apply: 'Apply it', lift: 'Lift it', stop: 'Stop it' },
};

for (const { locale, browserLocale } of languages) {
  test(`reports, destinations and codes (${locale})`, async (step) => {
    const places = {};
    for (const role of ['DISPATCHER', 'SUPERVISOR', 'MANAGER']) {
      places[role] = await desk(browser, { baseURL: server.baseURL, locale: browserLocale });
      step.after(() => places[role].close());
    }
    const sizesOfDesk = ['desk', 'terminal', 'phone'];
    const manager = await dispatcher.signIn(places.MANAGER, server, { role: 'MANAGER', locale });
    await manager.goto('/console/settings');
    await manager.getByRole('button', { name: button[locale].apply }).waitFor();
    await look(manager, 'console-caller-code-off', locale, sizesOfDesk);
    await dispatcher.ask(manager, 'mutation Set($input: SetCallerCodeInput!) { setCallerCode(input: $input) { callerCode { applied } } }', {
      input: { applied: true, reason: locale === 'ja' ? 'リンクの流出のおそれ' : 'Links may have leaked' },
    });
    await manager.reload();
    await manager.getByRole('button', { name: button[locale].lift }).waitFor();
    await look(manager, 'console-caller-code', locale, sizesOfDesk);

    const board = await dispatcher.signIn(places.DISPATCHER, server, { locale });
    await dispatcher.openCase(board, { locale });
    await dispatcher.request(board, { locale });
    await board.getByLabel(dispatcher.words[locale].digits, { exact: true }).waitFor();
    const first = board.url();
    await board.goto('/console');
    await dispatcher.openCase(board, { locale });
    await dispatcher.request(board, { locale });
    await dispatcher.confirm(board, { locale });
    const second = board.url();
    const supervisor = await dispatcher.signIn(places.SUPERVISOR, server, { role: 'SUPERVISOR', locale });
    await supervisor.getByRole('region').getByRole('listitem').nth(1).waitFor();
    await look(supervisor, 'console-reports', locale, sizesOfDesk);
    await supervisor.getByRole('button', { name: button[locale].stop }).first().click();
    await supervisor.getByRole('dialog').waitFor();
    await look(supervisor, 'console-stop', locale, ['desk', 'phone']);
    await supervisor.keyboard.press('Escape');
    await supervisor.goto(second);
    await supervisor.getByRole('button', { name: button[locale].stop }).waitFor();
    await look(supervisor, 'console-report-asked', locale, ['desk', 'phone']);

    const handset = await phone(browser, { baseURL: server.baseURL, locale: browserLocale });
    step.after(() => handset.close());
    const page = await caller.openLink(handset, await dispatcher.newestLink(places.DISPATCHER), { locale });
    await page.getByRole('button', { name: caller.words[locale].same, exact: true }).tap();
    const { heading, label, next } = caller.words[locale].code;
    await caller.see(page, heading);
    await page.getByLabel(label).fill('000000');
    await page.getByRole('button', { name: next }).tap();
    await page.getByRole('alert').filter({ hasText: /./ }).waitFor();
    await look(page, 'caller-code', locale, ['phone']);
    await board.getByRole('alert').filter({ hasText: /./ }).first().waitFor();
    await look(board, 'console-code', locale, sizesOfDesk);
    await board.getByRole('button', { name: button[locale].menu }).click();
    await board.getByRole('menuitem', { name: button[locale].email }).click();
    await board.getByRole('dialog').waitFor();
    await look(board, 'console-by-email', locale, ['desk', 'phone']);
    await board.keyboard.press('Escape');
    await dispatcher.ask(supervisor, 'mutation Stop($input: StopReportInput!) { stopReport(input: $input) { session { id } } }', {
      input: { sessionID: first.split('/').at(-1), reason: locale === 'ja' ? '通報者に危険が及ぶおそれ' : 'Danger for the caller' },
    });
    await board.goto(first);
    await board.getByRole('alert').first().waitFor();
    await look(board, 'console-stopped', locale, sizesOfDesk);
    await dispatcher.ask(manager, 'mutation Set($input: SetCallerCodeInput!) { setCallerCode(input: $input) { callerCode { applied } } }', {
      input: { applied: false, reason: 'x' },
    });
    await server.clock('11m');
    for (const place of Object.values(places)) {
      assertNoFaults(place, { expected: [/status of (401|403)/] });
    }
  });
}
