// Every setting of the laboratory, as a form that the server's lists make: with help, choices, and a check as one types.

import { el, put, settled } from './dom.js';
import { go } from './state.js';
import { ask, post } from './api.js';
import { follow } from './session.js';
import { count } from './format.js';
import { toast } from './toast.js';

const GROUPS = {
  model: 'The model',
  data: 'The text',
  training: 'Training',
  optimizer: 'The optimiser',
  sampling: 'Sampling',
};

export function form() {
  const inside = el('div.forminside', {}, el('p.soft', {}, '…'));
  const node = el(
    'details.card.form',
    { id: 'form' },
    el('summary', {}, el('h2.inline', {}, 'A new run: settings')),
    inside,
  );
  let live = null;
  const load = async () => {
    if (live) return live;
    try {
      live = fields(await ask('/form'), inside);
    } catch (error) {
      put(inside, el('p.problem', {}, error.message));
    }
    return live;
  };
  node.addEventListener('toggle', () => {
    if (node.open) load();
  });
  return {
    node,
    focus: async () => {
      (await load())?.first.focus({ preventScroll: true });
      node.scrollIntoView({ block: 'start' });
    },
    leave() {},
  };
}

function fields(lists, root) {
  const inputs = new Map();
  const preset = el(
    'select',
    { id: 'preset' },
    lists.presets.map((p) => el('option', { value: p.name }, p.name)),
  );
  const about = el('p.soft.small');
  const name = el('input', { id: 'run-name', placeholder: 'a name, if you like', maxlength: 60 });
  const data = el(
    'select',
    { id: 'data' },
    lists.data.map((d) => el('option', { value: d.name }, d.about)),
  );
  const text = el('textarea.grow', {
    rows: 5,
    placeholder: 'A document on each line',
    id: 'data-text',
    'aria-label': 'The text',
  });
  const verdict = el('span.grow', { id: 'verdict', role: 'status' });
  const find = el('input', {
    type: 'search',
    placeholder: 'find a setting',
    'aria-label': 'Find a setting',
    id: 'find-setting',
  });
  const only = el('input', { type: 'checkbox', id: 'only-changed' });
  let chose = false;
  const start = el('button.primary', { id: 'start', type: 'submit' }, 'Start');

  const base = (knob) => lists.presets.find((p) => p.name === preset.value)?.settings[knob.name] ?? knob.default;
  const changed = () =>
    Object.fromEntries(
      lists.knobs
        .filter((k) => inputs.get(k.name).said() || inputs.get(k.name).value() !== base(k))
        .map((k) => [k.name, inputs.get(k.name).value()]),
    );
  // Who chose no preset leaves it open: then of a text of one's own a tenth is held back, unless they say how much.
  const asked = () => ({ ...(chose ? { preset: preset.value } : {}), settings: changed() });
  const check = settled(120, async () => {
    for (const input of inputs.values()) input.fault(null);
    try {
      const answer = await post('/form/check', asked());
      if (!answer.ok) inputs.get(answer.name)?.fault(answer.error);
      put(
        verdict,
        answer.ok
          ? el(
              'span.soft',
              {},
              answer.parameters === null
                ? 'The text decides how many parameters.'
                : `${count(answer.parameters)} parameters`,
            )
          : el('span.problem', {}, answer.error),
      );
      start.disabled = !answer.ok;
    } catch (error) {
      put(verdict, el('span.problem', {}, error.message));
    }
  });
  const filter = () => {
    const wanted = find.value.trim().toLowerCase();
    for (const knob of lists.knobs) {
      const input = inputs.get(knob.name);
      const is = input.value() !== base(knob);
      input.node.classList.toggle('changed', is);
      const fits =
        !wanted ||
        `${knob.name} ${knob.help} ${knob.choices.map((c) => c.name).join(' ')}`.toLowerCase().includes(wanted);
      input.node.hidden = !fits || (only.checked && !is);
    }
  };
  const onchange = () => {
    filter();
    check();
  };
  for (const knob of lists.knobs) inputs.set(knob.name, field(knob, onchange));
  const choosePreset = (settings = {}) => {
    const chosen = lists.presets.find((p) => p.name === preset.value);
    about.textContent = chosen?.about ?? '';
    for (const knob of lists.knobs) inputs.get(knob.name).set(settings[knob.name] ?? base(knob));
    onchange();
  };
  const showText = () => {
    text.hidden = data.value !== 'text';
  };
  preset.addEventListener('change', () => {
    chose = true;
    choosePreset();
  });
  data.addEventListener('change', showText);
  for (const name of ['input', 'change']) find.addEventListener(name, filter);
  only.addEventListener('change', filter);

  const box = el(
    'form',
    {},
    el(
      'div.formtop',
      {},
      el('div.field', {}, el('label', { for: 'preset' }, 'Preset'), preset, about),
      el('div.field', {}, el('label', { for: 'data' }, 'Text'), data, text),
      el(
        'div.field',
        {},
        el('label', { for: 'run-name' }, 'Name'),
        name,
        el('p.soft.small', {}, 'Its folder in runs/; without one, preset and number.'),
      ),
    ),
    el('div.row.formbar', {}, find, el('label.row', {}, only, 'only what I changed'), verdict, start),
    lists.groups.map((group) =>
      el(
        'fieldset',
        {},
        el('legend', {}, GROUPS[group] ?? group),
        el(
          'div.fields',
          {},
          lists.knobs.filter((k) => k.group === group).map((k) => inputs.get(k.name).node),
        ),
      ),
    ),
  );
  box.addEventListener('submit', async (event) => {
    event.preventDefault();
    start.disabled = true;
    try {
      const body = { ...asked(), data: { from: data.value }, go: true };
      if (data.value === 'text') body.data.text = text.value;
      if (name.value.trim()) body.name = name.value.trim();
      const run = await post('/runs', body);
      follow(run);
      go({ run: run.id, step: null }, { remember: true });
      name.value = '';
      document.getElementById('view').scrollTo({ top: 0 });
    } catch (error) {
      put(verdict, el('span.problem', {}, error.message));
      toast(error.message);
    }
    start.disabled = false;
  });
  put(root, box);
  const begun = lists.start ?? {};
  if (begun.preset) preset.value = begun.preset;
  if (begun.data) data.value = begun.data;
  showText();
  choosePreset(begun.settings);
  return { first: preset };
}

