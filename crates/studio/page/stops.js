// The first five stops: letters, guesses, learning, rows of numbers, looking back.
//
// A stop has a title, perhaps `wants(run)` (what is missing, in words), the view where one may go on, and `facts(tools)`:
// { words, question, choices, right, answer, show(known), before }. All numbers are asked of the model when one comes by.

import { el, put } from './dom.js';
import { modelOf, pieceOf } from './session.js';
import { tokensOf, windowsOf } from './picture.js';
import { heat } from './heat.js';
import { bars } from './bars.js';
import { arcs } from './arcs.js';
import { chart, smooth } from './chart.js';
import { pin } from './place.js';
import { percent, fixed, glyph, short, exact } from './format.js';

export const untrained = (run) =>
  run.step < 50
    ? 'This stop is about a model that has learnt a little. Press play below (or Space), and wait for 50 steps.'
    : null;
export const notGpt = (run) =>
  run.family !== 'gpt'
    ? "This model has no attention: it is one of the transformer's ancestors. Open a run of the transformer for this stop."
    : null;

export const onlyPairs = (run) =>
  /^bigram/.test(run.family)
    ? 'This model has no rows of numbers for its letters, only a table of pairs. Open a run of another model for this stop.'
    : null;

// A table of the model as colours, with its rows named.
export function shown(title, window, tokens, { cell = [28, 34], colName, place = true } = {}) {
  const cols = window.cols[1] - window.cols[0];
  const rows = window.rows[1] - window.rows[0];
  const map = heat({ name: title, onpick: (row, col) => place && pin({ name: title, row, col }) });
  map.show({ rows, cols, values: window.values, cell, top: window.top, rowName: (r) => tokens?.[r]?.glyph, colName });
  const letters =
    tokens &&
    el(
      'div.letters.mono',
      {},
      Array.from({ length: rows }, (_, r) =>
        el('div', { style: { height: `${cell[1]}px`, 'line-height': `${cell[1]}px` } }, tokens[r]?.glyph),
      ),
    );
  return el(
    'figure.optable',
    {},
    el('figcaption', {}, el('b.mono', {}, title)),
    el('div.blockbody', {}, letters, map.node),
  );
}

const what = (tokens) =>
  el(
    'div.bigtext.mono',
    {},
    tokens.map((t) => el('span', {}, t.glyph)),
  );

