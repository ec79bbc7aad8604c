/** Whether the server can be reached: by requests, and by the socket. Either one missing is offline. */
export class Connection {
  #requestLost = $state<number | null>(null);
  #socketLost = $state<number | null>(null);

  /** Since when the server cannot be reached, in ms since 1970; null where it can. */
  get lostAt(): number | null {
    if (this.#requestLost === null || this.#socketLost === null) {
      return this.#requestLost ?? this.#socketLost;
    }
    return Math.min(this.#requestLost, this.#socketLost);
  }

  /** Takes note that the server was reached, or not. */
  note(way: 'request' | 'socket', reached: boolean, now: number): void {
    if (way === 'request') {
      this.#requestLost = reached ? null : (this.#requestLost ?? now);
    } else {
      this.#socketLost = reached ? null : (this.#socketLost ?? now);
    }
  }

  /** Forgets the socket: nothing is subscribed any more. */
  forgetSocket(): void {
    this.#socketLost = null;
  }
}
