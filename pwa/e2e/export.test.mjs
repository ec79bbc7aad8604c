// An export by two people (第6の5): one asks and writes, another approves; then the archive is checked by genba alone, and
// the same files by sha256sum and openssl alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { pathToFileURL } from 'node:url';
import { assertNoFaults, desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { assertLooksRight } from './looks.mjs';
import { photo, sha256 } from './material.mjs';
import { repository, scratch } from './paths.mjs';
import { startServer } from './server.mjs';
import { shot } from './shots.mjs';
import { story } from './story.mjs';

const picture = photo();
let server, browser, centre, office, handset, board, manager;
let sessionID, archive, passphrase;

const test = story('export', () => browser);

before(async () => {
  server = await startServer();
  browser = await launch();
  centre = await desk(browser, { baseURL: server.baseURL });
  office = await desk(browser, { baseURL: server.baseURL });
  handset = await phone(browser, { baseURL: server.baseURL });
  // A headless browser shows no dialog of the system: the medium is a folder of the browser's own.
  await centre.addInitScript(() => {
    window.showSaveFilePicker = async ({ suggestedName }) =>
      (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true });
  });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function look(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await shot(page, `${name}-${colorScheme}`);
    await assertLooksRight(page, `${name}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}

test('a dispatcher asks for an export from the case, with exactly one ground', async () => {
  board = await dispatcher.signIn(centre, server);
  await dispatcher.openCase(board);
  const casePage = board.url();
  await dispatcher.request(board);
  await dispatcher.confirm(board);
  sessionID = decodeURIComponent(new URL(board.url()).pathname.split('/').at(-1));
  const mobile = await caller.join(handset, await dispatcher.newestLink(centre));
  await caller.takePhoto(mobile, picture);
  await until('the photo', async () =>
    (await dispatcher.files(board, sessionID)).find((file) => file.state === 'COMPLETE'),
  );
  await board.goto(casePage);
  await board.getByRole('button', { name: '外部記録媒体への保存' }).click();
  const dialog = board.getByRole('alertdialog');
  await dialog.getByLabel('法令名').fill('刑事訴訟法第197条第2項');
  await dialog.getByLabel('文書番号').fill('福検第12号');
  await dialog.getByLabel('媒体の管理番号').fill('USB-0042');
  await look(board, 'console-export-request-desk-ja');
  await dialog.getByRole('button', { name: '申請する' }).click();
  await board.getByText('申請しました。許可をお待ちください。').waitFor();
  await board.getByRole('link', { name: '外部保存' }).click();
  await board.getByText('許可待ち').waitFor();
  assert.equal(await board.getByRole('button', { name: '許可する', exact: true }).count(), 0, 'nobody approves their own');
});

test('the manager approves it, confirming who they are', async () => {
  manager = await dispatcher.signIn(office, server, { role: 'MANAGER' });
  await manager.getByRole('link', { name: '外部保存' }).click();
  await manager.getByRole('button', { name: '許可する', exact: true }).waitFor();
  await look(manager, 'console-exports-manager-desk-ja');
  await manager.getByRole('button', { name: '許可する', exact: true }).click();
  const dialog = manager.getByRole('alertdialog');
  await dialog.getByLabel('パスワード').fill(server.demo.users.find((user) => user.role === 'MANAGER').password);
  await dialog.getByRole('button', { name: '確認する', exact: true }).click();
  await manager.getByText('許可済み・書き込み待ち').waitFor();
});

test('the permitted person writes it to the medium, and it is read back', async () => {
  await board.reload();
  await board.getByRole('button', { name: '媒体に書き込む' }).click();
  const dialog = board.getByRole('alertdialog');
  await dialog.getByRole('button', { name: '場所を選んで書き込む' }).click();
  await dialog.getByText('媒体に正しく保存されました。').waitFor();
  passphrase = await dialog.getByTestId('passphrase').innerText();
  await look(board, 'console-export-written-desk-ja');
  const hash = await dialog.getByTestId('archive-hash').innerText();
  const text = await board.evaluate(async () => {
    const folder = await navigator.storage.getDirectory();
    for await (const handle of folder.values()) {
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      return bytes.toBase64?.() ?? btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    }
    return '';
  });
  archive = Buffer.from(text, 'base64');
  assert.equal(sha256(archive), hash);
  assert.ok(!archive.includes(picture.buffer.subarray(0, 64)), 'it is encrypted');
  await dialog.getByRole('button', { name: '閉じる' }).click();
  await board.getByText('保存済み・受け渡し前').waitFor();
});

test('genba verify checks it without a server, and sha256sum and openssl check the same files', async () => {
  mkdirSync(scratch, { recursive: true });
  const folder = mkdtempSync(join(scratch, 'archive-'));
  const file = (name) => join(folder, name);
  writeFileSync(file('export.age'), archive);
  writeFileSync(file('passphrase'), passphrase);
  const run = (command, args) => {
    const done = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(done.status, 0, `${command}: ${done.error ?? ''}${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const said = run(join(repository, 'bin/genba'), [
    'verify', '--archive', file('export.age'), '--passphrase-file', file('passphrase'), '--tar', file('export.tar'),
  ]);
  assert.match(said, /the archive holds/);
  run('tar', ['xf', 'export.tar']);
  run('sha256sum', ['-c', 'SHA256SUMS']);
  for (const [what, signature] of [['manifest.json', 'manifest.sig'], ['checkpoint.txt', 'checkpoint.sig']]) {
    run('openssl', ['pkeyutl', '-verify', '-pubin', '-inkey', 'checkpoint-key.pem', '-rawin', '-in', what, '-sigfile', signature]);
  }
  const manifest = JSON.parse(readFileSync(file('manifest.json'), 'utf8'));
  assert.equal(manifest.files.length, 1);
  assert.equal(manifest.files[0].sha256, sha256(picture.buffer));
  assert.deepEqual(readFileSync(file(manifest.files[0].path)), picture.buffer, 'the bytes as they were received');
  const reader = await browser.newContext({ viewport: { width: 900, height: 1200 } });
  const prints = await reader.newPage();
  await prints.goto(pathToFileURL(file('prints.html')).href);
  for (const mark of manifest.marks) {
    await prints.getByText(mark).waitFor();
  }
  assert.ok(await prints.getByRole('img').evaluate((image) => image.naturalWidth > 0), 'the picture is on the page');
  await shot(prints, 'archive-prints');
  await prints.goto(pathToFileURL(file('index.html')).href);
  await shot(prints, 'archive-index');
  await reader.close();
});

test('the hand-over and the return of the medium are on record', async () => {
  await board.getByRole('button', { name: '受け渡しを記録' }).click();
  await board.getByRole('alertdialog').getByLabel('受け取った者（所属・氏名）').fill('福島地検 鈴木');
  await board.getByRole('alertdialog').getByRole('button', { name: '記録する' }).click();
  await board.getByText('受け渡し済み').waitFor();
  await board.getByRole('button', { name: '返却・廃棄を記録' }).click();
  await board.getByRole('alertdialog').getByRole('button', { name: '記録する' }).click();
  await board.getByText('返却済み').waitFor();
  await look(board, 'console-exports-desk-ja');
});

test('a browser that cannot write to a medium downloads the archive, and is shown the file for its hash', async () => {
  const { session } = await dispatcher.ask(board, 'query S($id: ID!) { session(id: $id) { case { id } } }', { id: sessionID });
  const { me } = await dispatcher.ask(board, '{ me { user { id } } }');
  const [{ id: mediaFileID }] = await dispatcher.files(board, sessionID);
  const { requestExport } = await dispatcher.ask(
    board,
    'mutation R($input: RequestExportInput!) { requestExport(input: $input) { exportRequest { id } } }',
    {
      input: {
        caseID: session.case.id,
        mediaFileIDs: [mediaFileID],
        ground: 'ILLEGAL_ACT',
        incident: '2026-77',
        medium: 'USB-0043',
        permittedID: me.user.id,
      },
    },
  );
  assert.ok(requestExport.exportRequest.id);
  await manager.getByRole('button', { name: '許可する', exact: true }).click();
  await manager.getByRole('alertdialog').getByLabel('パスワード').fill(server.demo.users.find((user) => user.role === 'MANAGER').password);
  await manager.getByRole('alertdialog').getByRole('button', { name: '確認する', exact: true }).click();
  await manager.getByText('許可しました。').first().waitFor();
  await board.reload();
  await board.evaluate(() => {
    delete window.showSaveFilePicker;
    delete Window.prototype.showSaveFilePicker;
  });
  await board.getByRole('button', { name: '媒体に書き込む' }).click();
  const dialog = board.getByRole('alertdialog');
  const saved = board.waitForEvent('download');
  await dialog.getByRole('button', { name: '場所を選んで書き込む' }).click();
  const download = await saved;
  const path = await download.path();
  await look(board, 'console-export-downloaded-desk-ja');
  await dialog.locator('input[type=file]').setInputFiles({ name: 'other.age', mimeType: 'application/octet-stream', buffer: Buffer.from('other') });
  await dialog.getByRole('alert').waitFor();
  const again = board.waitForEvent('download');
  await dialog.getByRole('button', { name: 'もう一度書き込む' }).click();
  const second = await (await again).path();
  assert.notDeepEqual(readFileSync(second), readFileSync(path), 'each writing is sealed anew');
  await dialog.locator('input[type=file]').setInputFiles(second);
  await dialog.getByText('媒体に正しく保存されました。').waitFor();
  assert.equal(await dialog.getByTestId('archive-hash').innerText(), sha256(readFileSync(second)));
  await dialog.getByRole('button', { name: '閉じる' }).click();
  assertNoFaults(centre);
  assertNoFaults(office);
});
