import { describe, expect, test } from 'vitest';
import { adviceClock } from './advice';
import { claimedMoment, distance, pointText } from './compare';
import { allowsKey, nextDigits, plainDigits } from './digits';
import { clockText } from './elapsed';
import { type SessionFacts, boardOrder, needOf, needsOf } from './needs';
import { type Moments, stepsOf } from './stages';

const start = Date.parse('2026-11-23T00:00:00Z');
const at = (seconds: number): string => new Date(start + seconds * 1_000).toISOString();
const clock = (seconds: number): number => start + seconds * 1_000;

const moments: Moments = {
  requestedAt: at(0),
  linkSentAt: null,
  openedAt: null,
  codeOkAt: null,
  consentedAt: null,
  connectedAt: null,
  firstFrameAt: null,
  endedAt: null,
  revokedAt: null,
  expiredAt: null,
  failedAt: null,
};

function session(id: string, facts: Partial<SessionFacts> = {}): SessionFacts {
  return {
    ...moments,
    id,
    changedAt: at(0),
    live: false,
    stall: null,
    stalledAt: null,
    dispatcher: { id: 'me' },
    phones: [],
    ...facts,
  };
}

describe('steps', () => {
  test('an officer has no link and gives no consent', () => {
    const marks = stepsOf({ ...moments, kind: 'STAFF', codeOkAt: at(0) }, { live: true, code: false });
    expect(marks.map(({ step }) => step)).toEqual(['REQUESTED', 'CODE_OK', 'CONNECTED', 'FIRST_FRAME', 'ENDED']);
  });

  const standing = (facts: Partial<Moments>, options = { live: true, code: false }): string =>
    stepsOf({ ...moments, ...facts }, options)
      .map(({ step, standing }) => `${step}:${standing}`)
      .join(' ');

  test('the next one is waited for', () => {
    expect(standing({ linkSentAt: at(1) })).toBe(
      'REQUESTED:done LINK_SENT:done OPENED:now CONSENTED:todo CONNECTED:todo FIRST_FRAME:todo ENDED:todo',
    );
  });

  test('a code has its own step', () => {
    expect(standing({}, { live: false, code: true })).toBe(
      'REQUESTED:done LINK_SENT:now OPENED:todo CODE_OK:todo CONSENTED:todo CONNECTED:todo ENDED:todo',
    );
  });

  test('the end is not waited for', () => {
    const all = { linkSentAt: at(1), openedAt: at(2), consentedAt: at(3), connectedAt: at(4) };
    expect(standing(all, { live: false, code: false })).toMatch(/CONNECTED:done ENDED:todo$/);
  });

  test('what was not reached before the end was missed', () => {
    expect(standing({ linkSentAt: at(1), revokedAt: at(9) }, { live: false, code: false })).toBe(
      'REQUESTED:done LINK_SENT:done OPENED:missed CONSENTED:missed CONNECTED:missed ENDED:done',
    );
  });
});

