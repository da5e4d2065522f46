// Asks the server. In an exported file there is none: there the answers were written into the page, under what was asked.

const BASE = '/api/v1';
const place = document.getElementById('studio-data');

// What an exported page brings along: { run, steps, texts, answers }; null if there is a server.
export const exported = place ? await unpacked(place.textContent) : null;

// JSON that was made small by gzip.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
}

// What an answer is recorded under: method, path, and the body with its keys in order.
export function keyOf(method, path, body) {
  return body === undefined ? `${method} ${path}` : `${method} ${path} ${JSON.stringify(sorted(body))}`;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  return Object.fromEntries(keys.sort().map((key) => [key, sorted(value[key])]));
}

// How many answers are waited for; the page shows it when they take their time. What is answered in a moment changes nothing
// of it: a change there is a frame of its own, which would be drawn before the answer.
let waited = 0;
let busy = 0;

async function send(method, path, body, signal) {
  if (exported) return fromFile(method, BASE + path, body);
  waited += 1;
  if (waited === 1) busy = setTimeout(() => document.documentElement.toggleAttribute('data-busy', true), 350);
  try {
    return await sendOver(method, path, body, signal);
  } finally {
    waited -= 1;
    if (waited === 0) clearTimeout(busy);
    if (waited === 0 && document.documentElement.hasAttribute('data-busy'))
      document.documentElement.removeAttribute('data-busy');
  }
}

async function sendOver(method, path, body, signal) {
  const options = { method, signal, headers: { Accept: 'application/json' } };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The studio does not answer. Is the program still running? The page asks again by itself.');
  }
  return answerOf(response.status, await response.text());
}

function fromFile(method, path, body) {
  const answer = exported.answers[keyOf(method, path, body)];
  if (!answer) throw new Error('This page is a file, and that is not in it. `microgpt studio` can show it.');
  return answerOf(answer.status, JSON.stringify(answer.body));
}

function answerOf(status, text) {
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Error(`The server answered ${status}, and not in JSON`);
  }
  if (status >= 400) throw Object.assign(new Error(answer?.error ?? `The server answered ${status}`), { status });
  return answer;
}

// The answer, or an Error that says what was wrong.
export const ask = (path, signal) => send('GET', path, undefined, signal);
export const post = (path, body, signal) => send('POST', path, body, signal);
export const remove = (path) => send('DELETE', path);

// A place for one question at a time. While it is being answered only the newest other one waits; those that it took the
// place of have no answer (undefined). So a view follows a training as fast as it can be answered, and never starves.
export function latest() {
  let running = false;
  let waiting = null;
  const run = async ({ path, body, resolve, reject }) => {
    running = true;
    try {
      resolve(await post(path, body));
    } catch (error) {
      reject(error);
    }
    running = false;
    const next = waiting;
    waiting = null;
    if (next) run(next);
  };
  return (path, body) =>
    new Promise((resolve, reject) => {
      if (!running) return run({ path, body, resolve, reject });
      waiting?.resolve(undefined);
      waiting = { path, body, resolve, reject };
    });
}

// Listens to what the server tells as it happens, and connects again when it was away. `onlost` is asked what to do when
// the server is there and does not know the path: true, try again.
export function listen(path, { onnews, ongone, onstate, onlost }) {
  if (exported) return () => {};
  let [source, timer, closed] = [null, 0, false];
  const open = () => {
    source = new EventSource(BASE + path);
    source.onopen = () => onstate(true);
    source.onmessage = (event) => onnews(JSON.parse(event.data));
    source.addEventListener('gone', () => {
      close();
      ongone();
    });
    source.onerror = () => {
      if (closed) return;
      onstate(false);
      // Where the answer was an error a browser gives up; we do not.
      if (source.readyState === EventSource.CLOSED)
        timer = setTimeout(async () => {
          if (await onlost()) open();
          else ongone();
        }, 700);
    };
  };
  const close = () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
  open();
  return close;
}

// JSON has no infinities: they come as text.
export function real(x) {
  return typeof x === 'string' ? Number(x) : x;
}

// Rows of numbers as one flat list.
export function flat(rows) {
  const cols = rows.length > 0 ? rows[0].length : 0;
  const all = new Float64Array(rows.length * cols);
  rows.forEach((row, r) =>
    row.forEach((x, c) => {
      all[r * cols + c] = real(x);
    }),
  );
  return all;
}
