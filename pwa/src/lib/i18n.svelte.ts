// The words of a page in every language it speaks. A page has one dictionary of its own, so that the caller's
// bundle carries the caller's words only.

/** The languages every page speaks, the first one being the one used where the reader asks for none of them. */
export const locales = ['ja', 'en'] as const;

/** One of the languages every page speaks. */
export type Locale = (typeof locales)[number];

/** A text, or a function that builds a text from values. */
export type Message = string | ((...values: never[]) => string);

/** Texts by name; groups of texts may be nested. */
export interface Messages {
  readonly [name: string]: Message | Messages;
}

/** The same names as M; a text stands where M has a text, and a function takes the same values as M's. */
export type Translated<M> = {
  readonly [K in keyof M]: M[K] extends string
    ? string
    : M[K] extends (...values: infer V) => string
      ? (...values: V) => string
      : Translated<M[K]>;
};

/** A dictionary: the same names in every language. */
export type Dictionary<M> = { readonly [L in Locale]: Translated<M> };

/**
 * Declares a dictionary. The Japanese texts name the keys; a key that another language lacks, has too many, or
 * whose function takes other values, does not compile.
 */
export function defineMessages<const M extends Messages>(
  messages: { readonly ja: M } & { readonly [L in Exclude<Locale, 'ja'>]: Translated<NoInfer<M>> },
): Dictionary<M>;
export function defineMessages(messages: unknown): unknown {
  return messages;
}

/** The first of the reader's languages (BCP 47, most wanted first) that we speak, else Japanese. */
export function preferredLocale(languages: readonly string[]): Locale {
  for (const language of languages) {
    const primary = language.toLowerCase().split('-')[0];
    const known = locales.find((locale) => locale === primary);
    if (known) {
      return known;
    }
  }
  return locales[0];
}

/** What I18n needs to know of the page; the defaults are the browser's own. */
export interface I18nOptions {
  /** The reader's languages, most wanted first. */
  readonly languages?: readonly string[];
  /** The element whose lang attribute follows the language: the page's root. */
  readonly root?: { lang: string };
}

/** The language of a page and its texts in it. Reading t inside a component follows a change of language. */
export class I18n<M> {
  readonly #dictionary: Dictionary<M>;
  readonly #root: { lang: string };
  #locale = $state<Locale>(locales[0]);

  constructor(dictionary: Dictionary<M>, options: I18nOptions = {}) {
    this.#dictionary = dictionary;
    this.#root = options.root ?? document.documentElement;
    this.use(preferredLocale(options.languages ?? navigator.languages));
  }

  /** The language in use. */
  get locale(): Locale {
    return this.#locale;
  }

  /** The texts in the language in use. */
  get t(): Translated<M> {
    return this.#dictionary[this.#locale];
  }

  /** Changes the language of the page. */
  use(locale: Locale): void {
    this.#locale = locale;
    this.#root.lang = locale;
  }

  /** A number in the reader's form. */
  number(value: number, options?: Intl.NumberFormatOptions): string {
    return new Intl.NumberFormat(this.#locale, options).format(value);
  }

  /** A moment as date and time in the reader's form and the device's time zone. */
  dateTime(moment: Date, options: Intl.DateTimeFormatOptions = { dateStyle: 'medium', timeStyle: 'short' }): string {
    return new Intl.DateTimeFormat(this.#locale, options).format(moment);
  }

  /** A moment to the second in Japan Standard Time, marked JST whatever the device's time zone: for evidence. */
  evidenceTime(moment: Date): string {
    const text = new Intl.DateTimeFormat(this.#locale, {
      dateStyle: 'medium',
      timeStyle: 'medium',
      timeZone: 'Asia/Tokyo',
    }).format(moment);
    return `${text} JST`;
  }
}

/** Makes the I18n of a page, in the first of the reader's languages that we speak. */
export function createI18n<M>(dictionary: Dictionary<M>, options?: I18nOptions): I18n<M> {
  return new I18n(dictionary, options);
}
