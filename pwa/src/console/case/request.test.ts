import { describe, expect, test } from 'vitest';
import type { Api } from '$lib/api/client';
import { RequestPanel } from './request.svelte';

function panel() {
  const asked: Record<string, unknown>[] = [];
  const api = {
    ask: async (_: unknown, { input }: { input: Record<string, unknown> }) => {
      asked.push(input);
      return { requestVideo: { numberDiffers: true, session: { id: 's' } } };
    },
  } as unknown as Api;
  return { it: new RequestPanel(api, 'c'), asked };
}

describe('the request panel', () => {
  test('keys 1 to 5 toggle the checks and others do nothing', () => {
    const { it } = panel();
    for (const key of ['1', '2', '3', '4', '5']) {
      expect(it.key(key)).toBe(true);
    }
    expect(it.open).toBe(0);
    expect(it.key('5')).toBe(true);
    expect(it.open).toBe(1);
    expect(['0', '6', 'a', '', ' ', 'Enter'].filter((key) => it.key(key))).toEqual([]);
  });

  test('says what is missing only once it was tried, and asks nothing', async () => {
    const { it, asked } = panel();
    expect(it.missing).toEqual([]);
    expect(await it.submit()).toBeNull();
    expect(it.missing).toEqual(['need', 'lateReason', 'number']);
    it.channel = 'EMAIL';
    it.key('5');
    expect(it.missing).toEqual(['need', 'email', 'emailReason']);
    expect(asked).toEqual([]);
  });

  test('asks with what was filled in, and tells of a number that differs', async () => {
    const { it, asked } = panel();
    it.need = ' 現場の状況 ';
    it.lateReason = '緊急';
    it.number = '090-1234-5678';
    it.notifiedNumber = '090-1234-5679';
    expect(it.differs).toBe(true);
    expect(await it.submit()).toEqual({ sessionID: 's', numberDiffers: true });
    expect(asked[0]).toMatchObject({
      caseID: 'c',
      asked: 'LIVE',
      need: '現場の状況',
      lateReason: '緊急',
      number: '090-1234-5678',
      notifiedNumber: '090-1234-5679',
      email: null,
      language: 'ja',
    });
  });

  test('the same number written otherwise does not differ', () => {
    const { it } = panel();
    it.number = '０９０ 1234 5678';
    it.notifiedNumber = '090-1234-5678';
    expect(it.differs).toBe(false);
  });
});
