// The last four digits, typed as the caller reads them: one press, one digit. A held key, a paste or a drop would
// make the second confirmation the same act as the first.

/** How many digits the second confirmation asks for. */
export const confirmDigits = 4;

/** What is read of a key press. */
export interface KeyPress {
  readonly key: string;
  readonly repeat: boolean;
  readonly ctrlKey?: boolean;
  readonly metaKey?: boolean;
  readonly altKey?: boolean;
}

/** The digits of a text, full-width ones made plain. */
export function plainDigits(text: string): string {
  return text.normalize('NFKC').replace(/\D/g, '');
}

/** Whether a key press may act on the field: digits, and the keys that correct and leave. */
export function allowsKey(press: KeyPress): boolean {
  if (press.repeat && press.key !== 'Backspace' && press.key !== 'Delete') {
    return false;
  }
  if (press.ctrlKey || press.metaKey || press.altKey) {
    return press.key.toLowerCase() !== 'v';
  }
  return press.key.length > 1 || plainDigits(press.key).length === 1;
}

/** The field's next value, where an input event made it `typed`: at most one digit more than before. */
export function nextDigits(before: string, typed: string): string {
  const digits = plainDigits(typed);
  if (digits.length > before.length + 1) {
    return before;
  }
  return digits.slice(0, confirmDigits);
}
