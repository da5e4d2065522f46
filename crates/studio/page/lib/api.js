// Asks the server. In an exported file there is none: there the answers were written into the page, under what was asked.

const BASE = "api/v1/";
const recorded = readRecorded();

// Is this page a file of its own?
export const exported = recorded !== null;

function readRecorded() {
  const place = document.getElementById("export");
  return place ? JSON.parse(place.textContent) : null;
}

// What an answer is recorded under: the path, and the body with its keys in order.
export function keyOf(path, body) {
  return body === undefined ? path : `${path} ${JSON.stringify(sorted(body))}`;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .filter((key) => value[key] !== undefined)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

// The answer to GET `path`, or to POST with a body. Throws an Error that says what was wrong.
export async function ask(path, body, signal) {
  if (recorded) {
    const key = keyOf(path, body);
    if (key in recorded.answers) return recorded.answers[key];
    throw new Error("This page is a file: it has no answer to that. Open the run with `microgpt studio` to ask it.");
  }
  const options = { signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  return answerOf(await fetch(BASE + path, options));
}

// Takes away what has that path.
export async function remove(path) {
  return answerOf(await fetch(BASE + path, { method: "DELETE" }));
}

async function answerOf(response) {
  const text = await response.text();
  let answer = null;
  try {
    // JSON has no infinities; what is not finite is written as text.
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Error(`The server answered ${response.status} with what is no JSON`);
  }
  if (!response.ok) throw new Error(answer?.error?.message ?? answer?.error ?? `The server answered ${response.status}`);
  return answer;
}

// A place for one question at a time: a new one takes the place of the last, whose answer is then not waited for.
export function latest() {
  let control = null;
  return async (path, body) => {
    control?.abort();
    const mine = new AbortController();
    control = mine;
    try {
      return await ask(path, body, mine.signal);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      throw error;
    } finally {
      if (control === mine) control = null;
    }
  };
}

// Listens to what the server tells as it happens. The browser connects again by itself when the server was away.
export function listen(path, handlers, onState = () => {}) {
  if (recorded) return () => {};
  let source = null;
  let closed = false;
  let timer = 0;
  const open = () => {
    source = new EventSource(BASE + path);
    source.onopen = () => onState(true);
    source.onerror = () => {
      onState(false);
      // A browser gives up where the answer was an error; we do not.
      if (source.readyState === EventSource.CLOSED && !closed) timer = setTimeout(open, 1000);
    };
    for (const [name, f] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => f(JSON.parse(event.data)));
    }
  };
  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
}
