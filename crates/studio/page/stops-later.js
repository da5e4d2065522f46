// The last five stops: heads, silent neurons, reading the stream, blame, temperature.

import { el } from './dom.js';
import { flat } from './api.js';
import { tokensOf, windowsOf } from './picture.js';
import { bars } from './bars.js';
import { percent, fixed, glyph, short, exact } from './format.js';
import { lens } from './lens.js';
import { shown, untrained, notGpt, onlyPairs } from './stops.js';

const sign = (x) => (x > 0 ? '+' : '');

export const laterStops = [
  {
    title: 'Heads look for different things',
    view: 'inside',
    wants: (run) => notGpt(run) ?? untrained(run),
    async facts({ look, run }) {
      const layer = run.layers - 1;
      const name = `layer${layer}.attn_weights`;
      const answer = await look([{ name }]);
      const tokens = tokensOf(answer);
      const w = windowsOf(answer).get(name);
      const cols = w.cols[1];
      const last = tokens.length - 1;
      const weight = (head, from) => w.values[(last * run.heads + head) * cols + from] ?? 0;
      const total = tokens.map(
        (_, from) =>
          Array.from({ length: run.heads }, (__, h) => weight(h, from)).reduce((a, b) => a + b, 0) / run.heads,
      );
      const best = total.indexOf(Math.max(...total));
      const choices = tokens.map((t, i) => `${t.glyph} at ${i}`).slice(-5);
      const places = tokens.map((_, i) => i).slice(-5);
      if (!places.includes(best)) {
        choices[0] = `${tokens[best].glyph} at ${best}`;
        places[0] = best;
      }
      return {
        words: `Layer ${layer} has ${run.heads} heads side by side. Each shares out its own looking, and may look for something of its own.`,
        question: `All heads taken together: at whom does the last letter, ${tokens[last].glyph}, look most?`,
        choices,
        right: places.indexOf(best),
        answer: `At ${tokens[best].glyph}, with ${percent(total[best])} on average. See how the heads differ: each row is a head, each column a letter.`,
        show: () =>
          shown(
            name,
            {
              rows: [0, run.heads],
              cols: [0, tokens.length],
              top: 1,
              values: Float64Array.from({ length: run.heads * tokens.length }, (_, i) =>
                weight(Math.floor(i / tokens.length), i % tokens.length),
              ),
            },
            Array.from({ length: run.heads }, (_, h) => ({ glyph: `head ${h}` })),
            { cell: [44, 30], colName: (c) => `looks at ${tokens[c].glyph}`, place: false },
          ),
      };
    },
  },
  {
    title: 'Most neurons are silent',
    view: 'inside',
    wants: (run) =>
      notGpt(run) ??
      untrained(run) ??
      (/relu/.test(run.settings.activation)
        ? null
        : `This model's neurons are never quite silent: its activation is ${run.settings.activation}.`),
    async facts({ look, run }) {
      const name = `layer${run.layers - 1}.mlp_active`;
      const answer = await look([{ name }]);
      const tokens = tokensOf(answer);
      const w = windowsOf(answer).get(name);
      const cols = w.cols[1];
      const row = w.values.subarray((tokens.length - 1) * cols, tokens.length * cols);
      const silent = row.filter((x) => x === 0).length;
      const part = silent / cols;
      return {
        words: `After looking back, each letter thinks on its own: ${cols} neurons each ask one question of its row of numbers. A neuron whose answer is below zero says nothing at all: exactly 0.`,
        question: `For the last letter, ${tokens.at(-1).glyph}: how many of the ${cols} neurons are silent?`,
        choices: ['Fewer than a third', 'A third to two thirds', 'More than two thirds'],
        right: part < 1 / 3 ? 0 : part <= 2 / 3 ? 1 : 2,
        answer: `${silent} of ${cols} are exactly 0. Which ones speak depends on the letter: compare the rows.`,
        show: () => shown(name, w, tokens, { cell: [Math.max(3, Math.min(9, 560 / cols)), 26] }),
      };
    },
  },
  {
    title: 'Reading the stream halfway',
    view: 'inside',
    wants: (run) => notGpt(run) ?? untrained(run),
    async facts({ look, run }) {
      const answer = await look([{ name: 'lens' }]);
      const tokens = tokensOf(answer);
      const stages = answer.windows
        .filter((w) => w.name.endsWith('.lens'))
        .map((w) => ({ name: w.name.replace('.lens', ''), values: flat(w.values), cols: w.cols[1] - w.cols[0] }));
      const row = tokens.length - 1;
      const top = (stage) => {
        const line = stage.values.subarray(row * stage.cols, (row + 1) * stage.cols);
        return line.indexOf(Math.max(...line));
      };
      const changed = top(stages[0]) !== top(stages.at(-1));
      return {
        words:
          'What flows through the layers is one row of numbers for each letter, the stream; each layer adds to it. So we can stop anywhere, and read the stream through the output head: what would the model say now?',
        question: `After ${tokens[row].glyph}: has the favourite next letter changed between the embedding and the last layer?`,
        choices: ['Yes, the layers changed its mind', 'No, it was so from the beginning'],
        right: changed ? 0 : 1,
        answer: `Straight after the embedding it would say “${glyph(run.tokens[top(stages[0])])}”, at the end “${glyph(run.tokens[top(stages.at(-1))])}”. Each cell is the favourite at that stage.`,
        show() {
          const table = lens();
          table.show({ stages, tokens, vocabulary: run.tokens, row });
          return table.node;
        },
      };
    },
  },
  {
    title: 'Who is to blame?',
    view: 'whatif',
    wants: (run) => onlyPairs(run) ?? untrained(run),
    async facts({ look, run }) {
      const name = run.family === 'gpt' ? 'lm_head' : null;
      const has = await look(
        name && run.settings.tied !== 'true' ? [{ name, grad: true }] : [{ name: 'wte', grad: true }],
      );
      const w = has.windows[0];
      const grads = flat(w.grads);
      const at = grads.reduce((best, g, i) => (Math.abs(g) > Math.abs(grads[best]) ? i : best), 0);
      const [row, col] = [Math.floor(at / w.shape[1]), at % w.shape[1]];
      const [value, grad] = [flat(w.values)[at], grads[at]];
      const by = -Math.sign(grad) * 0.2;
      const changed = await look([], { edits: [{ kind: 'weight', name: w.name, row, col, value: value + by }] });
      const [before, after] = [Number(has.loss), Number(changed.loss)];
      return {
        words: `Backward: from the loss back through every operation, each number is told its gradient, how fast the loss would change with it. Of all of ${w.name}, number [${row}, ${col}] has the largest for this text: its value is ${short(value)}, its gradient ${sign(grad)}${short(grad)}.`,
        question: `We make this one number ${Math.abs(by)} ${by > 0 ? 'larger' : 'smaller'}. What happens to the loss of ${fixed(before)}?`,
        choices: ['It rises', 'It falls', 'One number in thousands cannot matter'],
        right: after < before ? 1 : after > before ? 0 : 2,
        answer: `From ${fixed(before, 6)} to ${fixed(after, 6)}: ${sign(after - before)}${fixed(after - before, 6)}. The gradient foretold ${sign(by * grad)}${fixed(by * grad, 6)}, nearly that. Learning is this, for all ${run.parameters.toLocaleString('en-US')} numbers at once.`,
        show: () =>
          shown(
            `${w.name}: gradients`,
            { rows: w.rows, cols: w.cols, values: grads, top: Math.abs(grad) },
            run.tokens.slice(0, w.shape[0]).map((t) => ({ glyph: glyph(t) })),
            { cell: [26, 17], place: false },
          ),
      };
    },
  },
  {
    title: 'Bold or careful',
    view: 'write',
    wants: untrained,
    async facts({ ask, run }) {
      const temperatures = [0.2, 1, 2];
      const answers = await Promise.all(
        temperatures.map((temperature) => ask('next', { temperature, top_k: 0, top_p: 1, min_p: 0, most: 200 })),
      );
      const first = answers.map((a) => a.tokens[0]);
      void run;
      return {
        words:
          'To write, the model draws the next letter by chance, each as likely as it says. The temperature bends the probabilities first.',
        question: 'At temperature 0.2, the likeliest letter becomes …',
        choices: ['likelier', 'less likely', 'just as likely'],
        right: 0,
        answer: `“${glyph(first[0].name)}” has ${percent(Number(first[1].probability))} as the model says it, ${percent(Number(first[0].probability))} at temperature 0.2, and ${percent(Number(first[2].probability))} at 2. That was the tour: now write with it, and look where every number comes from.`,
        show: () =>
          el(
            'div.three',
            {},
            answers.map((answer, i) => {
              const list = bars({ label: `Temperature ${temperatures[i]}` });
              list.show(
                answer.tokens
                  .slice(0, 10)
                  .map((t) => ({ sign: glyph(t.name), p: Number(t.probability), title: exact(Number(t.probability)) })),
                1,
              );
              return el('div', {}, el('h3', {}, `temperature ${temperatures[i]}`), list.node);
            }),
          ),
      };
    },
  },
];
