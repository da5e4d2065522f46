// What the colours mean: the scale from below zero to above, with the sizes at its ends.

import { el } from './dom.js';
import { scale } from './color.js';
import { short } from './format.js';

// A legend; `show(top)` says at which size colours are full, `signed` whether there is a half below zero.
// Where each table has a size of its own, `show(null)` says only what is below zero and what is above.
export function legend({ signed = true, what = '' } = {}) {
  const canvas = el('canvas', { width: 65, height: 1, 'aria-hidden': true });
  const [low, high] = [el('span.num'), el('span.num')];
  const node = el('span.legend', {}, what, low, canvas, high);
  return {
    node,
    show(top) {
      low.textContent = top === null ? 'below 0' : signed ? short(-top, 2) : '0';
      high.textContent = top === null ? 'above' : short(top, 2);
      const context = canvas.getContext('2d');
      const image = context.createImageData(65, 1);
      const words = new Uint32Array(image.data.buffer);
      const colorOf = scale(1);
      for (let i = 0; i < 65; i++) words[i] = colorOf(signed ? (i - 32) / 32 : i / 64);
      context.putImageData(image, 0, 0);
    },
  };
}
