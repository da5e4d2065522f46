// Look inside: all that was computed of a text, from letters to probabilities, at any step.

import { el, put } from './dom.js';
import { state, go, number } from './state.js';
import { current, lookingAt, modelOf, lookFor, pathOf, noRun, aboutPieces } from './session.js';
import { latest, flat, post } from './api.js';
import { picture, windowsOf, tokensOf } from './picture.js';
import { afterText, rowNow, tokenStrip } from './tokens.js';
import { arcs } from './arcs.js';
import { bars } from './bars.js';
import { lens } from './lens.js';
import { legend } from './legend.js';
import { glyph, exact } from './format.js';
import { pin } from './place.js';

// What is asked for beside the picture's tables.
const LENS = { name: 'lens' };
const PROBABILITIES = { name: 'probabilities' };

function mount(root) {
  const strip = tokenStrip();
  const scale = legend({});
  const problem = el('p.problem', { role: 'alert' });
  const note = el('p.soft.small');
  const modes = el(
    'div.row',
    { role: 'group', 'aria-label': 'What is shown' },
    [
      ['value', 'Values'],
      ['grad', 'Gradients'],
    ].map(([name, text]) =>
      el('button', { onclick: () => go({ show: name === 'value' ? null : name }), id: `show-${name}` }, text),
    ),
  );
  const allLens = lens();
  const next = bars({
    label: 'What may come next',
    onpick: (entry) => pin({ name: 'logits', row: entry.row, col: entry.token }),
  });
  const nextTitle = el('h3');
  const sights = new Map();
  let answer = null;
  const ask = latest();

  const extra = (key, layer, run) => {
    if (key === 'attn' && run.heads > 0) {
      const sight = sightOf(layer, run);
      sights.set(layer, sight);
      return sight.node;
    }
    if (key === 'out') return el('div.outgrid', {}, el('div', {}, nextTitle, next.node), allLens.node);
    return [];
  };
  const table = picture({ onwanted: () => load(), extra });
  put(root, el('div.viewbar', {}, strip.node, el('div.row.right', {}, modes, scale.node)), note, problem, table.node);

  let asked = '';
  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(problem, noRun());
    let model;
    try {
      model = await modelOf(entry.run.id);
      table.prepare(model, entry.run);
      const grad = state.show === 'grad';
      const layers = [...sights.keys()].map((layer) => ({
        name: `layer${layer}.attn_weights`,
        ...(grad ? { grad } : {}),
      }));
      const rows = await rowsFor(entry.run);
      const want = unique([
        ...table.wanted(grad ? { grad } : {}),
        ...layers.filter((w) => model.tensors.some((t) => t.name === w.name)),
        { ...LENS, ...rows },
        { ...PROBABILITIES, ...rows },
      ]);
      const body = { ...lookingAt(), want };
      const key = `${entry.run.id} ${JSON.stringify(body)}`;
      if (key === asked) return onlyNews ? undefined : paint(entry.run, model);
      asked = key;
      const got = await lookFor(ask, want);
      if (got === undefined) return;
      answer = got;
      put(problem);
      paint(entry.run, model);
    } catch (error) {
      asked = '';
      put(problem, error.message);
    }
  }

  // Of an alphabet so large that an answer has no room for all letters of the text, only the row that is looked at.
  async function rowsFor(run) {
    if (Math.exp(run.guessing) * run.block_size <= 60000) return {};
    const view = lookingAt();
    if (answer?.text !== view.text) answer = await post(pathOf('look'), { ...view, want: [] });
    const row = rowNow(answer.tokens.length);
    return { rows: [row, row + 1] };
  }

  function paint(run) {
    if (!answer) return;
    const mode = state.show === 'grad' ? 'grad' : 'value';
    for (const button of modes.children) button.setAttribute('aria-pressed', String(button.id === `show-${mode}`));
    const tokens = tokensOf(answer);
    const row = rowNow(tokens.length);
    strip.show(tokens, { loss: answer.loss, before: answer.before?.loss ?? null, guessing: run.guessing });
    put(
      note,
      answer.cut > 0
        ? `The text is longer than the context of ${run.block_size}: the last ${answer.cut} are cut off.`
        : aboutPieces(run),
    );
    scale.show(null);
    const windows = windowsOf(answer, mode);
    const head = number('head');
    table.show(windows, { tokens, heads: run.heads || 1, head, vocabulary: run.tokens.map(glyph) });
    const values = mode === 'value' ? windows : windowsOf(answer);
    for (const [layer, sight] of sights)
      sight.show(values.get(`layer${layer}.attn_weights`), tokens, run.heads, head, number('row'));
    showNext(run, tokens, row);
    showLens(run, tokens, row);
  }

  function showNext(run, tokens, row) {
    const w = answer.windows.find((one) => one.name === 'probabilities');
    const line = w?.values[row - (w.rows[0] ?? 0)];
    if (!line) return;
    put(nextTitle, afterText(tokens, row));
    const entries = line.map((p, token) => ({
      token,
      row,
      p: Number(p),
      sign: glyph(run.tokens[token] ?? `#${token}`),
      on: token === tokens[row].target,
      title: exact(Number(p)),
    }));
    entries.sort((a, b) => b.p - a.p);
    next.show(entries.slice(0, 12));
  }

  function showLens(run, tokens, row) {
    const stages = answer.windows
      .filter((w) => w.name.endsWith('.lens') && w.rows[1] >= tokens.length)
      .map((w) => ({ name: w.name.replace('.lens', ''), values: flat(w.values), cols: w.cols[1] - w.cols[0] }));
    if (stages.length > 0 && tokens.length <= 64) allLens.show({ stages, tokens, vocabulary: run.tokens, row });
    else put(allLens.node);
  }

  return {
    update({ changed }) {
      load(changed.size === 0);
    },
    leave() {
      table.leave();
    },
  };
}

function unique(want) {
  const names = new Set();
  return want.filter((w) => !names.has(w.name) && names.add(w.name));
}

// Arcs of one layer, with a button for each head.
function sightOf(layer, run) {
  const buttons = [null, ...Array(run.heads).keys()].map((h) =>
    el('button', { onclick: () => go({ head: h }), 'data-head': h ?? 'all' }, h === null ? 'all heads' : `head ${h}`),
  );
  const drawing = arcs({
    label: `Whom each letter looks at, layer ${layer}`,
    onpick: (to, from) =>
      pin({ name: `layer${layer}.attn_weights`, row: to * run.heads + (number('head') ?? 0), col: from }),
    onletter: (i, hovering) => {
      if (!hovering) go({ row: number('row') === i ? null : i });
    },
  });
  return {
    node: el('div.sight', {}, el('div.row', { role: 'group', 'aria-label': 'Head' }, buttons), drawing.node),
    show(window, tokens, heads, head, row) {
      for (const button of buttons)
        button.setAttribute('aria-pressed', String(button.dataset.head === String(head ?? 'all')));
      if (!window || tokens.length > 80) return put(drawing.node);
      const cols = window.cols[1] - window.cols[0];
      const of = (to, from, h) => window.values[(to * heads + h) * cols + from] ?? 0;
      const mean = (to, from) =>
        Array.from({ length: heads }, (_, h) => of(to, from, h)).reduce((a, b) => a + b, 0) / heads;
      const weights = tokens.map((_, to) =>
        tokens.map((__, from) => (head === null ? mean(to, from) : of(to, from, head))),
      );
      drawing.show({
        letters: tokens.map((t) => t.glyph),
        weights,
        row: row !== null && row < tokens.length ? row : null,
      });
    },
  };
}

export const view = { name: 'inside', title: 'Look inside', mount };
