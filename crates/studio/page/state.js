// What the page shows is written in its address: #inside?run=a&step=200&text=emma. To hand on a view is to hand on the
// address; back and forward are the browser's.

import { atMost } from './dom.js';

const listeners = new Set();

// The view's name and what it is about, all as text.
export const state = { view: 'train' };

function read(address = location.hash) {
  const [view, query] = address.slice(1).split('?');
  for (const key of Object.keys(state)) delete state[key];
  state.view = view || 'train';
  for (const [key, value] of new URLSearchParams(query ?? '')) state[key] = value;
}

export function addressOf(changes) {
  const next = { ...state, ...changes };
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(next)) {
    // A text may be empty; nothing else is worth naming then.
    if (key === 'view' || value === null || value === undefined || (value === '' && key !== 'text')) continue;
    query.set(key, String(value));
  }
  const text = query.toString();
  return `#${next.view}${text ? `?${text}` : ''}`;
}

// Changes what is shown. A change that one would want to come back from makes an entry in the history; a slider does not.
export function go(changes, { remember = false } = {}) {
  const address = addressOf(changes);
  if (address === addressOf({})) return;
  const before = { ...state };
  if (remember) {
    settle();
    history.pushState(null, '', address);
  } else write();
  read(address);
  tell(before);
}

// A browser lets a page write its address only so often (some a hundred times in half a minute): a slider that is drawn
// would soon write it in vain.
const REST = 320;
const SOON = 80;
let due = false;
const settle = () => {
  if (due) history.replaceState(null, '', addressOf({}));
  due = false;
};
const later = atMost(settle);
function write() {
  // Once this change is made and drawn: to write it takes as long as to draw a table.
  if (!due) setTimeout(() => later(REST), SOON);
  due = true;
}
addEventListener('pagehide', settle);

// Calls f(state, changed) now and whenever something changed; `changed` has the names of what did.
export function watch(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

function tell(before) {
  const names = new Set([...Object.keys(before), ...Object.keys(state)]);
  const changed = new Set([...names].filter((name) => before[name] !== state[name]));
  if (changed.size > 0) for (const f of [...listeners]) f(state, changed);
}

// The number under that name, or the fallback.
export function number(name, fallback = null) {
  const value = Number(state[name]);
  return state[name] === undefined || !Number.isFinite(value) ? fallback : value;
}

addEventListener('popstate', () => {
  due = false;
  const before = { ...state };
  read();
  tell(before);
});
read();
