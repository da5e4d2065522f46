// Train: the loss as it falls, beside that of a blind guess; samples as they improve; how each matrix moves; the settings.

import { el, put, tableOf, atMost } from './dom.js';
import { go, addressOf } from './state.js';
import { recall } from './memory.js';
import { session, current, stepNow, following, isSoon, pathOf, pieceOf } from './session.js';
import { latest } from './api.js';
import { chart, smooth } from './chart.js';
import { fixed, short, exact, percent, count } from './format.js';
import { lineColor } from './color.js';
import { form } from './form.js';
import { runsTable, hidden } from './runs.js';
import { command, train, MANY } from './dock.js';

// How fast a matrix should move: about a thousandth of its size a step.
const HEALTHY = 1e-3;

function mount(root) {
  const words = el('p.plainwords', { id: 'words', 'aria-live': 'off' });
  const loss = chart({ height: 250, label: 'Loss over steps', onpick: (step) => go({ step }) });
  const showLoss = atMost((entry) => loss.show(lines(entry)));
  const samples = el('ol.samples', { id: 'samples' });
  const matrices = el('div.matrices', { id: 'matrices' });
  const dead = el('div', { id: 'dead' });
  const moved = el('span.soft.small', { id: 'matrices-step' });
  const facts = el('dl.facts', { id: 'facts' });
  const ask = latest();
  let asked = '';
  const settings = form();
  const runs = runsTable({
    onform: () => {
      settings.node.open = true;
      settings.node.scrollIntoView({ block: 'start' });
      settings.focus();
    },
  });
  const some = el('input.narrow.num', {
    type: 'number',
    min: 1,
    value: 10,
    'aria-label': 'How many steps',
    id: 'some',
  });
  put(
    root,
    el(
      'div.lead',
      {},
      el('div', {}, words, invitation()),
      el(
        'div.row',
        {},
        el(
          'button',
          {
            id: 'one-step',
            onclick: () => train(1),
          },
          'One step',
        ),
        el(
          'button',
          {
            id: 'some-steps',
            onclick: () => train(Number(some.value) || 1),
          },
          'Steps:',
        ),
        some,
        el(
          'button',
          { id: 'stop', onclick: () => command({ do: 'stop' }), title: 'Pause, and save what there is' },
          'Stop and save',
        ),
      ),
    ),
    el(
      'div.traingrid',
      {},
      el('section.card.losscard', {}, el('h2', {}, 'Loss: how surprised it is by the next letter'), loss.node),
      el('section.card.samplecard', {}, el('h2', {}, 'What it writes'), samples),
      el('section.card', {}, el('h2', {}, 'How each matrix moves', moved), matrices),
      el('section.card', {}, el('h2', {}, 'At this moment'), facts, dead),
    ),
    runs.node,
    settings.node,
  );

  return {
    update() {
      const entry = current();
      runs.update();
      if (!entry) {
        put(words, session.ready ? 'No run is open. Choose settings below, and start one.' : '');
        settings.node.open = session.ready;
        return;
      }
      const at = following() ? null : stepNow();
      const then = at === null ? entry : asOf(entry, at);
      tellWords(words, then, at);
      showLoss(entry.loss.length > MANY ? 400 : 0, entry);
      tellSamples(samples, then);
      tellFacts(facts, then, at);
      tellDead(dead, then.measures);
      measure(entry, at);
    },
    leave: settings.leave,
  };

  function showMeasures(measures) {
    tellMatrices(matrices, measures);
    put(moved, measures ? `  at step ${measures.step}` : null);
  }

  // Of the newest step it was told; of an earlier one it is asked, where the answer comes soon.
  async function measure({ run, measures }, at) {
    const told = at === null || at === measures?.step || !isSoon(run);
    const key = told || at === 0 ? '' : `${run.id} ${at}`;
    if (key !== '' && key === asked) return;
    asked = key;
    if (key === '') return showMeasures(told ? measures : null);
    try {
      const answer = await ask(pathOf('measures', run.id), { step: at });
      if (answer && asked === key) showMeasures(answer);
    } catch {
      showMeasures(null);
    }
  }
}

// What was known of a run after a step.
function asOf({ run, loss, lr, validations, samples, measures }, at) {
  const until = (list) => list.filter((one) => (one.step ?? one[0]) <= at);
  return {
    run,
    loss: until(loss),
    lr: until(lr),
    validations: until(validations),
    samples: until(samples),
    measures: measures?.step === at ? measures : null,
  };
}

// For who is here for the first time; gone once the tour was begun.
const invitation = () =>
  el(
    'p.soft.invitation',
    { hidden: recall('toured') !== null },
    'New here? ',
    el('a', { href: addressOf({ view: 'tour' }) }, 'Take the tour'),
    ': ten short stops on this very model.',
  );

function tellWords(node, { run, measures, loss }, at) {
  if (run.error) return put(node, el('span.problem', {}, run.error));
  const last = loss.length > 0 ? smooth(loss.slice(-200)).at(-1)[1] : at === null ? run.loss : null;
  const choices = last === null || last === undefined ? null : Math.exp(last);
  const worse = choices && last > run.guessing + 0.5;
  const among = worse
    ? 'It does worse than a blind guess: the learning rate may be too high. '
    : choices &&
      `${at === null ? 'It is' : `At step ${at} it was`} as unsure of each next ${pieceOf(run)} as among ${short(choices, 2)} equally likely ones; at first it was among ${count(Math.round(Math.exp(run.guessing)))}. `;
  const until = run.until?.held ? `Stopped: ${run.until.condition} holds at step ${run.until.step}. ` : '';
  // What the rules say, without what the sentence before has said.
  const rules = (measures?.words ?? '').split('; as unsure')[0];
  put(
    node,
    until,
    among ?? 'Nothing is learnt yet. ',
    el('span.soft', {}, rules && `${rules[0].toUpperCase()}${rules.slice(1)}.`),
  );
}

