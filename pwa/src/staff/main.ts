import '$lib/ui/tokens.css';
import '$lib/ui/base.css';
import '$lib/phone/phone.css';
import './staff.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { i18n } from './i18n';
import { startWorker } from './worker';

for (const [rel, href] of [
  ['manifest', `/staff/manifest.${i18n.locale}.webmanifest`],
  ['apple-touch-icon', '/staff/apple-touch-icon.png'],
] as const) {
  const link = document.createElement('link');
  link.rel = rel;
  link.href = href;
  document.head.append(link);
}

const target = document.getElementById('app');
if (!target) {
  throw new Error('the page has no element with the id app');
}
mount(App, { target });
void startWorker();
