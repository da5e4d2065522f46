// A weight's life: where it was at each step, and the steps and documents that moved it most.

import { el, put } from './dom.js';
import { go } from './state.js';
import { post } from './api.js';
import { pathOf } from './session.js';
import { chart } from './chart.js';
import { short } from './format.js';

export function life({ name, row, col }, run) {
  const node = el('section', { id: 'life' }, el('h3', {}, 'What moved it most'), el('p.soft.small', {}, '…'));
  const path = chart({ height: 120, label: 'The weight over steps', onpick: (step) => go({ step }) });
  post(pathOf('moved', run.id), { name, row, col, most: 8 }).then(
    (answer) => {
      put(
        node,
        el('h3', {}, 'Its value over the steps'),
        path.node,
        el('h3', {}, 'What moved it most'),
        el(
          'table.whytable',
          {},
          el(
            'thead',
            {},
            el(
              'tr',
              {},
              el('th', {}, 'step'),
              el('th', {}, 'document'),
              el('th.num', {}, 'moved by'),
              el('th.num', {}, 'gradient'),
            ),
          ),
          el(
            'tbody',
            {},
            answer.moved.map((m) =>
              el(
                'tr',
                {},
                el(
                  'td.num',
                  {},
                  el(
                    'button.link',
                    { onclick: () => go({ step: m.step }) },
                    m.since !== undefined && m.since < m.step - 1 ? `${m.since}–${m.step}` : m.step,
                  ),
                ),
                el('td.mono', {}, (m.documents ?? []).map((d) => d.text).join(', ')),
                el('td.num', {}, short(Number(m.by))),
                el('td.num', {}, short(m.grad === null ? null : Number(m.grad))),
              ),
            ),
          ),
        ),
      );
      path.show({
        series: [
          { name, color: 'var(--line-0)', points: answer.path.step.map((s, i) => [s, Number(answer.path.value[i])]) },
        ],
        x: [answer.path.step[0] ?? 0, answer.path.step.at(-1) ?? 1],
      });
    },
    (error) => put(node, el('p.soft.small', {}, error.message)),
  );
  return node;
}
