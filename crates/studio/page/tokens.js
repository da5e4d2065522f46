// The text as a row of letters, each with how surprised the model was by it. Click one: the views are about what follows it.

import { el, put } from './dom.js';
import { go, number } from './state.js';
import { css, inkOn } from './color.js';
import { percent, fixed, exact } from './format.js';

// The row of letters; `show(tokens, { loss, before, guessing })`.
export function tokenStrip() {
  const list = el('div.tokens', { role: 'listbox', 'aria-label': 'The text, letter by letter', id: 'tokens' });
  const total = el('div.total.num', { id: 'loss' });
  const node = el('div.tokenstrip', {}, list, total);
  return {
    node,
    show(tokens, { loss, before = null, guessing }) {
      const row = rowNow(tokens.length);
      put(
        list,
        tokens.map((token) => {
          const p = token.probability;
          const is = token.row === row;
          const cell = el(
            'span.target',
            { title: `probability of ${token.target_glyph}: ${exact(p)}` },
            token.target_glyph,
          );
          Object.assign(cell.style, {
            background: css(token.loss, guessing * 1.5),
            color: inkOn(token.loss, guessing * 1.5),
          });
          return el(
            `button.token${is ? '.on' : ''}`,
            {
              role: 'option',
              'aria-selected': is ? 'true' : 'false',
              onclick: () => go({ row: token.row }),
              'aria-label': `after ${token.glyph} came ${token.target_glyph} with probability ${percent(p)}, loss ${fixed(token.loss)}`,
            },
            el('span.letter', {}, token.glyph),
            el('span.then', {}, 'then ', cell),
            el('span.num', {}, percent(p)),
            el('span.num.soft', {}, fixed(token.loss, 3)),
          );
        }),
      );
      put(
        total,
        el('div.soft.small', {}, 'loss of this text'),
        el('b', { title: exact(loss) }, fixed(loss)),
        before === null
          ? null
          : el('div.small.soft', {}, 'before ', el('span', { title: exact(before) }, fixed(before))),
      );
    },
  };
}

// Which letter the views are about: the address's, or the last.
export function rowNow(rows) {
  return Math.max(0, Math.min(rows - 1, number('row', rows - 1)));
}

// What stands above the bars of the letter that comes next.
export function afterText(tokens, row) {
  const glyphs = tokens.slice(0, row + 1).map((token) => token.glyph);
  return ['After ', el('b.mono', {}, glyphs.join('')), ', the next letter'];
}