// One setting: what fits its kind, with its help below.
function field(knob, onchange) {
  const id = `set-${knob.name}`;
  const help = el('p.soft.small', { id: `${id}-help` }, knob.help);
  const fault = el('p.problem.small', { role: 'alert' });
  let input;
  const list =
    knob.kind === 'formula'
      ? el(
          'datalist',
          { id: `${id}-list` },
          knob.choices.map((c) => el('option', { value: c.name }, c.help)),
        )
      : null;
  if (knob.kind === 'choice') {
    input = el(
      'select',
      { id },
      knob.choices.map((c) => el('option', { value: c.name }, c.name)),
    );
  } else if (knob.kind === 'truth') {
    input = el('input', { id, type: 'checkbox' });
  } else {
    input = el('input.num', {
      id,
      type: 'text',
      inputmode: knob.kind === 'formula' ? 'text' : 'decimal',
      list: list ? `${id}-list` : null,
      spellcheck: 'false',
    });
  }
  input.setAttribute('aria-describedby', help.id);
  const choiceHelp = () => {
    const chosen = knob.choices.find((c) => c.name === input.value);
    help.textContent = chosen ? `${knob.help}. ${chosen.name}: ${chosen.help}` : knob.help;
  };
  // Set by hand, though it may be what it was.
  let said = false;
  input.addEventListener('input', () => {
    said = true;
    choiceHelp();
    onchange();
  });
  return {
    node: el(
      `div.field${knob.kind === 'truth' ? '.truth' : ''}`,
      {},
      el('label.mono', { for: id }, knob.name),
      input,
      list,
      help,
      fault,
    ),
    value: () => (knob.kind === 'truth' ? String(input.checked) : input.value.trim()),
    said: () => said,
    set(value) {
      said = false;
      if (knob.kind === 'truth') input.checked = value === 'true';
      else input.value = value;
      choiceHelp();
    },
    fault(text) {
      fault.textContent = text ?? '';
      input.toggleAttribute('aria-invalid', Boolean(text));
    },
  };
}
