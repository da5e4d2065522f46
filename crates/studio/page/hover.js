// The small label beside the pointer: which number this is, and all of its digits.

import { el, put } from './dom.js';

const box = el('div.hover', { hidden: true, role: 'tooltip' });

export function showHover(x, y, { title, about, value, more }) {
  if (!box.isConnected) document.body.append(box);
  put(
    box,
    el('div.hovertitle', {}, title),
    about ? el('div.hoverabout', {}, about) : null,
    el('div.hovervalue.num', {}, value),
    more ? el('div.hoverabout', {}, more) : null,
  );
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${x + 16 + width > innerWidth ? Math.max(4, x - width - 12) : x + 16}px`;
  box.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
}

export function hideHover() {
  box.hidden = true;
}
