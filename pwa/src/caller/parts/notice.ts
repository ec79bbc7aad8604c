import type { Translated } from '$lib/i18n.svelte';
import type { CallerFlow } from '../CallerFlow.svelte';
import type { messages } from '../messages';

/** The words for what the flow has to tell beside its screen; empty where there is nothing. */
export function noticeText(flow: CallerFlow, t: Translated<(typeof messages)['ja']>): string {
  const notice = flow.notice;
  if (notice === undefined) {
    return '';
  }
  if (typeof notice === 'object') {
    return notice.said;
  }
  switch (notice) {
    case 'asked':
      return t.notice.asked(t.act.headings[flow.asked]);
    case 'termsChanged':
      return t.consent.changed;
    default:
      return t.notice[notice];
  }
}
