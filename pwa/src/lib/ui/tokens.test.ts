import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const css = readFileSync(new URL('./tokens.css', import.meta.url), 'utf8');

/** The custom properties of the block that a selector opens. */
function block(selector: string): Map<string, string> {
  const start = css.indexOf(`${selector} {`);
  expect(start, selector).toBeGreaterThanOrEqual(0);
  const body = css.slice(css.indexOf('{', start) + 1, css.indexOf('}', start));
  return new Map(Array.from(body.matchAll(/(--[\w-]+):\s*([^;]+);/g), (found) => [found[1] ?? '', found[2] ?? '']));
}

/** The relative luminance of #rrggbb, as WCAG 2 defines it. */
function luminance(hex: string): number {
  expect(hex).toMatch(/^#[0-9a-f]{6}$/);
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const light = block(':root');
const dark = block(":root[data-theme='dark']");
const meanings = ['action', 'live', 'attention', 'danger'];
const grounds = ['ground', 'surface', 'raised'];

const pairs: [string, string][] = [
  ...grounds.flatMap((ground): [string, string][] => [
    ['text', ground],
    ['text-quiet', ground],
    ...meanings.map((meaning): [string, string] => [meaning, ground]),
  ]),
  ...meanings.flatMap((meaning): [string, string][] => [
    [`on-${meaning}`, `${meaning}-fill`],
    ['text', `${meaning}-soft`],
    [meaning, `${meaning}-soft`],
  ]),
  ['on-action', 'action-fill-hover'],
  ['on-danger', 'danger-fill-hover'],
];

describe.each([
  ['light', light],
  ['dark', dark],
])('%s', (_, tokens) => {
  const colour = (name: string): string => tokens.get(`--color-${name}`) ?? `--color-${name} is not set`;

  test.each(pairs)('%s on %s can be read', (text, ground) => {
    expect(contrast(colour(text), colour(ground))).toBeGreaterThanOrEqual(7);
  });

  test.each(grounds)('strong lines and focus stand out on %s', (ground) => {
    expect(contrast(colour('line-strong'), colour(ground))).toBeGreaterThanOrEqual(3);
    expect(contrast(colour('focus'), colour(ground))).toBeGreaterThanOrEqual(3);
  });
});

test('dark by choice is dark by the system’s wish', () => {
  expect(block(":root:not([data-theme='light'])")).toEqual(dark);
});
