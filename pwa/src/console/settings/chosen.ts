// What an agency has chosen, as far as the console's pages show it.
import type { ResultOf } from '$lib/api/graphql';
import { type Locale, locales } from '$lib/i18n.svelte';
import type { chosenQuery } from './operations';

/** What the pages go by. */
export interface Chosen {
  /** The languages that callers are spoken to in; the first where none was chosen. */
  readonly languages: readonly Locale[];
  /** Whether a viewer's name and the time stand all over the picture. */
  readonly across: boolean;
}

/** What they go by before the server has answered. */
export const defaultChosen: Chosen = { languages: locales, across: false };

/** The same from the server's answer; languages this page has no texts for are left out. */
export function chosenOf(settings: ResultOf<typeof chosenQuery>['settings']): Chosen {
  const languages = settings.languages.flatMap((name) => locales.find((known) => known === name) ?? []);
  return { languages: languages.length > 0 ? languages : locales, across: settings.watermark === 'ACROSS' };
}
