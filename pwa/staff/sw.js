// The officers' app without a network: its own files and nothing else. Answers of the server, material and pictures never
// come by here, and no address but those listed is looked at. scripts/build.mjs fills in the list and its version.
const shell = /* the list */ [];
const cacheName = 'staff-version';

/** How long the network may take before the kept page opens, in ms. */
const pageWithin = 4_000;

addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(shell)).then(() => skipWaiting()));
});

addEventListener('activate', (event) => {
  const drop = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith('staff-') && name !== cacheName);
    await Promise.all(old.map((name) => caches.delete(name)));
    await clients.claim();
  };
  event.waitUntil(drop());
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin) {
    return;
  }
  if (request.mode === 'navigate' && pathname === '/staff/') {
    event.respondWith(page(request));
  } else if (shell.includes(pathname)) {
    event.respondWith(caches.match(pathname).then((kept) => kept ?? fetch(request)));
  }
});

/** The page from the network, so that a new version is seen at once; the kept one where the network is away. */
async function page(request) {
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), pageWithin);
  try {
    const answer = await fetch(request, { signal: abort.signal });
    if (answer.ok || answer.type === 'opaqueredirect') {
      return answer;
    }
    return (await caches.match('/staff/')) ?? answer;
  } catch {
    return (await caches.match('/staff/')) ?? Response.error();
  } finally {
    clearTimeout(late);
  }
}
