import { createI18n, defineMessages } from '$lib/i18n.svelte';

const messages = defineMessages({
  ja: {
    title: '映像通報 指令台',
  },
  en: {
    title: 'Video report console',
  },
});

/** Every text of this page; see defineMessages. */
export const i18n = createI18n(messages);
