// Generate: letter by letter, with all that might come, how settings change it, and the branches not taken.

import { el, put, announce } from './dom.js';
import { state, go } from './state.js';
import { current, pathOf, stepNow, editsNow, noRun } from './session.js';
import { latest, post } from './api.js';
import { bars } from './bars.js';
import { glyph, percent, exact } from './format.js';
import { tree } from './tree.js';
import { controls } from './controls.js';

function mount(root) {
  const problem = el('p.problem', { role: 'alert' });
  const line = el('div.writing.mono', { id: 'writing', 'aria-live': 'polite' });
  const next = bars({ label: 'What may come next: click one to take it', onpick: (entry) => take(entry.token) });
  const chance = controls();
  const grown = tree({ onpick: (tokens) => go({ tokens: tokens.join(',') || null }) });
  const samples = el('ol.written.mono', { id: 'written' });
  const seed = el('input.narrow.num', { type: 'number', value: 1, min: 0, id: 'seed', 'aria-label': 'Seed' });
  const auto = el('button.primary', { id: 'write-on', onclick: () => (timer ? pause() : play()) }, 'Write on');
  let timer = 0;
  let answer = null;
  let asked = '';
  const ask = latest();

  put(
    root,
    problem,
    el(
      'div.writegrid',
      {},
      el(
        'section.card',
        {},
        el('h2', {}, 'Letter by letter'),
        line,
        el(
          'div.row',
          {},
          el(
            'button',
            {
              id: 'write-one',
              onclick: () => {
                pause();
                draw();
              },
            },
            'One letter',
          ),
          auto,
          el(
            'button',
            {
              id: 'write-back',
              onclick: () => {
                pause();
                go({ tokens: taken().slice(0, -1).join(',') || null });
              },
            },
            'Take back',
          ),
          el(
            'button',
            {
              id: 'write-again',
              onclick: () => {
                pause();
                go({ tokens: null });
              },
            },
            'From the start',
          ),
        ),
        chance.node,
      ),
      el(
        'section.card',
        {},
        el('h2', {}, 'What may come next'),
        el(
          'p.soft.small',
          {},
          'Bar: its chance with these settings. Mark: what the model itself says. Click a letter to take that branch.',
        ),
        next.node,
      ),
      el('section.card', {}, el('h2', {}, 'Branches'), grown.node),
      el(
        'section.card',
        {},
        el(
          'div.row',
          {},
          el('h2.grow', {}, 'Ten at once'),
          el('label', { for: 'seed' }, 'seed'),
          seed,
          el('button', { id: 'write-ten', onclick: many }, 'Write'),
        ),
        el(
          'p.soft.small',
          {},
          'Whole samples with the settings above. The stronger a letter stands out, the likelier it was; click one to see how it came.',
        ),
        samples,
      ),
    ),
  );

  const taken = () => (state.tokens ? state.tokens.split(',').map(Number) : []);
  const view = () => {
    const edits = editsNow();
    return { step: stepNow(), tokens: taken(), ...(edits.length > 0 ? { edits } : {}) };
  };
  const ended = (run) => taken().at(-1) === run.bos && !run.stream;
  function take(token) {
    go({ tokens: [...taken(), token].join(',') });
  }
  function pause() {
    clearInterval(timer);
    timer = 0;
    auto.textContent = 'Write on';
  }
  function play() {
    if (current() && (ended(current().run) || answer?.full)) go({ tokens: null });
    auto.textContent = 'Pause';
    timer = setInterval(draw, 260);
  }
  // One by chance, each as likely as its bar.
  function draw() {
    const run = current()?.run;
    if (!run || !answer) return;
    if (asked !== shownFor) return;
    if (ended(run) || answer.full) return pause();
    let u = Math.random() * answer.tokens.reduce((sum, t) => sum + Number(t.probability), 0);
    const chosen = answer.tokens.find((t) => (u -= Number(t.probability)) < 0) ?? answer.tokens[0];
    take(chosen.token);
  }
  async function many() {
    try {
      const { samples: all } = await post(pathOf('write'), {
        ...view(),
        tokens: ended(current().run) ? [] : taken(),
        ...chance.settings(),
        seed: Number(seed.value),
        count: 10,
      });
      put(
        samples,
        all.map((s) =>
          el(
            'li',
            {},
            el(
              'button.plain',
              {
                onclick: () => {
                  grown.add(
                    s.tokens.map((t) => t.token),
                    current().run,
                  );
                  go({ tokens: s.tokens.map((t) => t.token).join(',') });
                },
              },
              s.tokens.map((t) =>
                el(
                  'span.drawn',
                  {
                    title: `${glyph(t.name)}: ${exact(Number(t.probability))}`,
                    style: { opacity: 0.62 + 0.38 * Number(t.probability) },
                  },
                  glyph(t.name),
                ),
              ),
            ),
          ),
        ),
      );
      seed.value = Number(seed.value) + 1;
    } catch (error) {
      put(problem, error.message);
    }
  }

  let shownFor = '';
  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(problem, noRun());
    const { run } = entry;
    const body = { ...view(), ...chance.settings() };
    const key = JSON.stringify([run.id, body]);
    if (key === asked && onlyNews) return;
    chance.show(run);
    showLine(run);
    if (ended(run)) {
      asked = shownFor = key;
      next.show([]);
      grown.show(taken(), run, null);
      return;
    }
    if (key === asked) return;
    asked = key;
    try {
      const got = await ask(pathOf('next'), body);
      if (got === undefined) return;
      [answer, shownFor] = [got, key];
      put(problem);
      next.show(
        got.tokens.slice(0, 60).map((t) => ({
          token: t.token,
          sign: glyph(t.name),
          p: Number(t.probability),
          before: Number(t.plain),
          out: t.may === false,
          text: percent(Number(t.probability), 1),
          title: `${exact(Number(t.probability))}; the model itself says ${exact(Number(t.plain))}, logit ${exact(Number(t.logit))}`,
        })),
      );
      grown.show(taken(), run, got.tokens);
    } catch (error) {
      asked = '';
      put(problem, error.message);
    }
  }

  function showLine(run) {
    const tokens = taken();
    const name = (t) => glyph(run.tokens[t] ?? `#${t}`);
    put(
      line,
      el('button.plain.start', { onclick: () => go({ tokens: null }), 'aria-label': 'To the start' }, glyph('BOS')),
      tokens.map((t, i) =>
        el(
          'button.plain',
          { onclick: () => go({ tokens: tokens.slice(0, i + 1).join(',') }), title: 'Go back to here' },
          name(t),
        ),
      ),
      ended(run) ? null : el('span.caret', { 'aria-hidden': 'true' }, '▏'),
    );
    if (ended(run)) announce(`It is over: ${tokens.map((t) => run.tokens[t]).join('')}`);
  }

  return {
    update({ changed }) {
      load(changed.size === 0);
    },
    leave() {
      pause();
    },
  };
}

export const view = { name: 'write', title: 'Generate', mount };
