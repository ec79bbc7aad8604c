// An officer's phone as a program: its own key, its own cookie, and what it asks of the server.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';

const { subtle } = webcrypto;

/** A phone that holds a key pair which cannot be read out, and is registered nowhere yet. */
export class OfficersPhone {
  #baseURL;
  #keys;
  #cookie = '';
  id = '';

  static async make(baseURL) {
    const phone = new OfficersPhone();
    phone.#baseURL = baseURL;
    phone.#keys = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
    return phone;
  }

  /** Asks the server as this phone; answers {data, reason}. */
  async ask(query, input) {
    const answer = await fetch(`${this.#baseURL}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        origin: this.#baseURL,
        'genba-actor': 'staff',
        ...(this.#cookie ? { cookie: `__Host-staff=${this.#cookie}` } : {}),
      },
      body: JSON.stringify({ query, variables: input === undefined ? {} : { input } }),
    });
    const [set] = answer.headers.getSetCookie().filter((cookie) => cookie.startsWith('__Host-staff='));
    if (set) {
      this.#cookie = set.slice('__Host-staff='.length).split(';')[0];
    }
    const { data, errors } = await answer.json();
    return { data, reason: errors?.[0]?.extensions?.reason ?? null };
  }

  async must(query, input) {
    const { data, reason } = await this.ask(query, input);
    assert.equal(reason, null);
    return data;
  }

  /** Registers by a sheet's code and answers the number to be matched. */
  async register(code) {
    const key = Buffer.from(await subtle.exportKey('spki', this.#keys.publicKey)).toString('base64');
    const { registerStaffPhone } = await this.must(
      `mutation Register($input: RegisterStaffPhoneInput!) { registerStaffPhone(input: $input) { phone { id matchNumber } } }`,
      { code, publicKey: key, rulesVersion: '2026-11', rulesLanguage: 'ja', system: 'Android 16', browser: 'Chrome 156' },
    );
    this.id = registerStaffPhone.phone.id;
    return registerStaffPhone.phone.matchNumber;
  }

  /** Begins a video report with the code as the officer heard it; answers its reason where it is refused. */
  async start(code) {
    const { challengeStaffPhone } = await this.must(
      `mutation Challenge($input: ChallengeStaffPhoneInput!) { challengeStaffPhone(input: $input) { nonce } }`,
      { phoneID: this.id },
    );
    const { nonce } = challengeStaffPhone;
    const signed = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, this.#keys.privateKey, Buffer.from(nonce));
    return this.ask(
      `mutation Start($input: StartStaffSessionInput!) { startStaffSession(input: $input) { phone { session { id } } } }`,
      { nonce, signature: Buffer.from(signed).toString('base64'), code, withinResponse: true, noOtherPath: true },
    );
  }

  /** What the phone sees of itself. */
  async view() {
    return (await this.must(`{ staffPhone { state wipe taken session { id over } owed { sessionID } } }`)).staffPhone;
  }

  async position() {
    await this.must(
      `mutation Position($input: ReportPositionInput!) { reportPosition(input: $input) { receivedAt } }`,
      { latitude: 37.7503, longitude: 140.4676, accuracy: 8, capturedAt: new Date().toISOString() },
    );
  }
}
