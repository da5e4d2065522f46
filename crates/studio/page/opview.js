// One operation: its operands, its result, and in the backward phase what it hands on to their gradients.

import { el, put } from './dom.js';
import { heat } from './heat.js';
import { flat } from './api.js';
import { largest } from './color.js';
import { exact, short } from './format.js';
import { cellWidth, cellHeight } from './block.js';
import { pin } from './place.js';
import { legend } from './legend.js';

export function opView() {
  const node = el('div.opview');
  const norms = el('div.opnorms');
  const scale = legend({});
  const tables = el('div.optables');
  put(node, tables, scale.node, norms);
  return {
    node,
    show({ op, phase, tensor, inputs, gradient_norms, update }) {
      scale.show(null);
      const parts = [];
      const backward = phase === 'backward';
      if (update) {
        parts.push(
          table(`${update.name} before`, update.name, shapeOf(update.before), flat(update.before)),
          sign('− a step against'),
          table('its gradient', update.name, shapeOf(update.grads), flat(update.grads)),
          sign('→'),
          table('after', update.name, shapeOf(update.after), flat(update.after)),
          table('what changed', update.name, shapeOf(update.after), minus(flat(update.after), flat(update.before))),
          el('p.soft.small', {}, 'learning rate ', el('span.num', {}, exact(Number(update.lr)))),
        );
      } else {
        const ins = inputs.map((input) => group(input, backward));
        const out = tensor ? group({ ...tensor, tensor: op.tensor, label: op.label }, backward, true) : null;
        if (backward) parts.push(out, ins.length > 0 ? sign('hands on to') : null, ins);
        else parts.push(ins, ins.length > 0 ? sign(op.op) : null, out);
      }
      put(tables, parts);
      put(norms, backward || phase === 'update' ? bars(gradient_norms ?? []) : null);
    },
  };
}

const sign = (text) => el('div.opsign.mono', {}, text);
const shapeOf = (rows) => [rows.length, rows[0]?.length ?? 0];
const minus = (a, b) => a.map((x, i) => x - b[i]);

// A tensor's values, and going backward its gradients with what has just come.
function group(t, backward, isOut = false) {
  const name = t.name ?? t.label;
  const id = t.name ? { name: t.name } : { tensor: t.tensor };
  const shape = shapeOf(t.values);
  const parts = [table(name, id, shape, flat(t.values), t)];
  if (backward && t.grads) {
    const grads = flat(t.grads);
    parts.push(table(isOut ? 'its gradient' : 'gradient so far', id, shape, grads, t));
    if (!isOut && t.grads_before) parts.push(table('of which now', id, shape, minus(grads, flat(t.grads_before)), t));
  }
  return el('div.opgroup', {}, parts);
}

function table(title, id, [rows, cols], values, t) {
  const of = typeof id === 'string' ? { name: id } : id;
  const [r0, c0] = [t?.rows?.[0] ?? 0, t?.cols?.[0] ?? 0];
  const map = heat({ name: title, onpick: (row, col) => pin({ ...of, row: row + r0, col: col + c0 }) });
  const top = largest(values);
  const single = rows * cols === 1;
  map.show({
    rows,
    cols,
    values,
    top,
    cell: single ? [30, 30] : [Math.max(2, cellWidth(cols) - 2), Math.max(2, cellHeight(rows) - 4)],
  });
  const cut =
    t?.shape && (t.shape[0] > rows || t.shape[1] > cols) ? ` (${rows} × ${cols} of ${t.shape.join(' × ')})` : '';
  return el(
    'figure.optable',
    {},
    el(
      'figcaption',
      {},
      el('b.mono', {}, title),
      ' ',
      el('span.num.soft', {}, single ? exact(values[0]) : `±${short(top, 2)}${cut}`),
    ),
    map.node,
  );
}

function bars(norms) {
  const top = Math.max(1e-30, ...norms.map((n) => Number(n.norm)));
  return [
    el('h3', {}, "Length of each matrix's gradient so far"),
    norms.map((n) =>
      el(
        'div.normrow',
        {},
        el('span.mono', {}, n.name),
        el('span.meter', {}, el('i.moves', { style: { width: `${(100 * Number(n.norm)) / top}%` } })),
        el('span.num', {}, short(Number(n.norm))),
      ),
    ),
  ];
}
