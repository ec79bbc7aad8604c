import { describe, expect, test } from 'vitest';
import { createI18n, defineMessages, preferredLocale } from './i18n.svelte';

const messages = defineMessages({
  ja: { send: '送る', left: (count: number) => `残り${count}件`, end: { thanks: 'ありがとうございました' } },
  en: { send: 'Send', left: (count: number) => `${count} left`, end: { thanks: 'Thank you' } },
});

describe('preferredLocale', () => {
  test.each([
    [['en-US', 'ja'], 'en'],
    [['ja-JP'], 'ja'],
    [['fr-FR', 'en'], 'en'],
    [['EN'], 'en'],
    [['fr'], 'ja'],
    [[], 'ja'],
    [['eng'], 'ja'],
  ] as const)('%j gives %s', (languages, locale) => {
    expect(preferredLocale(languages)).toBe(locale);
  });
});

describe('I18n', () => {
  test('speaks the reader’s language and says so on the page', () => {
    const root = { lang: '' };
    const i18n = createI18n(messages, { languages: ['en-GB'], root });
    expect(root.lang).toBe('en');
    expect(i18n.t.send).toBe('Send');
    expect(i18n.t.left(2)).toBe('2 left');
    expect(i18n.t.end.thanks).toBe('Thank you');
  });

  test('changes the language', () => {
    const root = { lang: '' };
    const i18n = createI18n(messages, { languages: ['en'], root });
    i18n.use('ja');
    expect(root.lang).toBe('ja');
    expect(i18n.locale).toBe('ja');
    expect(i18n.t.left(2)).toBe('残り2件');
  });

  test('evidence times are Japan Standard Time and say so', () => {
    const i18n = createI18n(messages, { languages: ['ja'], root: { lang: '' } });
    expect(i18n.evidenceTime(new Date('2026-03-31T15:04:05Z'))).toBe('2026/04/01 0:04:05 JST');
  });

  test('a key that one language lacks does not compile', () => {
    // @ts-expect-error en lacks the key
    defineMessages({ ja: { send: '送る' }, en: {} });
    // @ts-expect-error en has a key too many
    defineMessages({ ja: { send: '送る' }, en: { send: 'Send', more: 'More' } });
    // @ts-expect-error en takes another value
    defineMessages({ ja: { left: (count: number) => `${count}` }, en: { left: (count: Date) => `${count}` } });
  });
});
