// The settings as the form holds them, and what of them differs from what stands.
import type { VariablesOf } from '$lib/api/graphql';
import type { updateSettingsMutation } from './operations';
import type { Settings } from './values';

type Changes = Omit<VariablesOf<typeof updateSettingsMutation>['input'], 'version' | 'reason'>;

/** The settings that are numbers, in the order of the form. */
export const groups = {
  link: ['linkUses', 'linkMinutes'],
  caller: ['dataMegabytes'],
  files: ['fileMegabytes', 'sessionFiles', 'sessionMegabytes'],
  sends: ['sendsPerNumber', 'sendsPerUser', 'sendsPerAgency'],
  staff: ['staffCodeHour'],
  screen: ['idleMinutes', 'passwordLength'],
} as const;

/** A setting that is a number. */
export type NumberSetting = (typeof groups)[keyof typeof groups][number];

const numbers: readonly NumberSetting[] = Object.values(groups).flat();

/** One setting that would change. */
export interface Change {
  readonly setting: string;
  readonly old: string;
  readonly new: string;
}

/** The form. */
export class SettingsForm {
  #now = $state.raw<Settings>() as Settings;
  texts = $state<Record<NumberSetting, string>>({} as Record<NumberSetting, string>);
  languages = $state<'ja' | 'en' | 'ja_en' | 'en_ja'>('ja_en');
  watermark = $state<Settings['watermark']>('CORNER');
  passwords = $state<'yes' | 'no'>('yes');
  authenticators = $state('');
  reason = $state('');

  constructor(settings: Settings) {
    this.take(settings);
  }

  /** The version that is shown. */
  get version(): number {
    return this.#now.version;
  }

  /** Shows what stands now. */
  take(settings: Settings): void {
    this.#now = settings;
    for (const name of numbers) {
      this.texts[name] = String(settings[name]);
    }
    this.languages = settings.languages.join('_') as typeof this.languages;
    this.watermark = settings.watermark;
    this.passwords = settings.passwords ? 'yes' : 'no';
    this.authenticators = settings.authenticators.join('\n');
    this.reason = '';
  }

  /** Puts everything back as it stands. */
  undo(): void {
    this.take(this.#now);
  }

  /** What a number may be. */
  boundOf(name: NumberSetting): { readonly min: number; readonly max: number } {
    return this.#now.bounds.find(({ setting }) => setting === name) ?? { min: 0, max: 0 };
  }

  /** Whether what was entered is a number that the setting may be. */
  fits(name: NumberSetting): boolean {
    const text = this.texts[name].trim();
    const { min, max } = this.boundOf(name);
    return /^\d{1,6}$/.test(text) && Number(text) >= min && Number(text) <= max;
  }

  /** Whether every number may be what it is. */
  get complete(): boolean {
    return numbers.every((name) => this.fits(name));
  }

  /** What would change; nothing for a number that cannot be. */
  get input(): Changes {
    const now = this.#now;
    const input: Changes = {};
    for (const name of numbers) {
      if (this.fits(name) && Number(this.texts[name]) !== now[name]) {
        input[name] = Number(this.texts[name]);
      }
    }
    if (this.languages !== now.languages.join('_')) {
      input.languages = this.languages.split('_');
    }
    if (this.watermark !== now.watermark) {
      input.watermark = this.watermark;
    }
    if ((this.passwords === 'yes') !== now.passwords) {
      input.passwords = this.passwords === 'yes';
    }
    const models = this.authenticators.split('\n').map((line) => line.trim()).filter((line) => line !== '');
    if (models.join('\n') !== now.authenticators.join('\n')) {
      input.authenticators = models;
    }
    return input;
  }

  /** The same, old and new as JSON. */
  get changes(): readonly Change[] {
    return Object.entries(this.input).map(([setting, value]) => ({
      setting,
      old: JSON.stringify(this.#now[setting as keyof Settings]),
      new: JSON.stringify(value),
    }));
  }
}
