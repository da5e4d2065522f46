// Several runs side by side: which are open, which are saved; choose, hide, open, close.

import { el, put, tableOf } from './dom.js';
import { state, go } from './state.js';
import { session, current, follow, forget, pathOf } from './session.js';
import { ask, post, remove } from './api.js';
import { count, fixed } from './format.js';
import { lineColor } from './color.js';
import { toast } from './toast.js';

// The columns of numbers.
const NUMBERS = ['step', 'loss', 'validation'];

const attempt = (f) => async () => {
  try {
    await f();
  } catch (error) {
    toast(error.message);
  }
};

// The runs that the chart leaves out.
export const hidden = () => new Set((state.hide ?? '').split(',').filter(Boolean));

// The settings of a run that are not what most open runs have.
function different(run) {
  const all = [...session.runs.values()].map((one) => one.run.settings);
  const names = Object.keys(run.settings).filter((name) =>
    all.some((settings) => settings[name] !== run.settings[name]),
  );
  return names.map((name) => `${name} ${run.settings[name]}`).join(', ');
}

export function runsTable({ onform }) {
  const body = el('tbody');
  const saved = el('select', { id: 'saved', 'aria-label': 'A saved run' });
  const refresh = attempt(async () => {
    const names = (await ask('/runs')).saved.filter((run) => !run.open);
    put(
      saved,
      el('option', { value: '' }, names.length > 0 ? 'a saved run …' : 'no saved run'),
      names.map((run) => el('option', { value: run.name }, `${run.name}: step ${run.steps} of ${run.of}`)),
    );
  });
  saved.addEventListener('focus', refresh);
  saved.addEventListener(
    'change',
    attempt(async () => {
      if (!saved.value) return;
      const run = await post('/runs/open', { name: saved.value });
      follow(run);
      go({ run: run.id, step: null }, { remember: true });
      await refresh();
    }),
  );
  refresh();
  const node = el(
    'section.card.runs',
    {},
    el(
      'div.row',
      {},
      el('h2.grow', {}, 'Runs, side by side'),
      saved,
      el('button.primary', { id: 'new-run', onclick: onform }, 'New run …'),
    ),
    tableOf(
      ['', 'run', 'state', 'step', 'loss', 'validation', 'differs in', ''].map((text) =>
        el(NUMBERS.includes(text) ? 'th.num' : 'th', {}, text),
      ),
      body,
    ),
  );
  const rows = new Map();
  return {
    node,
    update() {
      const entries = [...session.runs.values()];
      body.closest('.tablebox').hidden = entries.length === 0;
      for (const id of rows.keys()) if (!session.runs.has(id)) rows.delete(id);
      const order = entries.map((entry, i) => {
        const row = rows.get(entry.run.id) ?? newRow(entry, i);
        rows.set(entry.run.id, row);
        row.tell(entry);
        return row.node;
      });
      if (order.length !== body.children.length || order.some((row, i) => body.children[i] !== row)) put(body, order);
    },
  };
}

function newRow(entry, i) {
  const { id } = entry.run;
  const cells = Object.fromEntries(['state', 'step', 'loss', 'validation', 'differs'].map((name) => [name, el('td')]));
  for (const name of NUMBERS) cells[name].className = 'num';
  cells.differs.className = 'small soft';
  const choose = el(
    'button.link',
    { onclick: () => go({ run: id, step: null }, { remember: true }) },
    entry.run.name ?? id,
  );
  const eye = el('input', { type: 'checkbox', 'aria-label': `Show ${id} in the chart` });
  eye.addEventListener('change', () => {
    const all = hidden();
    if (eye.checked) all.delete(id);
    else all.add(id);
    go({ hide: [...all].join(',') || null });
  });
  const say = (body) => attempt(async () => follow(await post(pathOf('train', id), body)))();
  const play = el('button.plain', {
    onclick: () => say({ do: session.runs.get(id).run.status === 'training' ? 'pause' : 'go' }),
  });
  const close = el(
    'button.plain',
    {
      title: 'Close; its folder stays',
      'aria-label': `Close ${id}`,
      onclick: attempt(async () => {
        await remove(pathOf('', id).replace(/\/$/, ''));
        forget(id);
      }),
    },
    '✕',
  );
  const node = el(
    'tr',
    {},
    el('td', {}, el('span.row', {}, eye, el('i.swatch', { style: { background: lineColor(i) } }))),
    el('td', {}, choose),
    cells.state,
    cells.step,
    cells.loss,
    cells.validation,
    cells.differs,
    el('td', {}, el('span.row.tight', {}, play, close)),
  );
  return {
    node,
    tell({ run, loss }) {
      node.classList.toggle('on', current()?.run.id === id);
      eye.checked = !hidden().has(id);
      cells.state.textContent = run.error ? 'failed' : run.status;
      cells.step.textContent = `${count(run.step)} / ${count(run.steps)}`;
      cells.loss.textContent = fixed(loss.at(-1)?.[1] ?? Number(run.loss ?? NaN));
      cells.validation.textContent = fixed(run.validation);
      cells.differs.textContent = session.runs.size > 1 ? different(run) : (run.preset ?? '');
      play.textContent = run.status === 'training' ? 'Pause' : 'Train';
      play.disabled = run.status === 'done' || run.status === 'failed';
    },
  };
}
