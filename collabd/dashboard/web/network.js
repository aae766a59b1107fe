// @ts-check
// The network of a model as a graph, with the cut: what is computed here, what on the companion.
import {el, svg, table} from './dom.js';
import {operations} from './format.js';

const HEIGHT = 152, TOP = 26, BASE = 98, EDGE = 14, LEAST = 3;

/** @typedef {import('./types.d.ts').Layer} Layer */

/**
 * Where each layer of a stream's plan runs: a letter each, D(evice) or C(ompanion), or "-" for none.
 * @param {import('./types.d.ts').Stream} stream
 * @param {number} count
 */
export function placementOf(stream, count) {
  if (stream.kind === 'little' || stream.kind === 'inherited') return '-'.repeat(count);
  // Also where a companion was asked, and the device was done first.
  if (stream.kind === 'local' || stream.cloud === null) return 'D'.repeat(count);
  if (stream.cut.length === count && /^[DC]+$/.test(stream.cut)) return stream.cut;
  return 'D'.repeat(stream.head_layers) + 'C'.repeat(Math.max(count - stream.head_layers, 0));
}

/**
 * Neighbouring layers that run in the same place.
 * @param {string} placement
 */
export function runs(placement) {
  return [...placement.matchAll(/(.)\1*/g)].map((run) => ({side: run[1], start: run.index ?? 0, count: run[0].length}));
}

/**
 * In words.
 * @param {string} placement
 * @param {string} companion
 */
export function inWords(placement, companion) {
  if (placement.startsWith('-')) return `Of the ${placement.length} layers none ran.`;
  return runs(placement).map(({side, start, count}) =>
    `${count === 1 ? `Layer ${start + 1} runs` : `Layers ${start + 1} to ${start + count} run`} on ` +
    `${side === 'D' ? 'this device' : companion}.`).join(' ');
}

export class Network {
  /** @param {Layer[]} layers */
  constructor(layers) {
    this.layers = layers;
    this.placement = '';
    this.companion = '';
    this.cut = '';
    this.drawing = svg('svg', {role: 'img', 'aria-label': '', preserveAspectRatio: 'none'});
    this.node = el('figure', {class: 'network'}, this.drawing);
    new ResizeObserver(() => this.#draw()).observe(this.node);
  }

  /**
   * @param {string} placement a letter each layer
   * @param {string} companion
   * @param {string} cut what travels there
   */
  show(placement, companion, cut) {
    if (placement === this.placement && companion === this.companion && cut === this.cut) return;
    [this.placement, this.companion, this.cut] = [placement, companion, cut];
    this.#draw();
  }

  #draw() {
    const width = this.node.clientWidth;
    if (width === 0 || this.placement === '') return;
    const step = (width - 2 * EDGE) / this.layers.length;
    const left = (/** @type {number} */ at) => EDGE + at * step;
    const middle = (/** @type {number} */ at) => (at < 0 ? EDGE / 2 : left(at) + step / 2);
    const whole = `A network of ${this.layers.length} layers. ${inWords(this.placement, this.companion)}`;
    this.drawing.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.drawing.setAttribute('aria-label', this.cut === '' ? whole : `${whole} ${this.cut}`);
    this.drawing.replaceChildren(
      ...this.#grounds(left, width), ...this.#edges(middle), ...this.#bars(left, step), ...this.#cuts(left, width));
  }

  /**
   * @param {(at: number) => number} left
   * @param {number} width
   */
  #grounds(left, width) {
    return runs(this.placement).flatMap(({side, start, count}) => {
      if (side === '-') return [];
      const from = start === 0 ? 0 : left(start);
      const to = start + count === this.layers.length ? width : left(start + count);
      return [svg('rect', {x: from, y: TOP, width: to - from, height: HEIGHT - TOP, class: side === 'D' ? 'here' : 'there'})];
    });
  }

