// Numbers as text. Tables show a few digits in a fixed width; wherever a number is asked for, all of it is shown.

// A few significant digits, always about as wide: 0.0312, -1.25, 3.1e-7.
export function short(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  if (x === Infinity) return '∞';
  if (x === -Infinity) return '−∞';
  if (x === 0) return '0';
  const size = Math.abs(x);
  if (size >= 1e5 || size < 1e-4) return minus(x.toExponential(Math.max(0, digits - 2)));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return minus(x.toFixed(Math.min(decimals, 6)));
}

// Every digit: this text read back is the same number.
export function exact(x) {
  if (x === null || x === undefined) return '–';
  if (x === Infinity) return '∞';
  if (x === -Infinity) return '−∞';
  return minus(String(x));
}

// So many decimals, as programs print a loss.
export function fixed(x, decimals = 4) {
  return x === null || x === undefined || !Number.isFinite(x) ? '–' : minus(x.toFixed(decimals));
}

// 12.3 %, with the width of what can be: 0.0 to 100.0.
export function percent(x, decimals = 1) {
  return x === null || x === undefined ? '–' : `${(100 * x).toFixed(decimals)} %`;
}

// 4,064.
export function count(n) {
  return n === null || n === undefined ? '–' : n.toLocaleString('en-US');
}

// A bare minus is too short beside tabular figures.
export function minus(text) {
  return text.replaceAll('-', '−');
}

// A token as a letter that can be seen: the blank, the end of line and BOS have signs.
export function glyph(text) {
  const signs = { ' ': '␣', '\n': '⏎', '\t': '⇥', '': '∅', '<BOS>': '⟨·⟩', BOS: '⟨·⟩' };
  return signs[text] ?? text;
}
