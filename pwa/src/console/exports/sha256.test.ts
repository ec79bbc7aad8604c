import { describe, expect, test } from 'vitest';
import { Sha256 } from './sha256';

const hex = (bytes: ArrayBuffer): string => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, '0')).join('');

describe('Sha256', () => {
  test.each([0, 1, 55, 56, 63, 64, 65, 119, 1000, 100_003])('agrees with the browser on %i bytes, in uneven pieces', async (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 31 + 7) % 256);
    const sum = new Sha256();
    for (let at = 0; at < size; at += 37) {
      sum.add(bytes.subarray(at, at + 37));
    }
    expect(sum.length).toBe(size);
    expect(sum.hex()).toBe(hex(await crypto.subtle.digest('SHA-256', bytes)));
  });
});
