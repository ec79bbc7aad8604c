// How long people wait, measured from the outside on loopback: `npm run bench`. Prints a table, and the same as JSON.
// Medians, with the tenth slowest beside them: a busy machine makes single runs mean nothing.
import { readFileSync } from 'node:fs';
import { desk, launch, phone, until } from './browser.mjs';
import * as caller from './caller.mjs';
import * as dispatcher from './dispatcher.mjs';
import { photo } from './material.mjs';
import { makePattern } from './pattern.mjs';
import { buildServer, startServer } from './server.mjs';

/** Runs of each measurement. */
const runs = 20;

/** Live video reports at once for the memory, and the picture that their cameras show: ten large ones would ask more of the
 * browser than of the server. */
const crowd = 10;
const small = { width: 320, height: 240 };

/** How long memory is watched, in ms; the most counts. */
const watched = 5_000;

const results = [];

function note(name, unit, values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  const result = { name, unit, runs: sorted.length, median: round(at(0.5)), p90: round(at(0.9)), least: round(sorted[0]) };
  results.push(result);
  process.stderr.write(`${name}: ${result.median} ${unit}\n`);
}

const round = (value) => Math.round(value * 10) / 10;

/** Memory of a process that is in use, in MB. */
const memory = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** The most memory of a process while it is watched. */
async function mostMemory(pid) {
  const end = performance.now() + watched;
  let most = 0;
  while (performance.now() < end) {
    most = Math.max(most, memory(pid));
    await new Promise((wake) => setTimeout(wake, 100));
  }
  return most;
}

/** Makes the page keep the moment of the newest event of that kind, in ms since 1970. */
const keepMoment = (page, kind) =>
  page.evaluate((kind) => {
    globalThis.moment = 0;
    addEventListener(
      kind,
      () => {
        globalThis.moment = performance.timeOrigin + performance.now();
      },
      true,
    );
  }, kind);

const moment = (page) => page.evaluate(() => globalThis.moment);

async function startUp() {
  const times = [];
  for (let run = 0; run < runs; run++) {
    const began = performance.now();
    const server = await startServer();
    times.push(performance.now() - began);
    await server.stop();
  }
  note('server: start with an empty folder to ready', 'ms', times);
}

async function weight(browser, server, link) {
  const handset = await phone(browser, { baseURL: server.baseURL });
  const page = await handset.newPage();
  const client = await handset.newCDPSession(page);
  await client.send('Network.enable');
  const kinds = new Map();
  const sizes = { script: 0, all: 0 };
  client.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type));
  client.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    sizes.all += encodedDataLength;
    sizes.script += kinds.get(requestId) === 'Script' ? encodedDataLength : 0;
  });
  await page.goto(link);
  await caller.agree(page);
  await page.getByRole('button', { name: caller.words.ja.modes.LIVE }).tap();
  await caller.see(page, caller.words.ja.whyCamera);
  note("caller's page before the camera opens: scripts as sent", 'kB', [sizes.script / 1000]);
  note("caller's page before the camera opens: everything as sent", 'kB', [sizes.all / 1000]);
  await handset.close();
}

async function firstFrame(board, mobile) {
  const t = caller.words.ja;
  const times = [];
  await caller.goLive(mobile);
  const video = board.getByLabel('ライブ映像', { exact: true });
  await video.waitFor();
  const stop = async () => {
    await mobile.getByRole('button', { name: t.stop }).tap();
    await video.waitFor({ state: 'detached' });
  };
  await stop();
  await keepMoment(mobile, 'click');
  for (let run = 0; run < runs; run++) {
    const shown = board.evaluate(
      () =>
        new Promise((done) => {
          const look = () => {
            const video = document.querySelector('video');
            if (video) {
              video.requestVideoFrameCallback((now) => done(performance.timeOrigin + now));
            } else {
              requestAnimationFrame(look);
            }
          };
          look();
        }),
    );
    await mobile.getByRole('button', { name: t.modes.LIVE }).tap();
    const tapped = await moment(mobile);
    times.push((await shown) - tapped);
    await mobile.getByText(t.connected).waitFor();
    await stop();
  }
  note('live video: tap on the phone to the first picture in the console', 'ms', times);
}

async function photoArrives(board, mobile) {
  const picture = photo();
  const times = [];
  await keepMoment(mobile, 'change');
  for (let run = 0; run < runs; run++) {
    const arrived = board.evaluate(() => {
      const count = () =>
        [...document.querySelectorAll('aside li button:not([disabled])')].filter((one) => one.textContent.includes('写真')).length;
      const before = count();
      return new Promise((done) => {
        const look = () => (count() > before ? done(performance.timeOrigin + performance.now()) : requestAnimationFrame(look));
        look();
      });
    });
    await caller.takePhoto(mobile, picture);
    const shown = await arrived;
    times.push(shown - (await moment(mobile)));
  }
  note(`a photo of ${round(picture.buffer.length / 1e6)} MB: chosen on the phone to listed in the console`, 'ms', times);
}

