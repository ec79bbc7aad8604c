import { expect, test, vi } from 'vitest';
import { Presence } from './presence.svelte';

const minutes = 60_000;

function made() {
  const onThere = vi.fn();
  const onGone = vi.fn();
  return { onThere, onGone, presence: new Presence({ limit: () => 15 * minutes, onThere, onGone }) };
}

test('the screen locks when nobody did anything for the limit', () => {
  const { presence, onGone } = made();
  presence.note(minutes);
  presence.look(15 * minutes);
  expect(onGone).not.toHaveBeenCalled();
  presence.look(16 * minutes);
  expect(onGone).toHaveBeenCalledOnce();
});

test('it never locks while a session is watched, and counts from the end of watching', () => {
  vi.useFakeTimers({ now: 0 });
  const { presence, onGone } = made();
  const end = presence.watch();
  presence.look(60 * minutes);
  vi.setSystemTime(60 * minutes);
  end();
  end();
  presence.look(74 * minutes);
  expect(onGone).not.toHaveBeenCalled();
  presence.look(75 * minutes);
  expect(onGone).toHaveBeenCalledOnce();
  vi.useRealTimers();
});

test('the server is told once a minute at most', () => {
  const { presence, onThere } = made();
  for (let second = 60; second < 180; second++) {
    presence.note(second * 1000);
  }
  expect(onThere).toHaveBeenCalledTimes(2);
});
