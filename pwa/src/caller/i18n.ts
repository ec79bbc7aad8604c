import { createI18n, defineMessages } from '$lib/i18n.svelte';

const messages = defineMessages({
  ja: {
    title: '110番 映像通報',
  },
  en: {
    title: '110 video report',
  },
});

/** Every text of this page; see defineMessages. */
export const i18n = createI18n(messages);
