// Settings as a manager reads them: one line a value, whatever it is on the wire.
import type { ResultOf } from '$lib/api/graphql';
import { i18n } from '../i18n';
import type { settingsQuery } from './operations';

/** The settings of the own agency. */
export type Settings = ResultOf<typeof settingsQuery>['settings'];

/** The name of a setting; what this page does not know yet has the server's. */
export function nameOf(setting: string): string {
  const names: Readonly<Record<string, string>> = i18n.t.audit.settings.names;
  return names[setting] ?? setting;
}

/** What a language offer is called in the list of choices. */
export type Offer = keyof typeof i18n.t.audit.settings.languageOffers;

/** The value of a setting in words. json is what the server keeps. */
export function valueOf(setting: string, json: string): string {
  const words = i18n.t.audit.settings;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return json;
  }
  switch (setting) {
    case 'languages': {
      const offer = Array.isArray(value) ? value.join('_') : '';
      return offer in words.languageOffers ? words.languageOffers[offer as Offer] : json;
    }
    case 'watermark':
      return value === 'CORNER' || value === 'ACROSS' ? words.watermark[value] : json;
    case 'passwords':
      return value === true ? words.yes : words.no;
    case 'callerCode':
      return value === true ? words.on : words.off;
    case 'authenticators':
      return Array.isArray(value) && value.length > 0 ? `${words.models(value.length)}: ${value.join(', ')}` : words.any;
    default:
      return typeof value === 'number' ? i18n.number(value) : json;
  }
}
