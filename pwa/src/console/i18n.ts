import { createI18n } from '$lib/i18n.svelte';
import { messages } from './messages';

/** The language of this page and its texts in it. */
export const i18n = createI18n(messages);
