// The edits: a list to undo, heads and neurons to silence, one number to set, a row to borrow.

import { el, put } from './dom.js';
import { state } from './state.js';
import { editsNow, lookingAt, pathOf, textNow } from './session.js';
import { post } from './api.js';
import { exact } from './format.js';
import { sameThing, change, write, undo, redo, reset, canRedo, words } from './edits.js';
import { placeOf } from './place.js';

export function editor() {
  const list = el('ol.edits', { id: 'edits' });
  const buttons = el(
    'div.row',
    {},
    el('button', { id: 'undo', onclick: undo, title: 'Ctrl+Z' }, 'Undo'),
    el('button', { id: 'redo', onclick: redo, title: 'Ctrl+Shift+Z' }, 'Redo'),
    el(
      'button',
      {
        id: 'reset',
        onclick: reset,
        title: 'As it was trained: nothing changed',
      },
      'Reset',
    ),
  );
  const heads = el('div.headgrid');
  const neuron = el('input.narrow.num', { type: 'number', min: 0, value: 0, id: 'neuron', 'aria-label': 'Neuron' });
  const layer = el('select', { id: 'neuron-layer', 'aria-label': 'Layer' });
  const one = oneNumber();
  const borrow = borrowed();
  const node = el(
    'div.editor',
    {},
    el('section.card', {}, el('h2', {}, 'Changed'), list, buttons),
    el('section.card', {}, el('h2', {}, 'Silence a head'), heads),
    el(
      'section.card',
      {},
      el('h2', {}, 'Silence a neuron of the MLP'),
      el(
        'div.row',
        {},
        layer,
        neuron,
        el(
          'button',
          {
            id: 'silence-neuron',
            onclick: () => change({ kind: 'neuron', layer: Number(layer.value), neuron: Number(neuron.value) }),
          },
          'Silence',
        ),
      ),
    ),
    one.node,
    borrow.node,
  );
  addEventListener('keydown', (event) => {
    if (
      !node.isConnected ||
      event.target.closest('input[type=text], textarea') ||
      !(event.ctrlKey || event.metaKey) ||
      event.key.toLowerCase() !== 'z'
    )
      return;
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  let built = null;
  return {
    node,
    key: () => false,
    update(run, model) {
      const edits = editsNow();
      put(
        list,
        edits.length === 0
          ? el('li.soft.none', {}, 'nothing')
          : edits.map((edit, i) =>
              el(
                'li',
                {},
                el('span.small', {}, words(edit)),
                el(
                  'button.plain',
                  { 'aria-label': `Take back: ${words(edit)}`, onclick: () => write(edits.filter((_, j) => j !== i)) },
                  '✕',
                ),
              ),
            ),
      );
      buttons.children[0].disabled = edits.length === 0;
      buttons.children[1].disabled = !canRedo();
      buttons.children[2].disabled = edits.length === 0;
      if (built !== model) {
        built = model;
        put(
          heads,
          Array.from({ length: run.layers }, (_, l) =>
            el(
              'div.row.tight',
              {},
              el('span.small.soft.layername', {}, `layer ${l}`),
              Array.from({ length: run.heads }, (__, h) =>
                el(
                  'button',
                  {
                    'data-layer': l,
                    'data-head': h,
                    id: `silence-${l}-${h}`,
                    'aria-label': `Silence head ${h} of layer ${l}`,
                    onclick: () => toggleHead(l, h),
                  },
                  h,
                ),
              ),
            ),
          ),
        );
        heads.parentElement.hidden = !(run.heads > 0);
        put(
          layer,
          Array.from({ length: run.layers }, (_, l) => el('option', { value: l }, `layer ${l}`)),
        );
        neuron.max = Math.max(0, run.hidden - 1);
        neuron.closest('section').hidden = !(run.hidden > 0);
        borrow.offer(model);
      }
      for (const button of heads.querySelectorAll('button')) {
        const [l, h] = [Number(button.dataset.layer), Number(button.dataset.head)];
        button.setAttribute(
          'aria-pressed',
          String(edits.some((e) => e.kind === 'head' && e.layer === l && e.head === h)),
        );
      }
      one.update(model);
    },
  };
}

function toggleHead(layer, head) {
  const edits = editsNow();
  const mine = { kind: 'head', layer, head };
  const others = edits.filter((edit) => !sameThing(edit, mine));
  if (others.length < edits.length) write(others);
  else change(mine);
}

// Sets one number: typed, or by a slider that all views follow.
function oneNumber() {
  const name = el('div.mono.small', {}, 'Click a number of the picture.');
  const value = el('input.num.grow', {
    type: 'text',
    inputmode: 'decimal',
    id: 'edit-value',
    'aria-label': 'New value',
  });
  const slider = el('input.grow', {
    type: 'range',
    min: -1,
    max: 1,
    step: 'any',
    'aria-label': 'New value',
    id: 'edit-slider',
  });
  const was = el('div.small.soft');
  const controls = el(
    'div',
    { hidden: true },
    was,
    el(
      'div.row',
      {},
      value,
      el('button', { onclick: () => set(Number(value.value)), id: 'edit-set' }, 'Set'),
      el('button', { onclick: () => set(0) }, '0'),
    ),
    slider,
  );
  const node = el('section.card', {}, el('h2', {}, 'Set one number'), name, controls);
  let model = null;
  let asked = '';
  const set = (x, remember = true) => {
    const place = placeOf(state.edit);
    if (!place || !Number.isFinite(x)) return;
    const kind = model.matrices.some((m) => m.name === place.name) ? 'weight' : 'value';
    change({ kind, name: place.name, row: place.row, col: place.col, value: x }, remember);
  };
  slider.addEventListener('input', () => {
    value.value = slider.value;
    set(Number(slider.value), false);
  });
  value.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') set(Number(value.value));
  });
  return {
    node,
    async update(now) {
      model = now;
      const place = placeOf(state.edit);
      controls.hidden = !place?.name;
      if (!place?.name) return;
      name.textContent = `${place.name}[${place.row}, ${place.col}]`;
      const request = { ...lookingAt({ edits: false }), place, most: 1 };
      const key = JSON.stringify([pathOf(''), request]);
      if (key === asked) return;
      asked = key;
      try {
        const why = await post(pathOf('why'), request);
        const x = Number(why.place.value);
        const reach = Math.max(1, 4 * Math.abs(x));
        [slider.min, slider.max, slider.value] = [x - reach, x + reach, x];
        value.value = String(x);
        was.textContent = `it is ${exact(x)}`;
      } catch (error) {
        was.textContent = error.message;
      }
    },
  };
}

