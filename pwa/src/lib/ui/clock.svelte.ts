// The time as the page shows it: ticking, and by the server's clock where the device's own is off.

/** From which difference on the server's clock is believed over the device's, in ms. Its header tells whole seconds. */
const tolerated = 2_000;

/** A clock that ticks every second. Reading now inside a component follows it. */
export class Clock {
  #offset = 0;
  #now = $state(Date.now());
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Milliseconds since 1970. */
  get now(): number {
    return this.#now;
  }

  /** Ticks until the answer is called. */
  start(): () => void {
    this.#tick();
    this.#timer = setInterval(() => this.#tick(), 1_000);
    return () => clearInterval(this.#timer);
  }

  /** Takes note of what the server's clock said at a moment of ours. */
  compare(server: Date, ours: Date): void {
    const offset = server.getTime() + 500 - ours.getTime();
    if (!Number.isNaN(offset)) {
      this.#offset = Math.abs(offset) > tolerated ? offset : 0;
    }
  }

  #tick(): void {
    this.#now = Date.now() + this.#offset;
  }
}
