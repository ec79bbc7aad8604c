// What proves that this browser is an enrolled terminal: a key that cannot leave the browser, and a short signed note on
// every request (DPoP, RFC 9449). The server's nonce makes a note new, so this machine's clock may be wrong.

const databaseName = 'genba-terminal';
const store = 'keys';
const slot = 'console';
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** How long a nonce is used, in ms. The server takes it for two minutes. */
const nonceFor = 90_000;

/** Where the server says its nonce without being asked for anything. */
const noncePath = '/console';

/** The key of this browser and the nonce that it last heard. */
export class Terminal {
  readonly #version: string;
  #keys: CryptoKeyPair | null = null;
  #loading: Promise<void> | null = null;
  #nonce = '';
  #heardAt = 0;

  /** version: the program that runs here, as the list of terminals shows it. */
  constructor(version: string) {
    this.#version = version;
  }

  /** Makes a key where there is none, and asks the browser to keep it. Fails where the browser cannot. */
  async make(): Promise<void> {
    await this.#load();
    if (this.#keys) {
      return;
    }
    const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    await write((kept) => kept.put(keys, slot));
    this.#keys = keys;
    await navigator.storage?.persist?.().catch(() => false);
  }

  /** Drops the key: the terminal was revoked for good. */
  async forget(): Promise<void> {
    await write((kept) => kept.delete(slot));
    this.#keys = null;
  }

  /** The note for one request; null where this browser has no key. */
  async proof(method: 'GET' | 'POST', path: string): Promise<string | null> {
    await this.#load();
    const keys = this.#keys;
    if (!keys) {
      return null;
    }
    if (this.#nonce === '' || performance.now() - this.#heardAt > nonceFor) {
      const answer = await fetch(noncePath, { method: 'HEAD', cache: 'no-store' });
      this.hear(answer.headers.get('dpop-nonce'));
    }
    const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
    const claims = {
      jti: crypto.randomUUID(),
      htm: method,
      htu: location.origin + path,
      iat: Math.floor(Date.now() / 1_000),
      nonce: this.#nonce,
      ver: this.#version,
    };
    const text = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
    const signature = await crypto.subtle.sign(signing, keys.privateKey, new TextEncoder().encode(text));
    return `${text}.${encode(String.fromCharCode(...new Uint8Array(signature)))}`;
  }

  /** The nonce was refused: the next note asks for another. */
  renew(): void {
    this.#nonce = '';
  }

  /** Takes note of the nonce that came with an answer. */
  hear(nonce: string | null): void {
    if (nonce) {
      this.#nonce = nonce;
      this.#heardAt = performance.now();
    }
  }

  async #load(): Promise<void> {
    this.#loading ??= read().then(
      (keys) => {
        this.#keys = keys;
      },
      () => {
        this.#loading = null; // a browser that keeps nothing has no key
      },
    );
    await this.#loading;
  }
}

/** The program of this page: its own file's name, which changes with every build, and the browser. */
export function versionOf(file: string, userAgent: string): string {
  const build = /-([\w-]{6,})\.js/.exec(file)?.[1] ?? 'dev';
  const browser = /(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(userAgent);
  const name = browser?.[1] === 'Version' ? 'Safari' : browser?.[1] === 'Edg' ? 'Edge' : browser?.[1];
  return `${build}${name ? ` ${name} ${browser?.[2]}` : ''}`.slice(0, 64);
}

function encode(binary: string): string {
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

async function open(): Promise<IDBDatabase> {
  const opening = indexedDB.open(databaseName, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(store);
  return request(opening);
}

async function read(): Promise<CryptoKeyPair | null> {
  const database = await open();
  const found = await request(database.transaction(store, 'readonly').objectStore(store).get(slot));
  database.close();
  return (found as CryptoKeyPair | undefined) ?? null;
}

async function write(change: (kept: IDBObjectStore) => IDBRequest): Promise<void> {
  const database = await open();
  await request(change(database.transaction(store, 'readwrite').objectStore(store)));
  database.close();
}

async function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((done, fail) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error ?? new Error('the browser keeps nothing'));
  });
}
