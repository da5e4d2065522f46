// A table of numbers as colours, on a canvas with a pixel for each number that the browser makes larger. Of a table that
// is larger than the screen only what is in sight is drawn.

import { el, announce } from './dom.js';
import { colors, largest } from './color.js';
import { exact, short } from './format.js';
import { showHover, hideHover } from './hover.js';

// At most so many numbers on one canvas; a larger table gets a window that scrolls.
const MANY = 1 << 18;

// heat({ name, onpick }).show({ rows, cols, values, first, stride, cell: [w, h], top, rowName, colName, mark, title })
//   values   row after row; row r begins at `first + r * stride` (0 and as many as there are columns, if not given)
//   top      the size at which colours are full; the table's largest if not given
//   mark     [row, col] that is outlined
export function heat({ name, onpick, onhover }) {
  const canvas = el('canvas', {});
  const ring = el('div.ring', { hidden: true });
  const focus = el('div.ring.focus', { hidden: true });
  const stage = el('div.stage', {}, canvas, ring, focus);
  const node = el('div.heat', { tabindex: 0, role: 'application', 'aria-roledescription': 'table of numbers' }, stage);
  let data = null;
  let cursor = [0, 0];

  const placeAt = (row, col) => data.first + row * data.stride + col;
  const valueAt = (row, col) => data.values[placeAt(row, col)];
  const place = (box, [row, col]) => {
    const [w, h] = data.cell;
    Object.assign(box.style, { left: `${col * w}px`, top: `${row * h}px`, width: `${w}px`, height: `${h}px` });
    box.hidden = false;
  };
  const textOf = (row, col) => {
    const names = [data.rowName?.(row), data.colName?.(col)].filter((text) => text !== undefined && text !== '');
    return { title: `${name}[${row}, ${col}]`, about: names.join(' · '), value: exact(valueAt(row, col)) };
  };
  const cellAt = (event) => {
    const box = stage.getBoundingClientRect();
    const col = Math.floor((event.clientX - box.left) / data.cell[0]);
    const row = Math.floor((event.clientY - box.top) / data.cell[1]);
    return row >= 0 && col >= 0 && row < data.rows && col < data.cols ? [row, col] : null;
  };
  const draw = () => {
    const { rows, cols, cell } = data;
    let [r0, c0, r1, c1] = [0, 0, rows, cols];
    if (rows * cols > MANY) {
      const box = node.getBoundingClientRect();
      c0 = Math.min(cols - 1, Math.floor(node.scrollLeft / cell[0]));
      c1 = Math.min(cols, c0 + Math.ceil((box.width || 1200) / cell[0]) + 1);
      r0 = Math.min(rows - 1, Math.floor(node.scrollTop / cell[1]));
      r1 = Math.min(rows, r0 + Math.ceil((box.height || 800) / cell[1]) + 1);
    }
    paint(canvas, data, placeAt(r0, c0), r1 - r0, c1 - c0);
    Object.assign(canvas.style, {
      width: `${(c1 - c0) * cell[0]}px`,
      height: `${(r1 - r0) * cell[1]}px`,
      left: `${c0 * cell[0]}px`,
      top: `${r0 * cell[1]}px`,
    });
  };

  stage.addEventListener('pointermove', (event) => {
    const at = data && cellAt(event);
    if (!at) return leave();
    place(focus, at);
    const text = textOf(...at);
    showHover(event.clientX, event.clientY, text);
    onhover?.(...at);
  });
  const leave = () => {
    focus.hidden = true;
    hideHover();
    onhover?.(null);
  };
  stage.addEventListener('pointerleave', leave);
  stage.addEventListener('click', (event) => {
    const at = data && cellAt(event);
    if (at) {
      cursor = at;
      onpick?.(...at, valueAt(...at));
    }
  });
  node.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!data || (!by && event.key !== 'Enter')) return;
    event.preventDefault();
    event.stopPropagation();
    if (!by) return onpick?.(...cursor, valueAt(...cursor));
    cursor = [clamp(cursor[0] + by[0], data.rows), clamp(cursor[1] + by[1], data.cols)];
    place(focus, cursor);
    const text = textOf(...cursor);
    const box = focus.getBoundingClientRect();
    showHover(box.right, box.bottom, text);
    announce(`${text.title} ${text.about} ${text.value}`);
  });
  node.addEventListener('blur', leave);
  node.addEventListener('scroll', () => data && data.rows * data.cols > MANY && draw());

  node.redraw = () => data && draw();
  return {
    node,
    show(next) {
      data = { cell: [8, 16], first: 0, stride: next.cols, ...next };
      if (data.top === undefined) data.top = largest(data.values);
      const { rows, cols, cell } = data;
      stage.style.width = `${cols * cell[0]}px`;
      stage.style.height = `${rows * cell[1]}px`;
      node.setAttribute(
        'aria-label',
        `${name}, ${rows} rows of ${cols} numbers, largest size ${short(data.top)}. ` +
          'Arrow keys read them one by one, Enter asks why.',
      );
      draw();
      const [r, c] = data.mark ?? [-1, -1];
      if (r >= 0 && c >= 0 && r < rows && c < cols) place(ring, data.mark);
      else ring.hidden = true;
    },
  };
}

function clamp(i, n) {
  return Math.max(0, Math.min(n - 1, i));
}

function paint(canvas, { values, stride, top }, from, height, width) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  if (width === 0 || height === 0) return;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let r = 0; r < height; r++) colors(values, from + r * stride, width, top, words, r * width);
  context.putImageData(image, 0, 0);
}
