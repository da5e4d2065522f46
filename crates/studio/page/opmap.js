// Where in the model an operation is: the stages on the stream, in order, with the one that computes now lit.

import { el, put } from './dom.js';
import { stageOf } from './picture.js';

const NAMES = {
  embed: 'letters → numbers',
  attn: 'attention',
  mlp: 'MLP',
  cell: 'state',
  out: 'scores and loss',
  update: 'update',
};

// opMap({ onpick(at) }): `prepare(ops)` when the list is another, `light(op)` when another operation is looked at.
export function opMap({ onpick }) {
  const node = el('div.opmap', { role: 'group', 'aria-label': 'Where in the model' });
  let boxes = [];
  let keys = [];
  let lit = '';
  return {
    node,
    prepare(ops) {
      keys = keysOf(ops);
      lit = '';
      const first = new Map();
      keys.forEach((key, i) => {
        if (key && !first.has(key)) first.set(key, ops[i].at);
      });
      boxes = [...first].map(([key, at]) => {
        const [stage, layer] = key.split(' ');
        return el(
          'button.opbox',
          { 'data-key': key, onclick: () => onpick(at) },
          el('span.small.soft', {}, layer ? `layer ${layer}` : ' '),
          el('b', {}, NAMES[stage]),
        );
      });
      put(
        node,
        boxes.map((box, i) => [i > 0 ? el('span.oparrow', { 'aria-hidden': 'true' }, '→') : null, box]),
      );
    },
    light(at, phase) {
      const key = keys[at];
      if (lit === `${key} ${phase}`) return;
      lit = `${key} ${phase}`;
      node.classList.toggle('backward', phase === 'backward');
      for (const arrow of node.querySelectorAll('.oparrow')) arrow.textContent = phase === 'backward' ? '←' : '→';
      for (const box of boxes) {
        box.classList.toggle('lit', box.dataset.key === key);
        if (box.dataset.key === key && node.scrollWidth > node.clientWidth)
          node.scrollLeft = box.offsetLeft - node.clientWidth / 2;
      }
    },
  };
}

// The stage of each operation. One without a name belongs to what it is computed for: the next that has one.
function keysOf(ops) {
  const keys = new Array(ops.length).fill(null);
  const byTensor = new Map();
  let next = 'out';
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i];
    if (op.phase !== 'forward') continue;
    const parameter = op.op === 'param';
    if (op.name && !parameter) {
      const tensor = { layer: op.layer, short: op.name.split('.').at(-1) };
      const stage = stageOf(tensor);
      next = stage === 'embed' || stage === 'out' ? stage : `${stage} ${op.layer}`;
    }
    keys[i] = next;
    byTensor.set(op.tensor, next);
  }
  ops.forEach((op, i) => {
    if (op.phase === 'backward') keys[i] = byTensor.get(op.tensor) ?? null;
    if (op.phase === 'update') keys[i] = 'update';
  });
  return keys;
}
