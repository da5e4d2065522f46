// Lines of the program's own source.

import { el } from './dom.js';
import { ask } from './api.js';

const files = new Map();

async function linesOf(file) {
  if (!files.has(file))
    files.set(
      file,
      ask(`/source?file=${encodeURIComponent(file)}`).then((answer) => answer.lines),
    );
  try {
    return await files.get(file);
  } catch (error) {
    files.delete(file);
    throw error;
  }
}

// A few lines around one, which is lit.
export async function sourceLines(file, line, around = 5) {
  try {
    const lines = await linesOf(file);
    const from = Math.max(1, line - around);
    return el(
      'pre.source',
      {},
      lines.slice(from - 1, line + around).map((text, i) => row(from + i, text, from + i === line)),
    );
  } catch (error) {
    return el('p.problem', {}, error.message);
  }
}

function row(number, text, lit) {
  return el(
    `div.codeline${lit ? '.lit' : ''}`,
    { 'data-line': number },
    el('span.lineno.num', {}, number),
    text || ' ',
  );
}

// A whole file in a box of which `light(line)` lights a line and brings it into sight.
export function sourceView() {
  const box = el('pre.source.whole', { tabindex: 0, 'aria-label': 'Source' });
  const title = el('div.mono.small.soft');
  let shown = null;
  let lit = null;
  return {
    node: el('div.sourcebox', {}, title, box),
    async light(file, line) {
      if (!file) return;
      let lines;
      try {
        lines = await linesOf(file);
      } catch (error) {
        title.textContent = error.message;
        return;
      }
      if (shown !== file) {
        shown = file;
        box.replaceChildren(...lines.map((text, i) => row(i + 1, text, false)));
      }
      title.textContent = line ? `${file}:${line}` : file;
      const next = box.children[line - 1] ?? null;
      if (next && next === lit) return;
      lit?.classList.remove('lit');
      lit = next;
      if (!lit) return;
      lit.classList.add('lit');
      const [top, height] = [lit.offsetTop, box.clientHeight];
      if (top < box.scrollTop + 30 || top > box.scrollTop + height - 50) box.scrollTop = top - height / 2;
    },
  };
}
