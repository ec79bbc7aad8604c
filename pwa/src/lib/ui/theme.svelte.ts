// Light or dark, by the reader's choice or the system's. The choice stays with the browser; it says nothing of a case.

/** What a reader may choose. */
export const themes = ['system', 'light', 'dark'] as const;

/** One of themes. */
export type ThemeName = (typeof themes)[number];

const key = 'theme';

/** The brightness of the page. */
export class Theme {
  #name = $state<ThemeName>('system');

  get name(): ThemeName {
    return this.#name;
  }

  /** Takes up what was chosen before. */
  restore(): void {
    const stored = localStorage.getItem(key);
    this.use(themes.find((name) => name === stored) ?? 'system');
  }

  /** Changes the brightness, and keeps the choice. */
  use(name: ThemeName): void {
    this.#name = name;
    if (name === 'system') {
      delete document.documentElement.dataset['theme'];
      localStorage.removeItem(key);
    } else {
      document.documentElement.dataset['theme'] = name;
      localStorage.setItem(key, name);
    }
  }
}
