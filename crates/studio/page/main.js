// The page: tabs, the view that the address names, the panel, time. Each view is a module with
//   { name, title, mount(root) -> { update({ changed, news }), leave() } }
// `changed` names what of the address is another; where it is empty there is only news of the training, and a view that
// shows a step of the past stays as it is.

import { el, svg, put, framed, announce } from './dom.js';
import { state, go, watch, addressOf } from './state.js';
import { session, begin, onNews, current, attend } from './session.js';
import { exported } from './api.js';
import { dock, playOrPause, stepBy } from './dock.js';
import { panel } from './why.js';
import { help } from './help.js';
import { emptiness } from './empty.js';
import { theme, onTheme } from './theme.js';
import { view as train } from './train.js';
import { view as inside } from './inside.js';
import { view as ops } from './ops.js';
import { view as whatif } from './whatif.js';
import { view as write } from './write.js';
import { view as compare } from './compare.js';
import { view as tour } from './tour.js';

const views = exported ? [inside] : [train, inside, ops, whatif, write, compare, tour];
const root = document.getElementById('view');
let shown = null;

function top() {
  const mark = svg(
    'svg',
    { viewBox: '0 0 32 32', 'aria-hidden': 'true' },
    [
      [0, 0, 1],
      [0, 1, 0],
      [1, 1, 1],
      [0, 2, 0],
      [1, 2, 0],
      [2, 2, 1],
    ].map(([x, y, warm]) =>
      svg('rect', { x: 3 + 9 * x, y: 3 + 9 * y, width: 8, height: 8, rx: 1.5, style: { fill: `var(--line-${warm})` } }),
    ),
  );
  const tabs = views.map((view) =>
    el(
      'a.tab',
      {
        href: '#',
        'data-text': view.title,
        id: `tab-${view.name}`,
        onclick: (event) => {
          event.preventDefault();
          open(view.name);
        },
      },
      view.title,
    ),
  );
  const pick = el('select.runpick', {
    'aria-label': 'Run',
    id: 'run',
    onchange: () => go({ run: pick.value, step: null }, { remember: true }),
  });
  const light = el('span.link-state', { role: 'img' });
  put(
    document.getElementById('top'),
    el(
      'a.brand',
      { href: '#train', title: 'microgpt: the GPT that hides nothing' },
      mark,
      el('span.word', {}, 'microgpt'),
    ),
    el('nav.tabs', { 'aria-label': 'Views' }, tabs),
    el(
      'div.tools',
      {},
      light,
      pick,
      theme(),
      el('button.plain', { onclick: help, 'aria-label': 'Help: keys and words', title: 'Help (?)', id: 'help' }, '?'),
    ),
  );
  return () => {
    views.forEach((view, i) => {
      const here = view.name === shown?.name;
      tabs[i].href = addressOf({ view: view.name });
      if (here && !tabs[i].hasAttribute('aria-current'))
        tabs[i].parentElement.scrollTo({ left: tabs[i].offsetLeft - 80 });
      if (here) tabs[i].setAttribute('aria-current', 'page');
      else tabs[i].removeAttribute('aria-current');
    });
    const ids = [...session.runs.keys()];
    if (ids.join() !== pick.dataset.ids) {
      pick.dataset.ids = ids.join();
      put(
        pick,
        ids.map((id) => el('option', { value: id }, session.runs.get(id).run.name ?? id)),
      );
    }
    pick.value = current()?.run.id ?? '';
    pick.hidden = ids.length === 0;
    light.classList.toggle('away', !session.connected);
    light.hidden = Boolean(exported);
    const text = session.connected ? 'Connected' : 'The program does not answer; trying again';
    light.title = text;
    light.setAttribute('aria-label', text);
  };
}

export function open(name) {
  go({ view: name }, { remember: true });
}

function mount() {
  const view = views.find((one) => one.name === state.view) ?? views[0];
  if (shown?.name === view.name) return false;
  shown?.live.leave?.();
  put(root);
  root.scrollTop = 0;
  root.className = `view-${view.name}`;
  document.title = `${view.title} · microgpt studio`;
  shown = { name: view.name, live: view.mount(root) };
  announce(view.title);
  return true;
}

const paintTop = top();
const empty = emptiness(document.getElementById('empty'));
const time = dock(document.getElementById('dock'));
const why = panel(document.getElementById('why'));

// Everything that changed, in one go: at once what a hand has changed, with the next frame what training has.
let pending = { changed: new Set(), news: new Set() };
let soon = false;
const update = () => {
  soon = false;
  const now = pending;
  pending = { changed: new Set(), news: new Set() };
  if (mount()) now.changed.add('view');
  attend();
  empty.update();
  paintTop();
  time.update(now);
  why.update(now);
  shown.live.update(now);
};
const updateLater = framed(update);

watch((_, changed) => {
  for (const name of changed) pending.changed.add(name);
  if (!soon) queueMicrotask(update);
  soon = true;
});
onNews((id) => {
  pending.news.add(id);
  updateLater();
});

// What is drawn on a canvas, or coloured by number, has to be drawn again.
onTheme(() => {
  for (const table of document.querySelectorAll('.heat')) table.redraw();
  pending.changed.add('theme');
  updateLater();
});

addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input:not([type=range]), textarea, select, [contenteditable]');
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
    if (state.place) go({ place: null });
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (shown?.live.key?.(event)) return event.preventDefault();
  const keys = {
    '?': help,
    ' ': () => (event.target.closest('button, a, summary') ? 'not mine' : playOrPause()),
    ArrowLeft: () => stepBy(event.shiftKey ? -10 : -1),
    ArrowRight: () => stepBy(event.shiftKey ? 10 : 1),
    Home: () => go({ step: 0 }),
    End: () => go({ step: null }),
  };
  const digit = Number(event.key);
  if (digit >= 1 && digit <= views.length) keys[event.key] = () => open(views[digit - 1].name);
  if (keys[event.key] && keys[event.key]() !== 'not mine') event.preventDefault();
});

begin().then(updateLater, (error) => put(root, el('p.empty.problem', {}, error.message)));
updateLater();
