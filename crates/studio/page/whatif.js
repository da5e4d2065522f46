// What if: change a number, silence a head or a neuron, borrow a row from another text, and see what follows; undo.

import { el, put } from './dom.js';
import { state, go } from './state.js';
import { current, editsNow, lookingAt, modelOf, pathOf, noRun } from './session.js';
import { latest } from './api.js';
import { picture, windowsOf, tokensOf } from './picture.js';
import { afterText, rowNow, tokenStrip } from './tokens.js';
import { bars } from './bars.js';
import { glyph, exact, fixed } from './format.js';
import { editor } from './editor.js';

const MODES = [
  ['difference', 'Difference'],
  ['after', 'After'],
  ['before', 'Before'],
];

function mount(root) {
  const strip = tokenStrip();
  const problem = el('p.problem', { role: 'alert' });
  const verdict = el('p.plainwords', { id: 'what-follows', role: 'status' });
  const next = bars({ label: 'What may come next, with the edits; the mark is where it was without' });
  const nextTitle = el('h3');
  const modes = el(
    'div.row',
    { role: 'group', 'aria-label': 'What is shown' },
    MODES.map(([name, text]) =>
      el('button', { id: `mode-${name}`, onclick: () => go({ mode: name === 'difference' ? null : name }) }, text),
    ),
  );
  const table = picture({
    onwanted: () => load(),
    onpick: (place) => go({ edit: `${place.name}:${place.row}:${place.col}` }),
  });
  const edit = editor();
  put(
    root,
    el(
      'div.whatgrid',
      {},
      el('div.whatside', {}, edit.node),
      el(
        'div.whatmain',
        {},
        el('div.viewbar', {}, strip.node, el('div.row.right', {}, modes)),
        problem,
        el('div.whattop', {}, el('div', {}, nextTitle, next.node), verdict),
        el('p.soft.small', {}, 'Click a number to change it.'),
        table.node,
      ),
    ),
  );
  const ask = latest();
  let asked = '';
  let answer = null;

  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(problem, noRun());
    try {
      const model = await modelOf(entry.run.id);
      table.prepare(model, entry.run);
      const want = [...table.wanted(), { name: 'probabilities' }];
      const body = { ...lookingAt(), want };
      const key = `${entry.run.id} ${JSON.stringify(body)}`;
      if (key === asked && onlyNews) return;
      edit.update(entry.run, model);
      if (key !== asked) {
        asked = key;
        const got = await ask(pathOf('look'), body);
        if (got === undefined) return;
        answer = got;
      }
      if (!answer) return;
      put(problem);
      paint(entry.run);
    } catch (error) {
      asked = '';
      put(problem, error.message);
    }
  }

  function paint(run) {
    const edits = editsNow();
    const mode = edits.length === 0 ? 'after' : (state.mode ?? 'difference');
    for (const button of modes.children) {
      button.setAttribute('aria-pressed', String(button.id === `mode-${mode}`));
      button.disabled = edits.length === 0;
    }
    const tokens = tokensOf(answer);
    const row = rowNow(tokens.length);
    strip.show(tokens, { loss: answer.loss, before: answer.before?.loss ?? null, guessing: run.guessing });
    table.show(windowsOf(answer, mode === 'after' ? 'value' : mode), {
      tokens,
      heads: run.heads || 1,
      vocabulary: run.tokens.map(glyph),
      zero: mode === 'difference' ? 'unchanged' : undefined,
    });
    const w = answer.windows.find((one) => one.name === 'probabilities');
    const line = w?.values[row - w.rows[0]] ?? [];
    const was = w?.before?.[row - w.rows[0]];
    const entries = line.map((p, i) => ({
      p: Number(p),
      before: was ? Number(was[i]) : undefined,
      sign: glyph(run.tokens[i] ?? `#${i}`),
      on: i === tokens[row].target,
      title: was ? `${exact(Number(p))}, was ${exact(Number(was[i]))}` : exact(Number(p)),
    }));
    entries.sort((a, b) => (b.before ?? b.p) - (a.before ?? a.p));
    next.show(entries.slice(0, 10));
    put(nextTitle, afterText(tokens, row));
    tell(edits);
  }

  function tell(edits) {
    if (edits.length === 0)
      return put(verdict, 'Nothing is changed yet. Silence a head, or click any number of the picture.');
    const [now, before] = [Number(answer.loss), Number(answer.before?.loss ?? answer.loss)];
    const by = now - before;
    const words =
      by === 0
        ? 'The loss of this text stays the same, to the last bit.'
        : by > 0
          ? 'The model is now more surprised by this text: what you changed was of use here.'
          : 'The model is now less surprised by this text.';
    put(
      verdict,
      'Loss ',
      el('b.num', { id: 'loss-before', title: exact(before) }, fixed(before)),
      ' → ',
      el('b.num', { id: 'loss-after', title: exact(now) }, fixed(now)),
      el('span.num.soft', {}, ` (${by > 0 ? '+' : ''}${fixed(by)})`),
      '. ',
      words,
    );
  }

  return {
    update({ changed }) {
      load(changed.size === 0);
    },
    leave() {
      table.leave();
    },
    key: edit.key,
  };
}

export const view = { name: 'whatif', title: 'What if', mount };
