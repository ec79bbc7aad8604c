// The texts of sharing with own officers in English.
import type { Translated } from '$lib/i18n.svelte';
import type { officerShare as ja } from './words.share.ja';

export const officerShare: Translated<typeof ja> = {
  action: 'Show to officers',
  title: 'Show to officers',
  text: 'Only the issued phones of the officers you choose show this video report; a private phone never does. They take no snapshots and save nothing; who looked and when is on record.',
  search: 'Find by unit, name or number',
  searching: 'Looking…',
  none: 'No officer with an issued phone was found. Search by part of a unit, name or number.',
  list: 'Officers',
  already: 'shown already',
  chosen: (count) => `${count} chosen`,
  noneChosen: 'Choose the officers who shall see it.',
  tooMany: (most) => `At most ${most} at once.`,
  confirm: 'Show',
  given: (count) => (count === 1 ? 'Shown to 1 officer' : `Shown to ${count} officers`),
  panel: 'Shown to',
  officer: 'Officer',
  end: {
    title: 'End the officer’s video report',
    say: 'To the officer, by phone or radio',
    text: {
      DONE: 'We have seen it. Stop sending.',
      FALSE_REPORT: 'The video report ends here. Report by phone or radio.',
      IMPROPER_FILMING: 'Stop filming, and mind the privacy of others. The video report ends here.',
      UNSAFE: 'Stop filming at once and get to safety.',
      MISDIRECTED: 'The video report ends here.',
      OTHER: 'The video report ends here. Report by phone or radio.',
    },
  },
};
