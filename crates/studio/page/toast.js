// A short message that goes away by itself.

import { el } from './dom.js';

let shown = null;

export function toast(text, ms = 5000) {
  shown?.remove();
  shown = el('div.toast', { role: 'alert' }, text);
  document.body.append(shown);
  const mine = shown;
  setTimeout(() => mine.remove(), ms);
}
