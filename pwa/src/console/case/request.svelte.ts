// The request panel: what is asked for and why, what was checked, and where the link shall go. It issues nothing.
import type { VariablesOf } from '$lib/api/graphql';
import type { Api } from '$lib/api/client';
import { plainDigits } from '$lib/domain/digits';
import { requestVideoMutation } from './operations';

/** What the caller is asked for. */
export type Mode = VariablesOf<typeof requestVideoMutation>['input']['asked'];

/** The checks in the order of their keys 1 to 5. */
export const checkNames = ['safe', 'cameraPhone', 'numberNotified', 'explained', 'supervisorTold'] as const;

/** One of checkNames. */
export type Check = (typeof checkNames)[number];

/** A field without which the server would refuse. */
export type Missing = 'need' | 'lateReason' | 'number' | 'email' | 'emailReason';

/** How the link goes out. */
export type Channel = 'SMS' | 'EMAIL';

/** What to begin with, as when a link goes by e-mail after an SMS did not arrive. */
export interface RequestStart {
  readonly asked?: Mode;
  readonly need?: string;
  readonly checks?: Partial<Record<Check, boolean>>;
  readonly lateReason?: string;
  readonly language?: 'ja' | 'en';
  readonly channel?: Channel;
  readonly emailReason?: string;
  /** The number of a drill's played caller. */
  readonly number?: string;
}

/** The state of the request panel of one case. */
export class RequestPanel {
  asked = $state<Mode>('LIVE');
  need = $state('');
  checks = $state<Record<Check, boolean>>({
    safe: false,
    cameraPhone: false,
    numberNotified: false,
    explained: false,
    supervisorTold: false,
  });
  lateReason = $state('');
  language = $state<'ja' | 'en'>('ja');
  channel = $state<Channel>('SMS');
  number = $state('');
  notifiedNumber = $state('');
  email = $state('');
  emailReason = $state('');
  readonly #api: Api;
  readonly #caseID: string;
  #tried = $state(false);
  #busy = $state(false);

  constructor(api: Api, caseID: string, start: RequestStart = {}) {
    this.#api = api;
    this.#caseID = caseID;
    this.asked = start.asked ?? 'LIVE';
    this.need = start.need ?? '';
    this.checks = { ...this.checks, ...start.checks };
    this.lateReason = start.lateReason ?? '';
    this.language = start.language ?? 'ja';
    this.channel = start.channel ?? 'SMS';
    this.emailReason = start.emailReason ?? '';
    this.number = start.number ?? '';
  }

  /** Whether the server is being asked. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Sets a check or takes it back. */
  toggle(check: Check): void {
    this.checks[check] = !this.checks[check];
  }

  /** Toggles the check of a key from "1" to "5"; false where the key is none of them. */
  key(key: string): boolean {
    const check = checkNames[Number(key) - 1];
    if (!check || !/^[1-5]$/.test(key)) {
      return false;
    }
    this.toggle(check);
    return true;
  }

  /** How many checks are open before anything can be sent. A late report takes the place of an advance one. */
  get open(): number {
    return checkNames.filter(
      (check) => !this.checks[check] && !(check === 'supervisorTold' && this.lateReason.trim() !== ''),
    ).length;
  }

  /** What has to be filled in, once it was tried without. */
  get missing(): readonly Missing[] {
    return this.#tried ? this.#gaps() : [];
  }

  /** Takes the notified number as the one to send to. */
  useNotified(): void {
    this.number = this.notifiedNumber;
  }

  /** The digits of the notified number, where one was given and it differs from the number typed. */
  get differs(): boolean {
    const notified = plainDigits(this.notifiedNumber);
    const number = plainDigits(this.number);
    return notified !== '' && number !== '' && notified !== number;
  }

  /** Asks the server for the destination as it will be used; null where something is missing. */
  async submit(): Promise<{ sessionID: string; numberDiffers: boolean } | null> {
    this.#tried = true;
    if (this.#busy || this.#gaps().length > 0) {
      return null;
    }
    this.#busy = true;
    try {
      const bySMS = this.channel === 'SMS';
      const { requestVideo } = await this.#api.ask(requestVideoMutation, {
        input: {
          caseID: this.#caseID,
          asked: this.asked,
          need: this.need.trim(),
          checks: { ...this.checks },
          lateReason: this.checks.supervisorTold ? null : this.lateReason.trim(),
          number: bySMS ? this.number.trim() : null,
          notifiedNumber: bySMS && this.notifiedNumber.trim() !== '' ? this.notifiedNumber.trim() : null,
          email: bySMS ? null : this.email.trim(),
          emailReason: bySMS ? null : this.emailReason.trim(),
          language: this.language,
        },
      });
      return { sessionID: requestVideo.session.id, numberDiffers: requestVideo.numberDiffers };
    } finally {
      this.#busy = false;
    }
  }

  #gaps(): Missing[] {
    const gaps: Missing[] = [];
    const need = (field: Missing, value: string): void => {
      if (value.trim() === '') {
        gaps.push(field);
      }
    };
    need('need', this.need);
    if (!this.checks.supervisorTold) {
      need('lateReason', this.lateReason);
    }
    if (this.channel === 'SMS') {
      need('number', this.number);
    } else {
      need('email', this.email);
      need('emailReason', this.emailReason);
    }
    return gaps;
  }
}
