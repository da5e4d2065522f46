// Breakpoints: on an operation, a layer, a name, a phase, or a condition such as abs(grad(layer0.attn_wq)) > 1.

import { el, put, settled } from './dom.js';
import { state, go } from './state.js';
import { post } from './api.js';
import { command } from './dock.js';

const KINDS = [
  ['condition', 'when', 'abs(grad(layer0.attn_wq)) > 0.01'],
  ['op', 'operation', 'linear'],
  ['layer', 'layer', '0'],
  ['name', 'tensor', 'layer0.attn_weights'],
  ['phase', 'phase', 'backward'],
];

export function breakpoints({ run }) {
  const kind = el(
    'select',
    { id: 'break-kind', 'aria-label': 'Break on' },
    KINDS.map(([name, text]) => el('option', { value: name }, text)),
  );
  const text = el('input.mono', { id: 'break-text', 'aria-label': 'Of what', spellcheck: 'false', size: 34 });
  const said = el('span.soft.small', { id: 'break-said', role: 'status' });
  const list = el('span.row.tight');
  const node = el(
    'form.row.breaks',
    {},
    el('span.soft', {}, 'Break'),
    kind,
    text,
    el('button', { type: 'submit', id: 'break-add' }, 'Add'),
    list,
    el('button', { type: 'button', id: 'break-back', onclick: () => run(true) }, '◀◀ back to it'),
    el('button', { type: 'button', id: 'break-run', onclick: () => run(false) }, 'run to it ▶▶'),
    said,
  );

  const parsed = () => {
    try {
      const all = JSON.parse(state.breaks ?? '[]');
      return Array.isArray(all) ? all : [];
    } catch {
      return [];
    }
  };
  const typed = () => {
    const value = text.value.trim();
    return value === '' ? null : { [kind.value]: kind.value === 'layer' ? Number(value) : value };
  };
  const show = () =>
    put(
      list,
      parsed().map((on, i) =>
        el(
          'span.breakchip',
          {},
          el(
            'code',
            {},
            Object.entries(on).map(([k, v]) => (k === 'condition' ? v : `${k} ${v}`)),
          ),
          'condition' in on
            ? el(
                'button.plain',
                {
                  type: 'button',
                  title: 'Train on until this holds after a step',
                  onclick: () => {
                    go({ step: null });
                    command({ do: 'go', until: on.condition });
                  },
                },
                'train until',
              )
            : null,
          el(
            'button.plain',
            {
              type: 'button',
              'aria-label': 'Remove',
              onclick: () => {
                go({ breaks: keep(parsed().filter((_, j) => j !== i)) });
                show();
              },
            },
            '✕',
          ),
        ),
      ),
    );
  const keep = (all) => (all.length > 0 ? JSON.stringify(all) : null);
  const say = (words, wrong = false) => {
    said.textContent = words;
    said.className = wrong ? 'problem small' : 'soft small';
  };
  const check = settled(200, async () => {
    // What was said of something else stays; only a fault that is mended goes.
    const mended = () => said.classList.contains('problem') && say('');
    if (kind.value !== 'condition' || !text.value.trim()) return mended();
    try {
      const answer = await post('/condition', { condition: text.value });
      if (answer.ok) mended();
      else say(answer.error, true);
    } catch (error) {
      say(error.message, true);
    }
  });
  const choose = () => {
    text.placeholder = KINDS.find(([name]) => name === kind.value)[2];
    check();
  };
  kind.addEventListener('change', choose);
  text.addEventListener('input', check);
  node.addEventListener('submit', (event) => {
    event.preventDefault();
    const on = typed() ?? { [kind.value]: kind.value === 'layer' ? 0 : text.placeholder };
    go({ breaks: keep([...parsed(), on]) });
    text.value = '';
    say('');
    show();
  });
  choose();
  show();
  return {
    node,
    say,
    // Those of the list, or what is being typed.
    all: () =>
      parsed().length > 0 ? parsed() : [typed() ?? { [kind.value]: kind.value === 'layer' ? 0 : text.placeholder }],
  };
}
