// Short words about what has just happened, said once and read to those who listen.

/** One notice. problem: it stays until it is closed. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly problem: boolean;
}

/** How long a notice that is no problem stays, in ms. */
const shownFor = 4_000;

/** The most notices shown at once; older ones give way. */
const most = 3;

/** The notices of a page. */
export class Notices {
  #next = 1;
  #all = $state.raw<readonly Notice[]>([]);

  /** The notices now, oldest first. */
  get all(): readonly Notice[] {
    return this.#all;
  }

  /** Says that something is done or has come. */
  say(text: string): void {
    const id = this.#add(text, false);
    setTimeout(() => this.close(id), shownFor);
  }

  /** Says that something went wrong; it stays until it is closed. */
  problem(text: string): void {
    this.#add(text, true);
  }

  /** Takes a notice away. */
  close(id: number): void {
    this.#all = this.#all.filter((notice) => notice.id !== id);
  }

  #add(text: string, problem: boolean): number {
    const id = this.#next++;
    this.#all = [...this.#all.filter((notice) => notice.text !== text), { id, text, problem }].slice(-most);
    return id;
  }
}
