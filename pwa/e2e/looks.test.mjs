// The eye of the tests itself: what is wrong with a page is noticed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, phone } from './browser.mjs';
import { assertLooksRight } from './looks.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const right = '<button style="width:64px;height:64px">OK</button><p>Words that fit.</p>';

for (const [fault, html, noticed] of [
  ['nothing', right, null],
  ['a page wider than its window', `${right}<div style="width:2000px;height:1px"></div>`, /wider than the window/],
  ['a text cut off', `${right}<p style="width:40px;overflow:hidden;white-space:nowrap">Words that do not fit</p>`, /px too wide/],
  ['a control without a name', `${right}<button style="width:64px;height:64px"></button>`, /no name/],
  ['a target too small', `${right}<button style="width:20px;height:20px;padding:0">x</button>`, /target of 20×20 px/],
  ['a text that is none', `${right}<p>Hello undefined</p>`, /no text/],
]) {
  test(`${fault} is ${noticed ? 'noticed' : 'wrong with a good page'}`, async (t) => {
    const context = await phone(browser);
    t.after(() => context.close());
    const page = await context.newPage();
    await page.setContent(`<!doctype html><meta name="viewport" content="width=device-width">${html}`);
    const looking = assertLooksRight(page, 'the page', { touch: true });
    await (noticed ? assert.rejects(looking, noticed) : looking);
  });
}
