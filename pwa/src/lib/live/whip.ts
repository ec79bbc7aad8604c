import { LiveConnection, type LiveOptions, preferCodecs } from './connection';

/** What a publisher needs. */
export interface WhipOptions extends LiveOptions {
  /** The camera's track. Video only: a microphone is never published. */
  readonly track: MediaStreamTrack;
  /** The most bits a second to send. */
  readonly maxBitrate?: number;
}

/** 720p30 as phones encode it. */
const usualBitrate = 2_000_000;

/** Publishes one video track by WHIP, and publishes it again by itself whenever the transport breaks. */
export class WhipPublisher extends LiveConnection {
  protected override readonly renewsToEnd = true;
  readonly #maxBitrate: number;
  #track: MediaStreamTrack;
  #sender: RTCRtpSender | undefined;
  #before = 0;
  #now = 0;

  constructor(options: WhipOptions) {
    super(options);
    this.#track = options.track;
    this.#maxBitrate = options.maxBitrate ?? usualBitrate;
  }

  /** Sends another track from now on, such as the other camera's; nothing is agreed anew. */
  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    this.#track = track;
    await this.#sender?.replaceTrack(track);
  }

  /** Bytes sent so far, over all attempts, as the network counts them. */
  async bytesSent(): Promise<number> {
    const peer = this.peer;
    if (peer) {
      let sent = 0;
      (await peer.getStats()).forEach((entry: { type: string; bytesSent?: number }) => {
        if (entry.type === 'transport' || entry.type === 'outbound-rtp') {
          sent = Math.max(sent, entry.bytesSent ?? 0);
        }
      });
      // A count that was asked for before stop still counts.
      if (peer === this.peer || !this.peer) {
        this.#now = Math.max(this.#now, sent);
      }
    }
    return this.#before + this.#now;
  }

  protected override async prepare(peer: RTCPeerConnection): Promise<void> {
    this.#before += this.#now;
    this.#now = 0;
    const transceiver = peer.addTransceiver(this.#track, { direction: 'sendonly' });
    this.#sender = transceiver.sender;
    preferCodecs(transceiver, RTCRtpSender.getCapabilities?.('video'));
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = 'maintain-framerate';
    for (const encoding of parameters.encodings ?? []) {
      encoding.maxBitrate = this.#maxBitrate;
    }
    // A browser that refuses a wish about quality still sends.
    await transceiver.sender.setParameters(parameters).catch(() => undefined);
  }
}
