// One act at a time, and what went wrong with the last one.
import type { Console } from '../console.svelte';

/** Runs the acts of one form or list. */
export class Act {
  busy = $state(false);
  problem = $state('');
  readonly #desk: Console;

  constructor(desk: Console) {
    this.#desk = desk;
  }

  /** Does it unless something is being done; tells whether it went well, and says so. */
  async run(act: () => Promise<unknown>, done = ''): Promise<boolean> {
    if (this.busy) {
      return false;
    }
    this.busy = true;
    this.problem = '';
    try {
      await act();
      if (done !== '') {
        this.#desk.notices.say(done);
      }
      return true;
    } catch (error) {
      this.problem = this.#desk.sentence(error);
      return false;
    } finally {
      this.busy = false;
    }
  }
}
