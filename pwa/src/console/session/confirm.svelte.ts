// The second confirmation: another act than the first, typed as the caller reads it aloud.
import type { Api } from '$lib/api/client';
import { Refusal } from '$lib/api/refusal';
import { confirmDigits, nextDigits } from '$lib/domain/digits';
import { type Check, checkNames } from '../case/request.svelte';
import type { SessionDetails } from './session.svelte';
import { confirmSendMutation } from './operations';

/** What the confirmation needs to know of its video report. */
export type ToConfirm = Pick<SessionDetails, 'id' | 'email' | 'checks' | 'lateReason'>;

/** The state of one second confirmation. */
export class ConfirmSend {
  typed = $state('');
  checks = $state<Record<Check, boolean>>({
    safe: false,
    cameraPhone: false,
    numberNotified: false,
    explained: false,
    supervisorTold: false,
  });
  readonly #api: Api;
  readonly #session: ToConfirm;
  readonly #newKey: () => string;
  #key: string;
  #busy = $state(false);
  #pasteRefused = $state(false);

  constructor(api: Api, session: ToConfirm, newKey: () => string = () => crypto.randomUUID()) {
    this.#api = api;
    this.#session = session;
    this.#newKey = newKey;
    this.#key = newKey();
    this.checks = { ...session.checks };
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether the address is typed once more, instead of the last digits of the number. */
  get byEmail(): boolean {
    return this.#session.email !== null;
  }

  /** Whether somebody tried to paste. */
  get pasteRefused(): boolean {
    return this.#pasteRefused;
  }

  /** Whether there is enough to try. The checks are the server's to refuse, and are shown here. */
  get ready(): boolean {
    return (
      !this.#busy &&
      this.openChecks.length === 0 &&
      (this.byEmail ? this.typed.includes('@') : this.typed.length === confirmDigits)
    );
  }

  /** The checks without which nothing is sent. */
  get openChecks(): readonly Check[] {
    return checkNames.filter(
      (check) => !this.checks[check] && !(check === 'supervisorTold' && this.#session.lateReason !== ''),
    );
  }

  /** Takes what an input event made of the field; answers what the field shall show. */
  input(value: string): string {
    this.typed = this.byEmail ? value : nextDigits(this.typed, value);
    return this.typed;
  }

  /** Somebody tried to paste or drop. */
  refusePaste(): void {
    this.#pasteRefused = true;
  }

  /** Toggles the check of a key from "1" to "5"; false where the key is none of them. */
  key(key: string): boolean {
    const check = /^[1-5]$/.test(key) ? checkNames[Number(key) - 1] : undefined;
    if (!check) {
      return false;
    }
    this.checks[check] = !this.checks[check];
    return true;
  }

  /** Issues the link and sends it; null where it is not ready. A try after a lost answer sends no second message. */
  async send(): Promise<SessionDetails | null> {
    if (!this.ready) {
      return null;
    }
    this.#busy = true;
    try {
      const { confirmSend } = await this.#api.ask(confirmSendMutation, {
        input: {
          sessionID: this.#session.id,
          lastFour: this.typed.trim(),
          checks: { ...this.checks },
          idempotencyKey: this.#key,
        },
      });
      this.#renew();
      return confirmSend.session;
    } catch (error) {
      if (error instanceof Refusal) {
        this.#renew();
      }
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #renew(): void {
    this.typed = '';
    this.#key = this.#newKey();
  }
}
