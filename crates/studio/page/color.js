// One scale for signed numbers, blue for below zero and orange for above: a pair that all kinds of colour-blindness can
// tell apart. Zero is the colour of the paper, light or dark, and what is far from zero stands out from it.

const STOPS = {
  light: {
    negative: [
      [248, 248, 246],
      [198, 219, 239],
      [107, 166, 214],
      [33, 102, 172],
      [6, 45, 100],
    ],
    positive: [
      [248, 248, 246],
      [253, 218, 176],
      [244, 165, 80],
      [204, 90, 8],
      [117, 46, 4],
    ],
  },
  dark: {
    negative: [
      [27, 30, 36],
      [30, 58, 95],
      [40, 103, 170],
      [98, 166, 232],
      [196, 226, 255],
    ],
    positive: [
      [27, 30, 36],
      [84, 52, 22],
      [171, 92, 20],
      [238, 150, 56],
      [255, 224, 178],
    ],
  },
};
const LEVELS = 128;
// So many sizes between zero and the largest are told apart.
const SIZES = 4096;
const tables = {};

const system = matchMedia('(prefers-color-scheme: dark)');
let asked = system.matches;
system.addEventListener('change', () => (asked = system.matches));

// Is the page dark now? The browser says when that changes: to ask it would lay out what was changed before.
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : asked;
}

// Colours from -SIZES to SIZES as 32-bit words in the order of a canvas's bytes.
function table(dark) {
  const name = dark ? 'dark' : 'light';
  if (tables[name]) return tables[name];
  const words = new Uint32Array(2 * SIZES + 1);
  for (let i = -SIZES; i <= SIZES; i++) {
    // Below the straight line, small numbers could not be told from zero.
    const level = Math.round((Math.abs(i) / SIZES) ** 0.7 * LEVELS);
    const [r, g, b] = mix(STOPS[name][i < 0 ? 'negative' : 'positive'], level / LEVELS);
    words[i + SIZES] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  tables[name] = words;
  return words;
}

function mix(stops, t) {
  const at = Math.min(t * (stops.length - 1), stops.length - 1.0001);
  const i = Math.floor(at);
  return stops[i].map((low, c) => Math.round(low + (stops[i + 1][c] - low) * (at - i)));
}

// Writes the colours of `many` numbers of a list, from place `from` on, to place `to` of a list of words; `top` is the size
// at which the colour is full. What is not finite is what is hidden.
export function colors(values, from, many, top, words, to, dark = isDark()) {
  const palette = table(dark);
  const hidden = dark ? 0xff201d1b : 0xfff0efee;
  const factor = top > 0 ? SIZES / top : 0;
  for (let i = 0; i < many; i++) {
    const x = values[from + i];
    const at = x * factor;
    words[to + i] =
      x - x !== 0 ? hidden : palette[at >= SIZES ? 2 * SIZES : at <= -SIZES ? 0 : Math.round(at) + SIZES];
  }
}

function wordOf(x, top, dark) {
  const word = [0];
  colors([x], 0, 1, top, word, 0, dark);
  return word[0];
}

// The same as CSS.
export function css(x, top, dark = isDark()) {
  const word = wordOf(x, top, dark);
  return `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
}

// Black or white, whichever is to be read on the colour of x.
export function inkOn(x, top, dark = isDark()) {
  const word = wordOf(x, top, dark);
  const light = [word & 255, (word >> 8) & 255, (word >> 16) & 255].map((c) => {
    const part = c / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const brightness = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  // Where both are as well read, 4.58 to 1.
  return brightness > 0.179 ? '#000000' : '#ffffff';
}

// The largest size among numbers, leaving out what is not finite.
export function largest(values) {
  let top = 0;
  for (const x of values) {
    const size = Math.abs(x);
    if (size > top && size < Infinity) top = size;
  }
  return top;
}

// Lines of several runs: distinct in hue and in lightness (after Okabe and Ito).
export const lineColor = (i) => `var(--line-${i % 6})`;
