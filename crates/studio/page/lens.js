// The stream read through the output head after each stage: what the model would say if it stopped there.

import { el, put } from './dom.js';
import { go } from './state.js';
import { css, inkOn } from './color.js';
import { glyph, percent, exact } from './format.js';
import { showHover, hideHover } from './hover.js';

// A table with a row for each stage, a column for each letter: the likeliest next one, and how likely.
export function lens() {
  const node = el('div.lensbox');
  return {
    node,
    // stages: [{ name, values, cols }], tokens, vocabulary
    show({ stages, tokens, vocabulary, row }) {
      put(
        node,
        el(
          'table.lens',
          {},
          el(
            'caption.small.soft',
            {},
            'Read at each stage: the letter that would come next, and how sure of it (after ',
            el('b', {}, 'each letter of the text'),
            ')',
          ),
          el(
            'thead',
            {},
            el(
              'tr',
              {},
              el('th'),
              tokens.map((token) =>
                el(`th.mono${token.row === row ? '.on' : ''}`, { onclick: () => go({ row: token.row }) }, token.glyph),
              ),
            ),
          ),
          el(
            'tbody',
            {},
            stages.map((stage) =>
              el(
                'tr',
                {},
                el('th.mono', {}, stage.name),
                tokens.map((token) => cell(stage, token, vocabulary, row)),
              ),
            ),
            el(
              'tr.truth',
              {},
              el('th', {}, 'what came'),
              tokens.map((token) => el('td.mono', {}, token.target_glyph)),
            ),
          ),
        ),
      );
    },
  };
}

function cell({ name, values, cols }, token, vocabulary, row) {
  const line = values.subarray(token.row * cols, (token.row + 1) * cols);
  let best = 0;
  for (let i = 1; i < line.length; i++) if (line[i] > line[best]) best = i;
  const p = line[best];
  const is = token.row === row ? '.on' : '';
  const td = el(
    `td${is}`,
    {
      onpointermove: (event) =>
        showHover(event.clientX, event.clientY, {
          title: `${name}, after ${token.glyph}`,
          about: `${glyph(vocabulary[best] ?? String(best))} would be next`,
          value: exact(p),
          more: token.target < line.length ? `of what came, ${token.target_glyph}: ${exact(line[token.target])}` : '',
        }),
      onpointerleave: hideHover,
      onclick: () => go({ row: token.row }),
    },
    el('b.mono', {}, glyph(vocabulary[best] ?? String(best))),
    el('span.num', {}, percent(p, 0)),
  );
  Object.assign(td.style, { background: css(p, 1.2), color: inkOn(p, 1.2) });
  return td;
}
