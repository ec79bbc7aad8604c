// What is wrong with how a page looks, whoever reads it: asked of every screen.
import assert from 'node:assert/strict';

/** The least a target measures on a phone, in CSS pixels. */
const target = 48;

/**
 * Fails where the page is wider than its window, a text is cut off, a control has no name, a key of a text stands where
 * its words should, or, on a phone, a target is smaller than a thumb needs. name: the screen, for the message.
 */
export async function assertLooksRight(page, name, { touch = false } = {}) {
  const faults = await page.evaluate(
    ({ target, touch }) => {
      const found = [];
      const say = (what, element) => {
        const text = (element.getAttribute('aria-label') ?? element.textContent ?? '').trim().slice(0, 40);
        found.push(`${what}: <${element.localName}${element.className ? ` class="${element.className}"` : ''}> ${text}`);
      };
      const visible = (element) =>
        element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !element.closest('.visually-hidden');
      const root = document.documentElement;
      if (root.scrollWidth > root.clientWidth) {
        found.push(`${root.scrollWidth - root.clientWidth} px wider than the window`);
      }
      for (const element of document.body.querySelectorAll('*')) {
        if (!(element instanceof HTMLElement) || !visible(element)) {
          continue;
        }
        const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
        const style = getComputedStyle(element);
        const inline = style.display === 'inline';
        if (own && !inline && !['auto', 'scroll'].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1) {
          say(`text ${element.scrollWidth - element.clientWidth} px too wide`, element);
        }
        if (own && style.overflowY === 'hidden' && element.scrollHeight > element.clientHeight + 2) {
          say(`text ${element.scrollHeight - element.clientHeight} px too high`, element);
        }
        if (own && !['SCRIPT', 'STYLE'].includes(element.tagName)) {
          for (const node of element.childNodes) {
            if (node.nodeType === Node.TEXT_NODE && /\b(?:undefined|null|NaN|\[object|function\b|=>)/.test(node.data)) {
              say('no text', element);
            }
          }
        }
      }
      const controls = 'a[href], button, input:not([type=hidden]), select, textarea, [role=button], [role=radio], [role=menuitem], video[controls]';
      for (const element of document.body.querySelectorAll(controls)) {
        const label = element.labels?.[0];
        const shown = visible(element) ? element : label && visible(label) ? label : null;
        if (!shown || element.closest('[aria-hidden=true]')) {
          continue;
        }
        const named =
          element.getAttribute('aria-label')?.trim() ||
          (element.getAttribute('aria-labelledby') ?? '')
            .split(' ')
            .map((id) => document.getElementById(id)?.textContent ?? '')
            .join('')
            .trim() ||
          [...(element.labels ?? [])].map((each) => each.textContent).join('').trim() ||
          element.textContent.trim();
        if (!named) {
          say('no name', element);
        }
        const { width, height } = shown.getBoundingClientRect();
        if (touch && (width < target || height < target)) {
          say(`target of ${Math.round(width)}×${Math.round(height)} px`, shown);
        }
      }
      return found;
    },
    { target, touch },
  );
  assert.deepEqual([...new Set(faults)], [], `${name} does not look right`);
}
