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
  // Made once and then only changed, which lays out less.
  const cells = [];
  const cellOf = (i) => {
    const [letter, target] = [el('span.letter'), el('span.target')];
    const [p, loss] = [el('span.num'), el('span.num.soft')];
    const button = el(
      'button.token',
      { role: 'option', onclick: () => go({ row: i }) },
      letter,
      el('span.then', {}, 'then ', target),
      p,
      loss,
    );
    return { node: button, letter, target, p, loss };
  };
  const show = (cell, token, on, guessing) => {
    const { node, target } = cell;
    cell.letter.textContent = token.glyph;
    target.textContent = token.target_glyph;
    target.title = `probability of ${token.target_glyph}: ${exact(token.probability)}`;
    target.style.background = css(token.loss, guessing * 1.5);
    target.style.color = inkOn(token.loss, guessing * 1.5);
    cell.p.textContent = percent(token.probability);
    cell.loss.textContent = fixed(token.loss, 3);
    node.classList.toggle('on', on);
    node.setAttribute('aria-selected', String(on));
    node.setAttribute(
      'aria-label',
      `after ${token.glyph} came ${token.target_glyph} with probability ${percent(token.probability)}, loss ${fixed(token.loss)}`,
    );
  };
  const sum = el('b');
  const was = el('div.small.soft');
  put(total, el('div.soft.small', {}, 'loss of this text'), sum, was);
  return {
    node,
    show(tokens, { loss, before = null, guessing }) {
      const row = rowNow(tokens.length);
      while (list.children.length > tokens.length) list.lastChild.remove();
      tokens.forEach((token, i) => {
        cells[i] ??= cellOf(i);
        show(cells[i], token, token.row === row, guessing);
        if (cells[i].node.parentNode !== list) list.append(cells[i].node);
      });
      sum.textContent = fixed(loss);
      sum.title = exact(loss);
      was.hidden = before === null;
      if (before !== null) put(was, 'before ', el('span', { title: exact(before) }, fixed(before)));
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