export const firstStops = [
  {
    title: 'Letters become numbers',
    view: 'inside',
    wants: onlyPairs,
    async facts({ look, run }) {
      // The first table there is: some models have no other name for it than that of the stream.
      const { name } = (await modelOf(run.id)).tensors.find((tensor) => tensor.per === 'token');
      const answer = await look([{ name }]);
      const tokens = tokensOf(answer);
      const letters = tokens.length - (run.stream ? 0 : 1);
      const right = tokens.length;
      const choices = [letters, letters + 1, run.channels, run.tokens.length].filter(
        (n, i, all) => all.indexOf(n) === i,
      );
      return {
        words:
          'The model cannot read. It looks each letter up in a table, and finds a row of numbers there: that is all it knows of the letter. Before a text stands one more sign, ⟨·⟩: here something begins.',
        question: `This text has ${letters} ${pieceOf(run)}s. How many rows of numbers does the model begin with?`,
        choices: choices.map((n) => `${n} rows`),
        right: choices.indexOf(right),
        answer: `${right} rows of ${run.channels} numbers: one for each ${pieceOf(run)}, and one for the sign that something begins. Point at a colour to read the number.`,
        before: true,
        show: (known) =>
          el(
            'div',
            {},
            what(tokens.slice(run.stream ? 0 : 1)),
            known ? shown(name, windowsOf(answer).get(name), tokens) : null,
          ),
      };
    },
  },
  {
    title: 'A blind guess',
    async facts({ ask, look, run, step }) {
      const first = run.history?.first ?? 0;
      const now = await look([{ name: 'probabilities' }], { step: first });
      const before = await ask('next', { step: first, most: 200, temperature: 1 });
      const p = Math.max(...before.tokens.map((t) => Number(t.plain)));
      const even = 1 / run.tokens.length;
      void step;
      return {
        words: `Before it has learnt anything the model's numbers are small and random. There are ${run.tokens.length} signs that may come next.`,
        question: 'How sure is the untrained model of its favourite next letter?',
        choices: [`About ${percent(even)}: 1 in ${run.tokens.length}`, 'About half', 'Quite sure, but wrong'],
        right: p < 3 * even ? 0 : p < 0.75 ? 1 : 2,
        answer: `Its favourite has ${percent(p, 2)}. The loss of this text at step ${first} is ${fixed(Number(now.loss))}; whoever guesses blindly has ln ${run.tokens.length} = ${fixed(Number(run.guessing))}. Loss is surprise: −ln of the probability of what really came.`,
        show() {
          const list = bars({ label: "The untrained model's probabilities" });
          list.show(
            before.tokens.slice(0, 27).map((t) => ({ sign: glyph(t.name), p: Number(t.plain) })),
            Math.max(0.2, p),
          );
          return list.node;
        },
      };
    },
  },
  {
    title: 'It learns',
    view: 'train',
    wants: untrained,
    async facts({ entry, run }) {
      const mean = smooth(entry.loss).at(-1)?.[1] ?? NaN;
      const part = mean / run.guessing;
      const right = part < 0.35 ? 0 : part < 0.97 ? 1 : 2;
      return {
        words:
          'At each step it reads some text, guesses each next letter, is told what came, and every one of its numbers moves a little in the direction that would have surprised it less.',
        question: 'Where does the loss go, with training?',
        choices: ['Nearly to zero: it will know what comes', 'Down, but not to zero', 'It stays where it was'],
        right,
        answer: `It began at ${fixed(entry.loss[0]?.[1])}, about ln ${run.tokens.length}; the mean of the last steps is ${fixed(mean)}. It cannot reach zero: nobody can know which letter comes next, only which ones are likely.`,
        show() {
          const drawing = chart({ height: 260, label: 'Loss over steps' });
          requestAnimationFrame(() =>
            drawing.show({
              series: [
                { name: 'loss', color: 'var(--line-0)', points: entry.loss, faint: true },
                { name: 'mean', color: 'var(--line-0)', points: smooth(entry.loss) },
              ],
              lines: [{ y: run.guessing, text: 'a blind guess' }],
              x: [0, run.steps],
            }),
          );
          return drawing.node;
        },
      };
    },
  },
  {
    title: 'Rows that are alike',
    wants: (run) =>
      onlyPairs(run) ??
      untrained(run) ??
      (run.tokens.length > 400 ? 'This stop is about an alphabet of letters.' : null),
    async facts({ look, run }) {
      const answer = await look([{ name: 'wte' }]);
      const table = [...windowsOf(answer).values()][0];
      const cols = table.cols[1];
      const row = (i) => table.values.subarray(i * cols, (i + 1) * cols);
      const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0);
      const alike = (i, j) => dot(row(i), row(j)) / Math.sqrt(dot(row(i), row(i)) * dot(row(j), row(j)) || 1);
      const of = Math.max(0, run.tokens.indexOf('a'));
      const others = run.tokens
        .map((name, i) => ({ i, name: glyph(name), alike: alike(of, i) }))
        .filter((o) => o.i !== of && o.i < table.rows[1])
        .sort((x, y) => y.alike - x.alike);
      const three = [others[0], others[Math.floor(others.length / 2)], others.at(-1)].sort((x, y) => x.i - y.i);
      return {
        words:
          'Nobody told the model which letters are alike. It only learnt what helps to guess. Letters that are used alike may come to have rows that point in similar directions.',
        question: `Which letter's row is most like that of “${glyph(run.tokens[of])}” now?`,
        choices: three.map((o) => o.name),
        right: three.indexOf(others[0]),
        answer: `“${others[0].name}”: the angle between the rows has the cosine ${exact(others[0].alike)} (1: the same direction; −1: opposite).`,
        show() {
          const list = bars({ label: 'Likeness' });
          list.show(
            [...others.slice(0, 8), ...others.slice(-4)].map((o) => ({
              sign: o.name,
              p: Math.max(0, o.alike),
              text: short(o.alike),
              title: exact(o.alike),
            })),
            1,
          );
          return el(
            'div',
            {},
            list.node,
            shown(
              'wte',
              table,
              run.tokens.map((t) => ({ glyph: glyph(t) })),
              { cell: [22, 15] },
            ),
          );
        },
      };
    },
  },
  {
    title: 'Looking back',
    view: 'inside',
    wants: notGpt,
    async facts({ look, run }) {
      const name = 'layer0.attn_weights';
      const answer = await look([{ name }]);
      const tokens = tokensOf(answer);
      const w = windowsOf(answer).get(name);
      const cols = w.cols[1];
      const weight = (to, from, head) => w.values[(to * run.heads + head) * cols + from] ?? 0;
      const mean = (to, from) =>
        Array.from({ length: run.heads }, (_, h) => weight(to, from, h)).reduce((a, b) => a + b, 0) / run.heads;
      return {
        words:
          'Attention is how a letter learns of the others: it looks at those before it, and shares out one whole (100 %) of looking among them. It never sees what comes after: that is what it has to guess.',
        question: `At whom does the very first sign, ${tokens[0].glyph}, look?`,
        choices: ['At all letters alike', 'At itself: all 100 %', 'At the last letter'],
        right: 1,
        answer: `At itself, with weight ${exact(weight(0, 0, 0))} in every head. There is nothing before it. Each later letter has one more to look at.`,
        show() {
          const drawing = arcs({ label: 'Whom each letter looks at' });
          drawing.show({
            letters: tokens.map((t) => t.glyph),
            weights: tokens.map((_, to) => tokens.map((__, from) => mean(to, from))),
          });
          const box = el('div');
          put(
            box,
            drawing.node,
            el('p.soft.small', {}, 'The mean of all heads of layer 0. Point at an arc for its weight.'),
          );
          return box;
        },
      };
    },
  },
];
