// A camera picture whose every frame says which one it is, so that a test can tell a live picture from a frozen or
// repeated one, and measure delay and loss from what a page shows.
//
// The top of the picture carries the frame's number in BITS columns, lowest bit first: the upper row white for 1, the
// row below it the opposite, so that a damaged or foreign picture is told from a number. Below moves a test picture.
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { scratch } from './paths.mjs';

/** Bits of the frame counter. */
const BITS = 10;

/** Frames until the picture repeats; the camera plays it in a loop. */
export const FRAMES = 600;

/** Frames a second: what Chromium assumes of a file of JPEG pictures. */
export const FRAME_RATE = 30;

/** Height of one row of blocks, as a part of the picture's height. */
const ROW = 0.1;

/** Makes the file for Chromium's fake camera, once for each size, and answers its path. */
export function makePattern({ width = 640, height = 480 } = {}) {
  const file = join(scratch, `pattern-${width}x${height}.mjpeg`);
  if (existsSync(file)) {
    return file;
  }
  const row = Math.round(height * ROW);
  const column = width / BITS;
  const filters = [`drawbox=x=0:y=0:w=${width}:h=${row}:color=black:t=fill`];
  filters.push(`drawbox=x=0:y=${row}:w=${width}:h=${row}:color=white:t=fill`);
  for (let bit = 0; bit < BITS; bit++) {
    const x = Math.round(bit * column);
    const w = Math.round((bit + 1) * column) - x;
    const set = `enable='eq(mod(floor(n/${2 ** bit}),2),1)'`;
    filters.push(`drawbox=x=${x}:y=0:w=${w}:h=${row}:color=white:t=fill:${set}`);
    filters.push(`drawbox=x=${x}:y=${row}:w=${w}:h=${row}:color=black:t=fill:${set}`);
  }
  const partial = `${file}.partial`;
  const made = spawnSync(
    'ffmpeg',
    [
      ...['-nostdin', '-v', 'error', '-y'],
      ...['-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=${FRAME_RATE}`, '-frames:v', String(FRAMES)],
      ...['-vf', `${filters.join(',')},format=yuvj420p`, '-c:v', 'mjpeg', '-q:v', '5', '-f', 'mjpeg', partial],
    ],
    { encoding: 'utf8' },
  );
  if (made.error) {
    throw new Error('ffmpeg is needed for the camera picture; scripts/setup.sh installs it', { cause: made.error });
  }
  if (made.status !== 0) {
    throw new Error(`ffmpeg failed on the camera picture: ${made.stderr}`);
  }
  renameSync(partial, file);
  return file;
}

/**
 * The number of the frame that the element (a video, image or canvas in the page, a Playwright locator) shows now, or
 * null where what it shows is not the pattern. object-fit does not matter: the picture is read, not the screen.
 */
export async function readFrame(locator) {
  return locator.evaluate(
    (element, { bits, row }) => {
      const width = element.videoWidth || element.naturalWidth || element.width;
      const height = element.videoHeight || element.naturalHeight || element.height;
      if (!width || !height) {
        return null;
      }
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(element, 0, 0);
      const brightness = (x, y) => {
        const [red, green, blue] = context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data;
        return (red + green + blue) / 3;
      };
      let frame = 0;
      for (let bit = 0; bit < bits; bit++) {
        const x = ((bit + 0.5) * width) / bits;
        const upper = brightness(x, height * row * 0.5);
        const lower = brightness(x, height * row * 1.5);
        if (Math.abs(upper - lower) < 96) {
          return null;
        }
        frame += upper > lower ? 2 ** bit : 0;
      }
      return frame;
    },
    { bits: BITS, row: ROW },
  );
}

/** How many frames later than `from` the frame `to` is, across the end of the loop. */
export function framesBetween(from, to) {
  return (to - from + FRAMES) % FRAMES;
}
