// The record in words: who did what, and the part of what it says that a reader can act on.
import { i18n } from './i18n';
import type { Entry } from './timeline.svelte';

/** Who did it: the user's name, else what kind of actor it was. */
export function actorOf(entry: Entry): string {
  return entry.actor?.displayName ?? i18n.t.actor[entry.actorKind];
}

function known(group: object, value: unknown): string {
  const word = typeof value === 'string' ? (group as Record<string, unknown>)[value] : undefined;
  return typeof word === 'string' ? word : '';
}

/** The payload as an object; empty where it was erased or says nothing. */
export function payloadOf(entry: Entry): Record<string, unknown> {
  if (!entry.payload) {
    return {};
  }
  try {
    const value: unknown = JSON.parse(entry.payload);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Whom a video report was shared with; empty where the entry no longer says. */
function sharedTo(payload: Record<string, unknown>): string {
  const { sharedTo } = i18n.t;
  return payload['member'] ? sharedTo.officer : payload['agency'] ? sharedTo.agency : '';
}

/** What the entry adds to its type, in words: reason, mode, kind; empty where it adds nothing. */
export function detailOf(entry: Entry): string {
  const { t } = i18n;
  const payload = payloadOf(entry);
  const parts = [
    known(t.endReason, payload['reason']) || known(t.stall, payload['reason']),
    known(t.stall, payload['stall']),
    known(t.mode, payload['mode']) || known(t.mode, payload['asked']),
    known(t.session.kind, payload['kind']),
    known(t.session.channel, payload['channel']),
    known(t.session.purpose, payload['purpose']),
    known(t.class, payload['class']),
    entry.type === 'SHARE_GIVEN' ? sharedTo(payload) : '',
  ];
  return parts.filter((part) => part !== '').join('・');
}
