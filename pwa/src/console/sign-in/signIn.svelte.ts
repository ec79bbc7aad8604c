// Signing in by password. The server slows down who guesses; its words are shown as they come.
import type { Api } from '$lib/api/client';
import type { SignedIn } from '../console.svelte';
import { signInMutation } from '../operations';

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

  /** Signs in; null where something is missing. The password does not outlive the try. */
  async submit(): Promise<SignedIn | null> {
    this.#tried = true;
    if (this.#busy || this.missing) {
      return null;
    }
    this.#busy = true;
    try {
      const { signIn } = await this.#api.ask(signInMutation, {
        input: {
          agency: this.agency.trim() === '' ? null : this.agency.trim(),
          userName: this.userName.trim(),
          password: this.password,
        },
      });
      return signIn.me.user ? { agency: signIn.me.agency, user: signIn.me.user, reception: signIn.me.reception } : null;
    } finally {
      this.password = '';
      this.#tried = false;
      this.#busy = false;
    }
  }
}
