import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Terminal, versionOf } from './terminal';

/** A browser's store of one slot, as far as a terminal asks for it. */
function keeper() {
  let kept: unknown;
  const answer = (result: unknown): object => {
    const asked: Record<string, unknown> = { result };
    queueMicrotask(() => (asked['onsuccess'] as (() => void) | undefined)?.());
    return asked;
  };
  const store = {
    get: () => answer(kept),
    put: (value: unknown) => {
      kept = value;
      return answer(undefined);
    },
    delete: () => {
      kept = undefined;
      return answer(undefined);
    },
  };
  const database = { transaction: () => ({ objectStore: () => store }), close: () => undefined };
  return { indexedDB: { open: () => answer(database) }, kept: () => kept as CryptoKeyPair | undefined };
}

const decode = (part: string | undefined): unknown => JSON.parse(Buffer.from(part ?? '', 'base64url').toString());

describe('a terminal', () => {
  let browser: ReturnType<typeof keeper>;
  let nonces: string[];

  beforeEach(() => {
    browser = keeper();
    nonces = ['one', 'two'];
    vi.stubGlobal('indexedDB', browser.indexedDB);
    vi.stubGlobal('navigator', {});
    vi.stubGlobal('location', { origin: 'https://report.example.jp' });
    vi.stubGlobal('fetch', async () => new Response(null, { headers: { 'dpop-nonce': nonces.shift() ?? '' } }));
  });
  afterEach(() => vi.unstubAllGlobals());

  test('proves nothing before it has a key', async () => {
    expect(await new Terminal('v').proof('POST', '/graphql')).toBeNull();
  });

  test('signs method, address, nonce and a number used once, by a key that cannot be taken out', async () => {
    const terminal = new Terminal('v');
    await terminal.make();
    const key = browser.kept();
    expect(key?.privateKey.extractable).toBe(false);
    const proof = await terminal.proof('POST', '/graphql');
    const [header, claims, signature] = proof?.split('.') ?? [];
    expect(decode(header)).toMatchObject({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256' } });
    expect(Object.keys((decode(header) as { jwk: object }).jwk)).toEqual(['kty', 'crv', 'x', 'y']);
    expect(decode(claims)).toMatchObject({ htm: 'POST', htu: 'https://report.example.jp/graphql', nonce: 'one', ver: 'v' });
    const right = await crypto.subtle.verify(
      { name: 'ECDSA', hash: 'SHA-256' },
      key?.publicKey as CryptoKey,
      Buffer.from(signature ?? '', 'base64url'),
      new TextEncoder().encode(`${header}.${claims}`),
    );
    expect(right).toBe(true);
    const next = decode((await terminal.proof('POST', '/graphql'))?.split('.')[1]) as { jti: string };
    expect(next.jti).not.toBe((decode(claims) as { jti: string }).jti);
  });

  test('uses the newest nonce, and asks for one where the last was refused', async () => {
    const terminal = new Terminal('v');
    await terminal.make();
    const nonce = async (): Promise<string> =>
      (decode((await terminal.proof('GET', '/graphql'))?.split('.')[1]) as { nonce: string }).nonce;
    expect(await nonce()).toBe('one');
    terminal.hear('of an answer');
    terminal.hear(null);
    expect(await nonce()).toBe('of an answer');
    terminal.renew();
    expect(await nonce()).toBe('two');
  });

  test('finds its key again, and forgets it when it is told to', async () => {
    await new Terminal('v').make();
    const again = new Terminal('v');
    expect(await again.proof('POST', '/graphql')).not.toBeNull();
    await again.forget();
    expect(await again.proof('POST', '/graphql')).toBeNull();
    expect(await new Terminal('v').proof('POST', '/graphql')).toBeNull();
  });
});

test('a version names the build and the browser', () => {
  expect(versionOf('https://x/assets/console-Bj0j-qXR.js', 'Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36')).toBe('Bj0j-qXR Chrome 156');
  expect(versionOf('https://x/assets/console-Bj0j-qXR.js', 'Mozilla/5.0 Version/18.1 Safari/605')).toBe('Bj0j-qXR Safari 18');
  expect(versionOf('file:///console.svelte.ts', 'curl')).toBe('dev');
});
