// What happens to officers and their phones, told at once on every page of the console.
import type { Notices } from '$lib/ui/notices.svelte';
import type { BoardEvent } from '../board/board.svelte';
import { i18n } from '../i18n';

/** Tells of what needs somebody: a leak stays until it is closed, as a wrong access code does. */
export function sayStaff(event: { readonly entries: readonly Pick<BoardEvent['entries'][number], 'type'>[] }, notices: Notices): void {
  for (const { type } of event.entries) {
    switch (type) {
      case 'LEAK_REPORTED':
        notices.problem(i18n.t.staff.notice.leak);
        break;
      case 'STAFF_CODE_REFUSED':
        notices.problem(i18n.t.staff.notice.code);
        break;
      case 'STAFF_SESSION_STARTED':
        notices.say(i18n.t.staff.notice.started);
        break;
      case 'USAGE_CHASED':
        notices.say(i18n.t.staff.notice.chased);
        break;
    }
  }
}
