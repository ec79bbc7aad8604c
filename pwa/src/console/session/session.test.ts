import { describe, expect, test } from 'vitest';
import { liveStanding } from './session.svelte';

/** Entries, newest first, by the types of the record in the order they happened. */
const record = (...types: Parameters<typeof liveStanding>[0][number]['type'][]) =>
  types.reverse().map((type) => ({ type }));

describe('how live video stands', () => {
  test.each([
    ['nothing was live', record('LINK_OPENED'), false, 'off'],
    ['it comes in', record('LIVE_STARTED'), true, 'on'],
    ['it stands still', record('LIVE_STARTED', 'LIVE_STALLED', 'VIEWING_CLOSED'), false, 'stalled'],
    ['it came back', record('LIVE_STARTED', 'LIVE_STALLED', 'LIVE_RESUMED'), true, 'on'],
    ['the phone vanished', record('LIVE_STARTED', 'LIVE_STALLED', 'RECORDING_SEALED', 'LIVE_ENDED'), false, 'lost'],
    ['the caller stopped it', record('LIVE_STARTED', 'LIVE_ENDED'), false, 'off'],
    ['it began anew after the phone vanished', record('LIVE_STALLED', 'LIVE_ENDED', 'LIVE_STARTED'), true, 'on'],
  ])('%s', (_, entries, incoming, standing) => {
    expect(liveStanding(entries, incoming)).toBe(standing);
  });
});
