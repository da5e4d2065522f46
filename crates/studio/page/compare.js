// Compare two runs, or two steps of one: what differs in the settings, in each matrix, in every view, and what parted first.

import { el, put, tableOf } from './dom.js';
import { state, go } from './state.js';
import { session, current, modelOf, stepNow, textNow, pathOf, noRun } from './session.js';
import { latest } from './api.js';
import { picture, windowsOf, tokensOf } from './picture.js';
import { exact, fixed, short } from './format.js';
import { placeText } from './place.js';

const MODES = [
  ['difference', 'B − A'],
  ['a', 'A'],
  ['b', 'B'],
];

function mount(root) {
  const problem = el('p.problem', { role: 'alert' });
  const [a, b] = [side('a', 'A'), side('b', 'B')];
  const swap = el(
    'button',
    {
      id: 'swap',
      onclick: () => {
        const [one, two] = [sideNow('a'), sideNow('b')];
        go({ a: two.run, as: two.step, b: one.run, bs: one.step });
      },
    },
    '⇄ swap',
  );
  const verdict = el('div.verdict', { id: 'verdict-compare', role: 'status' });
  const settings = el('div');
  const matrices = el('div');
  const modes = el(
    'div.row',
    { role: 'group', 'aria-label': 'What is shown' },
    MODES.map(([name, text]) =>
      el('button', { id: `cmp-${name}`, onclick: () => go({ cmp: name === 'difference' ? null : name }) }, text),
    ),
  );
  const table = picture({
    onwanted: () => load(),
    onpick: (place) => {
      const one = sideNow(state.cmp === 'a' ? 'a' : 'b');
      go({ run: one.run, step: one.step, place: placeText(place) }, { remember: true });
    },
  });
  put(
    root,
    el('section.card.sides', {}, a.node, swap, b.node),
    problem,
    verdict,
    el(
      'div.comparegrid',
      {},
      el('section.card', {}, el('h2', {}, 'Settings that differ'), settings),
      el('section.card', {}, el('h2', {}, 'How far each is from the other'), matrices),
    ),
    el('div.row.comparemodes', {}, el('h2.grow', {}, 'Every view, for the text below'), modes),
    table.node,
  );
  const [askA, askB, askAll] = [latest(), latest(), latest()];
  let asked = '';
  let askedViews = '';
  let both = null;

  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(problem, noRun());
    const [one, two] = [sideNow('a'), sideNow('b')];
    a.show(one);
    b.show(two);
    for (const button of modes.children)
      button.setAttribute('aria-pressed', String(button.id === `cmp-${state.cmp ?? 'difference'}`));
    try {
      const [ra, rb] = [session.runs.get(one.run)?.run, session.runs.get(two.run)?.run];
      if (!ra || !rb) return put(problem, 'One of the two is not open.');
      const body = { a: one, b: two, text: textNow() };
      if (JSON.stringify(body) !== asked) {
        asked = JSON.stringify(body);
        askAll('/compare', body).then(
          (answer) => answer && tell(answer),
          (error) => {
            asked = '';
            put(problem, error.message);
          },
        );
      }
      const model = await modelOf(one.run);
      table.prepare(model, ra);
      const other = new Set((await modelOf(two.run)).tensors.map((t) => t.name));
      const want = table.wanted().filter((w) => other.has(w.name));
      const views = [one, two].map((s) => ({ step: s.step, text: textNow(), want }));
      const key = JSON.stringify([one.run, two.run, views]);
      if (key === askedViews && onlyNews) return;
      if (key !== askedViews) {
        askedViews = key;
        const got = await Promise.all([
          askA(pathOf('look', one.run), views[0]),
          askB(pathOf('look', two.run), views[1]),
        ]);
        if (got.includes(undefined)) return;
        both = got;
      }
      put(problem);
      paint(ra);
    } catch (error) {
      [askedViews, asked] = ['', ''];
      put(problem, error.message);
    }
  }

  function paint(run) {
    if (!both) return;
    const [wa, wb] = both.map((answer) => windowsOf(answer));
    const mode = state.cmp ?? 'difference';
    const windows = new Map();
    for (const [name, x] of wa) {
      const y = wb.get(name);
      if (!y || y.values.length !== x.values.length) continue;
      // Of what is hidden in both, infinity less infinity, there is no difference.
      const difference = () => ({
        ...x,
        top: undefined,
        values: y.values.map((v, i) => (v === x.values[i] ? 0 : v - x.values[i])),
      });
      windows.set(name, mode === 'a' ? x : mode === 'b' ? y : difference());
    }
    table.show(windows, {
      tokens: tokensOf(both[0]),
      heads: run.heads || 1,
      zero: mode === 'difference' ? 'the same' : undefined,
    });
  }

  function tell(answer) {
    const { first, parted } = answer;
    const same = !first;
    put(
      verdict,
      el(
        'p.plainwords',
        {},
        'Loss of this text: A ',
        el('b.num', { id: 'loss-a', title: exact(Number(answer.a.loss)) }, fixed(Number(answer.a.loss))),
        ', B ',
        el('b.num', { id: 'loss-b', title: exact(Number(answer.b.loss)) }, fixed(Number(answer.b.loss))),
        same ? '. Nothing differs: every number is the same, to the last bit.' : '.',
      ),
      first
        ? el(
            'p',
            { id: 'first-parted' },
            'The first number that parts, as they are computed: ',
            el('b.mono', {}, first.name ? `${first.name}[${first.row}, ${first.col}]` : first.label),
            ': ',
            el('span.num', {}, exact(Number(first.a))),
            ' and ',
            el('span.num', {}, exact(Number(first.b))),
            '.',
          )
        : null,
      parted && one(answer)
        ? el(
            'p.soft',
            {},
            'In training they parted at step ',
            el('b.num', {}, parted.step),
            `, in ${parted.name}[${parted.row}, ${parted.col}].`,
          )
        : null,
    );
    put(
      settings,
      answer.settings.length === 0
        ? el('p.soft', {}, 'None.')
        : el(
            'table',
            {},
            el('thead', {}, el('tr', {}, el('th', {}, 'setting'), el('th.num', {}, 'A'), el('th.num', {}, 'B'))),
            el(
              'tbody',
              {},
              answer.settings.map((s) =>
                el('tr', {}, el('td.mono', {}, s.name), el('td.num', {}, s.a), el('td.num', {}, s.b)),
              ),
            ),
          ),
    );
    const all = answer.matrices;
    const top = Math.max(1e-30, ...all.map((m) => Number(m.norm ?? 0)));
    put(
      matrices,
      tableOf(
        [
          el('th', {}, 'matrix'),
          el('th', { colspan: 2 }, 'length of the difference'),
          el('th.num', {}, 'most at'),
          el('th.num', {}, 'A'),
          el('th.num', {}, 'B'),
        ],
        all.map((m) =>
          el(
            'tr',
            {},
            el('td.mono', {}, m.name),
            m.note
              ? el('td.soft', { colspan: 5 }, m.note)
              : [
                  el('td', {}, el('span.meter', {}, el('i', { style: { width: `${(100 * Number(m.norm)) / top}%` } }))),
                  el('td.num', {}, m.same ? 'same' : short(Number(m.norm))),
                  el('td.num', {}, m.at ? `${m.at.row}, ${m.at.col}` : ''),
                  el('td.num', {}, m.at ? short(Number(m.at.a)) : ''),
                  el('td.num', {}, m.at ? short(Number(m.at.b)) : ''),
                ],
          ),
        ),
      ),
    );
  }

  const one = (answer) => answer.a.run !== answer.b.run;
  return {
    update({ changed }) {
      load(changed.size === 0);
    },
    leave() {
      table.leave();
    },
  };
}

