// What an officer does in the installed app, by the words they read there.
import assert from 'node:assert/strict';
import { encode } from 'uqr';
import { phone, until } from './browser.mjs';

/** The words of the app that the tests look for, in each language. */
export const words = {
  ja: {
    install: 'ホーム画面に追加してから登録します',
    code: '登録コードを入れてください',
    codeLabel: '用紙の登録コード（12文字）',
    next: '次へ',
    rules: '職員用URLの管理と利用の決まり',
    accept: '読んで承認し、登録する',
    again: '決まりの再確認（年1回）',
    acceptAgain: '読んで承認する',
    match: 'この番号を対面で見せてください',
    number: /^照合番号/,
    home: '映像通報を始める',
    access: 'アクセスコード（6桁）',
    withinResponse: '初動警察活動に必要な範囲内の利用です',
    noOtherPath: 'ほかに映像を送る手段がありません',
    live: '映像を送る',
    other: '写真・位置だけ送る',
    act: '映像通報中',
    stored: '保存した写真・動画を送る',
    photo: '写真を撮る',
    position: '位置を送る',
    positionOn: /位置を送っています/,
    positionDenied: /位置情報が許可されていません/,
    connected: '通信指令課に届いています',
    watched: 'いま見られています',
    taken: '受理されました',
    close: '閉じる',
    unsent: /まだ届いていません/,
    left: /未送信 \d+件/,
    arrived: /写真 \d+件 届きました/,
    retry: 'いますぐ送り直す',
    rulesItem: '決まりを読む・承認する',
    finish: '映像通報を終わる',
    finishYes: '終わる',
    endedByCentre: '通信指令課が映像通報を終了しました',
    ended: '映像通報を終わりました',
    again2: '新しく始める',
    usage: '利用を報告する',
    usageBefore: '利用を事前に報告する',
    usageAfter: '利用を報告する（後報）',
    purpose: '何のための利用か',
    reason: '事前に報告できなかった理由',
    reasonPreset: '現場への急行のため',
    send: '報告する',
    reported: '報告しました。',
    leak: '紛失・流出を報告する',
    what: '何があったか',
    whatPreset: '用紙をなくした',
    leakDone: '報告しました',
    back: 'もどる',
    suspended: '職員用URLは停止されています',
    revoked: '職員用URLは破棄されました',
    hand: '手で消してください',
    remove: 'この電話機の登録を消す',
    removeHeading: 'この電話機の登録を消しますか',
    removeYes: '登録を消す',
    removed: '登録を消しました',
    offline: '電波が届いていません',
    noCamera: 'カメラが使えません',
    shared: '提供された映像',
    sharedItem: '提供された映像を見る',
    watch: 'ライブ映像を見る',
    sharedLive: 'ライブ映像',
    sharedGone: '提供は終わりました。',
  },
  en: {
    install: 'Add it to the home screen, then register',
    code: 'Enter the registration code',
    codeLabel: 'Registration code of the sheet (12 characters)',
    next: 'Next',
    rules: 'Rules for keeping and using the staff link',
    accept: 'I have read and accept them: register',
    again: 'The rules, once a year',
    acceptAgain: 'I have read and accept them',
    match: 'Show this number face to face',
    number: /^Number to match/,
    home: 'Begin a video report',
    access: 'Access code (6 digits)',
    withinResponse: 'It is needed for the initial police response',
    noOtherPath: 'There is no other way to send video',
    live: 'Send live video',
    other: 'Photos or position only',
    act: 'Video report open',
    stored: 'Send stored photos or videos',
    photo: 'Take a photo',
    position: 'Send my position',
    positionOn: /Sending your position/,
    positionDenied: /Position is not allowed/,
    connected: 'Reaching the command centre',
    watched: 'Being watched now',
    taken: 'A dispatcher has taken it',
    close: 'Close',
    unsent: /Not there yet/,
    left: /\d+ not sent yet/,
    arrived: /photos? ha(s|ve) arrived/,
    retry: 'Send again now',
    rulesItem: 'Read and accept the rules',
    finish: 'End the video report',
    finishYes: 'End it',
    endedByCentre: 'The command centre has ended the video report',
    ended: 'You have ended the video report',
    again2: 'Begin a new one',
    usage: 'Report the use',
    usageBefore: 'Report the use beforehand',
    usageAfter: 'Report the use (after)',
    purpose: 'What it is for',
    reason: 'Why it was not reported before',
    reasonPreset: 'Rushing to the scene',
    send: 'Report',
    reported: 'Reported.',
    leak: 'Report a lost phone or leaked link',
    what: 'What happened',
    whatPreset: 'The sheet is lost',
    leakDone: 'Reported',
    back: 'Back',
    suspended: 'The staff link is suspended',
    revoked: 'The staff link has been revoked',
    hand: 'Please delete by hand',
    remove: 'Delete this phone’s registration',
    removeHeading: 'Delete this phone’s registration?',
    removeYes: 'Delete the registration',
    removed: 'The registration is deleted',
    offline: 'No network',
    noCamera: 'The camera cannot be used',
    shared: 'Shared with me',
    sharedItem: 'Shared with me',
    watch: 'Watch live video',
    sharedLive: 'Live video',
    sharedGone: 'It is no longer shared.',
  },
};

