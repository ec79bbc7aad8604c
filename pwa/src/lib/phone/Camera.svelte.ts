import { type Grant, LiveRefusal, type LiveState } from '$lib/live/connection';
import { WhipPublisher } from '$lib/live/whip';

/** Why there is no picture. denied: by the caller or the phone's settings. missing: none there. busy: another app has it. */
export type CameraTrouble = 'denied' | 'missing' | 'busy';

/** What the camera needs. */
export interface CameraOptions {
  /** A bearer for one attempt to publish. */
  readonly grant: () => Promise<Grant>;
  /** Whether an error of grant ends live video for good. */
  readonly final: (error: unknown) => boolean;
  /** Told of each change of the way to the centre. */
  readonly onState: (state: LiveState) => void;
  /** The server will not take live video, now or for good. */
  readonly onRefused: (error: unknown) => void;
  /** ja or en. */
  readonly language: () => string;
}

/** Safety is asked again after so much live video, in ms. */
export const safetyEvery = 60_000;

/** The data meter follows the network this often, in ms. */
const countEvery = 2_000;

const wanted: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30 },
};

/** Live video: the phone's camera, published until it is stopped. The microphone is never asked for. */
export class Camera {
  readonly #options: CameraOptions;
  #stream = $state.raw<MediaStream>();
  #state = $state<LiveState>('stopped');
  #facing = $state<'environment' | 'user'>('environment');
  #askSafety = $state(false);
  #bytes = $state(0);
  #interrupted = $state(false);
  #publisher: WhipPublisher | undefined;
  #before = $state(0);
  #opening = 0;
  #safety: ReturnType<typeof setTimeout> | undefined;
  #count: ReturnType<typeof setInterval> | undefined;

  constructor(options: CameraOptions) {
    this.#options = options;
  }

  /** What the caller sees of it; undefined while the camera is off. */
  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  /** How the way to the centre stands. */
  get state(): LiveState {
    return this.#state;
  }

  /** Whether the camera looks at the caller. */
  get facing(): 'environment' | 'user' {
    return this.#facing;
  }

  /** Whether it is time to ask if the caller is safe. */
  get askSafety(): boolean {
    return this.#askSafety;
  }

  /** Whether the phone keeps the picture from us: another app, or the screen is off. */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /** Bytes of live video sent by this page. */
  get bytes(): number {
    return this.#before + this.#bytes;
  }

  /** Opens the camera, and publishes unless told not to. Answers what went wrong; undefined where nothing did. */
  async start(publish = true): Promise<CameraTrouble | undefined> {
    const run = ++this.#opening;
    const opened = await this.#open();
    if (typeof opened === 'string') {
      return opened;
    }
    const track = opened?.getVideoTracks()[0];
    if (run !== this.#opening || !opened || !track) {
      opened?.getTracks().forEach((each) => each.stop());
      return undefined;
    }
    this.#show(opened);
    if (publish) {
      this.publish();
    }
    return undefined;
  }

  /** Begins live video of the camera that is open. */
  publish(): void {
    const track = this.#stream?.getVideoTracks()[0];
    if (!track || this.#publisher) {
      return;
    }
    this.#publisher = new WhipPublisher({
      track,
      grant: this.#options.grant,
      final: this.#options.final,
      language: this.#options.language(),
      onState: (state, error) => {
        this.#state = state;
        this.#options.onState(state);
        if (state === 'refused') {
          this.stop();
          this.#options.onRefused(error);
        }
      },
    });
    this.#publisher.start();
    this.#armSafety();
    this.#count = setInterval(() => void this.#measure(), countEvery);
  }

  /** Ends live video; the camera stays open. */
  unpublish(): void {
    this.#hangUp(true);
  }

  /** The camera goes off at once. tell: the server is told; false where it has ended the video report. */
  stop(tell = true): void {
    this.#opening++;
    this.#hangUp(tell);
    this.#interrupted = false;
    this.#release();
  }

  #hangUp(tell: boolean): void {
    clearTimeout(this.#safety);
    clearInterval(this.#count);
    this.#askSafety = false;
    const counted = this.#bytes;
    this.#before += counted;
    this.#bytes = 0;
    void this.#publisher?.bytesSent().then((sent) => (this.#before += Math.max(0, sent - counted)), () => undefined);
    this.#publisher?.stop(tell);
    this.#publisher = undefined;
    this.#state = 'stopped';
  }

  /** Uses the phone's other camera; the centre's picture goes on. */
  async flip(): Promise<void> {
    const before = this.#facing;
    this.#facing = before === 'environment' ? 'user' : 'environment';
    if ((await this.#again()) !== undefined) {
      this.#facing = before;
      await this.#again();
    }
  }

  /** The caller says that they are safe. */
  safe(): void {
    this.#askSafety = false;
    this.#armSafety();
  }

  /** The network has changed, or the page is back on the screen. */
  async nudge(): Promise<void> {
    this.#publisher?.nudge();
    // Phones end the camera of a page that was away; the permission still stands.
    if (this.#stream?.getVideoTracks()[0]?.readyState === 'ended') {
      await this.#again();
    }
  }

  /** Opens the camera anew behind the same publication. */
  async #again(): Promise<CameraTrouble | undefined> {
    const run = ++this.#opening;
    // Most phones open one camera at a time.
    this.#release();
    const opened = await this.#open();
    if (typeof opened === 'string') {
      return opened;
    }
    const track = opened?.getVideoTracks()[0];
    if (run !== this.#opening || !opened || !track) {
      opened?.getTracks().forEach((each) => each.stop());
      return undefined;
    }
    this.#show(opened);
    await this.#publisher?.replaceTrack(track);
    return undefined;
  }

  async #open(): Promise<MediaStream | CameraTrouble | undefined> {
    try {
      return await navigator.mediaDevices.getUserMedia({ video: { ...wanted, facingMode: this.#facing }, audio: false });
    } catch (error) {
      switch ((error as DOMException).name) {
        case 'NotFoundError':
        case 'OverconstrainedError':
          return 'missing';
        case 'NotReadableError':
        case 'AbortError':
          return 'busy';
        default:
          return 'denied';
      }
    }
  }

  #show(stream: MediaStream): void {
    this.#stream = stream;
    this.#interrupted = false;
    for (const track of stream.getVideoTracks()) {
      track.contentHint = 'motion';
      track.onmute = () => (this.#interrupted = true);
      track.onunmute = () => (this.#interrupted = false);
      track.onended = () => (this.#interrupted = true);
    }
  }

  #release(): void {
    this.#stream?.getTracks().forEach((track) => {
      track.onmute = track.onunmute = track.onended = null;
      track.stop();
    });
    this.#stream = undefined;
  }

  #armSafety(): void {
    clearTimeout(this.#safety);
    this.#safety = setTimeout(() => (this.#askSafety = true), safetyEvery);
  }

  async #measure(): Promise<void> {
    const sent = await this.#publisher?.bytesSent();
    if (sent !== undefined) {
      this.#bytes = Math.max(this.#bytes, sent);
    }
  }
}

/** The reason the server gave for refusing live video; empty where it gave none. */
export function refusedReason(error: unknown): string {
  return error instanceof LiveRefusal ? error.reason : '';
}