// A: a run and a step; at first the untrained model. B: what all views look at.
function sideNow(which) {
  const mine = current()?.run;
  const id = session.runs.has(state[which]) ? state[which] : mine?.id;
  const run = session.runs.get(id)?.run ?? mine;
  const given = Number(state[`${which}s`]);
  const fallback =
    which === 'a' && id === mine?.id ? (run.history?.first ?? 0) : id === mine?.id ? stepNow() : run.step;
  return {
    run: id,
    step: state[`${which}s`] === undefined || !Number.isFinite(given) ? fallback : Math.min(given, run.step),
  };
}

function side(which, title) {
  const run = el('select', { id: `run-${which}`, 'aria-label': `Run ${title}` });
  const step = el('input.grow', { type: 'range', min: 0, id: `step-${which}`, 'aria-label': `Step of ${title}` });
  const shown = el('input.narrow.num', {
    type: 'number',
    min: 0,
    id: `number-${which}`,
    'aria-label': `Step of ${title}`,
  });
  run.addEventListener('change', () => go({ [which]: run.value, [`${which}s`]: null }));
  step.addEventListener('input', () => go({ [`${which}s`]: step.value }));
  shown.addEventListener('change', () => go({ [`${which}s`]: shown.value }));
  let ids = '';
  return {
    node: el('div.side', {}, el('b.sidename', {}, title), run, el('span.soft', {}, 'step'), shown, step),
    show(now) {
      const all = [...session.runs.keys()];
      if (all.join() !== ids) {
        ids = all.join();
        put(
          run,
          all.map((id) => el('option', { value: id }, session.runs.get(id).run.name ?? id)),
        );
      }
      run.value = now.run;
      step.max = session.runs.get(now.run)?.run.step ?? 0;
      step.value = now.step;
      if (document.activeElement !== shown) shown.value = now.step;
    },
  };
}

export const view = { name: 'compare', title: 'Compare', mount };