describe('needs', () => {
  test('nothing is needed on the ordinary way', () => {
    expect(needsOf(session('s', { linkSentAt: at(5) }), 'me', clock(60))).toEqual([]);
  });

  test.each([
    ['a second phone waits', { phones: [{ state: 'WAITING', joinedAt: at(3) }] }, 10, 'PHONE_WAITING'],
    ['the words differ', { stall: 'PROOF_MISMATCH', stalledAt: at(3) }, 10, 'PROOF_MISMATCH'],
    ['the camera is denied', { stall: 'CAMERA_DENIED', stalledAt: at(3) }, 10, 'STALLED'],
    ['live video stands still', { connectedAt: at(1), firstFrameAt: at(2), stall: 'NETWORK' }, 10, 'LIVE_STALLED'],
    ['no frame 5 s after connecting', { linkSentAt: at(0), openedAt: at(0), live: true, connectedAt: at(1) }, 6, 'NO_FIRST_FRAME'],
    ['not opened for 90 s', { linkSentAt: at(0) }, 90, 'NOT_OPENED_YET'],
    ['not sent for a minute', {}, 60, 'NOT_SENT'],
  ])('%s', (_, facts, seconds, kind) => {
    const sent = { linkSentAt: at(0), openedAt: at(0), ...facts };
    const it = session('s', kind === 'NOT_SENT' || kind === 'NOT_OPENED_YET' ? facts : sent);
    expect(needsOf(it, 'me', clock(seconds)).map((need) => need.kind)).toEqual([kind]);
  });

  test('no first frame is not said before 5 s', () => {
    const it = session('s', { linkSentAt: at(0), openedAt: at(0), live: true, connectedAt: at(1) });
    expect(needsOf(it, 'me', clock(5.9))).toEqual([]);
  });

  test('what is over needs nobody', () => {
    const it = session('s', { stall: 'NETWORK', connectedAt: at(1), endedAt: at(4) });
    expect(needsOf(it, 'me', clock(100))).toEqual([]);
  });

  test('one’s own comes before a more urgent one of another', () => {
    const row = {
      id: 'c',
      openedAt: at(0),
      changedAt: at(0),
      sessions: [
        session('other', { linkSentAt: at(0), openedAt: at(0), stall: 'PROOF_MISMATCH', dispatcher: { id: 'you' } }),
        session('mine', { linkSentAt: at(0), openedAt: at(0), stall: 'CAMERA_DENIED' }),
      ],
    };
    expect(needOf(row, 'me', clock(1))?.sessionID).toBe('mine');
  });
});

describe('the order of the board', () => {
  const quiet = (id: string, opened: number) => ({ id, openedAt: at(opened), changedAt: at(opened), sessions: [] });
  test('an officer nobody has taken is everybody\'s, at once', () => {
    const waiting = { ...session('staff', { kind: 'STAFF', dispatcher: null, codeOkAt: at(0) }) };
    expect(needsOf(waiting, 'me', Date.parse(at(0)))).toMatchObject([{ kind: 'NOT_TAKEN', mine: true }]);
    expect(needsOf({ ...waiting, dispatcher: { id: 'you' } }, 'me', Date.parse(at(600)))).toEqual([]);
  });

  const needy = (id: string, stall: string, since: number, dispatcher = 'me') => ({
    ...quiet(id, 0),
    sessions: [session(id, { linkSentAt: at(0), openedAt: at(0), stall, stalledAt: at(since), dispatcher: { id: dispatcher } })],
  });

  test('what needs me, then what needs another, then the newest', () => {
    const rows = [
      quiet('old', 1),
      quiet('new', 9),
      needy('other', 'PROOF_MISMATCH', 1, 'you'),
      needy('camera', 'CAMERA_DENIED', 2),
      needy('words', 'PROOF_MISMATCH', 5),
      needy('older camera', 'CAMERA_DENIED', 1),
    ];
    expect(boardOrder(rows, 'me', clock(10), false)).toEqual([
      'words', 'older camera', 'camera', 'other', 'new', 'old',
    ]);
  });

  test('a supervisor looks after everybody’s', () => {
    const rows = [needy('mine', 'CAMERA_DENIED', 1), needy('other', 'PROOF_MISMATCH', 2, 'you')];
    expect(boardOrder(rows, 'me', clock(10), true)).toEqual(['other', 'mine']);
  });
});

