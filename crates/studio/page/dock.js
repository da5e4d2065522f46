// Time: train, pause, one step; and a slider over all steps, drawn on the loss, that drives every view.

import { el, svg, put, announce, atMost } from './dom.js';
import { go } from './state.js';
import { current, stepNow, following, pathOf, follow, textNow, nearestStep } from './session.js';
import { post, exported } from './api.js';
import { fixed } from './format.js';
import { smooth } from './chart.js';
import { toast } from './toast.js';

const ICONS = {
  first: 'M4 3h2v10H4zM14 3v10L7 8z',
  back: 'M12 3v10L5 8z',
  play: 'M4 2.5v11l9.5-5.5z',
  pause: 'M4 3h3v10H4zM9 3h3v10H9z',
  next: 'M4 3v10l7-5z',
  last: 'M2 3v10l7-5zM10 3h2v10h-2z',
};

const icon = (name) => svg('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }));

// Tells the run that is looked at to do something.
export async function command(body) {
  const entry = current();
  if (!entry) return;
  try {
    follow(await post(pathOf('train', entry.run.id), body));
  } catch (error) {
    toast(error.message);
  }
}

// So many steps more: of a run that is done, beyond its end.
export function train(steps) {
  go({ step: null });
  return command({ do: current()?.run.status === 'done' ? 'go' : 'step', steps });
}

export function playOrPause() {
  const run = current()?.run;
  if (!run || exported) return;
  if (run.status === 'training') return command({ do: 'pause' });
  if (run.status === 'done') return train(run.steps);
  go({ step: null });
  return command({ do: 'go' });
}

// To an earlier or a later step. After the newest, one more is trained.
export function stepBy(by) {
  const run = current()?.run;
  if (!run) return;
  if (exported) {
    const i = exported.steps.indexOf(stepNow());
    return go({ step: exported.steps[Math.max(0, Math.min(exported.steps.length - 1, i + Math.sign(by)))] });
  }
  const next = stepNow() + by;
  if (next > run.step && run.status !== 'training' && run.step < run.steps) return train(next - run.step);
  const first = run.history?.first ?? 0;
  go({ step: next >= run.step ? null : Math.max(first, next) });
}

// Of so many points a curve takes its time, and is drawn less often.
export const MANY = 3000;
const drawSoon = atMost(draw);

export function dock(root) {
  const button = (name, label, onclick) =>
    el('button', { 'aria-label': label, title: label, onclick, id: `time-${name}` }, icon(name));
  const play = el('button.go.primary', { id: 'play', onclick: playOrPause });
  const transport = el(
    'div.transport',
    { role: 'group', 'aria-label': 'Training' },
    button('back', 'One step back (←)', () => stepBy(-1)),
    play,
    button('next', 'One step on (→)', () => stepBy(1)),
    button('last', 'The newest step (End)', () => go({ step: null })),
  );
  const curve = svg('svg', { preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const slider = el('input', { type: 'range', min: 0, max: 1, value: 0, step: 1, 'aria-label': 'Step', id: 'slider' });
  const knob = el('div.knob');
  const timeline = el('div.timeline', {}, curve, slider, knob);
  const where = el('div.where.num', { id: 'where' });
  const text = el('input', { id: 'text', value: textNow(), spellcheck: 'false', autocomplete: 'off', maxlength: 400 });
  const texts = exported
    ? el(
        'select',
        { id: 'text', 'aria-label': 'Text' },
        exported.texts.map((one) => el('option', {}, one)),
      )
    : text;
  put(root, transport, timeline, where, el('div.textbox', {}, el('label', { for: 'text' }, 'Text'), texts));
  if (exported) transport.hidden = true;

  slider.addEventListener('input', () => {
    const run = current()?.run;
    let step = Number(slider.value);
    if (exported) step = nearestStep(step);
    go({ step: run && step >= run.step && !exported ? null : step });
  });
  slider.addEventListener('keydown', (event) => {
    if (event.key.startsWith('Arrow') || event.key === ' ') {
      event.preventDefault();
    }
  });
  texts.addEventListener('input', () => go({ text: texts.value, place: null }));

  return {
    update() {
      const entry = current();
      const run = entry?.run;
      root.classList.toggle('norun', !run);
      if (document.activeElement !== texts && texts.value !== textNow()) texts.value = textNow();
      if (!run) return put(where, el('span.soft', {}, 'no run yet'));
      const step = stepNow();
      const last = Math.max(run.steps, run.step, 1);
      slider.max = last;
      slider.value = step;
      slider.setAttribute('aria-valuetext', `step ${step} of ${run.steps}`);
      knob.style.left = `${(100 * step) / last}%`;
      const training = run.status === 'training';
      if (play.dataset.shows !== run.status) {
        play.dataset.shows = run.status;
        const label = training
          ? 'Pause (Space)'
          : run.status === 'done'
            ? `Train ${run.steps} more steps (Space)`
            : 'Train (Space)';
        put(play, icon(training ? 'pause' : 'play'));
        play.title = label;
        play.setAttribute('aria-label', label);
        announce(`${run.name}: ${run.status}`);
      }
      const loss = lossAt(entry, step);
      put(
        where,
        el('div', {}, el('b', { id: 'step-now' }, step), ` / ${run.steps}`),
        el('div.soft', {}, loss === null ? (following() ? run.status : `newest ${run.step}`) : `loss ${fixed(loss)}`),
      );
      drawSoon(entry.loss.length > MANY ? 400 : 0, curve, entry, last);
    },
  };
}

// The loss that training had on the way to this step.
export function lossAt(entry, step) {
  let [low, high] = [0, entry.loss.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (entry.loss[middle][0] === step) return entry.loss[middle][1];
    if (entry.loss[middle][0] < step) low = middle + 1;
    else high = middle - 1;
  }
  return null;
}

function draw(curve, entry, last) {
  const points = smooth(entry.loss, 0.9);
  const stride = Math.max(1, Math.floor(points.length / 400));
  const some = points.filter((_, i) => i % stride === 0);
  if (some.length < 2) return put(curve);
  const [low, high] = [Math.min(...some.map((p) => p[1])), Math.max(...some.map((p) => p[1]), entry.run.guessing)];
  const at = ([x, y]) =>
    `${((1000 * x) / last).toFixed(1)} ${(6 + 82 * (1 - (y - low) / (high - low || 1))).toFixed(1)}`;
  const line = some.map(at).join('L');
  const [x0, x1] = [some[0][0], some.at(-1)[0]].map((x) => (1000 * x) / last);
  curve.setAttribute('viewBox', '0 0 1000 100');
  put(curve, svg('path.area', { d: `M${x0} 100L${line}L${x1} 100Z` }), svg('path.loss', { d: `M${line}` }));
}
