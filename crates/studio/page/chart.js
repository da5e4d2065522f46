// Lines over steps: the loss of each run, its validation, the line of a blind guess. Click a step to go there.

import { el, svg, put } from './dom.js';
import { short, exact } from './format.js';

const PAD = { left: 46, right: 14, top: 10, bottom: 24 };

// A chart that is shown with `show({ series, lines, x, cursor })`.
//   series  [{ name, color, points: [[x, y], ...], dots, faint }]
//   lines   [{ y, text }]: what to compare with
//   x       [first, last]
//   cursor  the step that all views show
export function chart({ height = 220, label, onpick, unit = 'step', zero = false }) {
  const picture = svg('svg.chart', { height, role: 'img', 'aria-label': label, tabindex: 0 });
  const readout = el('div.readout.num', { 'aria-live': 'off' });
  const node = el('div.chartbox', {}, picture, readout);
  let data = { series: [], lines: [], x: [0, 1] };
  let axes = null;
  let at = null;

  const draw = () => {
    const width = Math.max(240, node.clientWidth || 600);
    picture.setAttribute('width', width);
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    axes = measure(data, width, height, zero);
    const parts = [grid(axes), data.lines.map((line) => level(axes, line))];
    for (const s of data.series) parts.push(curve(axes, s));
    if (data.cursor !== null && data.cursor !== undefined) parts.push(upright(axes, data.cursor, 'cursor'));
    put(picture, parts);
    hover();
  };
  const hover = () => {
    picture.querySelector('.at')?.remove();
    // Nobody points: what the lines are.
    if (at === null || !axes) return put(readout, data.series.length > 1 ? data.series.map((s) => named(s)) : null);
    const found = data.series.map((s) => [s, nearest(s.points, at)]).filter(([, point]) => point);
    if (found.length === 0) return put(readout);
    const step = found[0][1][0];
    picture.append(upright(axes, step, 'at'));
    const items = found.map(([s, [x, y]]) => named(s, ' ', el('b', {}, exact(y)), x === step ? '' : ` (${unit} ${x})`));
    put(readout, el('span.item', {}, `${unit} `, el('b', {}, step)), items);
  };
  const stepAt = (event) => {
    const box = picture.getBoundingClientRect();
    return axes.stepOf(event.clientX - box.left);
  };
  picture.addEventListener('pointermove', (event) => {
    at = stepAt(event);
    hover();
  });
  picture.addEventListener('pointerleave', () => {
    at = null;
    hover();
  });
  picture.addEventListener('click', (event) => onpick?.(Math.round(stepAt(event))));
  picture.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !axes) return;
    event.preventDefault();
    event.stopPropagation();
    at = Math.min(axes.x[1], Math.max(axes.x[0], Math.round(at ?? data.cursor ?? axes.x[0]) + by));
    hover();
  });
  new ResizeObserver(draw).observe(node);
  return {
    node,
    show(next) {
      data = { lines: [], ...next };
      draw();
    },
  };
}

// A line's colour and name, and what is to be said of it.
const named = (s, ...more) =>
  el(
    'span.item',
    {},
    el(`i.swatch${s.faint ? '.faint' : s.dots ? '.dot' : ''}`, { style: { background: s.color } }),
    s.name,
    more,
  );

function measure({ series, lines, x }, width, height, zero) {
  let [low, high] = zero ? [0, 0] : [Infinity, -Infinity];
  for (const s of series) {
    for (const [, y] of s.points) {
      if (!Number.isFinite(y)) continue;
      if (y < low) low = y;
      if (y > high) high = y;
    }
  }
  for (const { y } of lines) {
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  if (!(high >= low)) [low, high] = [0, 1];
  if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
  const room = (high - low) * 0.06;
  [low, high] = [zero ? 0 : low - room, high + room];
  const [first, last] = [x[0], Math.max(x[1], x[0] + 1)];
  const [w, h] = [width - PAD.left - PAD.right, height - PAD.top - PAD.bottom];
  return {
    width,
    height,
    low,
    high,
    x: [first, last],
    px: (step) => PAD.left + ((step - first) / (last - first)) * w,
    py: (y) => PAD.top + (1 - (y - low) / (high - low)) * h,
    stepOf: (px) => Math.min(last, Math.max(first, first + ((px - PAD.left) / w) * (last - first))),
  };
}

// Round numbers from low to high, some `n` of them.
export function ticks(low, high, n) {
  const raw = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw);
  const all = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) all.push(i * step);
  return all;
}

