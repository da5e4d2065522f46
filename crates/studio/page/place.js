// One number's place, as the address and the API have it.

import { exported } from './api.js';
import { state, go } from './state.js';

// layer0.q:0:3, or #12:0:3 for a tensor without a name.
export function placeText({ name, tensor, row, col }) {
  return `${name ?? `#${tensor}`}:${row}:${col}`;
}

export function placeOf(text) {
  const found = /^(.+):(\d+):(\d+)$/.exec(text ?? '');
  if (!found) return null;
  const place = { row: Number(found[2]), col: Number(found[3]) };
  if (found[1].startsWith('#')) place.tensor = Number(found[1].slice(1));
  else place.name = found[1];
  return place;
}

// The number that the panel is about.
export const pinned = () => placeOf(state.place);

// Opens the panel on a number.
export function pin(place) {
  if (exported) return;
  go({ place: placeText(place) }, { remember: state.place !== undefined });
}
