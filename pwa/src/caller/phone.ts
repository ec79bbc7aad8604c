// What makes this phone recognisable after a reload: a key that cannot leave the browser, and the number the server gave
// the phone. Kept under a hash of the link's secret, so that the secret itself is stored nowhere, and forgotten when the
// video report is over.

/** What is kept of one link. */
interface Kept {
  readonly keys: CryptoKeyPair;
  readonly phoneID: string;
  readonly at: number;
}

/** Longer than any video report is open, in ms: what an unfinished one left behind is dropped after it. */
const keptFor = 24 * 60 * 60 * 1000;

const databaseName = 'genba-caller';
const store = 'phones';
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** This phone, as one link knows it. */
export class Phone {
  readonly #database: IDBDatabase;
  readonly #name: string;
  readonly #keys: CryptoKeyPair;
  #phoneID: string;

  private constructor(database: IDBDatabase, name: string, kept: Kept) {
    this.#database = database;
    this.#name = name;
    this.#keys = kept.keys;
    this.#phoneID = kept.phoneID;
  }

  /**
   * The phone of a link: the one kept from before, or a new one. Fails where the browser cannot keep a key, as some
   * in-app browsers and private windows cannot.
   */
  static async of(secret: string): Promise<Phone> {
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`genba phone ${secret}`));
    const name = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    const database = await open();
    await forgetOld(database);
    const found = (await request(transaction(database, 'readonly').get(name))) as Kept | undefined;
    if (found) {
      return new Phone(database, name, found);
    }
    const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    const phone = new Phone(database, name, { keys, phoneID: '', at: Date.now() });
    await phone.joined('');
    return phone;
  }

  /** The number the server gave this phone when it joined; empty where it has not. */
  get id(): string {
    return this.#phoneID;
  }

  /** Keeps the number the server gave. */
  async joined(phoneID: string): Promise<void> {
    this.#phoneID = phoneID;
    const kept: Kept = { keys: this.#keys, phoneID, at: Date.now() };
    await request(transaction(this.#database, 'readwrite').put(kept, this.#name));
  }

  /** The public key as SubjectPublicKeyInfo, base64. */
  async publicKey(): Promise<string> {
    return base64(await crypto.subtle.exportKey('spki', this.#keys.publicKey));
  }

  /** The signature over a nonce, base64. */
  async sign(nonce: string): Promise<string> {
    return base64(await crypto.subtle.sign(signing, this.#keys.privateKey, new TextEncoder().encode(nonce)));
  }

  /** Drops the key: the video report is over. */
  async forget(): Promise<void> {
    await request(transaction(this.#database, 'readwrite').delete(this.#name));
  }
}

async function open(): Promise<IDBDatabase> {
  const opening = indexedDB.open(databaseName, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(store);
  return request(opening);
}

async function forgetOld(database: IDBDatabase): Promise<void> {
  const oldest = Date.now() - keptFor;
  const phones = transaction(database, 'readwrite');
  const [names, kept] = await Promise.all([request(phones.getAllKeys()), request(phones.getAll() as IDBRequest<Kept[]>)]);
  await Promise.all(names.filter((_, at) => (kept[at]?.at ?? 0) < oldest).map((name) => request(phones.delete(name))));
}

function transaction(database: IDBDatabase, mode: IDBTransactionMode): IDBObjectStore {
  return database.transaction(store, mode).objectStore(store);
}

async function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((done, fail) => {
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => fail(asked.error ?? new Error('the browser keeps nothing'));
  });
}

function base64(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
