// What people do at the console, by the names they read there, and what a program asks of the server in their place.
import assert from 'node:assert/strict';
import { until } from './browser.mjs';

/** The words of the console that the tests look for, in each language. */
export const words = {
  ja: {
    userName: 'ユーザID',
    password: 'パスワード',
    signIn: 'サインイン',
    board: '受理状況',
    newCase: '新しい事案',
    place: '場所（聴取のまま）',
    request: '映像通報を依頼する',
    modes: { LIVE: 'ライブ映像', PHOTO: '写真（いま撮る）', STORED: '保存済みの写真・動画', POSITION: '位置情報だけ' },
    need: '必要な理由',
    number: '携帯電話の番号',
    check: '送り先を確かめる',
    digits: '下4桁',
    send: '送信する',
    proof: '合言葉',
    end: '終了',
    ended: /に終了しました/,
    languages: { ja: '日本語', en: '英語' },
    photo: /^写真/,
    close: '閉じる',
  },
  en: {
    userName: 'User ID',
    password: 'Password',
    signIn: 'Sign in',
    board: 'Board',
    newCase: 'New case',
    place: 'Place as heard',
    request: 'Request video',
    modes: { LIVE: 'Live video', PHOTO: 'Photo (taken now)', STORED: 'Stored photos and videos', POSITION: 'Position only' },
    need: 'Why it is needed',
    number: 'Mobile number',
    check: 'Check the destination',
    digits: 'Last four digits',
    send: 'Send',
    proof: 'Proof words',
    end: 'End',
    ended: /Ended/,
    languages: { ja: 'Japanese', en: 'English' },
    photo: /^Photo/,
    close: 'Close',
  },
};

/** Signs in with the sign-in that the demonstration made for the role, and answers the console's page. */
export async function signIn(context, server, { role = 'DISPATCHER', locale = 'ja' } = {}) {
  const page = await context.newPage();
  await page.goto('/console');
  await enter(page, server, { role, locale });
  return page;
}

/** Fills in the sign-in that the page shows. */
export async function enter(page, server, { role = 'DISPATCHER', locale = 'ja' } = {}) {
  const t = words[locale];
  const person = [...server.demo.users, server.demo.operator].find((user) => user.role === role);
  await page.getByLabel(t.userName).fill(person.userName);
  await page.getByLabel(t.password).fill(person.password);
  await page.getByRole('button', { name: t.signIn }).click();
  await page.getByRole('form', { name: t.signIn }).waitFor({ state: 'detached' });
}