/** A phone whose pages run as the app on its home screen does. */
export async function officersPhone(browser, options = {}) {
  const context = await phone(browser, options);
  await context.addInitScript(() => Object.defineProperty(navigator, 'standalone', { value: true }));
  return context;
}

/** The app's heading, once it is the one of that name. */
export async function see(page, name) {
  await page.getByRole('heading', { name, level: 1, exact: true }).waitFor();
}

/** Registers an officer at the manager's console and answers once their row is there. */
export async function registerOfficer(manager, { unit = '福島警察署', name = '佐藤 次郎', number = '1234' } = {}) {
  await manager.getByRole('link', { name: '職員', exact: true }).click();
  await manager.getByRole('button', { name: '職員を登録する' }).click();
  await manager.getByLabel('所属').last().fill(unit);
  await manager.getByLabel('氏名').fill(name);
  await manager.getByLabel('職員番号').fill(number);
  await manager.getByRole('button', { name: '登録する', exact: true }).click();
}

/** Makes the sheet of an officer, and answers what its QR code says. */
export async function printSheet(manager, { name = '佐藤 次郎', device = '貸与端末' } = {}) {
  await manager.getByRole('row').filter({ hasText: name }).getByRole('button', { name: '用紙を出す' }).click();
  await manager.getByRole('radio', { name: device }).click();
  if (device !== '貸与端末') {
    await manager.getByLabel('所属長の職').fill('福島警察署長');
    await manager.getByLabel('所属長の氏名').fill('鈴木 一郎');
    await manager.getByLabel('許可の年月日').fill('2026-01-05');
    await manager.getByLabel('許可の番号').fill('福島署発第12号');
  }
  await manager.getByRole('button', { name: '用紙を作る' }).click();
  return readSheet(manager);
}

/** What the QR code on the sheet says: the drawing is compared with that of the address with the code printed below. */
export async function readSheet(manager) {
  const code = (await manager.getByText(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/).innerText()).replaceAll('-', '');
  const address = `${new URL(manager.url()).origin}/staff/#r=${code}`;
  const drawn = await manager.getByRole('img', { name: '登録用のQRコード' }).locator('path').getAttribute('d');
  const modules = encode(address, { ecc: 'M', border: 4 }).data;
  const expected = modules.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  assert.equal(drawn, expected, 'the QR code says the address with the code');
  return { code, address };
}

/** From the sheet's address to the number that is matched face to face. */
export async function register(context, address, { locale = 'ja' } = {}) {
  const t = words[locale];
  const page = await context.newPage();
  await page.goto(address);
  await see(page, t.rules);
  await page.getByRole('button', { name: t.accept }).tap();
  await see(page, t.match);
  return { page, number: await matchNumber(page, { locale }) };
}

/** The number that the app shows. */
export async function matchNumber(page, { locale = 'ja' } = {}) {
  return (await page.getByRole('img', { name: words[locale].number }).innerText()).trim();
}

/** Types the number at the console, and closes the sheet. */
export async function match(manager, number) {
  await manager.getByLabel('電話機の番号（4桁）').fill(number);
  await manager.getByRole('button', { name: '確かめて有効にする' }).click();
  await manager.getByText('登録が終わりました').waitFor();
  await manager.getByRole('main').getByRole('button', { name: '閉じる' }).click();
}

/** The access code of the day, as the console shows it. */
export async function accessCode(board) {
  await board.getByRole('link', { name: '職員', exact: true }).click();
  const shown = board.getByRole('region', { name: '職員のアクセスコード' });
  return until('the code', async () => /(\d{6})/.exec((await shown.innerText()).replace(/\s/g, ''))?.[1]);
}

/** Fills in the code and both declarations, and begins; live: with the camera. */
export async function begin(page, code, { locale = 'ja', live = true } = {}) {
  const t = words[locale];
  await page.getByLabel(t.access).fill(code);
  await page.getByLabel(t.withinResponse).check();
  await page.getByLabel(t.noOtherPath).check();
  await page.getByRole('button', { name: live ? t.live : t.other, exact: true }).tap();
}

/** What the app keeps on the phone: {databases, caches, workers, stored}. */
export async function keeps(page) {
  return page.evaluate(async () => ({
    databases: (await indexedDB.databases()).map(({ name }) => name),
    caches: await caches.keys(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
    stored: localStorage.length + sessionStorage.length,
  }));
}

/** How many items the app keeps sealed until they are received. */
export async function keptItems(page) {
  return page.evaluate(
    () =>
      new Promise((done, fail) => {
        const opening = indexedDB.open('genba-staff');
        opening.onerror = () => fail(opening.error);
        opening.onsuccess = () => {
          const counting = opening.result.transaction('unsent').objectStore('unsent').count();
          counting.onsuccess = () => {
            opening.result.close();
            done(counting.result);
          };
          counting.onerror = () => fail(counting.error);
        };
      }),
  );
}
