// The bytes of one file, by tus 1.0. Loaded when the first file is sent, so that the page opens without it.
import { DetailedError, Upload } from 'tus-js-client';

/** An attempt that ended before the file had arrived. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor(
    /** The HTTP status; 0 where no answer came. */
    readonly status: number,
    /** The server's stable reason; empty where there is none. */
    readonly reason: string,
    /** The server's sentence for the reader; empty where there is none. */
    message: string,
  ) {
    super(message);
  }
}

/** What a transfer needs. */
export interface TransferOptions {
  /** Where the upload is created. */
  readonly url: string;
  /** Where one goes on that was created before; undefined for a new one. */
  readonly at: string | undefined;
  /** Told where the upload is, once it is created. */
  readonly onCreated: (url: string) => void;
  /** Pieces of at most this many bytes. */
  readonly chunk: number;
  /** The bearer for the next request. */
  readonly token: () => Promise<string>;
  /** The reader's language, for the server's sentences. */
  readonly language: () => string;
  /** Bytes of the file that have left the phone. */
  readonly onProgress: (sent: number) => void;
}

/** Without a byte for so long, an attempt is given up, in ms: mobile networks leave dead connections open. */
const stallsAfter = 30_000;

/** One file on its way. An attempt that failed may be repeated: it goes on where the server stands. */
export class Transfer {
  readonly #upload: Upload;
  #settle: { done: () => void; fail: (error: Error) => void } | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(file: Blob, options: TransferOptions) {
    const upload = new Upload(file, {
      endpoint: options.at ? null : new URL(options.url, location.href).href,
      uploadUrl: options.at ?? null,
      chunkSize: options.chunk,
      // Attempts, their pauses and what stays on the phone (nothing) are ours to decide.
      retryDelays: null,
      storeFingerprintForResuming: false,
      fingerprint: () => Promise.resolve(''),
      onBeforeRequest: async (request) => {
        request.setHeader('Authorization', `Bearer ${await options.token()}`);
        request.setHeader('Accept-Language', options.language());
      },
      // Once created, an upload the server cannot find must not silently become another one.
      onUploadUrlAvailable: () => {
        upload.options.endpoint = null;
        if (upload.url) {
          options.onCreated(upload.url);
        }
      },
      onProgress: (sent) => {
        this.#awake();
        options.onProgress(sent);
      },
      onSuccess: () => this.#end(),
      onError: (error) => this.#end(interruption(error)),
    });
    this.#upload = upload;
  }

  /** Sends what is missing. Fails with Interrupted. */
  async attempt(): Promise<void> {
    return new Promise((done, fail) => {
      this.#settle = { done, fail };
      this.#awake();
      this.#upload.start();
    });
  }

  /** Stops at once; the attempt under way fails. */
  abort(): void {
    void this.#upload.abort();
    this.#end(new Interrupted(0, '', 'stopped'));
  }

  #awake(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.abort(), stallsAfter);
  }

  #end(error?: Error): void {
    clearTimeout(this.#watch);
    const settle = this.#settle;
    this.#settle = undefined;
    if (error) {
      settle?.fail(error);
    } else {
      settle?.done();
    }
  }
}

function interruption(error: Error): Error {
  const answer = error instanceof DetailedError ? error.originalResponse : null;
  // A question of ours that failed on the way (the bearer's) says more than the library's wrapping of it.
  const cause = error instanceof DetailedError ? error.causingError : null;
  if (!answer) {
    return cause?.name === 'Refusal' ? cause : new Interrupted(0, '', '');
  }
  try {
    const problem = JSON.parse(answer.getBody()) as { reason?: string; detail?: string; title?: string };
    return new Interrupted(answer.getStatus(), problem.reason ?? '', problem.detail ?? problem.title ?? '');
  } catch {
    return new Interrupted(answer.getStatus(), '', '');
  }
}
