// What to try while the caller is on the way to the picture, by how long it takes.
import { type Moments, isOver } from './stages';

/** Something to try. */
export type Advice = 'SEND_AGAIN' | 'EMAIL' | 'SWITCH_TO_PHOTO' | 'STOP';

/** When advice is due, in ms since the link was sent. */
export const adviceAfter = [30_000, 60_000, 90_000] as const;

/** The clock of a link on its way: how long, and what to try by now, newest advice first. */
export interface AdviceClock {
  readonly elapsed: number;
  readonly advice: readonly Advice[];
}

/**
 * The clock that runs since the link was sent, until something arrives; null before, after and once it is over.
 * A link that was not opened is a matter of the message; one that was opened, of the phone.
 */
export function adviceClock(
  session: Moments & {
    readonly asked: string;
    readonly email: string | null;
    readonly stall: string | null;
    /** When the newest link went out: sending again begins the clock anew. */
    readonly sentAt: string | null;
  },
  now: number,
): AdviceClock | null {
  if (!session.linkSentAt || session.connectedAt || isOver(session)) {
    return null;
  }
  const elapsed = Math.max(0, now - Date.parse(session.sentAt ?? session.linkSentAt));
  // A message that did not arrive is not waited for.
  const undelivered = session.stall === 'SMS_UNDELIVERED';
  const steps: (Advice | null)[] = session.openedAt
    ? [null, session.asked === 'LIVE' ? 'SWITCH_TO_PHOTO' : null, 'STOP']
    : ['SEND_AGAIN', session.email ? null : 'EMAIL', 'STOP'];
  const advice = adviceAfter.flatMap((after, index) => {
    const step = steps[index];
    return (elapsed >= after || (undelivered && step !== 'STOP')) && step ? [step] : [];
  });
  return { elapsed, advice: advice.reverse() };
}
