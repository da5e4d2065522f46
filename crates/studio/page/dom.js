// Making elements. Text is always set as text: nothing that comes from a model or a file is ever read as markup.

const SVG = 'http://www.w3.org/2000/svg';

// el("button.primary", { onclick, title }, "Start"): a tag with classes, properties, children.
export function el(tag, props, ...children) {
  return fill(document.createElement(tag.split('.')[0]), tag, props, children);
}

// A table, which scrolls by itself where it is wider than the page: its headings, and its rows or their tbody.
export function tableOf(heads, rows) {
  const body = rows instanceof Node ? rows : el('tbody', {}, rows);
  return el('div.tablebox', {}, el('table', {}, el('thead', {}, el('tr', {}, heads)), body));
}

// el for pictures.
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag.split('.')[0]), tag, props, children);
}

function fill(node, tag, props, children) {
  const classes = tag.split('.').slice(1);
  if (classes.length > 0) node.classList.add(...classes);
  for (const [name, value] of Object.entries(props ?? {})) set(node, name, value);
  add(node, children);
  return node;
}

// A property, an attribute, a listener (onclick), or styles ({ width: "3px" }) by way of the CSSOM.
export function set(node, name, value) {
  if (value === undefined || value === null || value === false) {
    node.removeAttribute(name);
  } else if (name === 'style') {
    for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
  } else if (name === 'text') {
    node.textContent = value;
  } else if (name.startsWith('on')) {
    node.addEventListener(name.slice(2), value);
  } else if (name === 'value' || name === 'checked') {
    node[name] = value;
  } else {
    node.setAttribute(name, value === true ? '' : value);
  }
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

// Puts these children in place of whatever was there.
export function put(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

// Calls f at most once a frame, with the last arguments.
export function framed(f) {
  let waiting = null;
  return (...args) => {
    const first = waiting === null;
    waiting = args;
    if (first) {
      requestAnimationFrame(() => {
        const now = waiting;
        waiting = null;
        f(...now);
      });
    }
  };
}

// Calls f when nothing more has come for so many milliseconds.
export function settled(ms, f) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), ms);
  };
}

// Calls f at once, but no sooner than so many milliseconds after the last time; the last call is never lost.
export function atMost(f) {
  let timer = 0;
  let ready = 0;
  return (ms, ...args) => {
    clearTimeout(timer);
    const run = () => {
      ready = performance.now() + ms;
      f(...args);
    };
    const wait = ready - performance.now();
    if (wait > 0) timer = setTimeout(run, wait);
    else run();
  };
}

// Says something to those who listen rather than look.
export function announce(text) {
  const place = document.getElementById('announce');
  if (place) place.textContent = text;
}
