// The texts of what waits for a supervisor or the manager, in English.
import type { Translated } from '$lib/i18n.svelte';
import type { waiting as ja } from './words.waiting.ja';

export const waiting: Translated<typeof ja> = {
  leaks: 'Lost phones and leaked staff links',
  forwarded: 'Waits for the manager to revoke it',
  notForwarded: 'Waits to be suspended and sent to the manager',
  exports: 'Exports',
  yours: 'Waits for your approval',
  overdue: (medium) => `Medium ${medium} is overdue`,
  usage: 'Officers’ usage reports',
  owed: 'Not reported thirty minutes after the end',
  timing: { BEFORE: 'Reported before, not noted yet', AFTER: 'Reported after, not noted yet' },
  since: (time) => `${time} ago`,
  sealed: 'A sealed emergency password was opened. Check “Users” and the record.',
};
