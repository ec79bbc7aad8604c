import { expect, test } from 'vitest';
import { messages } from './messages';

type Tree = { readonly [name: string]: string | ((...values: never[]) => string) | Tree };

/** Every text by its path, functions called with values that show where they stand. */
function texts(tree: Tree, path = ''): [string, string][] {
  return Object.entries(tree).flatMap(([name, value]): [string, string][] => {
    const here = path ? `${path}.${name}` : name;
    if (typeof value === 'string') {
      return [[here, value]];
    }
    if (typeof value === 'function') {
      const call = value as unknown as (...values: string[]) => string;
      return [[here, call('§1', '§2')]];
    }
    return texts(value, here);
  });
}

const ja = texts(messages.ja);
const en = texts(messages.en);

test('both languages name the same texts', () => {
  expect(en.map(([path]) => path)).toEqual(ja.map(([path]) => path));
});

test('no text is empty', () => {
  expect([...ja, ...en].filter(([, text]) => text.trim() === '')).toEqual([]);
});

test('English texts hold no Japanese', () => {
  expect(en.filter(([, text]) => /[\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Han}]/u.test(text))).toEqual([]);
});

test('texts with values say them in both languages', () => {
  const said = (all: [string, string][]): string[] => all.filter(([, text]) => text.includes('§1')).map(([path]) => path);
  const takes = (tree: Tree, path = ''): string[] =>
    Object.entries(tree).flatMap(([name, value]) => {
      const here = path ? `${path}.${name}` : name;
      return typeof value === 'function' ? [here] : typeof value === 'object' ? takes(value, here) : [];
    });
  expect(said(ja)).toEqual(takes(messages.ja));
  expect(said(en)).toEqual(takes(messages.en));
});

test('lists of steps have as many steps in both languages', () => {
  const lines = (all: [string, string][]): [string, number][] =>
    all.filter(([path]) => /steps/i.test(path)).map(([path, text]) => [path, text.split('\n').length]);
  expect(lines(en)).toEqual(lines(ja));
});
