// Weighs what a caller's phone loads before the camera opens: the page and everything it names or imports at once, gzip
// -9, as the server sends it. What is imported later (the uploader) is listed and not counted. Run after npm run build.
// Fails above the limits, and where the page names another host.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';

/** The most that may be loaded, in bytes: JavaScript, and all of it. */
const limits = { script: 45_000, all: 60_000 };

const dist = fileURLToPath(new URL(process.argv[2] ? `file://${process.argv[2]}/` : '../../server/app/web/dist/', import.meta.url));
const page = 'caller.html';

const sizes = new Map();
const later = new Set();

function weigh(path) {
  if (sizes.has(path)) {
    return;
  }
  const content = readFileSync(dist + path);
  sizes.set(path, gzipSync(content, { level: 9 }).length);
  const text = content.toString('utf8');
  const beside = (name) => new URL(name, `file:///${path}`).pathname.slice(1);
  if (path.endsWith('.html')) {
    for (const [, address] of text.matchAll(/<(?:script|link|img)\b[^>]*?\s(?:src|href)="([^"]+)"/g)) {
      if (/^(?:[a-z]+:)?\/\//i.test(address)) {
        throw new Error(`${path} names another host: ${address}`);
      }
      weigh(address.replace(/^\//, ''));
    }
  } else if (path.endsWith('.js')) {
    for (const [, address] of text.matchAll(/\b(?:import|from)\s*["'`](\.[^"'`]+)["'`]/g)) {
      weigh(beside(address));
    }
    for (const [, address] of text.matchAll(/\bimport\(\s*["'`](\.[^"'`]+)["'`]/g)) {
      later.add(beside(address));
    }
  } else if (path.endsWith('.css')) {
    for (const [, address] of text.matchAll(/url\(["']?([^"')]+)/g)) {
      if (!address.startsWith('data:')) {
        weigh(beside(address));
      }
    }
  }
}

weigh(page);
const sum = (wanted) =>
  [...sizes].filter(([path]) => wanted(path)).reduce((total, [, size]) => total + size, 0);
const script = sum((path) => path.endsWith('.js'));
const all = sum(() => true);
for (const [path, size] of sizes) {
  console.log(`${String(size).padStart(7)}  ${path}`);
}
for (const path of later) {
  if (!sizes.has(path)) {
    console.log(`${String(gzipSync(readFileSync(dist + path), { level: 9 }).length).padStart(7)}  ${path} (when the first file is sent)`);
  }
}
console.log(`${String(script).padStart(7)}  JavaScript, of ${limits.script}`);
console.log(`${String(all).padStart(7)}  in all, of ${limits.all}`);
if (script > limits.script || all > limits.all) {
  console.error('the caller’s page is too heavy');
  process.exitCode = 1;
}
