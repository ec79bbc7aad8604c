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

test('a link is ended by the directive’s own word', () => {
  expect(ja.filter(([, text]) => /取消|取り消|リボーク|キャンセル/.test(text))).toEqual([]);
});

test('English texts hold no Japanese', () => {
  expect(en.filter(([, text]) => /[\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Han}]/u.test(text))).toEqual([]);
});

test('lists have as many lines in both languages', () => {
  const lines = (all: [string, string][]): [string, number][] =>
    all.filter(([path]) => /steps|reasons|whats|gone|left$/i.test(path)).map(([path, text]) => [path, text.split('\n').length]);
  expect(lines(en)).toEqual(lines(ja));
});
