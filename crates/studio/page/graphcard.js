// The scalar graph behind a chosen number: every circle a number, every line a use of it.

import { el, put } from './dom.js';
import { state, go, number } from './state.js';
import { pathOf } from './session.js';
import { latest } from './api.js';
import { graph } from './graph.js';
import { pin, placeOf, pinned } from './place.js';

export function graphCard() {
  const drawing = graph({ label: 'Numbers and what they were made of', onpick: (v) => pin(v.place) });
  const place = el('input.mono', { id: 'graph-place', size: 26, spellcheck: 'false', 'aria-label': 'Of which number' });
  const depth = el(
    'select',
    { id: 'graph-depth', 'aria-label': 'How far back' },
    [1, 2, 3, 4, 5, 6].map((n) => el('option', { value: n }, `${n} back`)),
  );
  const said = el('span.soft.small', { role: 'status' });
  const box = el('div.graphbox', {}, drawing.node);
  const node = el(
    'section.card.graphcard',
    {},
    el(
      'div.row',
      {},
      el('h2', {}, 'The graph behind'),
      place,
      depth,
      el(
        'button',
        { id: 'graph-pinned', onclick: () => state.place && go({ graph: state.place }) },
        'the pinned number',
      ),
      said,
    ),
    box,
  );
  const ask = latest();
  let asked = '';
  let seen = false;
  let wanted = null;
  place.addEventListener('change', () => go({ graph: textOf(place.value) }));
  depth.addEventListener('change', () => go({ depth: depth.value }));
  // What is below the edge of the window is not asked for.
  new IntersectionObserver(
    (entries) => {
      seen = entries.at(-1).isIntersecting;
      if (wanted) card.update(wanted);
    },
    { rootMargin: '100px' },
  ).observe(node);
  const card = {
    node,
    async update(view) {
      wanted = view;
      if (!seen) return;
      const text = state.graph ?? 'loss:0:0';
      if (document.activeElement !== place) place.value = text.replace(/:(\d+):(\d+)$/, '[$1, $2]');
      depth.value = String(number('depth', 3));
      const whose = placeOf(text);
      if (!whose) return put(said, 'expected a number such as layer0.q[0, 3]');
      const body = { ...view, place: whose, depth: number('depth', 3), most: 160 };
      const key = JSON.stringify([pathOf(''), body]);
      try {
        if (key !== asked) {
          asked = key;
          const answer = await ask(pathOf('graph'), body);
          if (answer === undefined) return;
          last = answer;
        }
        paint();
      } catch (error) {
        asked = '';
        put(said, error.message);
      }
    },
  };
  return card;

  function paint() {
    if (!last) return;
    const vertices = new Map(
      last.nodes.map((n) => [
        String(n.id),
        {
          key: String(n.id),
          name: n.label,
          value: Number(n.value),
          grad: Number(n.grad),
          formula: n.formula,
          param: n.op === 'param',
          open: true,
          place: { name: n.name ?? undefined, tensor: n.tensor, row: n.row, col: n.col },
        },
      ]),
    );
    const mine = pinned();
    const lit = mine
      ? [...vertices.values()].find(
          (v) =>
            (v.place.name ?? v.place.tensor) === (mine.name ?? mine.tensor) &&
            v.place.row === mine.row &&
            v.place.col === mine.col,
        )?.key
      : null;
    const edges = last.edges.map((e) => ({ from: String(e.from), to: String(e.to), local: Number(e.local) }));
    drawing.show({ vertices, edges, root: String(last.nodes[0]?.id), lit });
    put(
      said,
      `${last.nodes.length} numbers`,
      last.cut > 0 ? `; ${last.cut} more are left out` : '',
      '. Colour: gradient. Click one to ask why.',
    );
    // The result stands at the right: show it first.
    if (box.dataset.root !== `${state.graph}`) {
      box.dataset.root = `${state.graph}`;
      box.scrollLeft = box.scrollWidth;
      box.scrollTop = (box.scrollHeight - box.clientHeight) / 2;
    }
  }
}

let last = null;

// layer0.q[0, 3] as the address has it.
function textOf(text) {
  return text.trim().replace(/\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]$/, ':$1:$2');
}
