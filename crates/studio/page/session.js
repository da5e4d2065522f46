// The runs that are open, what is new of each, and what all views look at: a run, a step, a text, edits.

import { ask, post, listen, exported } from './api.js';
import { state, number } from './state.js';

// What is known: each run by its id, and what came of it so far.
export const session = { runs: new Map(), first: null, connected: true, ready: false };

// What to say where there is no run to look at.
export const noRun = () => (session.ready ? 'No run is open: begin one in Train.' : '');

const listeners = new Set();

// Calls f(id) when something is new of a run; f(null) when runs came or went, or the server did.
export function onNews(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

function tell(id) {
  for (const f of [...listeners]) f(id);
}

// Asks for what there is, until the server answers.
export async function begin() {
  for (;;) {
    try {
      session.first = (await ask('')).first;
      for (const run of (await ask('/runs')).open) follow(run);
      session.ready = true;
      if (!exported) watchOthers();
      return tell(null);
    } catch (error) {
      if (exported) throw error;
      session.connected = false;
      tell(null);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

// Runs that another page or a program began: looked for every few seconds, while somebody looks.
async function watchOthers() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 2500));
    if (asleep) continue;
    try {
      if ((await ask('')).open.some((id) => !session.runs.has(id))) await again();
    } catch {
      /* the server is away: it will be asked again */
    }
  }
}

// Takes a run in and listens to it.
export function follow(run) {
  const known = session.runs.get(run.id);
  if (known) {
    if (run.version >= known.run.version) known.run = run;
    return tell(run.id);
  }
  const entry = { run, ...nothing(), cursor: null, close: null };
  session.runs.set(run.id, entry);
  if (exported)
    ask(pathOf('news', run.id)).then((news) => {
      take(entry, news);
      tell(run.id);
    });
  attend();
  tell(null);
}

// The run that is looked at is listened to; of the others the page asks now and then. (A browser has six connections.)
export function attend() {
  if (exported) return;
  if (session.ready && state.run && !session.runs.has(state.run) && !sought.has(state.run)) seek(state.run);
  const mine = current();
  for (const entry of session.runs.values()) {
    if (entry === mine && !entry.close && !asleep) hear(entry);
    if ((entry !== mine || asleep) && entry.close) {
      entry.close();
      entry.close = null;
    }
    if (entry !== mine && !entry.asking) askNow(entry);
  }
}

// A page that nobody sees holds no connection: a browser has few, and other pages need them.
let asleep = false;
for (const [name, sleeps] of [
  ['pagehide', () => true],
  ['pageshow', () => false],
  ['visibilitychange', () => document.hidden],
]) {
  addEventListener(name, () => {
    asleep = sleeps();
    attend();
  });
}

function hear(entry) {
  const { id } = entry.run;
  const since = entry.cursor === null ? '' : `?since=${encodeURIComponent(entry.cursor)}`;
  entry.close = listen(`/runs/${encodeURIComponent(id)}/events${since}`, {
    onnews: (news) => {
      take(entry, news);
      tell(id);
    },
    ongone: () => forget(id),
    onlost: () => openAgain(entry),
    onstate: (connected) => {
      if (connected === session.connected) return;
      session.connected = connected;
      if (connected) again();
      tell(null);
    },
  });
}

async function askNow(entry) {
  entry.asking = true;
  const { id } = entry.run;
  while (session.runs.get(id) === entry && entry !== current()) {
    try {
      const since = entry.cursor === null ? '' : `?since=${encodeURIComponent(entry.cursor)}`;
      const news = await ask(`/runs/${encodeURIComponent(id)}/news${since}`);
      take(entry, news);
      tell(id);
    } catch (error) {
      if (error.status === 404) {
        forget(id);
        break;
      }
    }
    do await new Promise((resolve) => setTimeout(resolve, entry.run.status === 'training' ? 400 : 3000));
    while (asleep);
  }
  entry.asking = false;
}

// The server was started anew: it may not have this run open. If it is saved it is opened, and goes on if it did.
async function openAgain({ run }) {
  try {
    const { open, saved } = await ask('/runs');
    if (open.some((one) => one.id === run.id)) return true;
    if (!saved.some((one) => one.name === run.name)) return false;
    await post('/runs/open', { name: run.name });
    if (run.status === 'training') await post(pathOf('train', run.id), { do: 'go' });
  } catch {
    /* still away */
  }
  return true;
}

// Takes in what is open now.
async function again() {
  const before = closed;
  try {
    const { open } = await ask('/runs');
    // Had one been closed meanwhile, this would bring it back.
    if (closed !== before) return;
    for (const run of open) follow(run);
    tell(null);
  } catch {
    /* it will be asked again */
  }
}

// An address may name a run that the page has not heard of: one that another page began, or that is saved.
const sought = new Set();
async function seek(id) {
  sought.add(id);
  try {
    const { open, saved } = await ask('/runs');
    for (const run of open) follow(run);
    if (!session.runs.has(id) && saved.some((run) => run.name === id)) follow(await post('/runs/open', { name: id }));
  } catch {
    /* then another run is shown */
  }
}

