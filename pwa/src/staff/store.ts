// What the app keeps on the phone: a key that cannot leave the browser and the number of its staff link (第4の4(2)オ).
// An issued phone keeps, too, what has not been received yet, sealed with a second key that cannot leave either.

import type { Begun } from '$lib/phone/Uploads.svelte';

/** What is kept of the registration. */
interface Kept {
  readonly keys: CryptoKeyPair;
  readonly phoneID: string;
}

/** One sealed item that has not been received. */
interface Sealed {
  readonly iv: Uint8Array<ArrayBuffer>;
  readonly bytes: ArrayBuffer;
  readonly name: string;
  readonly type: string;
  readonly modified: number;
  readonly fromCamera: boolean;
  readonly begun?: Begun;
}

/** An item that has not been received, as it was given. */
export interface Unsent {
  readonly number: number;
  readonly file: File;
  readonly fromCamera: boolean;
  readonly begun: Begun | undefined;
}

const databaseName = 'genba-staff';
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;
const sealing = { name: 'AES-GCM', length: 256 } as const;

/** The app's own store on this phone. */
export class Store {
  readonly #database: IDBDatabase;
  #kept: Kept | undefined;

  private constructor(database: IDBDatabase, kept: Kept | undefined) {
    this.#database = database;
    this.#kept = kept;
  }

  /** Opens it. Fails where the browser keeps nothing, as private windows. */
  static async open(): Promise<Store> {
    const opening = indexedDB.open(databaseName, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore('phone');
      opening.result.createObjectStore('unsent', { autoIncrement: true });
    };
    const database = await request(opening);
    // Another window of the app wipes the phone: nothing here may hold it up.
    database.onversionchange = () => database.close();
    const kept = (await request(database.transaction('phone').objectStore('phone').get('self'))) as Kept | undefined;
    return new Store(database, kept);
  }

  /** The number of the staff link; empty where there is none. */
  get phoneID(): string {
    return this.#kept?.phoneID ?? '';
  }

  /** Makes a key whose private half cannot be read, and answers its public half as SubjectPublicKeyInfo, base64. */
  async newKey(): Promise<string> {
    const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    await this.#keep({ keys, phoneID: '' });
    return base64(await crypto.subtle.exportKey('spki', keys.publicKey));
  }

  /** Keeps the number that the server gave. */
  async registered(phoneID: string): Promise<void> {
    if (this.#kept) {
      await this.#keep({ ...this.#kept, phoneID });
    }
  }

  /** The signature over a nonce, base64. */
  async sign(nonce: string): Promise<string> {
    if (!this.#kept) {
      throw new Error('no key is kept');
    }
    return base64(await crypto.subtle.sign(signing, this.#kept.keys.privateKey, new TextEncoder().encode(nonce)));
  }

  /** Seals one item and keeps it until it is received. Answers its number. */
  async keepUnsent(file: File, fromCamera: boolean): Promise<number> {
    const key = await this.#sealingKey();
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const bytes = await crypto.subtle.encrypt({ name: sealing.name, iv }, key, await file.arrayBuffer());
    const sealed: Sealed = { iv, bytes, name: file.name, type: file.type, modified: file.lastModified, fromCamera };
    return Number(await request(this.#unsent('readwrite').add(sealed)));
  }

  /** What was not received, oldest first. */
  async unsent(): Promise<Unsent[]> {
    const numbers = (await request(this.#unsent('readonly').getAllKeys())) as number[];
    const items: Unsent[] = [];
    for (const number of numbers) {
      try {
        const { iv, bytes, name, type, modified, fromCamera, begun } = (await request(this.#unsent('readonly').get(number))) as Sealed;
        const plain = await crypto.subtle.decrypt({ name: sealing.name, iv }, await this.#sealingKey(), bytes);
        items.push({ number, file: new File([plain], name, { type, lastModified: modified }), fromCamera, begun });
      } catch {
        await this.received(number); // nobody can open it any more
      }
    }
    return items;
  }

  /** Notes by which upload an item goes, so that it goes on where it was. One received meanwhile stays deleted. */
  async begun(number: number, begun: Begun): Promise<void> {
    const items = this.#unsent('readwrite'); // one transaction: nothing comes between
    const sealed = (await request(items.get(number))) as Sealed | undefined;
    if (sealed) {
      await request(items.put({ ...sealed, begun }, number));
    }
  }

  /** Deletes one item: it has been received, or is given up. */
  async received(number: number): Promise<void> {
    await request(this.#unsent('readwrite').delete(number));
  }

  /** Deletes everything, keys included. */
  async wipe(): Promise<void> {
    this.#kept = undefined;
    const both = this.#database.transaction(['phone', 'unsent'], 'readwrite');
    await Promise.all([request(both.objectStore('phone').clear()), request(both.objectStore('unsent').clear())]);
    this.#database.close();
    const gone = indexedDB.deleteDatabase(databaseName);
    await new Promise<void>((done) => {
      gone.onsuccess = gone.onerror = gone.onblocked = () => done();
    });
    localStorage.clear();
    sessionStorage.clear();
  }

  async #keep(kept: Kept): Promise<void> {
    this.#kept = kept;
    await request(this.#database.transaction('phone', 'readwrite').objectStore('phone').put(kept, 'self'));
  }

  async #sealingKey(): Promise<CryptoKey> {
    const found = (await request(this.#database.transaction('phone').objectStore('phone').get('seal'))) as CryptoKey | undefined;
    if (found) {
      return found;
    }
    const key = await crypto.subtle.generateKey(sealing, false, ['encrypt', 'decrypt']);
    await request(this.#database.transaction('phone', 'readwrite').objectStore('phone').put(key, 'seal'));
    return key;
  }

  #unsent(mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction('unsent', mode).objectStore('unsent');
  }
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
