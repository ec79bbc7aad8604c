// A video report as plain text, for the incident sheet. It names no number and no address.
import { pointText } from '$lib/domain/compare';
import { stepsOf } from '$lib/domain/stages';
import { evidence, metres } from '../format';
import { i18n } from '../i18n';
import type { SessionDetails } from './session.svelte';

/** The summary in the console's language, a fact a line. */
export function summaryOf(session: SessionDetails): string {
  const { t } = i18n;
  const line = (name: string, value: string): string => `${name}: ${value}`;
  const { counts, lastPosition } = session;
  const received = [
    counts.photosNow + counts.photosBefore > 0 ? t.counts.photos(counts.photosNow + counts.photosBefore) : '',
    counts.videosNow + counts.videosBefore > 0 ? t.counts.videos(counts.videosNow + counts.videosBefore) : '',
    counts.recordings > 0 ? t.counts.recordings(counts.recordings) : '',
    counts.snapshots > 0 ? t.counts.snapshots(counts.snapshots) : '',
  ].filter((part) => part !== '');
  return [
    t.session.summaryTitle,
    line(t.board.columns.number, session.case.number),
    line(t.case.class, t.class[session.case.class]),
    line(t.case.place, [session.case.municipality, session.case.place].filter((part) => part !== '').join(' ') || t.unknown),
    line(t.session.dispatcher, session.dispatcher?.displayName ?? t.unknown),
    line(t.session.asked, t.mode[session.asked]),
    ...(session.staffMember ? [line(t.actor.STAFF_PHONE, t.staff.badge(session.staffMember.unit, session.staffMember.name))] : [t.session.need(session.need)]),
    ...(session.lateReason === '' ? [] : [t.session.late(session.lateReason)]),
    ...stepsOf(session, { live: false, code: false })
      .filter((mark) => mark.at !== null)
      .map((mark) => line(t.step[mark.step], evidence(mark.at ?? ''))),
    line(t.board.columns.counts, received.join(', ') || t.none),
    line(
      t.session.position,
      lastPosition
        ? `${pointText(lastPosition)} (${t.session.accuracy(metres(lastPosition.accuracy))}, ${evidence(lastPosition.capturedAt)})`
        : t.unknown,
    ),
    ...(session.endReason ? [line(t.step.ENDED, t.endReason[session.endReason])] : []),
  ].join('\n');
}
