// The picture of the model that all views share: the stream flows down at the right; at each stage a branch
// reads it, computes, and adds what it found. Every table is of real numbers; only what is in sight is asked for.

import { el, put } from './dom.js';
import { block } from './block.js';
import { largest } from './color.js';
import { flat, exported } from './api.js';
import { glyph } from './format.js';

const STAGES = [
  {
    key: 'embed',
    title: 'Letters become numbers',
    about: 'What a letter is, and where it stands: a row of numbers for each.',
  },
  {
    key: 'attn',
    title: 'Attention',
    about:
      'Each letter asks (q) those before it (k) and takes from them (v). Nothing else carries anything from one letter to another.',
  },
  { key: 'mlp', title: 'MLP', about: 'Each letter thinks about what it has found, on its own.' },
  { key: 'cell', title: 'State', about: 'What was read so far, made anew with each letter.' },
  { key: 'out', title: 'What comes next?', about: 'A score for each letter, and from the scores probabilities.' },
  {
    key: 'weights',
    title: 'Weights',
    about: 'What was learnt: the same numbers for every text, changed a little by each step.',
  },
];
// So many numbers of a matrix are asked for at once.
const FEW = 1 << 14;
// What lies on the stream itself.
const SPINE = new Set(['embedded', 'stream_mid', 'stream', 'state']);

// In which stage a tensor is computed.
export function stageOf(tensor) {
  const name = tensor.short;
  if (tensor.per === 'matrix') return 'weights';
  if (tensor.layer === null || tensor.layer === undefined)
    return /logit|prob|loss|final|output/.test(name) ? 'out' : 'embed';
  if (/^mlp|^stream$|hidden/.test(name)) return 'mlp';
  if (/^cell|^state/.test(name)) return 'cell';
  return 'attn';
}

// picture({ onwanted, onpick, extra }).show(...): `extra(stage, layer)` may give nodes to put under a stage.
export function picture({ onwanted, onpick, extra = () => [] }) {
  const node = el('div.picture');
  let blocks = [];
  let built = null;
  let last = null;
  const seen = new Set();
  const eye = new IntersectionObserver(
    (entries) => {
      let more = false;
      for (const entry of entries) {
        const name = entry.target.dataset.name;
        if (entry.isIntersecting && !seen.has(name)) {
          seen.add(name);
          more = true;
        }
        if (!entry.isIntersecting) seen.delete(name);
      }
      if (more) onwanted();
    },
    { rootMargin: '300px' },
  );

  // Makes the stages of this model.
  const build = (model, run) => {
    built = model;
    eye.disconnect();
    seen.clear();
    const matrices = model.matrices.map((m) => ({
      name: m.name,
      short: m.name,
      layer: null,
      per: 'matrix',
      about: m.kind,
      // Of a large matrix as many rows as fit: one turns its pages.
      few: m.rows * m.cols > FEW && !exported ? Math.max(8, Math.floor(FEW / m.cols)) : null,
    }));
    blocks = [...model.tensors.filter((t) => t.per !== 'one'), ...matrices].map((tensor) => {
      const one = block(tensor, {
        onpick,
        onpage: (to) => {
          one.from = to;
          onwanted();
        },
      });
      return one;
    });
    const stages = [];
    for (const one of blocks) {
      const key = stageOf(one.tensor);
      const layer = key === 'embed' || key === 'out' ? null : one.tensor.layer;
      let stage = stages.find((s) => s.key === key && s.layer === layer);
      if (!stage) stages.push((stage = { key, layer, blocks: [] }));
      stage.blocks.push(one);
    }
    put(
      node,
      stages.map((stage) => {
        const { title, about } = STAGES.find((s) => s.key === stage.key);
        const spine = stage.blocks.filter((one) => SPINE.has(one.tensor.short));
        const branch = stage.blocks.filter((one) => !SPINE.has(one.tensor.short));
        const name = stage.layer === null ? title : `Layer ${stage.layer} · ${title}`;
        const more = extra(stage.key, stage.layer, run);
        const beside = stage.key === 'attn';
        return el(
          `section.stage-row.stage-${stage.key}`,
          { 'aria-label': name },
          el('header', {}, el('h2', {}, name), el('p.soft.small', {}, about)),
          el(
            'div.branch',
            {},
            branch.map((one) => one.node),
            beside ? more : null,
          ),
          el(
            'div.spine',
            {},
            spine.map((one) => one.node),
          ),
          el('div.extra', {}, beside ? null : more),
        );
      }),
    );
    for (const one of blocks) eye.observe(one.node);
    // Before the observer's first word: what is surely in sight.
    for (const one of blocks.slice(0, 12)) seen.add(one.tensor.name);
  };

  const paint = () => {
    if (!last) return;
    for (const one of blocks) {
      const window = last.windows.get(one.tensor.name);
      // What is out of sight was not asked for, and may be of another step.
      one.node.classList.toggle('stale', !window);
      if (window) one.show(window, last.about);
    }
  };

  return {
    node,
    prepare(model, run) {
      if (built !== model) build(model, run);
    },
    // The windows that are in sight, for a request.
    wanted: (more = {}) =>
      blocks
        .filter((one) => seen.has(one.tensor.name))
        .map(({ from, tensor }) => {
          const to = from + (tensor.few ?? 1e9);
          return from > 0 || tensor.few
            ? { name: tensor.name, rows: [from, to], ...more }
            : { name: tensor.name, ...more };
        }),
    // windows: Map of name -> { shape, rows, cols, values, top }; about: { tokens, heads, head, vocabulary }
    show(windows, about) {
      last = { windows, about };
      paint();
    },
    leave() {
      eye.disconnect();
    },
  };
}

// The windows of an answer by name, each with one flat list: `mode` says of what.
//   value, grad, before, or difference: now less before
export function windowsOf(answer, mode = 'value') {
  const windows = new Map();
  for (const w of answer.windows) {
    let values;
    if (mode === 'grad' && w.grads) values = flat(w.grads);
    else if (mode === 'before' && w.before) values = flat(w.before);
    else values = flat(w.values);
    let top =
      mode === 'value' && w.rows[1] - w.rows[0] < w.shape[0] ? largest([Number(w.least), Number(w.most)]) : undefined;
    if (mode === 'difference') {
      const before = w.before ? flat(w.before) : values;
      values = values.map((x, i) => (x === before[i] ? 0 : x - before[i]));
      top = undefined;
    }
    windows.set(w.name, { shape: w.shape, rows: w.rows, cols: w.cols, values, top });
  }
  return windows;
}

// The tokens of an answer, each with a sign to show.
export function tokensOf(answer) {
  return answer.tokens.map((token) => ({ ...token, glyph: glyph(token.name), target_glyph: glyph(token.target_name) }));
}
