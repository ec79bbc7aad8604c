// The server under test: the program server/app/testserver, which is the product with test data and a clock that a test
// moves. It prints one line of JSON when it is ready:
//   {"baseURL": "http://localhost:…", "controlURL": "http://127.0.0.1:…", "dataDir": …, "keysDir": …, "demo": {…}}
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repository, scratch } from './paths.mjs';

const binary = join(scratch, 'testserver');

/** How long the server may take to be ready, and to end after it was asked to, in ms. */
const startWithin = 60_000;
const stopWithin = 20_000;

/** The last lines of the server's log a failure shows. */
const logLines = 200;

/** Builds the test program with the pages as they were last built; the runner calls it once. */
export function buildServer() {
  const built = spawnSync('go', ['build', '-buildvcs=false', '-o', binary, './server/app/testserver'], {
    cwd: repository,
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: 'inherit',
  });
  if (built.error || built.status !== 0) {
    throw new Error('the test server does not build', { cause: built.error });
  }
}

/**
 * Starts the server with an empty data folder and waits until it is ready. Answers what it printed, and
 *   pid            the number of its process
 *   clock('192h')  lets that much time pass (a Go duration); due work is done when it answers
 *   log()          the last lines of the server's log
 *   kill()         ends it without warning, as a power cut does
 *   stop()         asks it to end; fails where it does not, or ends with an error
 */
export async function startServer({ args = [], env = {} } = {}) {
  const child = spawn(binary, args, {
    cwd: scratch,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close');
  exited.catch(() => undefined);
  const lines = [];
  const keep = (line) => {
    lines.push(line);
    lines.splice(0, lines.length - logLines);
  };
  const log = () => lines.join('\n');
  createInterface({ input: child.stderr }).on('line', keep);
  const output = createInterface({ input: child.stdout });

  let timer;
  const ready = await Promise.race([
    once(output, 'line').then(([line]) => JSON.parse(line)),
    exited.then(([code, signal]) => {
      throw new Error(`the server ended before it was ready (${code ?? signal}):\n${log()}`);
    }),
    new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`the server was not ready within ${startWithin} ms:\n${log()}`)), startWithin);
    }),
  ])
    .catch((error) => {
      child.kill('SIGKILL');
      throw error;
    })
    .finally(() => clearTimeout(timer));
  output.on('line', keep);

  return {
    ...ready,
    pid: child.pid,
    log,

    async clock(advance) {
      const answer = await fetch(`${ready.controlURL}/clock`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ advance }),
      });
      if (!answer.ok) {
        throw new Error(`the server did not advance its clock: ${answer.status} ${await answer.text()}`);
      }
    },

    async kill() {
      child.kill('SIGKILL');
      await exited;
    },

    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the server had ended by itself (${child.exitCode ?? child.signalCode}):\n${log()}`);
      }
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), stopWithin);
      const [code, signal] = await exited;
      clearTimeout(late);
      if (code !== 0) {
        throw new Error(`the server ended with ${code ?? signal}:\n${log()}`);
      }
    },
  };
}
