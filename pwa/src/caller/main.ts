import '$lib/ui/tokens.css';
import '$lib/ui/base.css';
import '$lib/phone/phone.css';
import { mount } from 'svelte';
import App from './App.svelte';

const target = document.getElementById('app');
if (!target) {
  throw new Error('the page has no element with the id app');
}
mount(App, { target });
