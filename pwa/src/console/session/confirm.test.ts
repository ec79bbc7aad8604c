import { describe, expect, test } from 'vitest';
import type { Api } from '$lib/api/client';
import { Refusal, Unreachable } from '$lib/api/refusal';
import { ConfirmSend, type ToConfirm } from './confirm.svelte';

const checked = { safe: true, cameraPhone: true, numberNotified: true, explained: true, supervisorTold: true };
const toConfirm: ToConfirm = { id: 's', email: null, checks: checked, lateReason: '' };

/** A confirmation whose tries end as the test says; it answers what was sent. */
function confirmation(session: ToConfirm, ends: (Error | null)[] = []) {
  const sent: Record<string, unknown>[] = [];
  const api = {
    ask: async (_: unknown, { input }: { input: Record<string, unknown> }) => {
      sent.push(input);
      const error = ends.shift();
      if (error) {
        throw error;
      }
      return { confirmSend: { session: { id: 's' } } };
    },
  } as unknown as Api;
  let key = 0;
  return { form: new ConfirmSend(api, session, () => `key ${++key}`), sent };
}

function type(form: ConfirmSend, digits: string): void {
  for (const digit of digits) {
    form.input(form.typed + digit);
  }
}

describe('the second confirmation', () => {
  test('needs four digits, typed one by one', async () => {
    const { form, sent } = confirmation(toConfirm);
    expect(form.input('5678')).toBe('');
    type(form, '567');
    expect(form.ready).toBe(false);
    expect(await form.send()).toBeNull();
    type(form, '8');
    expect(form.ready).toBe(true);
    await form.send();
    expect(sent).toEqual([{ sessionID: 's', lastFour: '5678', checks: checked, idempotencyKey: 'key 1' }]);
    expect(form.typed).toBe('');
  });

  test('sends nothing while a check is open', async () => {
    const { form, sent } = confirmation({ ...toConfirm, checks: { ...checked, explained: false } });
    type(form, '5678');
    expect(form.openChecks).toEqual(['explained']);
    expect(await form.send()).toBeNull();
    expect(form.key('4')).toBe(true);
    await form.send();
    expect(sent).toHaveLength(1);
  });

  test('a reason for the late report takes the place of the advance one', () => {
    const late = { ...toConfirm, checks: { ...checked, supervisorTold: false } };
    expect(confirmation(late).form.openChecks).toEqual(['supervisorTold']);
    expect(confirmation({ ...late, lateReason: '緊急' }).form.openChecks).toEqual([]);
  });

  test('after a lost answer the same key is sent, after a refusal another', async () => {
    const ends = [new Unreachable('no line'), new Refusal('', 'invalid', 'DIGITS_MISMATCH'), null];
    const { form, sent } = confirmation(toConfirm, ends);
    type(form, '5678');
    await expect(form.send()).rejects.toThrow(Unreachable);
    expect(form.typed).toBe('5678');
    await expect(form.send()).rejects.toThrow(Refusal);
    expect(form.typed).toBe('');
    type(form, '5678');
    await form.send();
    expect(sent.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['key 1', 'key 1', 'key 2']);
  });

  test('by e-mail the address is typed once more', () => {
    const { form } = confirmation({ ...toConfirm, email: 'a@example.jp' });
    form.input('a');
    expect(form.ready).toBe(false);
    form.input('a@example.jp');
    expect(form.ready).toBe(true);
  });
});
