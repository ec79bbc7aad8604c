// Texts that would like to be scripts: whatever a case, a link's words or a file's name says is shown as text, and what was
// shown is gone from the browser after signing out.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { assertNoFaults, desk, launch } from './browser.mjs';
import * as dispatcher from './dispatcher.mjs';
import { startServer } from './server.mjs';
import { story } from './story.mjs';

let server, browser, centre, board;

const test = story('hostile', () => browser);

const run = 'window.__ran=1';
const shapes = [
  (n) => `<script>${run}//${n}</script>`,
  (n) => `<img src=x onerror="${run}" alt="${n}">`,
  (n) => `<svg onload="${run}"><title>${n}</title></svg>`,
  (n) => `"><iframe srcdoc="<script>parent.__ran=1//${n}</script>">`,
  (n) => `javascript:${run}//${n}`,
  (n) => `{{constructor.constructor('${run}')()}}${n}`,
  (n) => `\${${run}}${n}`,
  (n) => `<a href="javascript:${run}">${n}</a>`,
  (n) => `<style>@import 'javascript:${run}';</style>${n}`,
  (n) => `<math><mtext><table><mglyph><style><img src=x onerror=${run}>${n}`,
  (n) => `'-${run}-'${n}`,
  (n) => `</textarea><script>${run}</script>${n}`,
  (n) => `<details open ontoggle="${run}">${n}`,
  (n) => `<video><source onerror="${run}">${n}`,
  (n) => `<base href="https://evil.example/">${n}`,
  (n) => `<form action="https://evil.example/"><input name=x value=${n}></form>`,
  (n) => `<meta http-equiv="refresh" content="0;url=javascript:${run}">${n}`,
  (n) => `&lt;script&gt;${run}&lt;/script&gt;${n}`,
  (n) => `\u202e<script>${run}</script>\u2066${n}`,
  (n) => `<x onfocus="${run}" tabindex=0 autofocus>${n}`,
];
const texts = Array.from({ length: 500 }, (_, n) => shapes[n % shapes.length](n));

/** How many cases carry them: ten in each, in its place and in its notes. */
const perCase = 10;

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  board = await dispatcher.signIn(centre, server);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('five hundred hostile texts are shown as texts, and nothing of them runs', async () => {
  const cases = [];
  for (let at = 0; at < texts.length; at += perCase) {
    const some = texts.slice(at, at + perCase);
    const { openCase } = await dispatcher.ask(board, 'mutation O($input: OpenCaseInput!) { openCase(input: $input) { case { id } } }', {
      input: { place: some.slice(0, 5).join(' '), notes: some.slice(5).join('\n'), municipality: some[0].slice(0, 40) },
    });
    cases.push(openCase.case.id);
  }
  await board.reload();
  await board.getByRole('heading', { name: '受理状況' }).waitFor();
  await board.getByText('<img src=x', { exact: false }).first().waitFor();
  for (const id of cases) {
    await board.goto(`/console/case/${id}`);
    await board.getByLabel('場所（聴取のまま）').waitFor();
  }
  const first = texts.slice((cases.length - 1) * perCase, (cases.length - 1) * perCase + 5).join(' ');
  assert.equal(await board.getByLabel('場所（聴取のまま）').inputValue(), first, 'it is the text itself');
  assert.equal(await board.evaluate(() => window.__ran), undefined, 'nothing ran');
  assert.equal(await board.locator('iframe, script:not([src]), base, form[action*="evil"]').count(), 0, 'nothing became an element');
  assertNoFaults(centre);
});

test('after signing out the browser keeps nothing of a case', async () => {
  await board.getByRole('button', { name: '利用者メニュー' }).click();
  await board.getByRole('menuitem', { name: 'サインアウト' }).click();
  await board.getByLabel('ユーザID').waitFor();
  const kept = await board.evaluate(async () => {
    const found = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), JSON.stringify(history.state)];
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) {
        found.push(request.url);
      }
    }
    for (const { name } of await indexedDB.databases()) {
      const database = await new Promise((done, fail) => {
        const opening = indexedDB.open(name);
        opening.onsuccess = () => done(opening.result);
        opening.onerror = () => fail(opening.error);
      });
      for (const store of database.objectStoreNames) {
        const all = await new Promise((done, fail) => {
          const reading = database.transaction(store).objectStore(store).getAll();
          reading.onsuccess = () => done(reading.result);
          reading.onerror = () => fail(reading.error);
        });
        found.push(JSON.stringify(all));
      }
    }
    return found.join('\n');
  });
  for (const text of ['script', 'onerror', '受理 太郎', '2026-0']) {
    assert.ok(!kept.includes(text), `${text} is kept: ${kept}`);
  }
  assert.deepEqual(await centre.cookies(), []);
  await board.goBack().catch(() => undefined);
  assert.equal(await board.getByText('<img src=x', { exact: false }).count(), 0);
});
