// The edits of the address: to add one, to take back the last, to say one in words.

import { go } from './state.js';
import { editsNow } from './session.js';
import { short } from './format.js';

// Do two edits change the same thing?
export function sameThing(a, b) {
  return ['kind', 'name', 'layer', 'head', 'neuron', 'row', 'col'].every((key) => a[key] === b[key]);
}

let undone = [];

// Is there anything to do again?
export const canRedo = () => undone.length > 0;

// Takes all back; Redo brings them again, one by one.
export function reset() {
  undone = [...editsNow()].reverse();
  write([]);
}

// Puts an edit at the end, in place of one of the same thing.
export function change(edit, remember = true) {
  undone = [];
  write([...editsNow().filter((one) => !sameThing(one, edit)), edit], remember);
}

export function write(edits, remember = true) {
  go({ edits: edits.length > 0 ? JSON.stringify(edits) : null }, { remember });
}

export function undo() {
  const edits = editsNow();
  if (edits.length === 0) return;
  undone.push(edits.at(-1));
  write(edits.slice(0, -1));
}

export function redo() {
  const edit = undone.pop();
  if (edit) write([...editsNow(), edit]);
}

export function words(edit) {
  if (edit.kind === 'head') return `layer ${edit.layer}: head ${edit.head} is silent`;
  if (edit.kind === 'neuron') return `layer ${edit.layer}: neuron ${edit.neuron} is silent`;
  if (edit.kind === 'from') return `${edit.name}: row ${edit.row} from row ${edit.from_row} of “${edit.text}”`;
  return `${edit.name}[${edit.row}${edit.col === undefined ? '' : `, ${edit.col}`}] = ${short(Number(edit.value), 4)}`;
}