function lines(entry) {
  const series = [];
  const left = hidden();
  let last = 1;
  let guessing = null;
  [...session.runs.values()].forEach((one, i) => {
    if (left.has(one.run.id)) return;
    const color = lineColor(i);
    const mine = one === entry;
    const several = session.runs.size > 1;
    // A run that is not saved has no name.
    const run = one.run.name ?? one.run.id;
    series.push({ name: several ? `${run} loss` : 'loss of a step', color, points: one.loss, faint: true });
    series.push({ name: several ? `${run} mean` : 'mean of the last', color, points: smooth(one.loss) });
    if (one.validations.length > 0) {
      series.push({
        name: several ? `${run} validation` : 'validation',
        color: lineColor(i + 1),
        dots: true,
        points: one.validations.map((v) => [v.step, Number(v.loss)]),
      });
    }
    last = Math.max(last, one.run.steps, one.run.step);
    if (mine || guessing === null) guessing = one.run.guessing;
  });
  const level = { y: guessing, text: `a blind guess: ln ${Math.round(Math.exp(guessing))} = ${fixed(guessing, 3)}` };
  return { series, lines: guessing === null ? [] : [level], x: [0, last], cursor: following() ? null : stepNow() };
}

function tellSamples(node, { run, samples }) {
  const newest = samples.slice(-60).reverse();
  const key = `${run.id} ${samples.length}`;
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  put(
    node,
    newest.length === 0
      ? el('li.soft', {}, run.status === 'training' ? 'The first comes in a moment …' : 'Nothing was written yet.')
      : newest.map((sample) =>
          el(
            'li',
            {},
            el(
              'button.plain.samplebutton',
              {
                title: `Look at step ${sample.step} and this text`,
                onclick: () => go({ view: 'inside', step: sample.step, text: sample.text }, { remember: true }),
              },
              el('span.num.soft', {}, sample.step),
              el('span.mono', {}, sample.text || '(nothing)'),
            ),
          ),
        ),
  );
}

// A row for each matrix, kept and only changed: name, gradient's length, what an update is beside the matrix.
function tellMatrices(node, measures) {
  if (!measures) {
    node.dataset.key = '';
    return put(node, el('p.soft', {}, 'After the first step.'));
  }
  const key = measures.matrices.map((m) => m.name).join();
  if (node.dataset.key !== key) {
    node.dataset.key = key;
    const rows = measures.matrices.map((m) =>
      el(
        'tr',
        {},
        el('td.mono', {}, m.name),
        el('td', {}, el('span.meter', {}, el('i'))),
        el('td.num'),
        el('td', {}, el('span.meter.ratio', {}, el('i'))),
        el('td.num'),
      ),
    );
    put(
      node,
      tableOf(
        [
          el('th', {}, 'matrix'),
          el('th', { colspan: 2 }, 'length of its gradient'),
          el(
            'th',
            {
              colspan: 2,
              title:
                'Length of the update beside the length of the matrix. The line is at 0.001, where most models learn well.',
            },
            'update beside its size',
          ),
        ],
        rows,
      ),
    );
  }
  const top = Math.max(1e-12, ...measures.matrices.map((m) => Number(m.gradient)));
  const rows = node.querySelectorAll('tbody tr');
  measures.matrices.forEach((m, i) => {
    const [, g, gText, u, uText] = rows[i].children;
    const [gradient, ratio] = [Number(m.gradient), Number(m.update_ratio)];
    g.firstChild.firstChild.style.width = `${(100 * gradient) / top}%`;
    gText.textContent = short(gradient);
    gText.title = exact(gradient);
    // From a hundred-thousandth to one, a decade a fifth.
    const part = ratio > 0 ? Math.max(0, Math.min(1, 1 + Math.log10(ratio) / 5)) : 0;
    u.firstChild.firstChild.style.width = `${100 * part}%`;
    u.firstChild.classList.toggle('off', ratio > 50 * HEALTHY);
    uText.textContent = short(ratio, 2);
    uText.title = exact(ratio);
  });
}

function tellFacts(node, { run, loss, lr, validations }, at) {
  // Of a long run not every step is told.
  const here = (list) => (at === null || list.at(-1)?.[0] === at ? list.at(-1)?.[1] : null);
  const validation = at === null ? run.validation : (validations.at(-1)?.loss ?? null);
  const rows = [
    ['step', `${count(at ?? run.step)} of ${count(run.steps)}`],
    ['loss', fixed(here(loss))],
    ['validation', run.validation === null ? 'nothing held back' : fixed(validation)],
    ['learning rate', short(here(lr) ?? null)],
    ['parameters', count(run.parameters)],
    ['speed', run.tokens_per_second ? `${count(Math.round(run.tokens_per_second))} tokens/s` : '–'],
    ['history', `${count(run.history?.kept)} steps kept, ${short((run.history?.bytes ?? 0) / 1e6, 3)} MB`],
  ];
  put(
    node,
    rows.map(([name, value]) => [el('dt', {}, name), el('dd.num', {}, value)]),
  );
}

function tellDead(node, measures) {
  if (!measures?.dead?.length) return put(node);
  put(
    node,
    el('h3', {}, 'Units of the MLP that answer nothing'),
    measures.dead.map((d) =>
      el(
        'div.row.deadrow',
        {},
        el('span', {}, `layer ${d.layer}`),
        el('span.meter', {}, el('i', { style: { width: percent(d.dead / d.of).replace(' ', '') } })),
        el('span.num', {}, `${d.dead} of ${d.of}`),
      ),
    ),
  );
}

export const view = { name: 'train', title: 'Train', mount };
