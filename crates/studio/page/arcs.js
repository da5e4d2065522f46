// Whom each letter looks at: arcs from a letter back to those it takes from, as wide as their weight.

import { svg, put } from './dom.js';
import { showHover, hideHover } from './hover.js';
import { exact } from './format.js';

// arcs({ onpick(row, col), onletter(row) }).show({ letters, weights, row })
//   weights  for each letter a list over letters; row: the letter whose arcs alone are shown, or null
export function arcs({ onpick, onletter, label }) {
  const node = svg('svg.arcs', { role: 'img', 'aria-label': label });
  return {
    node,
    show({ letters, weights, row = null, color }) {
      const n = letters.length;
      const gap = Math.max(16, Math.min(46, 560 / Math.max(1, n)));
      const span = gap * (n - 1);
      const tall = Math.min(150, 26 + span * 0.42);
      const [width, height] = [span + 60, tall + 40];
      const x = (i) => 30 + i * gap;
      const parts = [];
      weights.forEach((line, to) => {
        if (row !== null && row !== to) return;
        for (let from = 0; from <= to; from++) {
          const weight = line[from];
          if (!(weight > 0.004)) continue;
          parts.push(
            arc(x(from), x(to), tall, weight, gap, {
              onpointermove: (event) =>
                showHover(event.clientX, event.clientY, {
                  title: `${letters[to]} looks at ${letters[from]}`,
                  about: `position ${to} at position ${from}`,
                  value: exact(weight),
                }),
              onpointerleave: hideHover,
              onclick: () => onpick?.(to, from),
              style: color ? { stroke: color } : {},
            }),
          );
        }
      });
      // Strong ones last, so that they lie above.
      parts.sort((a, b) => a.weight - b.weight);
      const names = letters.map((letter, i) => [
        svg(
          `text.letter${row === i ? '.on' : ''}`,
          {
            x: x(i),
            y: tall + 20,
            'font-size': Math.min(17, gap * 0.8),
            onclick: () => onletter?.(i),
            onpointerenter: () => onletter?.(i, true),
          },
          letter,
        ),
        svg('text.pos', { x: x(i), y: tall + 34 }, i),
      ]);
      node.setAttribute('viewBox', `0 0 ${width} ${height}`);
      node.style.maxWidth = `${width * 1.15}px`;
      put(
        node,
        parts.map((part) => part.path),
        names,
      );
    },
  };
}

function arc(a, b, base, weight, gap, props) {
  const middle = (a + b) / 2;
  const lift = a === b ? gap * 0.75 : Math.min(base - 8, 12 + (b - a) * 0.52);
  const d =
    a === b
      ? `M${a - 4} ${base} C${a - gap * 0.4} ${base - lift} ${a + gap * 0.4} ${base - lift} ${a + 4} ${base}`
      : `M${b} ${base} Q${middle} ${base - lift * 1.9} ${a} ${base}`;
  const path = svg('path.arc', {
    d,
    'stroke-width': 0.6 + 7 * weight,
    'stroke-opacity': 0.25 + 0.7 * weight,
    ...props,
  });
  return { weight, path };
}
