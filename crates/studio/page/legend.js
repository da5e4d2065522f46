// What the colours mean: the scale from below zero to above, with the sizes at its ends.

import { el } from './dom.js';
import { colors, isDark } from './color.js';
import { short } from './format.js';

// A legend; `show(top)` says at which size colours are full, `signed` whether there is a half below zero.
// Where each table has a size of its own, `show(null)` says only what is below zero and what is above.
export function legend({ signed = true, what = '' } = {}) {
  const canvas = el('canvas', { width: 65, height: 1, 'aria-hidden': true });
  const [low, high] = [el('span.num'), el('span.num')];
  const node = el('span.legend', {}, what, low, canvas, high);
  let shown = '';
  return {
    node,
    show(top) {
      const now = `${top} ${isDark()}`;
      if (now === shown) return;
      shown = now;
      low.textContent = top === null ? 'below 0' : signed ? short(-top, 2) : '0';
      high.textContent = top === null ? 'above' : short(top, 2);
      const context = canvas.getContext('2d');
      const image = context.createImageData(65, 1);
      const words = new Uint32Array(image.data.buffer);
      const steps = Array.from(words, (_, i) => (signed ? (i - 32) / 32 : i / 64));
      colors(steps, 0, 65, 1, words, 0);
      context.putImageData(image, 0, 0);
    },
  };
}
