// Where things are. Everything the browser tests build or write stands under pwa/.e2e, which git ignores.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const repository = fileURLToPath(new URL('../..', import.meta.url));

/** The folder for what a run builds and writes. */
export const scratch = fileURLToPath(new URL('../.e2e', import.meta.url));

mkdirSync(scratch, { recursive: true });
