import { LiveConnection, type LiveOptions, preferCodecs } from './connection';

/** What a viewer needs. */
export interface WhepOptions extends LiveOptions {
  /**
   * Told of the video of each attempt: set it as srcObject of a muted <video>. After an interruption it comes again
   * with another stream.
   */
  readonly onStream: (stream: MediaStream) => void;
}

/** Views one live video by WHEP, and comes back by itself whenever the transport breaks. */
export class WhepViewer extends LiveConnection {
  readonly #onStream: (stream: MediaStream) => void;

  constructor(options: WhepOptions) {
    super(options);
    this.#onStream = options.onStream;
  }

  /** The receiver's counts of the present attempt; undefined where there is none. */
  async stats(): Promise<{ framesDecoded: number; framesPerSecond: number; bytesReceived: number } | undefined> {
    const report = await this.peer?.getStats();
    let found: { framesDecoded: number; framesPerSecond: number; bytesReceived: number } | undefined;
    report?.forEach(
      (entry: {
        type: string;
        kind?: string;
        framesDecoded?: number;
        framesPerSecond?: number;
        bytesReceived?: number;
      }) => {
        if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
          found = {
            framesDecoded: entry.framesDecoded ?? 0,
            framesPerSecond: entry.framesPerSecond ?? 0,
            bytesReceived: entry.bytesReceived ?? 0,
          };
        }
      },
    );
    return found;
  }

  protected override prepare(peer: RTCPeerConnection): void {
    const transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
    preferCodecs(transceiver, RTCRtpReceiver.getCapabilities?.('video'));
    peer.ontrack = ({ track, streams }) => this.#onStream(streams[0] ?? new MediaStream([track]));
  }
}