/** Opens a case and answers when its page is there. */
export async function openCase(page, { locale = 'ja', place = '国道4号 北町交差点' } = {}) {
  const t = words[locale];
  await page.getByRole('button', { name: t.newCase }).click();
  await page.waitForURL(/\/console\/case\//);
  await page.getByLabel(t.place).fill(place);
  await page.getByLabel(t.place).blur();
}

/** Fills in the request panel of the case that the page shows, and asks for the destination as it will be used. */
export async function request(
  page,
  { locale = 'ja', mode = 'LIVE', number = '090-1234-5678', language = 'ja', need = '現場の状況を確かめる' } = {},
) {
  const t = words[locale];
  await page.getByRole('button', { name: t.request }).click();
  const panel = page.getByRole('form');
  await panel.getByRole('radio', { name: t.modes[mode] }).click();
  await panel.getByRole('radio', { name: t.languages[language] }).click();
  await panel.getByLabel(t.need, { exact: true }).fill(need);
  for (const check of await panel.getByRole('checkbox').all()) {
    await check.check();
  }
  await panel.getByLabel(t.number, { exact: true }).fill(number);
  await panel.getByRole('button', { name: t.check }).click();
  await page.waitForURL(/\/console\/session\//);
}

/** Types the last four digits and sends; the two words to read aloud are on the screen when it answers. */
export async function confirm(page, { locale = 'ja', digits = '5678' } = {}) {
  const t = words[locale];
  await page.getByLabel(t.digits, { exact: true }).pressSequentially(digits);
  await page.getByRole('button', { name: t.send, exact: true }).click();
  await page.getByRole('heading', { name: t.proof }).waitFor();
}

/** From the board to a link that is sent. Answers {sessionID, link}. */
export async function sendLink(page, options = {}) {
  await openCase(page, options);
  await request(page, options);
  await confirm(page, options);
  const sessionID = decodeURIComponent(new URL(page.url()).pathname.split('/').at(-1));
  return { sessionID, link: await newestLink(page.context()) };
}

/** The two words that the console tells the dispatcher to read aloud. */
export async function proofWords(page, { locale = 'ja' } = {}) {
  const section = page.locator('section').filter({ has: page.getByRole('heading', { name: words[locale].proof }) });
  return section.locator('p').first().locator('span').allInnerTexts();
}

/** The link of the newest message on the outbox page, opened in a page of its own and closed again. */
export async function newestLink(context) {
  const outbox = await context.newPage();
  try {
    await outbox.goto('/outbox');
    const text = await until('a message with a link', async () => {
      const message = outbox.getByRole('listitem').filter({ hasText: '/v#' }).first();
      return (await message.count()) > 0 && message.innerText();
    });
    const [link] = /https?:\/\/\S+\/v#[0-9A-Za-z]{22}/.exec(text) ?? [];
    assert.ok(link, `no link in: ${text}`);
    return link;
  } finally {
    await outbox.close();
  }
}

/** Ends the video report on the screen with the reason of a key: 1 done … 6 other. */
export async function end(page, { locale = 'ja', key = '1' } = {}) {
  await page.getByRole('button', { name: words[locale].end, exact: true }).click();
  await page.getByRole('alertdialog').waitFor();
  await page.keyboard.press(key);
  await page.getByText(words[locale].ended).first().waitFor();
}

/**
 * Asks the server with the page's own cookie. Answers data; fails with what the server said. actor: console or caller.
 */
export async function ask(page, query, variables = {}, actor = 'console') {
  const answer = await page.evaluate(
    async ({ query, variables, actor }) => {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'genba-actor': actor, 'accept-language': 'en' },
        body: JSON.stringify({ query, variables }),
      });
      return response.json();
    },
    { query, variables, actor },
  );
  if (answer.errors?.length) {
    const [{ message, extensions }] = answer.errors;
    throw Object.assign(new Error(`${extensions?.code} ${extensions?.reason}: ${message}`), extensions);
  }
  return answer.data;
}

/** The files of a video report as the server lists them, newest first. */
export async function files(page, sessionID) {
  const { session } = await ask(
    page,
    `query Files($id: ID!) {
      session(id: $id) {
        arriving
        media(first: 50) {
          nodes { id kind capture state size declaredSize sha256 name durationMs gaps preview contentType dueAt
            metadata { takenAt latitude longitude device } }
        }
      }
    }`,
    { id: sessionID },
  );
  return session.media.nodes;
}

/** What a video report says of itself. */
export async function report(page, sessionID) {
  const { session } = await ask(
    page,
    `query Report($id: ID!) {
      session(id: $id) {
        state stall endReason misdirected live arriving
        link { state uses used proof { ja en } }
        phones { id state }
        consents { agreed language version }
        lastPosition { latitude longitude accuracy }
        counts { recordings photosNow photosBefore videosNow videosBefore snapshots incomplete positions }
      }
    }`,
    { id: sessionID },
  );
  return session;
}

/** A grant to look at a file: {url, expiresAt}. */
export async function openMedia(page, mediaFileID) {
  return (
    await ask(page, 'mutation Open($input: OpenMediaInput!) { openMedia(input: $input) { url expiresAt } }', {
      input: { mediaFileID },
    })
  ).openMedia;
}

/** What stands at a path of the server, as the page gets it: {status, bytes}. */
export async function download(page, path) {
  const { status, text } = await page.evaluate(async (path) => {
    const response = await fetch(path);
    const bytes = new Uint8Array(await response.arrayBuffer());
    let text = '';
    for (let at = 0; at < bytes.length; at += 0x8000) {
      text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
    }
    return { status: response.status, text: btoa(text) };
  }, path);
  return { status, bytes: Buffer.from(text, 'base64') };
}
