// Probabilities as bars: the likeliest first, or in the order of the alphabet.

import { el, put, set } from './dom.js';
import { percent, exact } from './format.js';

// bars({ onpick(entry) }).show(entries)
//   entry  { sign, p, before, out, on, title }: `before` is where it was, `out` whether a filter has taken it away
// Rows are kept and only changed, so that nothing jumps while letters come.
export function bars({ onpick, label }) {
  const node = el('div.bars', { role: onpick ? 'group' : 'list', 'aria-label': label });
  const rows = [];
  const row = (i) => {
    if (rows[i]) return rows[i];
    const parts = {
      sign: el('span.sign'),
      fill: el('span.fill'),
      before: el('span.fill.before'),
      p: el('span.num'),
    };
    const track = el('span.track', {}, parts.fill, parts.before);
    parts.node = el(
      onpick ? 'button.bar' : 'div.bar',
      { role: onpick ? null : 'listitem', onclick: () => onpick?.(parts.entry) },
      parts.sign,
      track,
      parts.p,
    );
    rows[i] = parts;
    return parts;
  };
  return {
    node,
    show(entries, top = null) {
      const full = top ?? Math.max(1e-9, ...entries.map((entry) => Math.max(entry.p, entry.before ?? 0)));
      while (node.children.length > entries.length) node.lastChild.remove();
      // Pieces of words want more room than letters.
      node.classList.toggle('words', entries.some((entry) => entry.sign.length > 3));
      entries.forEach((entry, i) => {
        const parts = row(i);
        parts.entry = entry;
        parts.sign.textContent = entry.sign;
        parts.fill.style.width = `${(100 * entry.p) / full}%`;
        parts.before.style.width = `${(100 * (entry.before ?? 0)) / full}%`;
        parts.before.hidden = entry.before === undefined;
        parts.p.textContent = entry.text ?? percent(entry.p, 2);
        parts.node.classList.toggle('out', Boolean(entry.out));
        parts.node.classList.toggle('on', Boolean(entry.on));
        set(parts.node, 'title', entry.title ?? exact(entry.p));
        if (parts.node.parentNode !== node) node.append(parts.node);
      });
    },
  };
}
