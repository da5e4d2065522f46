// The branches that were taken, as a tree that grows to the right; the likeliest that were not, beside its tip.

import { svg, put } from './dom.js';
import { glyph, exact, percent } from './format.js';
import { showHover, hideHover } from './hover.js';

const [X, Y] = [34, 24];
const MANY = 300;

export function tree({ onpick }) {
  const node = svg('svg.tree', { role: 'group', 'aria-label': 'Branches' });
  let root = fresh();
  let of = null;

  function fresh() {
    return { token: null, p: null, children: new Map(), count: 0 };
  }
  function walk(tokens) {
    let at = root;
    for (const token of tokens) {
      if (!at.children.has(token)) {
        if (root.count > MANY) root = fresh();
        at.children.set(token, { token, p: null, children: new Map() });
        root.count++;
      }
      at = at.children.get(token);
    }
    return at;
  }

  return {
    node: wrap(node),
    add(tokens) {
      walk(tokens);
    },
    show(tokens, run, next) {
      if (of !== run.id) {
        root = fresh();
        of = run.id;
      }
      const tip = walk(tokens);
      for (const t of next ?? []) {
        const child = tip.children.get(t.token);
        if (child) child.p = Number(t.probability);
      }
      const offers = (next ?? []).filter((t) => !tip.children.has(t.token) && t.may !== false).slice(0, 4);
      const parts = [];
      let row = 0;
      const place = (at, depth, path) => {
        const kids = [...at.children.values()];
        const ghosts = at === tip ? offers : [];
        if (kids.length + ghosts.length === 0) return row++;
        const rows = kids.map((kid) => [place(kid, depth + 1, [...path, kid.token]), kid, false]);
        for (const ghost of ghosts)
          rows.push([row++, { token: ghost.token, p: Number(ghost.probability), ghost: true }, true]);
        for (const [y, kid] of rows) {
          const on = tokens.length > depth && path.every((t, i) => t === tokens[i]) && kid.token === tokens[depth];
          parts.push(edge(depth, rows[0][0], y, kid.p, on, kid.ghost));
          parts.push(letter(depth + 1, y, kid, [...path, kid.token], on, run, onpick));
        }
        return rows[0][0];
      };
      const y0 = place(root, 0, []);
      parts.push(letter(0, y0, { token: run.bos, p: null }, [], tokens.length === 0, run, onpick));
      const depth = 2 + Math.max(tokens.length, deepest(root));
      const [width, height] = [depth * X + 24, Math.max(1, row) * Y + 20];
      node.setAttribute('width', width);
      node.setAttribute('height', height);
      put(
        node,
        parts.filter((part) => part.tagName === 'path'),
        parts.filter((part) => part.tagName !== 'path'),
      );
    },
  };
}

function wrap(node) {
  const box = document.createElement('div');
  box.className = 'treebox';
  box.append(node);
  return box;
}

function deepest(at) {
  return at.children.size === 0 ? 0 : 1 + Math.max(...[...at.children.values()].map(deepest));
}

function edge(depth, y0, y1, p, on, ghost) {
  const [x, a, b] = [18 + depth * X, 16 + y0 * Y, 16 + y1 * Y];
  return svg(`path.branchline${on ? '.on' : ''}${ghost ? '.ghost' : ''}`, {
    d: `M${x + 9} ${a}C${x + 20} ${a} ${x + 14} ${b} ${x + X - 9} ${b}`,
    'stroke-width': 0.8 + 5 * (p ?? 0.1),
  });
}

function letter(depth, y, { token, p, ghost }, path, on, run, onpick) {
  const name = glyph(run.tokens[token] ?? `#${token}`);
  const pick = () => onpick(path);
  return svg(
    `g.leaf${on ? '.on' : ''}${ghost ? '.ghost' : ''}`,
    {
      transform: `translate(${18 + depth * X} ${16 + y * Y})`,
      tabindex: 0,
      role: 'button',
      'aria-label': `${name}${p === null ? '' : ` ${percent(p)}`}`,
      onclick: pick,
      onkeydown: (event) => {
        if (event.key === 'Enter') pick();
      },
      onpointermove: (event) =>
        showHover(event.clientX, event.clientY, {
          title: path.map((t) => run.tokens[t] ?? t).join('') || 'the start',
          value: p === null ? '' : exact(p),
        }),
      onpointerleave: hideHover,
    },
    svg('circle', { r: 10 }),
    svg(
      'text',
      { y: name.length > 2 ? 3.5 : 4.5, 'font-size': name.length > 2 ? 8.5 : 12 },
      name.length > 2 && name !== '⟨·⟩' ? name.slice(0, 2) : name,
    ),
  );
}
