// The service worker that opens the app without a network. It keeps the app's own files and nothing else.

interface Policies {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL: (url: string) => unknown };
}

const address = '/staff/sw.js';

/** Registers the worker; an app without it works as long as there is a network. */
export async function startWorker(): Promise<void> {
  try {
    const { trustedTypes } = globalThis as { trustedTypes?: Policies };
    const trusted = trustedTypes
      ?.createPolicy('genba-worker', { createScriptURL: (url) => (url === address ? url : '') })
      .createScriptURL(address);
    await navigator.serviceWorker?.register((trusted ?? address) as string, { scope: '/staff/' });
  } catch {
    // Some private windows allow no worker.
  }
}

/** Ends the worker, and deletes what it kept. */
export async function endWorker(): Promise<void> {
  const workers = (await navigator.serviceWorker?.getRegistrations().catch(() => [])) ?? [];
  await Promise.all(workers.filter(({ scope }) => new URL(scope).pathname === '/staff/').map((one) => one.unregister()));
  const names = await caches.keys().catch(() => []);
  await Promise.all(names.filter((name) => name.startsWith('staff-')).map((name) => caches.delete(name)));
}
