// A phone's way to the server that a test can cut: an HTTP proxy on loopback. Live video does not pass through it.
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

/**
 * Starts it. Answers
 *   proxy       what a Playwright context takes as its proxy
 *   hold(bytes) lets so many bytes of the next upload through and no more; the promise in what it answers
 *               ({reached}) is kept when they are through
 *   cut()       breaks every connection, and lets none begin
 *   restore()   lets everything through again
 *   stop()      ends it
 */
export async function startUplink() {
  let broken = false;
  let held;
  const sockets = new Set();
  const keep = (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };

  const server = createServer((asked, answer) => {
    const onward = request(asked.url, { method: asked.method, headers: asked.headers, agent: false, setHost: false });
    onward.on('socket', keep);
    onward.on('error', () => asked.socket.destroy());
    onward.on('response', (given) => {
      answer.writeHead(given.statusCode, given.statusMessage, given.rawHeaders);
      given.pipe(answer);
      given.on('error', () => asked.socket.destroy());
    });
    if (!held || asked.method !== 'PATCH') {
      asked.pipe(onward);
      return;
    }
    const { bytes, done } = held;
    held = undefined;
    let passed = 0;
    asked.on('data', (piece) => {
      const rest = bytes - passed;
      onward.write(piece.subarray(0, rest));
      passed += Math.min(piece.length, rest);
      if (passed === bytes) {
        asked.pause();
        asked.removeAllListeners('data');
        done();
      }
    });
    asked.on('end', () => onward.end());
  });
  server.on('connection', (socket) => {
    keep(socket);
    if (broken) {
      socket.destroy();
    }
  });
  server.on('connect', (asked, socket, head) => {
    const { hostname, port } = new URL(`http://${asked.url}`);
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    keep(onward);
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const drop = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };

  return {
    proxy: { server: `http://127.0.0.1:${server.address().port}`, bypass: '<-loopback>' },

    hold(bytes) {
      const { promise, resolve } = withResolvers();
      held = { bytes, done: resolve };
      return { reached: promise };
    },

    cut() {
      broken = true;
      drop();
    },

    restore() {
      broken = false;
    },

    async stop() {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
