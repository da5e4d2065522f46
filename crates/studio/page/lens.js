// The stream read through the output head after each stage: what the model would say if it stopped there.

import { el, put } from './dom.js';
import { go } from './state.js';
import { css, inkOn } from './color.js';
import { glyph, percent, exact } from './format.js';
import { showHover, hideHover } from './hover.js';

// A table with a row for each stage, a column for each letter: the likeliest next one, and how likely.
export function lens() {
  const node = el('div.lensbox');
  let built = '';
  let [heads, cells, truth] = [[], [], []];

  const build = (stages, tokens) => {
    heads = tokens.map((_, i) => el('th.mono', { onclick: () => go({ row: i }) }));
    cells = stages.map(() => tokens.map((_, i) => cell(i)));
    truth = tokens.map(() => el('td.mono'));
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
        el('thead', {}, el('tr', {}, el('th'), heads)),
        el(
          'tbody',
          {},
          stages.map(({ name }, s) =>
            el(
              'tr',
              {},
              el('th.mono', {}, name),
              cells[s].map((one) => one.node),
            ),
          ),
          el('tr.truth', {}, el('th', {}, 'what came'), truth),
        ),
      ),
    );
  };

  return {
    node,
    // stages: [{ name, values, cols }], tokens, vocabulary. A table of another size is made anew; else only what it says.
    show({ stages, tokens, vocabulary, row }) {
      const size = JSON.stringify([tokens.length, stages.map((stage) => stage.name)]);
      if (size !== built || !node.firstChild) build(stages, tokens);
      built = size;
      tokens.forEach((token, i) => {
        heads[i].textContent = token.glyph;
        heads[i].classList.toggle('on', token.row === row);
        truth[i].textContent = token.target_glyph;
        stages.forEach((stage, s) => cells[s][i].show(stage, token, vocabulary, token.row === row));
      });
    },
  };
}

function cell(i) {
  const [sign, much] = [el('b.mono'), el('span.num')];
  let about = null;
  const node = el(
    'td',
    {
      onpointermove: (event) => showHover(event.clientX, event.clientY, about()),
      onpointerleave: hideHover,
      onclick: () => go({ row: i }),
    },
    sign,
    much,
  );
  return {
    node,
    show({ name, values, cols }, token, vocabulary, on) {
      const line = values.subarray(token.row * cols, (token.row + 1) * cols);
      let best = 0;
      for (let k = 1; k < line.length; k++) if (line[k] > line[best]) best = k;
      const p = line[best];
      const letter = glyph(vocabulary[best] ?? String(best));
      about = () => ({
        title: `${name}, after ${token.glyph}`,
        about: `${letter} would be next`,
        value: exact(p),
        more: token.target < line.length ? `of what came, ${token.target_glyph}: ${exact(line[token.target])}` : '',
      });
      sign.textContent = letter;
      much.textContent = percent(p, 0);
      node.classList.toggle('on', on);
      node.style.background = css(p, 1.2);
      node.style.color = inkOn(p, 1.2);
    },
  };
}
