// One tensor in the picture: its name, what size its colours mean, a row for each letter. Attention has a map for each head.

import { el, put } from './dom.js';
import { heat } from './heat.js';
import { largest } from './color.js';
import { short } from './format.js';
import { pin, pinned } from './place.js';

// Cells as large as there is room for.
export function cellWidth(cols) {
  return cols <= 20 ? 9 : cols <= 32 ? 9 : cols <= 72 ? 7 : cols <= 160 ? 4 : 2;
}

export function cellHeight(rows) {
  return rows <= 18 ? 17 : rows <= 40 ? 11 : rows <= 80 ? 6 : 3;
}

// tensor: { name, short, about, per }. `show(window, { tokens, heads, head, vocabulary, zero })` draws it; `zero` is what to
// say where all of it is 0.
export function block(tensor, { onpick = pin, onpage } = {}) {
  const size = el('span.num.soft');
  const title = el(
    'h3.blocktitle',
    { title: tensor.about ?? '' },
    el('b.mono', {}, tensor.short ?? tensor.name),
    ' ',
    size,
  );
  const body = el('div.blockbody');
  const pager = el('div.row.pager', { hidden: true });
  const node = el('div.block', { 'data-name': tensor.name }, title, body, pager);
  let maps = [];
  let letters = null;
  let shownAs = '';

  const build = (n, labels) => {
    letters = labels ? el('div.letters.mono', { 'aria-hidden': 'true' }) : null;
    maps = Array.from({ length: n }, (_, h) => {
      const map = heat({
        name: n > 1 || tensor.per === 'head' ? `${tensor.name} head ${h}` : tensor.name,
        onpick: (row, col) => onpick({ name: tensor.name, ...map.placeOf(row, col) }),
      });
      map.caption = n > 1 ? el('div.headname.small.soft', {}, `head ${h}`) : null;
      map.box = el('div', {}, map.caption, map.node);
      return map;
    });
    put(
      body,
      letters,
      el(
        'div.maps',
        {},
        maps.map((map) => map.box),
      ),
    );
  };

  return {
    node,
    tensor,
    from: 0,
    show(window, { tokens, heads = 1, head = null, vocabulary = null, zero = '±0' }) {
      const perHead = tensor.per === 'head';
      const n = perHead ? heads : 1;
      const { values } = window;
      const cols = window.cols[1] - window.cols[0];
      const [first, rows] = [window.rows[0] / n, Math.floor((window.rows[1] - window.rows[0]) / n)];
      const square = perHead && cols > 18 ? Math.max(2, Math.min(11, Math.floor(300 / cols))) : null;
      const height = square ?? (tensor.per === 'matrix' ? Math.min(11, cellHeight(rows)) : cellHeight(rows));
      // Of attention only the columns of tokens that are there.
      const width = square ?? (perHead ? Math.min(height, 15) : cellWidth(cols));
      const ofText = tensor.per === 'token' || perHead;
      const names = ofText && height >= 10;
      if (shownAs !== `${n} ${names}`) {
        build(n, names);
        shownAs = `${n} ${names}`;
      }
      const top = window.top ?? largest(values);
      size.textContent = top === 0 ? zero : `±${short(top, 2)}`;
      const mark = pinned()?.name === tensor.name ? pinned() : null;
      maps.forEach((map, h) => {
        const rowOf = (row) => (first + row) * n + h;
        map.placeOf = (row, col) => ({ row: rowOf(row), col: col + window.cols[0] });
        map.box.classList.toggle('dim', perHead && head !== null && head !== h);
        map.show({
          rows,
          cols,
          top,
          cell: [width, height],
          values,
          first: h * cols,
          stride: n * cols,
          rowName: (row) =>
            ofText
              ? `at ${tokens[first + row]?.glyph ?? ''}`
              : vocabulary && window.shape[0] === vocabulary.length
                ? `of ${vocabulary[first + row]}`
                : '',
          colName: (col) =>
            perHead
              ? `to ${tokens[col]?.glyph ?? ''}`
              : vocabulary && window.shape[1] === vocabulary.length
                ? `for ${vocabulary[col]}`
                : '',
          mark: mark && mark.row % n === h ? [Math.floor(mark.row / n) - first, mark.col - window.cols[0]] : null,
        });
      });
      if (letters) {
        const glyphs = Array.from({ length: rows }, (_, r) => tokens[first + r]?.glyph ?? '');
        const key = JSON.stringify([n, height, glyphs]);
        if (letters.dataset.key !== key) {
          letters.dataset.key = key;
          letters.style.paddingTop = n > 1 ? '19px' : '0';
          const style = { height: `${height}px`, 'line-height': `${height}px` };
          put(
            letters,
            glyphs.map((glyph) => el('div', { style }, glyph)),
          );
        }
      }
      page(window, n);
    },
  };

  // Of what is too much for one answer, the next part.
  function page(window, n) {
    const [all, shown] = [window.shape[0], window.rows[1] - window.rows[0]];
    pager.hidden = shown >= all || !onpage;
    if (pager.hidden) return;
    const move = (to) =>
      el(
        'button.plain',
        { disabled: to === null, onclick: () => onpage(to) },
        to !== null && to < window.rows[0] ? '‹ earlier' : 'later ›',
      );
    const back = window.rows[0] > 0 ? Math.max(0, window.rows[0] - shown) : null;
    put(
      pager,
      el('button.plain', { disabled: back === null, onclick: () => onpage(back) }, '‹ earlier'),
      el('span.num.small', {}, `rows ${window.rows[0] / n} to ${window.rows[1] / n - 1} of ${all / n}`),
      move(window.rows[1] < all ? window.rows[1] : null),
    );
  }
}
