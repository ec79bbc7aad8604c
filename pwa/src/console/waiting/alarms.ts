// What calls a manager or a supervisor at once, wherever they are in the console.
import type { Console } from '../console.svelte';
import { i18n } from '../i18n';
import { sayStaff } from '../staff/notices';
import { alarmsSubscription } from './operations';

/** How long to wait before asking again after the line broke, in ms. */
const again = 2_000;

/** Follows for whoever is told of what needs a manager; the answer stops it. */
export function keepAlarmed(desk: Console): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop: () => void = () => undefined;
  const open = (): void => {
    const retry = (): void => {
      timer = setTimeout(open, again);
    };
    stop = desk.api.subscribe(alarmsSubscription, {}, {
      next: ({ staffChanged }) => {
        // Who has a board hears of officers there.
        if (!desk.board) {
          sayStaff(staffChanged, desk.notices);
        }
        if (staffChanged.entries.some(({ type }) => type === 'SEALED_PASSWORD_OPENED')) {
          desk.notices.problem(i18n.t.waiting.sealed);
        }
      },
      failed: () => undefined, // who may no more is told elsewhere
      closed: retry,
    });
  };
  open();
  return () => {
    clearTimeout(timer);
    stop();
  };
}