function grid(axes) {
  const parts = [];
  for (const y of ticks(axes.low, axes.high, 4)) {
    const py = Math.round(axes.py(y)) + 0.5;
    parts.push(svg('line.grid', { x1: PAD.left, x2: axes.width - PAD.right, y1: py, y2: py }));
    parts.push(svg('text.tick', { x: PAD.left - 7, y: py + 4, 'text-anchor': 'end' }, short(y, 3)));
  }
  const across = Math.max(3, Math.floor(axes.width / 130));
  for (const x of ticks(axes.x[0], axes.x[1], across)) {
    if (x !== Math.round(x)) continue;
    parts.push(svg('text.tick', { x: axes.px(x), y: axes.height - 6, 'text-anchor': 'middle' }, x));
  }
  return parts;
}

function level(axes, { y, text }) {
  const py = axes.py(y);
  return [
    svg('line.level', { x1: PAD.left, x2: axes.width - PAD.right, y1: py, y2: py }),
    svg('text.tick.leveltext', { x: axes.width - PAD.right, y: py - 5, 'text-anchor': 'end' }, text),
  ];
}

function upright(axes, step, name) {
  const px = axes.px(step);
  return svg(`line.${name}`, { x1: px, x2: px, y1: PAD.top, y2: axes.height - PAD.bottom });
}

function curve(axes, s) {
  const color = { stroke: s.color };
  const points = thin(
    s.points.filter(([, y]) => Number.isFinite(y)),
    axes,
  );
  if (s.dots || points.length === 1) {
    return points.map(([x, y]) =>
      svg('circle.dot', { cx: axes.px(x), cy: axes.py(y), r: 3, style: { fill: s.color } }),
    );
  }
  const path = points.map(([x, y], i) => `${i ? 'L' : 'M'}${axes.px(x).toFixed(1)} ${axes.py(y).toFixed(1)}`).join('');
  return svg(`path.curve${s.faint ? '.faint' : ''}`, { d: path, style: color });
}

// Of more points than pixels, each pixel's smallest and largest: no peak is lost.
function thin(points, axes) {
  if (points.length < axes.width * 2) return points;
  const kept = [];
  let cell = null;
  for (const point of points) {
    const px = Math.floor(axes.px(point[0]));
    if (!cell || cell.px !== px) {
      if (cell) kept.push(...cell.order());
      cell = {
        px,
        min: point,
        max: point,
        order() {
          return this.min[0] < this.max[0] ? [this.min, this.max] : [this.max, this.min];
        },
      };
    }
    if (point[1] < cell.min[1]) cell.min = point;
    if (point[1] > cell.max[1]) cell.max = point;
  }
  if (cell) kept.push(...cell.order());
  return kept;
}

function nearest(points, x) {
  let [low, high] = [0, points.length - 1];
  if (high < 0) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1;
    else high = middle;
  }
  const before = points[low - 1];
  return before && x - before[0] < points[low][0] - x ? before : points[low];
}

// A mean of the last values that fades: what the eye should follow in a noisy line.
export function smooth(points, keep = 0.95) {
  let [sum, weight] = [0, 0];
  return points.map(([x, y]) => {
    sum = sum * keep + y;
    weight = weight * keep + 1;
    return [x, sum / weight];
  });
}
