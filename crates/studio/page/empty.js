// Where no run is open: what this page is for, and one button.

import { el, put } from './dom.js';
import { go } from './state.js';
import { session, current, follow } from './session.js';
import { post } from './api.js';
import { toast } from './toast.js';

async function begin(event) {
  event.target.disabled = true;
  try {
    const run = await post('/runs', { go: true });
    follow(run);
    go({ run: run.id, step: null }, { remember: true });
  } catch (error) {
    toast(error.message);
  }
  event.target.disabled = false;
}

// Shows itself in `root` when there is nothing else to show.
export function emptiness(root) {
  put(
    root,
    el('h1', {}, 'No run is open'),
    el(
      'p.plainwords',
      {},
      'A small model learns 32,257 names in a moment. Every number of it, at every step, can then be looked at here.',
    ),
    el('button.primary', { id: 'begin-first', onclick: begin }, 'Train one now'),
    el('p.soft.small', {}, 'Settings of your own, and runs that are saved, are in Train.'),
  );
  return {
    update() {
      const nothing = session.ready && !current();
      root.hidden = !nothing;
      document.body.classList.toggle('norun', nothing);
    },
  };
}
