import type { Translated } from '$lib/i18n.svelte';
import type { messages } from '../messages';
import type { StaffFlow } from '../StaffFlow.svelte';

/** The words for what the flow has to tell beside its screen; empty where there is nothing. */
export function noticeText(flow: StaffFlow, t: Translated<(typeof messages)['ja']>): string {
  const { notice } = flow;
  if (notice === undefined) {
    return '';
  }
  if (typeof notice === 'object') {
    return notice.said;
  }
  switch (notice) {
    case 'asked':
      return t.act.asked(t.act.askedWhat[flow.asked]);
    case 'reported':
      return t.usage.reported;
    case 'accepted':
      return t.rules.accepted;
    default:
      return t.notice[notice];
  }
}
