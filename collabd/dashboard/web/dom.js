// @ts-check
// Builds and updates elements. Text is only ever set as text: names come from callers, and are never markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element with attributes and children.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * The same of a drawing.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * Set a text where it changes.
 * @param {Node} node
 * @param {string} value
 */
export function say(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** @template T @typedef {{node: HTMLElement, update: (item: T) => void}} View */

/** @type {WeakMap<Element, Map<string, View<any>>>} */
const views = new WeakMap();

/**
 * Show one view for each item, in order. A view whose item is still there is updated in place, so that nothing jumps.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => View<T>} make
 */
export function showEach(parent, items, keyOf, make) {
  const before = views.get(parent) ?? new Map();
  /** @type {Map<string, View<T>>} */
  const now = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const view = before.get(key) ?? make(item);
    now.set(key, view);
  }
  if ([...now.keys()].join('\n') !== [...before.keys()].join('\n') || before.size === 0) {
    parent.replaceChildren(...[...now.values()].map((view) => view.node));
  }
  views.set(parent, now);
  for (const item of items) now.get(keyOf(item))?.update(item);
}

/**
 * A list of terms and values; `set` changes a value, and shows only those that were set to some text.
 * @param {[term: string, name: string][]} terms
 * @param {[term: string, name: string][]} [wide] those with a line of their own
 */
export function facts(terms, wide = []) {
  /** @type {Record<string, {row: HTMLElement, value: HTMLElement}>} */
  const rows = {};
  const node = el('dl');
  for (const [term, name] of [...terms, ...wide]) {
    const value = el('dd');
    const row = el('div', wide.some((each) => each[1] === name) ? {class: 'wide'} : {}, el('dt', {}, term), value);
    rows[name] = {row, value};
    node.append(row);
  }
  return {
    node,
    /** @param {Record<string, string>} values */
    set(values) {
      for (const [name, text] of Object.entries(values)) {
        const {row, value} = rows[name];
        row.hidden = text === '';
        say(value, text);
      }
    },
  };
}

/**
 * A table in a box of its own that scrolls, also by keyboard.
 * @param {string} caption
 * @param {string[]} heads a `>` before one that stands over numbers
 * @param {{cells: string[], taken?: boolean}[]} rows
 */
export function table(caption, heads, rows) {
  const numeric = heads.map((head) => head.startsWith('>'));
  const cell = (/** @type {string} */ text, /** @type {number} */ at) =>
    el('td', {class: numeric[at] ? 'number' : heads[at] === 'why' ? 'why' : ''}, text);
  const head = el('tr', {}, ...heads.map((text, at) =>
    el('th', {scope: 'col', class: numeric[at] ? 'number' : ''}, text.replace('>', ''))));
  const body = rows.map(({cells, taken}) => el('tr', taken ? {class: 'taken'} : {}, ...cells.map(cell)));
  const made = el('table', {}, el('caption', {}, caption), el('thead', {}, head), el('tbody', {}, ...body));
  return el('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption}, made);
}
