// Why this number? Its formula with the numbers put in, what it was made of, who used it, the line that computed it.

import { el, put, announce } from './dom.js';
import { state, go } from './state.js';
import { current, takesBatch, lookingAt, pathOf, stepNow } from './session.js';
import { latest, exported } from './api.js';
import { exact, minus, short } from './format.js';
import { css, inkOn, largest } from './color.js';
import { pin, pinned, placeText } from './place.js';
import { life } from './life.js';
import { sourceLines } from './source.js';

export function panel(root) {
  const head = el('div');
  const body = el('div.whybody');
  const close = el(
    'button.plain',
    { 'aria-label': 'Close (Esc)', title: 'Close (Esc)', onclick: () => go({ place: null }), id: 'why-close' },
    '✕',
  );
  put(root, el('div.row.whytop', {}, el('h2.grow', {}, 'Why this number?'), close), head, body);
  const ask = latest();
  let asked = '';

  async function load() {
    const entry = current();
    const place = pinned();
    root.hidden = !place || !entry;
    if (root.hidden) {
      asked = '';
      return;
    }
    const view = state.view === 'ops' && takesBatch() ? { step: stepNow(), batch: true } : lookingAt();
    const request = { ...view, place, most: 64 };
    const key = `${entry.run.id} ${JSON.stringify(request)}`;
    if (key === asked) return;
    asked = key;
    try {
      const why = await ask(pathOf('why', entry.run.id), request);
      if (why === undefined) return;
      show(why, entry.run);
    } catch (error) {
      put(head, el('p.problem', {}, error.message));
      put(body);
    }
  }

  function show(why, run) {
    const { place } = why;
    put(
      head,
      el('div.mono.whyname', {}, place.label),
      el('div.whyvalue.num', { id: 'why-value', 'data-value': place.value }, exact(Number(place.value))),
      why.before
        ? el('div.small.soft', {}, 'before the edits ', el('span.num', {}, exact(Number(why.before.value))))
        : null,
      el('div.formula.mono', { id: 'why-formula' }, why.formula),
      el('div.numbers.num', { id: 'why-numbers' }, minus(why.numbers)),
    );
    const isMatrix = why.op === 'param';
    put(
      body,
      gradient(why),
      why.inputs.length > 0
        ? el('section', {}, el('h3', {}, `Made of ${tell(why.inputs.length, why.inputs_total)}`), inputs(why))
        : null,
      isMatrix ? el('p.soft.small', {}, 'A parameter: it was drawn by chance, and then learnt.') : null,
      why.users.length > 0
        ? el('section', {}, el('h3', {}, `Used by ${tell(why.users.length, why.users_total)}`), users(why))
        : null,
      isMatrix && !exported ? lifeOf(place, run) : null,
      source(why.source),
      exported
        ? null
        : el(
            'div.row.whyactions',
            {},
            el(
              'button',
              { onclick: () => go({ view: 'ops', graph: placeText(place) }, { remember: true }), id: 'why-graph' },
              'Draw its graph',
            ),
            el(
              'button',
              { onclick: () => go({ view: 'whatif', edit: placeText(place) }, { remember: true }), id: 'why-change' },
              'Change it …',
            ),
          ),
    );
    announce(`${place.label} is ${exact(Number(place.value))}: ${why.formula}`);
  }

  return { update: load };
}

// The life of a weight is the same at every step: it is drawn once.
let drawn = { key: '', node: null };
function lifeOf(place, run) {
  const key = `${run.id} ${run.status} ${placeText(place)}`;
  if (drawn.key !== key) drawn = { key, node: life(place, run) };
  return drawn.node;
}

function tell(some, all) {
  return some < all ? `${all} numbers; the ${some} that matter most` : some === 1 ? 'one number' : `${all} numbers`;
}

function gradient(why) {
  const grad = Number(why.place.grad ?? 0);
  return el(
    'section',
    {},
    el('h3', {}, 'Its gradient: how fast the loss changes with it'),
    el('div.num', { id: 'why-grad', 'data-value': grad }, exact(grad)),
    why.gradient ? el('div.numbers.num.soft', {}, minus(why.gradient)) : null,
  );
}

function link(place, text = place.label) {
  return el('button.link.mono', { onclick: () => pin(place), 'data-place': placeText(place) }, text);
}

function chip(x, top) {
  const node = el('span.chip.num', { title: exact(x) }, short(x));
  Object.assign(node.style, { background: css(x, top), color: inkOn(x, top) });
  return node;
}

// Products side by side, as they are multiplied; anything else line by line.
function inputs({ inputs: list }) {
  const top = largest(list.map((i) => Number(i.value)));
  const flows = largest(list.map((i) => Number(i.flows)));
  const seen = new Set();
  const rows = [];
  list.forEach((input, i) => {
    if (seen.has(i)) return;
    const other = input.pair !== null && input.pair !== undefined && input.pair !== i ? list[input.pair] : null;
    if (other) seen.add(input.pair);
    const product = other ? Number(input.value) * Number(other.value) : null;
    rows.push({
      size: Math.abs(product ?? Number(input.value)),
      node: el(
        'tr',
        {},
        el('td', {}, link(input), other ? [el('br'), link(other)] : null),
        el('td.num', {}, chip(Number(input.value), top), other ? [el('br'), chip(Number(other.value), top)] : null),
        el(
          'td.num',
          { title: other ? 'their product' : 'how fast the result changes with it' },
          other ? short(product) : `×${short(Number(input.local))}`,
        ),
        el(
          'td.num',
          { title: 'what it takes on to the gradient of the input' },
          chip(Number(input.flows), flows),
          other ? [el('br'), chip(Number(other.flows), flows)] : null,
        ),
      ),
    });
  });
  return el(
    'table.whytable',
    {},
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        el('th', {}, 'number'),
        el('th.num', {}, 'value'),
        el('th.num', {}, rows.some((r) => r.node.querySelector('br')) ? 'product' : 'slope'),
        el('th.num', {}, 'flows back'),
      ),
    ),
    el(
      'tbody',
      { id: 'why-inputs' },
      rows.map((row) => row.node),
    ),
  );
}

function users({ users: list }) {
  const flows = largest(list.map((u) => Number(u.flows)));
  return el(
    'table.whytable',
    {},
    el(
      'thead',
      {},
      el(
        'tr',
        {},
        el('th', {}, 'number'),
        el('th.num', {}, 'value'),
        el('th.num', {}, 'slope'),
        el('th.num', {}, 'gradient'),
      ),
    ),
    el(
      'tbody',
      { id: 'why-users' },
      list.map((user) =>
        el(
          'tr',
          {},
          el('td', {}, link(user)),
          el('td.num', {}, short(Number(user.value))),
          el('td.num', {}, `×${short(Number(user.local))}`),
          el('td.num', {}, chip(Number(user.flows), flows)),
        ),
      ),
    ),
  );
}

function source(where) {
  if (!where) return null;
  const both = [where.microgpt && { file: 'microgpt.rs', ...where.microgpt }, where.file && where].filter(Boolean);
  return el(
    'section',
    {},
    el('h3', {}, 'The line that computed it'),
    both.map((one) =>
      el(
        'details.sourceplace',
        {
          ontoggle: async (event) => {
            if (event.target.open) put(event.target.lastChild, await sourceLines(one.file, one.line, 6));
          },
        },
        el(
          'summary',
          {},
          el('span.mono.small', {}, `${one.file}:${one.line}`),
          el('code.sourceline', {}, one.text?.trim()),
        ),
        el('div'),
      ),
    ),
  );
}
