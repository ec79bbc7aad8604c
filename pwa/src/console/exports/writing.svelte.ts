// Writing an archive: fetched once, streamed straight to the medium where the browser can, and read back for its hash.
import type { Api } from '$lib/api/client';
import type { ResultOf } from '$lib/api/graphql';
import { beginExportMutation, finishExportMutation } from './operations';
import { Sha256 } from './sha256';

/** The permission to fetch one archive. */
export type Begun = ResultOf<typeof beginExportMutation>['beginExport'];

/** How far a writing has come. choose: a browser without the way asks for the saved file, to read it back. */
export type WritingStep = 'idle' | 'writing' | 'choose' | 'reading' | 'done' | 'failed';

interface SavePicker {
  showSaveFilePicker(options: { suggestedName: string }): Promise<FileSystemFileHandle>;
}

/** One attempt to write an archive. */
export class Writing {
  readonly #api: Api;
  #step = $state<WritingStep>('idle');
  #bytes = $state(0);
  #whole = $state(0);
  #begun = $state.raw<Begun | null>(null);
  #hash = $state('');
  #error = $state.raw<unknown>(null);

  constructor(api: Api) {
    this.#api = api;
  }

  get step(): WritingStep {
    return this.#step;
  }

  /** Bytes written, or read back. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many bytes there are to read back; 0 while it is being written. */
  get whole(): number {
    return this.#whole;
  }

  /** The words to open the archive with, shown this once. */
  get passphrase(): string | null {
    return this.#begun?.passphrase ?? null;
  }

  get fileName(): string {
    return this.#begun?.fileName ?? '';
  }

  /** The archive's hash as read back. */
  get hash(): string {
    return this.#hash;
  }

  get error(): unknown {
    return this.#error;
  }

  get busy(): boolean {
    return this.#step === 'writing' || this.#step === 'reading';
  }

  /** Writes the archive of a request, for a recipient's key or a new passphrase. */
  async write(exportID: string, recipient: string): Promise<boolean> {
    const picks = 'showSaveFilePicker' in window;
    this.#error = null;
    this.#bytes = this.#whole = 0;
    try {
      // The place is chosen first, while the press still counts: the server's grant is short, and for one fetch.
      const handle = picks
        ? await (window as unknown as SavePicker).showSaveFilePicker({ suggestedName: `genba-${exportID}.tar.age` })
        : null;
      const { beginExport } = await this.#api.ask(beginExportMutation, {
        input: { exportID, ...(recipient.trim() === '' ? {} : { recipient: recipient.trim() }) },
      });
      this.#begun = beginExport;
      this.#step = 'writing';
      if (!handle) {
        const link = document.createElement('a');
        link.href = beginExport.url;
        link.download = beginExport.fileName;
        link.click();
        this.#step = 'choose';
        return false;
      }
      await this.#stream(beginExport.url, await handle.createWritable());
      return await this.readBack(await handle.getFile());
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError' && this.#step === 'idle') {
        return false; // no place was chosen
      }
      return this.#fail(error);
    }
  }

  /** Reads what stands on the medium, and tells the server its hash. */
  async readBack(file: File): Promise<boolean> {
    const begun = this.#begun;
    if (!begun) {
      return false;
    }
    this.#step = 'reading';
    this.#bytes = 0;
    this.#whole = file.size;
    try {
      const sum = new Sha256();
      const reader = file.stream().getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        sum.add(part.value);
        this.#bytes = sum.length;
      }
      this.#hash = sum.hex();
      await this.#api.ask(finishExportMutation, {
        input: { writingID: begun.writingID, sha256: this.#hash, size: sum.length },
      });
      this.#step = 'done';
      return true;
    } catch (error) {
      return this.#fail(error);
    }
  }

  async #stream(url: string, to: FileSystemWritableFileStream): Promise<void> {
    try {
      const answer = await fetch(url, { cache: 'no-store' });
      if (!answer.ok || !answer.body) {
        throw new Error(`the archive was refused: ${answer.status}`);
      }
      const reader = answer.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        await to.write(part.value);
        this.#bytes += part.value.length;
      }
      await to.close();
    } catch (error) {
      await to.abort().catch(() => undefined);
      throw error;
    }
  }

  #fail(error: unknown): false {
    this.#error = error;
    this.#step = 'failed';
    return false;
  }
}
