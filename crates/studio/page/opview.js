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
  let figures = [];
  let drawn = '';
  return {
    node,
    show(answer) {
      scale.show(null);
      const groups = groupsOf(answer);
      const all = groups.flatMap((group) => group.tables);
      // The same operation at another step: the tables stay, and only their numbers change.
      const looks = JSON.stringify(
        groups.map((group) => [group.sign, group.tables.map((t) => [t.title, t.id, t.shape])]),
      );
      if (looks !== drawn) {
        drawn = looks;
        figures = all.map(figure);
        let next = 0;
        put(
          tables,
          groups.map((group) => [
            group.sign ? el('div.opsign.mono', {}, group.sign) : null,
            boxed(
              group,
              group.tables.map(() => figures[next++].node),
            ),
          ]),
        );
      }
      all.forEach((table, i) => figures[i].show(table));
      const { phase, update } = answer;
      put(norms, phase === 'backward' || update ? bars(answer.gradient_norms ?? []) : null);
      if (update) norms.prepend(el('p.soft.small', {}, 'learning rate ', el('span.num', {}, exact(Number(update.lr)))));
    },
  };
}

const shapeOf = (rows) => [rows.length, rows[0]?.length ?? 0];
const minus = (a, b) => a.map((x, i) => x - b[i]);
const boxed = (group, figures) => (group.alone ? figures : el('div.opgroup', {}, figures));

// What is shown of an operation, in order: groups of tables, each after a sign.
function groupsOf({ op, phase, tensor, inputs, update }) {
  if (update) {
    const [before, grads, after] = [update.before, update.grads, update.after].map(flat);
    const id = { name: update.name };
    const one = (title, values) => ({ title, id, shape: shapeOf(update.before), values });
    return [
      { alone: true, tables: [one(`${update.name} before`, before)] },
      { alone: true, sign: '− a step against', tables: [one('its gradient', grads)] },
      { alone: true, sign: '→', tables: [one('after', after), one('what changed', minus(after, before))] },
    ];
  }
  const backward = phase === 'backward';
  const ins = inputs.map((input) => group(input, backward));
  const out = tensor ? [group({ ...tensor, tensor: op.tensor, label: op.label }, backward, true)] : [];
  const [first, then] = backward ? [out, ins] : [ins, out];
  if (ins.length > 0 && then.length > 0) then[0].sign = backward ? 'hands on to' : op.op;
  return [...first, ...then];
}

// A tensor's values, and going backward its gradients with what has just come.
function group(t, backward, isOut = false) {
  const id = t.name ? { name: t.name } : { tensor: t.tensor };
  const one = (title, values) => ({ title, id, shape: shapeOf(t.values), values, of: t });
  const tables = [one(t.name ?? t.label, flat(t.values))];
  if (backward && t.grads) {
    const grads = flat(t.grads);
    tables.push(one(isOut ? 'its gradient' : 'gradient so far', grads));
    if (!isOut && t.grads_before) tables.push(one('of which now', minus(grads, flat(t.grads_before))));
  }
  return { tables };
}

// A table with its name; `show` puts in other numbers.
function figure({ title, id, shape: [rows, cols] }) {
  let from = [0, 0];
  const map = heat({ name: title, onpick: (row, col) => pin({ ...id, row: row + from[0], col: col + from[1] }) });
  const size = el('span.num.soft');
  const single = rows * cols === 1;
  const cell = single ? [30, 30] : [Math.max(2, cellWidth(cols) - 2), Math.max(2, cellHeight(rows) - 4)];
  return {
    node: el('figure.optable', {}, el('figcaption', {}, el('b.mono', {}, title), ' ', size), map.node),
    show({ values, of }) {
      from = [of?.rows?.[0] ?? 0, of?.cols?.[0] ?? 0];
      const top = largest(values);
      map.show({ rows, cols, values, top, cell });
      const whole = of?.shape ?? [rows, cols];
      const cut = whole[0] > rows || whole[1] > cols ? ` (${rows} × ${cols} of ${whole.join(' × ')})` : '';
      size.textContent = single ? exact(values[0]) : `±${short(top, 2)}${cut}`;
    },
  };
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
        el('span.meter', {}, el('i', { style: { width: `${(100 * Number(n.norm)) / top}%` } })),
        el('span.num', { title: exact(Number(n.norm)) }, short(Number(n.norm))),
      ),
    ),
  ];
}
