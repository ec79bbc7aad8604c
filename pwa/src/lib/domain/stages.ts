// The way of a video report from request to picture, as a row of dots and as a list with times.

/** A dot of the way, in its order. CODE_OK is part of it only where a code applies. */
export type Step =
  | 'REQUESTED'
  | 'LINK_SENT'
  | 'OPENED'
  | 'CODE_OK'
  | 'CONSENTED'
  | 'CONNECTED'
  | 'FIRST_FRAME'
  | 'ENDED';

/** done: reached; now: the one being waited for; todo: after that; missed: never reached and over. */
export type StepStanding = 'done' | 'now' | 'todo' | 'missed';

/** One step with the moment it was reached. */
export interface StepMark {
  readonly step: Step;
  readonly standing: StepStanding;
  readonly at: string | null;
}

/** The moments of a video report, as the schema names them. */
export interface Moments {
  /** An officer's has no link and no consent. */
  readonly kind?: string;
  readonly requestedAt: string;
  readonly linkSentAt: string | null;
  readonly openedAt: string | null;
  readonly codeOkAt: string | null;
  readonly consentedAt: string | null;
  readonly connectedAt: string | null;
  readonly firstFrameAt: string | null;
  readonly endedAt: string | null;
  readonly revokedAt: string | null;
  readonly expiredAt: string | null;
  readonly failedAt: string | null;
}

/** Whether nothing more can come of it. */
export function isOver(moments: Pick<Moments, 'endedAt' | 'revokedAt' | 'expiredAt' | 'failedAt'>): boolean {
  return Boolean(moments.endedAt ?? moments.revokedAt ?? moments.expiredAt ?? moments.failedAt);
}

/** When it was over, whatever ended it; null while it goes on. */
export function overAt(moments: Pick<Moments, 'endedAt' | 'revokedAt' | 'expiredAt' | 'failedAt'>): string | null {
  return moments.endedAt ?? moments.revokedAt ?? moments.expiredAt ?? moments.failedAt;
}

/**
 * The steps of a video report. live: whether live video is or was part of it, so that a first frame is waited for;
 * code: whether the caller enters an access code.
 */
export function stepsOf(moments: Moments, { live, code }: { live: boolean; code: boolean }): StepMark[] {
  const staff = moments.kind === 'STAFF';
  const all: [Step, string | null][] = [
    ['REQUESTED', moments.requestedAt],
    ...(staff ? [] : ([['LINK_SENT', moments.linkSentAt], ['OPENED', moments.openedAt]] as [Step, string | null][])),
    ...(code || moments.codeOkAt ? [['CODE_OK', moments.codeOkAt] as [Step, string | null]] : []),
    ...(staff ? [] : ([['CONSENTED', moments.consentedAt]] as [Step, string | null][])),
    ['CONNECTED', moments.connectedAt],
    ...(live || moments.firstFrameAt ? [['FIRST_FRAME', moments.firstFrameAt] as [Step, string | null]] : []),
    ['ENDED', overAt(moments)],
  ];
  const over = isOver(moments);
  // A stage may be reached without the one before it being noted; only what lies after the last one is waited for.
  let last = -1;
  all.forEach(([step, at], index) => {
    if (at && step !== 'ENDED') {
      last = index;
    }
  });
  return all.map(([step, at], index) => ({
    step,
    at,
    standing: at ? 'done' : over || index < last ? 'missed' : index === last + 1 && step !== 'ENDED' ? 'now' : 'todo',
  }));
}