  /** @param {(at: number) => number} middle */
  #edges(middle) {
    const ends = [svg('circle', {cx: EDGE / 2, cy: BASE + 5, r: 3, class: 'edge'})];
    this.layers.forEach(({inputs}, at) => {
      for (const from of inputs ?? [at - 1]) {
        const [x1, x2, span] = [middle(from), middle(at), at - from];
        const depth = BASE + 5 + Math.min(8 * Math.sqrt(span), HEIGHT - BASE - 8) * 1.6;
        const path = span === 1 ? `M${x1} ${BASE + 5}H${x2}` : `M${x1} ${BASE + 5}Q${(x1 + x2) / 2} ${depth} ${x2} ${BASE + 5}`;
        ends.push(svg('path', {d: path, class: 'edge'}));
      }
    });
    const last = middle(this.layers.length - 1);
    return [...ends, svg('path', {d: `M${last} ${BASE + 5}H${last + EDGE}`, class: 'edge'})];
  }

  /**
   * @param {(at: number) => number} left
   * @param {number} step
   */
  #bars(left, step) {
    const most = Math.max(...this.layers.map((layer) => layer.macs), 1);
    const gap = step > 6 ? 2 : step > 3 ? 1 : 0;
    return this.layers.map((layer, at) => {
      const height = LEAST + (BASE - TOP - 22 - LEAST) * Math.sqrt(layer.macs / most);
      const side = this.placement[at];
      const where = side === 'D' ? 'on this device' : side === 'C' ? `on ${this.companion}` : 'did not run';
      const title = svg('title', {}, `${at + 1}. ${layer.name}: ${layer.op} ${operations(layer.macs)}, ${where}`);
      const shape = {x: left(at) + gap / 2, y: BASE - height, width: Math.max(step - gap, 1), height};
      const kind = {D: 'bar-here', C: 'bar-there'}[side] ?? 'bar-idle';
      return svg('rect', {...shape, class: kind}, title);
    });
  }

  /**
   * @param {(at: number) => number} left
   * @param {number} width
   */
  #cuts(left, width) {
    const marks = this.layers.flatMap((layer, at) => layer.candidate && at < this.layers.length - 1
      ? [svg('path', {d: `M${left(at + 1)} ${HEIGHT - 6}V${HEIGHT}`, class: 'candidate'})] : []);
    const found = runs(this.placement);
    const lines = found.slice(1).map(({start}) => left(start));
    if (found[0].side === 'C') lines.unshift(EDGE / 2 + 5);
    const labels = found.flatMap(({side, start, count}, at) => {
      const space = (start + count === this.layers.length ? width : left(start + count)) - left(start);
      const text = side === 'D' ? `${count} here` : side === 'C' ? `${count} on ${this.companion}` : `${count} layers, none ran`;
      // A label that has no room stands in the sentence above.
      if (found.length > 1 && space < text.length * 7 + 8) return [];
      const end = at === found.length - 1 && at > 0;
      return [svg('text', {x: end ? width - 4 : start === 0 ? 4 : left(start) + 6, y: 16,
        'text-anchor': end ? 'end' : 'start'}, text)];
    });
    return [...marks, ...lines.map((x) => svg('path', {d: `M${x} 4V${HEIGHT}`, class: 'cut'})), ...labels];
  }
}

/**
 * The layers in a table.
 * @param {Layer[]} layers
 * @param {string} placement
 * @param {string} companion
 */
export function layerTable(layers, placement, companion) {
  const rows = layers.map((layer, at) => ({
    cells: [
      String(at + 1), layer.name, layer.op, operations(layer.macs),
      {D: 'this device', C: companion}[placement[at]] ?? 'did not run',
      (layer.inputs ?? []).map((each) => (each < 0 ? 'input' : String(each + 1))).join(', '),
      layer.candidate ? 'yes' : '',
    ],
  }));
  return table('Layers', ['>no.', 'layer', 'operator', '>multiply-adds', 'runs on', 'reads', 'may be cut behind'], rows);
}
