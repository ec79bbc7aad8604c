/** Moves the reader's place to what has just appeared, as where the button that was pressed is gone. */
export function focusNow(node: HTMLElement): void {
  node.focus();
}
