import { defineMessages } from '$lib/i18n.svelte';
import { en } from './words.en';
import { ja } from './words.ja';

/** Every text of the console; see defineMessages. */
export const messages = defineMessages({ ja, en });
