// Numbers and what they were made of: the result at the right, its operands to the left of it, as far back as was asked.

import { svg, put } from './dom.js';
import { short, exact } from './format.js';
import { css, inkOn } from './color.js';
import { showHover, hideHover } from './hover.js';

const [WIDE, TALL, GAP_X, GAP_Y] = [136, 38, 56, 8];

// graph({ onpick(vertex) }).show({ vertices, edges, root, lit })
//   vertices  Map of key -> { key, name, value, grad, param, open }
//   edges     [{ from, to, local }]: from an operand to what used it
export function graph({ onpick, label }) {
  const node = svg('svg.graph', { role: 'group', 'aria-label': label });
  return {
    node,
    show({ vertices, edges, root, lit = null }) {
      const places = layout(vertices, edges, root);
      const top = Math.max(1e-12, ...[...vertices.values()].map((v) => Math.abs(v.grad ?? 0)));
      const lines = edges.map((edge) => {
        const [a, b] = [places.get(edge.from), places.get(edge.to)];
        if (!a || !b) return null;
        const [x1, y1, x2, y2] = [a.x + WIDE, a.y + TALL / 2, b.x, b.y + TALL / 2];
        const bend = Math.max(24, (x2 - x1) / 2);
        const on = lit && (edge.from === lit || edge.to === lit);
        return svg(`path.edge${on ? '.lit' : ''}`, {
          d: `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
        });
      });
      const boxes = [...vertices.values()].map((v) => box(v, places.get(v.key), lit === v.key, top, onpick));
      const [width, height] = [places.width, places.height];
      Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }).forEach(([k, x]) => node.setAttribute(k, x));
      put(node, lines, boxes);
    },
  };
}

function box(v, { x, y }, lit, top, onpick) {
  const pick = () => onpick?.(v);
  const grad = v.grad ?? 0;
  return svg(
    `g.vertex${lit ? '.lit' : ''}${v.param ? '.param' : ''}`,
    {
      transform: `translate(${x} ${y})`,
      tabindex: 0,
      role: 'button',
      'aria-label': `${v.name} = ${exact(v.value)}, gradient ${exact(grad)}`,
      onclick: pick,
      onkeydown: (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          pick();
        }
      },
      onpointermove: (event) =>
        showHover(event.clientX, event.clientY, {
          title: v.name,
          about: v.formula,
          value: exact(v.value),
          more: `gradient ${exact(grad)}`,
        }),
      onpointerleave: hideHover,
    },
    svg('rect', { width: WIDE, height: TALL }),
    svg('rect.tag', {
      x: WIDE - 62,
      y: 19,
      width: 61,
      height: TALL - 20,
      style: { fill: css(grad, top), stroke: 'none' },
    }),
    svg('text', { x: 6, y: 14 }, clip(v.name, 19)),
    svg('text.sub', { x: 6, y: 31 }, short(v.value)),
    svg('text.sub', { x: WIDE - 5, y: 31, 'text-anchor': 'end', style: { fill: inkOn(grad, top) } }, short(grad, 2)),
    v.open || v.param ? null : svg('text.sub', { x: -9, y: 23 }, '‹'),
  );
}

// A long name is cut, its row and column are not.
function clip(text, n) {
  if (text.length <= n) return text;
  const place = /\[.*\]$/.exec(text)?.[0] ?? '';
  return `${text.slice(0, Math.max(1, n - 1 - place.length))}…${place}`;
}

// Columns by the longest way to the result; in a column the order of what used them, which keeps most lines apart.
function layout(vertices, edges, root) {
  const users = new Map();
  for (const { from, to } of edges) users.set(from, [...(users.get(from) ?? []), to]);
  const depths = new Map();
  const depth = (key) => {
    if (key === root) return 0;
    if (!depths.has(key)) {
      depths.set(key, 1);
      depths.set(key, 1 + Math.max(0, ...(users.get(key) ?? []).map(depth)));
    }
    return depths.get(key);
  };
  const columns = [];
  for (const key of vertices.keys()) (columns[depth(key)] ??= []).push(key);
  const places = new Map();
  const tallest = Math.max(...columns.map((column) => column?.length ?? 0));
  const height = Math.max(120, tallest * (TALL + GAP_Y) + 24);
  columns.forEach((column, d) => {
    if (!column) return;
    const order = new Map(
      column.map((key, i) => [
        key,
        Math.min(...(users.get(key) ?? []).map((u) => places.get(u)?.y ?? 0), 1e9) + i * 1e-3,
      ]),
    );
    column.sort((a, b) => order.get(a) - order.get(b));
    const start = (height - column.length * (TALL + GAP_Y)) / 2;
    column.forEach((key, i) =>
      places.set(key, { x: (columns.length - 1 - d) * (WIDE + GAP_X) + 16, y: start + i * (TALL + GAP_Y) }),
    );
  });
  places.width = columns.length * (WIDE + GAP_X) - GAP_X + 32;
  places.height = height;
  return places;
}
