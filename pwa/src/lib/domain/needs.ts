// Why a case needs somebody, and in which order the board shows the cases.
import { type Moments, isOver } from './stages';

/** Why somebody has to look now. The order is the urgency. */
export const needKinds = [
  'PROOF_MISMATCH',
  'NOT_TAKEN',
  'PHONE_WAITING',
  'LIVE_STALLED',
  'NO_FIRST_FRAME',
  'STALLED',
  'NOT_OPENED_YET',
  'NOT_SENT',
] as const;

/** One of needKinds. */
export type NeedKind = (typeof needKinds)[number];

/** Something that needs somebody, since when, in which video report. */
export interface Need<Stall extends string = string> {
  readonly kind: NeedKind;
  /** The stall behind it, where one is. */
  readonly stall: Stall | null;
  readonly since: string;
  readonly sessionID: string;
  /** Whether the video report is the reader's own. */
  readonly mine: boolean;
}

/** What is read of a video report. */
export interface SessionFacts<Stall extends string = string> extends Moments {
  readonly id: string;
  readonly changedAt: string;
  readonly live: boolean;
  readonly stall: Stall | null;
  readonly stalledAt: string | null;
  /** Null while nobody has taken an officer's. */
  readonly dispatcher: { readonly id: string } | null;
  readonly phones: readonly { readonly state: string; readonly joinedAt: string }[];
}

/** What is read of a case. */
export interface CaseFacts<Stall extends string = string> {
  readonly id: string;
  readonly openedAt: string;
  readonly changedAt: string;
  readonly sessions: readonly SessionFacts<Stall>[];
}

/** How long live video may run without a decoded frame, a link stay unopened, a request unsent, in ms. */
export const patience = { firstFrame: 5_000, opening: 90_000, sending: 60_000 } as const;

/** What a video report needs at a moment, most urgent first. */
export function needsOf<Stall extends string>(
  session: SessionFacts<Stall>,
  me: string,
  now: number,
): Need<Stall>[] {
  if (isOver(session)) {
    return [];
  }
  const needs: Need<Stall>[] = [];
  const add = (kind: NeedKind, since: string, stall: Stall | null = null): void => {
    needs.push({ kind, since, stall, sessionID: session.id, mine: session.dispatcher === null || session.dispatcher.id === me });
  };
  const age = (since: string): number => now - Date.parse(since);
  if (session.stall) {
    const since = session.stalledAt ?? session.changedAt;
    if (session.stall === 'PROOF_MISMATCH') {
      add('PROOF_MISMATCH', since, session.stall);
    } else if (session.stall === 'NETWORK' && session.connectedAt) {
      add('LIVE_STALLED', since, session.stall);
    } else {
      add('STALLED', since, session.stall);
    }
  }
  const waiting = session.phones.find((phone) => phone.state === 'WAITING');
  if (waiting) {
    add('PHONE_WAITING', waiting.joinedAt);
  }
  if (session.live && session.connectedAt && !session.firstFrameAt && age(session.connectedAt) >= patience.firstFrame) {
    add('NO_FIRST_FRAME', session.connectedAt);
  }
  if (!session.stall && session.linkSentAt && !session.openedAt && age(session.linkSentAt) >= patience.opening) {
    add('NOT_OPENED_YET', session.linkSentAt);
  }
  if (session.dispatcher === null) {
    add('NOT_TAKEN', session.requestedAt);
  }
  if (session.kind !== 'STAFF' && !session.linkSentAt && age(session.requestedAt) >= patience.sending) {
    add('NOT_SENT', session.requestedAt);
  }
  return needs.sort(byUrgency);
}

function byUrgency(a: Need, b: Need): number {
  return needKinds.indexOf(a.kind) - needKinds.indexOf(b.kind) || a.since.localeCompare(b.since);
}

/** The most urgent thing a case needs, the reader's own first; null where it needs nobody. */
export function needOf<Stall extends string>(row: CaseFacts<Stall>, me: string, now: number): Need<Stall> | null {
  const needs = row.sessions.flatMap((session) => needsOf(session, me, now));
  needs.sort((a, b) => Number(b.mine) - Number(a.mine) || byUrgency(a, b));
  return needs[0] ?? null;
}

/**
 * The order of the board: what needs the reader, then what needs somebody, each by urgency and then by how long it
 * waits; then the rest, newest first. everyone: the reader looks after every video report, as supervisors do.
 */
export function boardOrder(rows: readonly CaseFacts[], me: string, now: number, everyone: boolean): string[] {
  const ranked = rows.map((row) => {
    const need = needOf(row, me, now);
    return { row, need, group: need ? (need.mine || everyone ? 0 : 1) : 2 };
  });
  ranked.sort(
    (a, b) =>
      a.group - b.group ||
      (a.need && b.need ? byUrgency(a.need, b.need) : 0) ||
      b.row.openedAt.localeCompare(a.row.openedAt) ||
      b.row.id.localeCompare(a.row.id),
  );
  return ranked.map(({ row }) => row.id);
}
