// Light, dark, or as the system is.

import { el, svg } from './dom.js';
import { remember, recall } from './memory.js';

const NAMES = ['system', 'light', 'dark'];
const listeners = new Set();

// Calls f when the colours changed: what is drawn on a canvas has to be drawn again.
export function onTheme(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

function apply(name) {
  if (name === 'light' || name === 'dark') document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  for (const f of [...listeners]) f();
}

// The button that goes from one to the next.
export function theme() {
  let name = NAMES.includes(recall('theme')) ? recall('theme') : 'system';
  const icon = svg(
    'svg',
    { viewBox: '0 0 20 20', width: 17, height: 17, 'aria-hidden': 'true' },
    svg('circle', { cx: 10, cy: 10, r: 7.5, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.6 }),
    svg('path', { d: 'M10 2.5a7.5 7.5 0 0 1 0 15z', fill: 'currentColor' }),
  );
  const button = el('button.plain', { id: 'theme' }, icon);
  const tell = () => {
    const text = `Colours: ${name === 'system' ? 'as the system' : name}`;
    button.title = text;
    button.setAttribute('aria-label', text);
  };
  button.addEventListener('click', () => {
    name = NAMES[(NAMES.indexOf(name) + 1) % NAMES.length];
    remember('theme', name);
    apply(name);
    tell();
  });
  apply(name);
  tell();
  return button;
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const f of [...listeners]) f();
});