async function events(board, caseID) {
  const times = await board.evaluate(
    async ({ caseID, runs }) => {
      const url = new URL('/graphql', location.href);
      url.protocol = 'ws:';
      const socket = new WebSocket(url, 'graphql-transport-ws');
      const say = (message) => socket.send(JSON.stringify(message));
      let heard = () => undefined;
      await new Promise((ready, fail) => {
        socket.onopen = () => say({ type: 'connection_init', payload: { 'Genba-Actor': 'console', language: 'ja' } });
        socket.onerror = () => fail(new Error('no connection'));
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === 'connection_ack') {
            say({ id: '1', type: 'subscribe', payload: { query: 'subscription { caseBoardChanged { cursor cases { id notes } } }' } });
            ready();
          } else if (message.type === 'ping') {
            say({ type: 'pong' });
          } else if (message.type === 'next') {
            heard(performance.now(), message.payload.data.caseBoardChanged);
          }
        };
      });
      const times = [];
      for (let run = -1; run < runs; run++) {
        const notes = `メモ ${run} ${Math.random()}`;
        const delivered = new Promise((done) => {
          heard = (at, { cases }) => cases.some((one) => one.notes === notes) && done(at);
        });
        const began = performance.now();
        await fetch('/graphql', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'genba-actor': 'console', 'accept-language': 'ja' },
          body: JSON.stringify({
            query: 'mutation($input: UpdateCaseInput!) { updateCase(input: $input) { case { id } } }',
            variables: { input: { caseID, notes } },
          }),
        });
        const took = (await delivered) - began;
        if (run >= 0) {
          times.push(took);
        }
      }
      socket.close();
      return times;
    },
    { caseID, runs: runs * 5 },
  );
  note('an event: mutation sent to subscriber told', 'ms', times);
}

/** A link that is sent, without the console's pages. */
async function link(board) {
  const { openCase } = await dispatcher.ask(board, 'mutation { openCase(input: {}) { case { id } } }');
  const { requestVideo } = await dispatcher.ask(
    board,
    'mutation($input: RequestVideoInput!) { requestVideo(input: $input) { session { id } } }',
    {
      input: {
        caseID: openCase.case.id,
        asked: 'LIVE',
        need: '現場の状況',
        checks: { safe: true, cameraPhone: true, numberNotified: true, explained: true, supervisorTold: true },
        number: '090-1234-5678',
      },
    },
  );
  const sessionID = requestVideo.session.id;
  const sent = await board.evaluate(async () => (await (await fetch('/outbox.json')).json()).length);
  await dispatcher.ask(board, 'mutation($input: ConfirmSendInput!) { confirmSend(input: $input) { session { id } } }', {
    input: { sessionID, lastFour: '5678', idempotencyKey: sessionID },
  });
  const body = await until('the message', () =>
    board.evaluate(async (sent) => {
      const messages = await (await fetch('/outbox.json')).json();
      return messages.length > sent && messages[0].body;
    }, sent),
  );
  return { caseID: openCase.case.id, sessionID, link: /https?:\/\/\S+\/v#[0-9A-Za-z]{22}/.exec(body)[0] };
}

/** From the message to live video, in a page that may have shown an earlier report. */
async function film(page, sent) {
  await page.goto(sent.link);
  await caller.see(page, caller.words.ja.proof);
  await caller.agree(page);
  await caller.goLive(page);
}

/** A new server for each run; the browser and its phones stay, so that a run is short. */
async function crowded(browser) {
  const centre = await desk(browser);
  const board = await centre.newPage();
  const phones = [];
  for (let one = 0; one < crowd; one++) {
    phones.push(await (await phone(browser)).newPage());
  }
  const idle = [];
  const most = [];
  for (let run = 0; run < runs; run++) {
    const server = await startServer();
    try {
      await Promise.all([board, ...phones].map((page) => page.context().clearCookies())); // of the server before
      await board.goto(`${server.baseURL}/console`);
      await dispatcher.enter(board, server);
      idle.push(memory(server.pid));
      const sent = [];
      while (sent.length < crowd) {
        sent.push(await link(board));
      }
      await Promise.all(phones.map((page, one) => film(page, sent[one])));
      await until('all to be live', async () => {
        const reports = await Promise.all(sent.map(({ sessionID }) => dispatcher.report(board, sessionID)));
        return reports.every(({ live }) => live);
      });
      most.push(await mostMemory(server.pid));
    } finally {
      await Promise.all([board, ...phones].map((page) => page.goto('about:blank')));
      await server.stop();
    }
  }
  note('server: memory, idle', 'MB', idle);
  note(`server: memory with ${crowd} live video reports, recording`, 'MB', most);
}

async function main() {
  makePattern();
  makePattern(small);
  buildServer();
  await startUp();
  const server = await startServer();
  let browser = await launch();
  try {
    const centre = await desk(browser, { baseURL: server.baseURL });
    const board = await dispatcher.signIn(centre, server);
    await weight(browser, server, (await link(board)).link);
    const sent = await link(board);
    await board.goto(`/console/session/${sent.sessionID}`);
    const handset = await phone(browser, { baseURL: server.baseURL });
    const mobile = await caller.join(handset, sent.link);
    await firstFrame(board, mobile);
    await photoArrives(board, mobile);
    await events(board, sent.caseID);
  } finally {
    await browser.close();
    await server.stop();
  }
  browser = await launch({ camera: small });
  try {
    await crowded(browser);
  } finally {
    await browser.close();
  }
  console.table(results.map(({ name, median, p90, least, unit, runs }) => ({ name, median, p90, least, unit, runs })));
  console.log(JSON.stringify(results));
}

await main();
