// How chance is bent before a letter is drawn: temperature, and the filters that take away what is unlikely.

import { el } from './dom.js';
import { state, go } from './state.js';

const CONTROLS = [
  {
    name: 'temperature',
    text: 'Temperature',
    min: 0.05,
    max: 2,
    step: 0.05,
    help: 'Below 1, what is likely becomes likelier still',
  },
  { name: 'top_k', text: 'Top k', min: 0, max: 27, step: 1, help: 'Only so many of the likeliest; 0: all' },
  {
    name: 'top_p',
    text: 'Top p',
    min: 0.05,
    max: 1,
    step: 0.01,
    help: 'Only the likeliest that have this probability together',
  },
  {
    name: 'min_p',
    text: 'Min p',
    min: 0,
    max: 0.5,
    step: 0.01,
    help: 'Only those at least this part as likely as the likeliest',
  },
];

export function controls() {
  const node = el('div.controls');
  const inputs = new Map();
  for (const c of CONTROLS) {
    const range = el('input.grow', { type: 'range', id: c.name, min: c.min, max: c.max, step: c.step });
    const shown = el('output.num', { for: c.name });
    range.addEventListener('input', () => go({ [c.name]: range.value }));
    inputs.set(c.name, { range, shown });
    node.append(el('div.control', { title: c.help }, el('label', { for: c.name }, c.text), range, shown));
  }
  const greedy = el('input', {
    type: 'checkbox',
    id: 'greedy',
    onchange: () => go({ greedy: greedy.checked ? 1 : null }),
  });
  node.append(el('label.row', {}, greedy, 'always the likeliest'));
  return {
    node,
    // What was chosen here; what was not is the run's own setting.
    settings() {
      const now = {};
      for (const c of CONTROLS) if (state[c.name] !== undefined) now[c.name] = Number(state[c.name]);
      if (state.greedy) now.greedy = true;
      return now;
    },
    show(run) {
      for (const c of CONTROLS) {
        const { range, shown } = inputs.get(c.name);
        if (c.name === 'top_k') range.max = Math.min(run.tokens.length, 200);
        const value = state[c.name] ?? run.settings[c.name];
        if (document.activeElement !== range) range.value = value;
        shown.textContent = value;
      }
      greedy.checked = Boolean(state.greedy);
    },
  };
}