// How many runs were let go.
let closed = 0;
export function forget(id) {
  closed += 1;
  sought.add(id);
  session.runs.get(id)?.close?.();
  session.runs.delete(id);
  if (session.first === id) session.first = null;
  tell(null);
}

// Adds what is not there yet.
function append(list, more = []) {
  for (const one of more) if (!list.some((known) => known.step === one.step && known.text === one.text)) list.push(one);
}

const nothing = () => ({ loss: [], lr: [], validations: [], samples: [], measures: null });

// A cursor begins with the life of the server that gave it.
const lifeOf = (cursor) => cursor?.split('.')[0];

function take(entry, news) {
  // Answers overtake each other: what is older than what is known is no news. Another life counts anew.
  if (lifeOf(news.cursor) === lifeOf(entry.cursor) && news.run.version < entry.run.version) return;
  if (news.reset) Object.assign(entry, nothing());
  // Many names are told once.
  entry.run = { ...news.run, tokens: news.run.tokens ?? entry.run.tokens };
  entry.cursor = news.cursor;
  const { step, loss, lr } = news.steps ?? { step: [] };
  step.forEach((s, i) => {
    // A run that was taken back tells its steps again.
    while (entry.loss.length > 0 && entry.loss.at(-1)[0] >= s) {
      entry.loss.pop();
      entry.lr.pop();
    }
    entry.loss.push([s, Number(loss[i])]);
    entry.lr.push([s, lr[i]]);
  });
  append(entry.validations, news.validations);
  append(entry.samples, news.samples);
  if (news.measures) entry.measures = news.measures;
}

// The run that is looked at, with what came of it; null if there is none.
export function current() {
  return session.runs.get(state.run) ?? session.runs.get(session.first) ?? [...session.runs.values()].at(-1) ?? null;
}

// Its step: the one of the address, or the newest.
export function stepNow() {
  const run = current()?.run;
  if (!run) return 0;
  if (exported) return nearestStep(number('step', run.step));
  return Math.min(number('step', run.step), run.step);
}

// Of an exported page, which has only some steps, the nearest.
export function nearestStep(step) {
  return exported.steps.reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
}

// Does the page follow the training?
export const following = () => state.step === undefined;

// The text that is looked at.
export const textNow = () => state.text ?? (exported ? exported.texts[0] : 'emma');

// What is changed, as the address has it.
export function editsNow() {
  try {
    const edits = JSON.parse(state.edits ?? '[]');
    return Array.isArray(edits) ? edits : [];
  } catch {
    return [];
  }
}

// What the model reads one of at a time, in plain words.
export const pieceOf = (run) => (run.settings.tokenizer === 'char' ? 'letter' : 'piece');

// The page speaks of letters. Of a model that reads other pieces it says so; null of the rest.
export const aboutPieces = (run) =>
  pieceOf(run) === 'letter'
    ? null
    : 'This model reads pieces of words: where the page says letter, it is such a piece.';

// Rows times parameters that the definition computes in a second or two.
const SOON = 5e8;

// Is what training takes at a step computed soon?
export const isSoon = (run) =>
  Number(run.settings.batch_size) * Number(run.settings.block_size) * run.parameters < SOON;

// Is Step through about what training takes at this step? If nothing is said, where that is computed soon.
export function takesBatch() {
  if (state.batch !== undefined) return state.batch !== '0';
  const run = current()?.run;
  return !run || isSoon(run);
}

// Where one looks, as requests want it.
export function lookingAt({ edits = true, text = textNow(), step = stepNow() } = {}) {
  const view = { step, text };
  const changed = edits ? editsNow() : [];
  if (changed.length > 0) view.edits = changed;
  return view;
}

// The answer of `look` to these windows. A page in a file has them one by one.
export async function lookFor(askFor, want, view = lookingAt()) {
  const path = pathOf('look');
  if (!exported) return askFor(path, { ...view, want });
  const rest = ['lens', 'probabilities'];
  const tensors = want.filter((w) => !rest.includes(w.name)).map((w) => [{ name: w.name, grad: true }]);
  const answers = await Promise.all(
    [rest.map((name) => ({ name })), ...tensors].map((one) =>
      post(path, { ...view, want: one }).catch(() => ({ windows: [] })),
    ),
  );
  return { ...answers[0], windows: answers.flatMap((answer) => answer.windows) };
}

// The path of the run that is looked at.
export const pathOf = (what, id = current()?.run.id) => `/runs/${encodeURIComponent(id)}/${what}`;

const models = new Map();

// The matrices and tensors of a run's model; they do not change.
export async function modelOf(id = current()?.run.id) {
  if (!models.has(id)) models.set(id, ask(`/runs/${encodeURIComponent(id)}/model`));
  try {
    return await models.get(id);
  } catch (error) {
    models.delete(id);
    throw error;
  }
}

const answers = new Map();

// The answer to a question about a fixed step, which is always the same: kept for a while.
export function kept(path, body) {
  const key = `${path} ${JSON.stringify(body)}`;
  if (answers.has(key)) {
    const answer = answers.get(key);
    answers.delete(key);
    answers.set(key, answer);
    return answer;
  }
  const answer = post(path, body);
  answers.set(key, answer);
  answer.catch(() => answers.delete(key));
  if (answers.size > 24) answers.delete(answers.keys().next().value);
  return answer;
}