// A row of a tensor as it is in another text.
function borrowed() {
  const name = el('select', { id: 'borrow-name', 'aria-label': 'Which tensor' });
  const text = el('input.mono', {
    id: 'borrow-text',
    placeholder: 'another text',
    'aria-label': 'Another text',
    spellcheck: 'false',
  });
  const [row, from] = ['borrow-row', 'borrow-from'].map((id) =>
    el('input.narrow.num', { id, type: 'number', min: 0, value: 1 }),
  );
  const set = () =>
    text.value &&
    text.value !== textNow() &&
    change({ kind: 'from', name: name.value, row: Number(row.value), text: text.value, from_row: Number(from.value) });
  const node = el(
    'section.card',
    {},
    el('h2', {}, 'Borrow from another text'),
    el(
      'div.borrow',
      {},
      name,
      text,
      el('label.row.small', {}, 'row', row),
      el('label.row.small', {}, 'from its row', from),
      el('button', { id: 'borrow', onclick: set }, 'Borrow'),
    ),
  );
  return {
    node,
    offer(model) {
      put(
        name,
        model.tensors.filter((t) => t.per === 'token').map((t) => el('option', { value: t.name }, t.name)),
      );
      const stream = model.tensors.findLast((t) => t.short === 'stream') ?? model.tensors[0];
      if (stream) name.value = stream.name;
    },
  };
}
