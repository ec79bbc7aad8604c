// Signing in by password. The server slows down who guesses; its words are shown as they come.
import type { Api } from '$lib/api/client';
import type { SignedIn } from '../console.svelte';
import { signInMutation } from '../operations';
import { touch } from '../passkey';
import { beginSignInMutation, finishSignInMutation, signInSealedMutation } from '../people/operations';

/** The state of the sign-in page. */
export class SignIn {
  agency = $state('');
  userName = $state('');
  password = $state('');
  readonly #api: Api;
  #busy = $state(false);
  #tried = $state(false);

  constructor(api: Api) {
    this.#api = api;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether it was tried with an empty user ID or password. */
  get missing(): boolean {
    return this.#tried && (this.userName.trim() === '' || this.password === '');
  }

  /** Signs in by passkey: whichever of ours the authenticator has. */
  async byPasskey(): Promise<SignedIn | null> {
    if (this.#busy) {
      return null;
    }
    this.#busy = true;
    try {
      const { challenge, options } = (await this.#api.ask(beginSignInMutation, {})).beginSignIn;
      const assertion = await touch(options);
      const input = { agency: this.#agency, userName: this.userName.trim() || null, challenge, assertion };
      const { me } = (await this.#api.ask(finishSignInMutation, { input })).finishSignIn;
      return me.user ? { agency: me.agency, user: me.user, reception: me.reception, terminal: me.terminal } : null;
    } finally {
      this.#busy = false;
    }
  }

  get #agency(): string | null {
    return this.agency.trim() === '' ? null : this.agency.trim();
  }

  /** Signs in; null where something is missing. The password does not outlive the try. */
  async submit(sealed = false): Promise<SignedIn | null> {
    this.#tried = true;
    if (this.#busy || this.missing) {
      return null;
    }
    this.#busy = true;
    try {
      const input = { agency: this.#agency, userName: this.userName.trim(), password: this.password };
      const { me } = sealed
        ? (await this.#api.ask(signInSealedMutation, { input })).signInSealed
        : (await this.#api.ask(signInMutation, { input })).signIn;
      return me.user ? { agency: me.agency, user: me.user, reception: me.reception, terminal: me.terminal } : null;
    } finally {
      this.password = '';
      this.#tried = false;
      this.#busy = false;
    }
  }
}
