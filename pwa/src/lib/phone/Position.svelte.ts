import type { Variables } from '$lib/api/operation';
import type { reportPositionMutation } from './operations';

/** One fix, as it is reported. */
export type Fix = Variables<typeof reportPositionMutation>['input'];

/**
 * How the position stands. off: not asked for. asking: the phone asks the caller, or searches for the first fix. on: fixes
 * are reported. denied: the caller or the phone's settings said no. lost: the phone finds no position now.
 */
export type PositionState = 'off' | 'asking' | 'on' | 'denied' | 'lost';

/** At most one report in this time, in ms. */
export const reportEvery = 1_000;

/** How old a first fix may be, and how long the phone may search before we say that it finds none; in ms. */
const freshWithin = 5_000;
const searchWithin = 20_000;

const denied = 1;

/** What the position needs. */
export interface PositionOptions {
  /** Reports one fix; where it fails the fix is dropped, the next one is newer. */
  readonly send: (fix: Fix) => Promise<unknown>;
  /** The caller or the phone's settings said no. */
  readonly onDenied: () => void;
  /** The first fix is there. */
  readonly onFound: () => void;
}

/** Reports where the phone is: at most once a second, the newest fix only, never more than one on its way. */
export class Position {
  readonly #options: PositionOptions;
  #state = $state<PositionState>('off');
  #accuracy = $state(0);
  #watch: number | undefined;
  #next: Fix | undefined;
  #busy = false;
  #last = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PositionOptions) {
    this.#options = options;
  }

  /** How it stands. */
  get state(): PositionState {
    return this.#state;
  }

  /** The radius of the last fix in metres; 0 before the first one. */
  get accuracy(): number {
    return this.#accuracy;
  }

  /** Asks the phone, which asks the caller, and goes on until stop. */
  start(): void {
    if (this.#watch !== undefined) {
      return;
    }
    if (!('geolocation' in navigator)) {
      this.#deny();
      return;
    }
    this.#state = 'asking';
    this.#watch = navigator.geolocation.watchPosition(
      (position) => this.#take(position),
      (error) => {
        if (error.code === denied) {
          this.#deny();
        } else {
          this.#state = 'lost';
        }
      },
      { enableHighAccuracy: true, maximumAge: freshWithin, timeout: searchWithin },
    );
  }

  /** Reports nothing more. */
  stop(): void {
    if (this.#watch !== undefined) {
      navigator.geolocation.clearWatch(this.#watch);
      this.#watch = undefined;
    }
    clearTimeout(this.#timer);
    this.#timer = this.#next = undefined;
    this.#state = 'off';
  }

  #deny(): void {
    this.stop();
    this.#state = 'denied';
    this.#options.onDenied();
  }

  #take({ coords, timestamp }: GeolocationPosition): void {
    const first = this.#state !== 'on';
    this.#state = 'on';
    this.#accuracy = coords.accuracy;
    this.#next = {
      latitude: coords.latitude,
      longitude: coords.longitude,
      accuracy: coords.accuracy,
      altitude: number(coords.altitude),
      heading: number(coords.heading),
      speed: number(coords.speed),
      capturedAt: new Date(timestamp).toISOString(),
    };
    if (first) {
      this.#options.onFound();
    }
    this.#flush();
  }

  #flush(): void {
    if (this.#busy || this.#timer !== undefined || !this.#next) {
      return;
    }
    const wait = this.#last + reportEvery - performance.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#flush();
      }, wait);
      return;
    }
    const fix = this.#next;
    this.#next = undefined;
    this.#busy = true;
    this.#last = performance.now();
    this.#options
      .send(fix)
      .catch(() => undefined)
      .finally(() => {
        this.#busy = false;
        this.#flush();
      });
  }
}

/** A number, or null where the phone does not know it (a heading at rest is NaN). */
function number(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}
