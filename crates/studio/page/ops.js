// Step through: a training step operation by operation, forward, backward, update; back as well as forward; breakpoints.

import { el, put, settled } from './dom.js';
import { go, number } from './state.js';
import { current, takesBatch, lookingAt, pathOf, stepNow, kept, noRun } from './session.js';
import { latest, post } from './api.js';
import { opView } from './opview.js';
import { sourceView } from './source.js';
import { breakpoints } from './breaks.js';
import { graphCard } from './graphcard.js';
import { opMap } from './opmap.js';

const PHASES = {
  forward: 'Forward: compute',
  backward: 'Backward: who is to blame, and how much?',
  update: 'Update: move each weight a little',
};

function mount(root) {
  const list = el('div.oplist', { role: 'listbox', 'aria-label': 'Operations in order', tabindex: 0, id: 'ops' });
  const said = el('div.opsaid', { id: 'op-said', role: 'status' });
  const detail = opView();
  const code = sourceView();
  const graph = graphCard();
  const where = opMap({
    onpick: (to) => {
      pause();
      move(to);
    },
  });
  const problem = el('p.problem', { role: 'alert' });
  const what = el(
    'select',
    {
      id: 'ops-what',
      'aria-label': 'What is computed',
      onchange: () => go({ batch: what.value === 'text' ? '0' : '1', at: 0 }),
    },
    el('option', { value: 'batch' }, "training's documents here"),
    el('option', { value: 'text' }, 'the text below'),
  );
  const play = el('button', { id: 'op-play', onclick: () => toggle() }, 'Play');
  const breaks = breakpoints({ run: (back) => runTo(back) });
  const bar = el(
    'div.row.opbar',
    {},
    el('button', { id: 'op-first', onclick: () => move(0), title: 'To the first operation' }, 'first'),
    el('button', { id: 'op-back', onclick: () => by(-1), title: 'One operation back (←)' }, '◀ back'),
    el('button.primary', { id: 'op-next', onclick: () => by(1), title: 'One operation on (→)' }, 'next ▶'),
    play,
    el('input', {
      type: 'range',
      id: 'op-slider',
      'aria-label': 'Operation',
      min: 0,
      max: 1,
      value: 0,
      oninput: (event) => move(Number(event.target.value)),
    }),
    el('label.row.small', {}, 'of', what),
  );
  const slider = bar.querySelector('#op-slider');
  put(
    root,
    bar,
    where.node,
    problem,
    el('div.opsgrid', {}, list, el('div.opmain', {}, said, detail.node), code.node),
    breaks.node,
    graph.node,
  );

  let ops = [];
  let total = 0;
  let whole = 0;
  let listed = '';
  let loaded = '';
  let timer = 0;
  const ask = latest();

  const view = () => (takesBatch() ? { step: stepNow(), batch: true } : lookingAt());
  const at = () => Math.max(0, Math.min(total - 1, number('at', 0)));
  const move = (to) => go({ at: Math.max(0, Math.min(total - 1, to)) });
  const by = (n) => move(at() + n);
  const pause = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = 'Play';
  };
  function toggle() {
    if (timer) return pause();
    play.textContent = 'Pause';
    timer = setInterval(() => (at() + 1 >= total ? pause() : by(1)), 420);
  }

  async function runTo(back) {
    pause();
    const found = [];
    try {
      for (const on of breaks.all()) {
        const answer = await post(pathOf('break'), { ...view(), at: at(), back, on });
        if (answer.at !== null) found.push(answer);
      }
    } catch (error) {
      return breaks.say(error.message, true);
    }
    if (found.length === 0) return breaks.say(back ? 'No breakpoint before this.' : 'No breakpoint after this.');
    found.sort((a, b) => (back ? b.at - a.at : a.at - b.at));
    breaks.say(`Stopped at ${found[0].at}: ${found[0].why}`);
    move(found[0].at);
  }

  async function load(onlyNews = false) {
    const entry = current();
    if (!entry) return put(problem, noRun());
    const key = `${keyNow()} ${number('at', 0)}`;
    if (key === loaded && onlyNews) return;
    loaded = key;
    what.value = takesBatch() ? 'batch' : 'text';
    try {
      const body = view();
      if (keyNow() !== listed && (total === 0 || listed.split(' ')[0] !== entry.run.id)) {
        if (!(await readList())) return;
      }
      mark(at());
      const answer = await ask(pathOf('op'), { ...body, at: at() });
      if (answer === undefined) return;
      put(problem);
      if (answer.total !== whole) {
        if (!(await readList())) return;
        if (answer.at !== at()) return load();
      }
      show(answer, answer.at);
      graph.update(body);
      check();
    } catch (error) {
      // Of fewer operations, there may be none of that number.
      if (error.status === 404 && keyNow() !== listed && (await readList().catch(() => false))) return load();
      [listed, loaded] = ['', ''];
      put(problem, error.message);
    }
  }

  const keyNow = () => `${current()?.run.id} ${JSON.stringify(view())}`;

  // The list is the same for nearly every step and text: it is looked at again when there is time, and at once where their
  // number is another. False: meanwhile one looks at something else.
  async function readList() {
    const key = keyNow();
    if (key === listed) return true;
    const answer = await kept(pathOf('ops'), { ...view(), from: 0, count: 4000 });
    if (key !== keyNow()) return false;
    const same =
      ops.length === answer.ops.length &&
      ops.every((op, i) => op.label === answer.ops[i].label && op.op === answer.ops[i].op);
    [listed, ops, total, whole] = [key, answer.ops, Math.min(answer.total, answer.ops.length), answer.total];
    if (!same) {
      fillList();
      where.prepare(ops);
    }
    slider.max = total - 1;
    return true;
  }
  const check = settled(250, () => list.isConnected && keyNow() !== listed && readList().catch(() => {}));

  function fillList() {
    let [phase, layer] = [null, undefined];
    const rows = [];
    for (const op of ops) {
      if (op.phase !== phase) {
        rows.push(el('div.opphase', {}, PHASES[op.phase]));
        [phase, layer] = [op.phase, undefined];
      }
      if (op.layer !== layer && op.layer !== null && op.layer !== undefined)
        rows.push(el('div.oplayer', {}, `layer ${op.layer}`));
      layer = op.layer;
      rows.push(
        el(
          'button.op',
          {
            role: 'option',
            'data-at': op.at,
            tabindex: -1,
            onclick: () => {
              pause();
              move(op.at);
            },
          },
          el('span.num.opat', {}, op.at),
          el('span.mono.opname', {}, op.op),
          el('span.mono.oplabel', {}, op.name ?? op.label ?? ''),
        ),
      );
    }
    put(list, rows);
  }

  function mark(now) {
    slider.value = now;
    const row = list.querySelector(`[data-at="${now}"]`);
    if (row?.classList.contains('on')) return;
    list.querySelector('.on')?.classList.remove('on');
    if (row) {
      row.classList.add('on');
      const top = row.offsetTop;
      if (top < list.scrollTop + 40 || top > list.scrollTop + list.clientHeight - 60)
        list.scrollTop = top - list.clientHeight / 2;
    }
  }

  function show(answer, now) {
    const { op } = answer;
    put(said, el('span.opcount.num', {}, `${now + 1} of ${total}`), ' ', el('b', {}, sentence(op)));
    detail.show(answer);
    where.light(now, op.phase);
    const source = op.source;
    if (source?.microgpt) code.light('microgpt.rs', source.microgpt.line);
    else if (source?.file) code.light(source.file, source.line);
  }

  return {
    update({ changed }) {
      load(changed.size === 0);
    },
    leave() {
      pause();
    },
    key(event) {
      const by_ = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by_ || event.target.id === 'slider' || event.target.id === 'op-slider') return false;
      pause();
      by(by_ * (event.shiftKey ? 10 : 1));
      return true;
    },
  };
}

// What happens here, in words.
function sentence(op) {
  const name = op.name ?? op.label;
  const shape = `[${op.shape.join(' × ')}]`;
  if (op.phase === 'update') return `${op.op} moves ${name} ${shape}`;
  if (op.phase === 'backward')
    return op.inputs.length > 0
      ? `${name} hands its gradient back through ${op.op}`
      : `the gradient of ${name} is whole`;
  return op.op === 'param' ? `${name} ${shape}: weights, as they were learnt` : `${op.op} makes ${name} ${shape}`;
}

export const view = { name: 'ops', title: 'Step through', mount };
