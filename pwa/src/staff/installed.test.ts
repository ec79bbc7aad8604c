import { expect, test } from 'vitest';
import { codeOf, readCode } from './installed';

test.each([
  ['#r=MCVX1TBC1AHC', 'MCVX1TBC1AHC'],
  ['#r=MCVX-1TBC-1AHC', 'MCVX1TBC1AHC'],
  ['#r=mcvx1tbc1ahc', 'MCVX1TBC1AHC'],
  ['#r=MCVX', ''],
  ['#r=MCVX1TBC1AHC9', ''],
  ['#MCVX1TBC1AHC', ''],
  ['', ''],
])('the address %s holds the code %s', (hash, code) => {
  expect(codeOf(hash)).toBe(code);
});

test.each([
  [' mcvx 1tbc 1ahc ', 'MCVX1TBC1AHC'],
  ['ＭＣＶＸ－１ＴＢＣ－１ＡＨＣ', 'MCVX1TBC1AHC'],
  ['mcvx-1tbc', ''],
])('%s is read as %s', (typed, code) => {
  expect(readCode(typed)).toBe(code);
});
