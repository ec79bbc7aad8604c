// Single keys as commands: never while somebody types, never a held key, never with a modifier.

/** Whether a key press belongs to whatever has the focus. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target instanceof HTMLTextAreaElement ||
      target instanceof HTMLSelectElement ||
      (target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'submit'].includes(target.type)))
  );
}

/**
 * The command of a key press, in lower case; null where it is none. While a dialog or a menu is open, keys belong to it.
 */
export function commandOf(event: KeyboardEvent): string | null {
  if (event.defaultPrevented || event.repeat || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) {
    return null;
  }
  if (isTyping(event.target) || document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]')) {
    return null;
  }
  return event.key.length === 1 ? event.key.normalize('NFKC').toLowerCase() : event.key;
}
