import { createI18n } from '$lib/i18n.svelte';
import { messages } from './messages';

/** The texts of this page in the reader's language. */
export const i18n = createI18n(messages);
