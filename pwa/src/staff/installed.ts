// Whether the page runs as an installed app, and how it becomes one.

/** The browser's own offer to install, where it makes one. */
export interface InstallOffer extends Event {
  prompt(): Promise<unknown>;
}

/** Whether the page was opened from the home screen. Safari says so in its own way. */
export function isInstalled(): boolean {
  return (
    (navigator as { standalone?: boolean }).standalone === true ||
    ['standalone', 'fullscreen', 'minimal-ui'].some((mode) => matchMedia(`(display-mode: ${mode})`).matches)
  );
}

/** The registration code in an address such as /staff/#r=CODE; empty where there is none. */
export function codeOf(hash: string): string {
  return readCode(/^#r=([0-9A-Za-z-]{12,24})$/.exec(hash)?.[1] ?? '');
}

/** A code as it is typed from the paper or read from its QR code, without what does not matter; empty where it is none. */
export function readCode(typed: string): string {
  const plain = typed.normalize('NFKC').toUpperCase().replace(/[^0-9A-Z]/g, '');
  return /^[0-9A-Z]{12}$/.test(plain) ? plain : '';
}