describe('the advice clock', () => {
  const way = (
    facts: Partial<Moments> & { asked?: string; email?: string | null; stall?: string; sentAt?: string },
    seconds: number,
  ) => adviceClock({ ...moments, asked: 'LIVE', email: null, stall: null, sentAt: null, ...facts }, clock(seconds));

  test('a message that did not arrive is not waited for', () => {
    expect(way({ linkSentAt: at(0), stall: 'SMS_UNDELIVERED' }, 2)?.advice).toEqual(['EMAIL', 'SEND_AGAIN']);
  });

  test('sending again begins the clock anew', () => {
    expect(way({ linkSentAt: at(0), sentAt: at(80) }, 95)).toEqual({ elapsed: 15_000, advice: [] });
  });

  test('runs from sending until something arrives', () => {
    expect(way({}, 5)).toBeNull();
    expect(way({ linkSentAt: at(10) }, 15)?.elapsed).toBe(5_000);
    expect(way({ linkSentAt: at(0), connectedAt: at(4) }, 5)).toBeNull();
    expect(way({ linkSentAt: at(0), revokedAt: at(4) }, 5)).toBeNull();
  });

  test.each([
    [29, []],
    [30, ['SEND_AGAIN']],
    [60, ['EMAIL', 'SEND_AGAIN']],
    [90, ['STOP', 'EMAIL', 'SEND_AGAIN']],
  ])('not opened after %i s: %j', (seconds, advice) => {
    expect(way({ linkSentAt: at(0) }, seconds)?.advice).toEqual(advice);
  });

  test.each([
    [59, []],
    [60, ['SWITCH_TO_PHOTO']],
    [90, ['STOP', 'SWITCH_TO_PHOTO']],
  ])('opened but nothing came after %i s: %j', (seconds, advice) => {
    expect(way({ linkSentAt: at(0), openedAt: at(3) }, seconds)?.advice).toEqual(advice);
  });

  test('e-mail is not advised where it was e-mail', () => {
    expect(way({ linkSentAt: at(0), email: 'a@example.jp' }, 60)?.advice).toEqual(['SEND_AGAIN']);
  });

  test('a photo is not advised where no live video was asked for', () => {
    expect(way({ linkSentAt: at(0), openedAt: at(3), asked: 'PHOTO' }, 60)?.advice).toEqual([]);
  });
});

describe('the last four digits', () => {
  test('a held key does nothing', () => {
    expect(allowsKey({ key: '5', repeat: false })).toBe(true);
    expect(allowsKey({ key: '5', repeat: true })).toBe(false);
    expect(allowsKey({ key: 'Backspace', repeat: true })).toBe(true);
  });

  test('letters and pasting do nothing', () => {
    expect(allowsKey({ key: 'a', repeat: false })).toBe(false);
    expect(allowsKey({ key: 'v', repeat: false, ctrlKey: true })).toBe(false);
    expect(allowsKey({ key: 'V', repeat: false, metaKey: true })).toBe(false);
    expect(allowsKey({ key: 'Tab', repeat: false })).toBe(true);
  });

  test('one act adds one digit at most', () => {
    expect(nextDigits('12', '123')).toBe('123');
    expect(nextDigits('', '5678')).toBe('');
    expect(nextDigits('12', '12a')).toBe('12');
    expect(nextDigits('1234', '12345')).toBe('1234');
    expect(nextDigits('123', '1')).toBe('1');
  });

  test('full-width digits are digits', () => {
    expect(plainDigits('５６')).toBe('56');
    expect(nextDigits('5', '5６')).toBe('56');
  });
});

describe('what a file says of itself', () => {
  test('a distance', () => {
    const tokyo = { latitude: 35.681236, longitude: 139.767125 };
    expect(distance(tokyo, tokyo)).toBe(0);
    expect(distance(tokyo, { latitude: 37.7608, longitude: 140.4747 })).toBeCloseTo(239_640, -3);
  });

  test('a moment without a zone is read as Japan’s', () => {
    expect(claimedMoment('2026-11-23T09:00:00')).toEqual({ at: new Date('2026-11-23T00:00:00Z'), zoned: false });
    expect(claimedMoment('2026-11-23T09:00:00Z')).toEqual({ at: new Date('2026-11-23T09:00:00Z'), zoned: true });
    expect(claimedMoment('2026:11:23 09:00:00')).toEqual({ at: new Date('2026-11-23T00:00:00Z'), zoned: false });
    expect(claimedMoment('2026:11:23 09:00:00-05:00')).toEqual({ at: new Date('2026-11-23T14:00:00Z'), zoned: true });
    expect(claimedMoment('yesterday')).toBeNull();
  });

  test('a point is copied with six decimals', () => {
    expect(pointText({ latitude: 35.5, longitude: 139.12345678 })).toBe('35.500000,139.123457');
  });
});

test.each([
  [-5, '0:00'],
  [42_999, '0:42'],
  [723_000, '12:03'],
  [3_723_000, '1:02:03'],
])('%i ms is shown as %s', (ms, text) => {
  expect(clockText(ms)).toBe(text);
});
