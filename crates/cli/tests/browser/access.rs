//! What everybody can read and reach: contrast (WCAG AA), names of controls, where the focus is, no motion for who wants none.

use crate::studio::Page;
use serde_json::json;

/// Of all text in sight, what is too faint on what is behind it; controls without a name; ids that are there twice.
#[track_caller]
pub(crate) fn readable(page: &Page<'_>, what: &str) {
    let found = page.js(FOUND, json!([]));
    assert_eq!(found, json!({"faint": [], "nameless": [], "twice": []}), "{what}");
}

/// Each control that the keyboard reaches shows that it has the focus.
#[track_caller]
pub(crate) fn focus_is_seen(page: &Page<'_>, what: &str) {
    page.js("document.querySelector('.skip').focus()", json!([]));
    page.press("\u{e004}");
    let unseen = page.js(UNSEEN, json!([]));
    assert_eq!(unseen, json!([]), "{what}");
}

/// Who asked for less motion sees none.
pub(crate) fn nothing_moves(page: &Page<'_>) {
    let moving = || page.js("return document.getAnimations().length", json!([]));
    page.go("write?run=microgpt-1");
    page.until("the caret", || page.count(".caret") == 1);
    assert_ne!(moving(), 0, "the caret blinks");
    page.prefer("prefers-reduced-motion", "reduce");
    page.until("the caret to rest", || moving() == 0);
    page.prefer("prefers-reduced-motion", "no-preference");
}

const UNSEEN: &str = "
    const all = document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex=\"0\"]');
    return [...all].filter((node) => {
      if (!node.checkVisibility({ visibilityProperty: true }) || node.disabled) return false;
      node.focus({ preventScroll: true });
      // Time has a slider of its own: what is seen of it is its knob.
      const seen = node.id === 'slider' ? document.querySelector('.knob') : node;
      const { outlineStyle, outlineWidth } = getComputedStyle(seen);
      return outlineStyle === 'none' || parseFloat(outlineWidth) < 1;
    }).map((node) => node.outerHTML.slice(0, 120));";

const FOUND: &str = r#"
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const seen = new Map();
    const rgba = (text) => {
      if (!seen.has(text)) {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = text;
        paint.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
        seen.set(text, [r, g, b, a / 255]);
      }
      return seen.get(text);
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
    const light = (color) => {
      const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
      const [x, y] = [light(a), light(b)].sort((m, n) => n - m);
      return (x + 0.05) / (y + 0.05);
    };
    const paper = (node, box) => {
      const layers = [];
      for (let at = node; at; at = at.parentElement) {
        if (at.namespaceURI.endsWith('svg')) {
          for (let one = at.previousElementSibling; one; one = one.previousElementSibling) {
            const its = one.getBoundingClientRect();
            const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
            const fill = getComputedStyle(one).fill;
            if (/rect|circle/.test(one.tagName) && fill !== 'none' && its.left <= x && x <= its.right && its.top <= y && y <= its.bottom)
              layers.push(rgba(fill));
          }
        }
        layers.push(rgba(getComputedStyle(at).backgroundColor));
      }
      return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || node.closest(':disabled, [aria-hidden], script, noscript, option, .unseen') || !node.checkVisibility({ visibilityProperty: true })) continue;
      const range = document.createRange();
      range.selectNode(text);
      const box = range.getBoundingClientRect();
      if (box.width === 0) continue;
      const style = getComputedStyle(node);
      const below = paper(node, box);
      const ink = [...rgba(node.namespaceURI.endsWith('svg') ? style.fill : style.color)];
      for (let at = node; at; at = at.parentElement) ink[3] *= Number(getComputedStyle(at).opacity);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const found = ratio(over(ink, below), below);
      if (found < (large ? 3 : 4.5)) faint.push(`${found.toFixed(2)}: ${text.data.trim().slice(0, 30)} (${node.tagName}.${node.getAttribute('class') ?? ''})`);
    }
    const nameless = [...document.querySelectorAll('button, a[href], input, select, textarea, [role=button], [tabindex="0"], svg[role]')]
      .filter((node) => node.checkVisibility())
      .filter((node) => !(node.getAttribute('aria-label') || node.labels?.length || (node.tagName !== 'SELECT' && node.textContent.trim()) || node.title))
      .map((node) => node.outerHTML.slice(0, 120));
    const twice = [...document.querySelectorAll('[id]')].map((n) => n.id).filter((id, i, all) => all.indexOf(id) !== i);
    return { faint: [...new Set(faint)], nameless, twice };
"#;
