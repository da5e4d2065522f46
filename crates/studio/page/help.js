// Keys and words, in a dialogue.

import { el } from './dom.js';

const KEYS = [
  [['Space'], 'train, or pause'],
  [['←', '→'], 'a step back, a step on; with Shift ten (in Step through: an operation)'],
  [['Home', 'End'], 'the first step; the newest, and follow it'],
  [['1', '…', '7'], 'the views, in the order of the tabs'],
  [['Tab'], 'to a table of numbers; arrows read it number by number'],
  [['Enter'], 'why is this number what it is?'],
  [['Esc'], 'close the panel'],
  [['?'], 'this'],
];
const WORDS = [
  ['token', 'what the model reads and writes one of at a time: here a letter, or ⟨·⟩ where a document begins or ends'],
  ['loss', 'how surprised the model was by what really came next: −ln of the probability it gave it, in nats'],
  ['gradient', 'how fast the loss would change with a number'],
  ['embedding', 'the row of numbers that stands for a token'],
  ['q, k, v', 'query, key, value: what a token asks for, what it offers, what it hands over'],
  ['head', 'one of several attentions side by side, each looking for something of its own'],
  ['stream', 'the row of numbers that flows through the layers; each layer adds to it'],
  ['logit', 'a score for each token that may come next; softmax makes probabilities of them'],
];

export function help() {
  const close = () => {
    box.close();
    box.remove();
  };
  const box = el(
    'dialog',
    { 'aria-label': 'Help' },
    el(
      'div.row',
      {},
      el('h2.grow', {}, 'Nothing is hidden here'),
      el('button.plain', { onclick: close, 'aria-label': 'Close' }, '✕'),
    ),
    el(
      'p.soft',
      {},
      'Every number you see was computed by your own model. Point at one to read all its digits; click it to see where it came from.',
    ),
    el(
      'table',
      {},
      el(
        'tbody',
        {},
        KEYS.map(([keys, what]) =>
          el(
            'tr',
            {},
            el(
              'td',
              {},
              keys.map((key) => el('kbd', {}, key)),
            ),
            el('td', {}, what),
          ),
        ),
      ),
    ),
    el('h3', { style: { 'margin-top': '14px' } }, 'Words'),
    el(
      'table',
      {},
      el(
        'tbody',
        {},
        WORDS.map(([word, what]) => el('tr', {}, el('td', {}, el('b', {}, word)), el('td', {}, what))),
      ),
    ),
  );
  box.addEventListener('close', () => box.remove());
  box.addEventListener('click', (event) => {
    if (event.target === box) close();
  });
  document.body.append(box);
  box.showModal();
}
