// What the browser keeps of this page from one visit to the next; nothing where it keeps nothing (a file, a private window).

export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    /* then for this time only */
  }
}

export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
