// @ts-check
// A figure or two over the last minutes, with the value of now, and in words for those who do not see it.
import {el, say} from './dom.js';
import {UNKNOWN} from './format.js';
import {History, SPAN_S} from './history.js';

const HEIGHT = 112;
const SPOKEN_EVERY_S = 10;

/** @type {Set<import('./types.d.ts').Plot>} */
const plots = new Set();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plots.forEach((plot) => plot.redraw()));

/** @param {string} name of a colour in style.css */
const colour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name);

/**
 * @typedef {object} ChartOptions
 * @property {string} title
 * @property {string[]} [names] of the figures, where there are two
 * @property {(value: number) => string} text a figure with its unit
 * @property {number} [least] the axis goes up to this at least
 * @property {boolean} [dots] moments stand alone, as calls do
 * @property {string} [level] of the heading
 */

export class Chart {
  /** @param {ChartOptions} options */
  constructor(options) {
    this.options = options;
    this.names = options.names ?? [options.title];
    this.history = new History(this.names.length);
    this.values = this.names.map(() => el('span'));
    this.canvas = el('div', {class: 'chart', role: 'img', 'aria-label': options.title});
    const values = el('div', {class: this.names.length > 1 ? 'values many' : 'values'}, ...this.values);
    this.node = el('div', {}, el('div', {class: 'tile-head'}, el(options.level ?? 'h3', {}, options.title), values),
      this.canvas);
    /** @type {import('./types.d.ts').Plot | null} */
    this.plot = null;
    this.spokenAt = -Infinity;
    new ResizeObserver(() => this.#fit()).observe(this.canvas);
    this.#tell(this.names.map(() => null));
  }

  /**
   * @param {number} now
   * @param {...(number | null)} values
   */
  add(now, ...values) {
    this.history.add(now, ...values);
    this.plot?.setData(this.history.until(now));
    // Of calls, the last stays until the next.
    if (!this.options.dots || values[0] !== null) this.#tell(values);
    if (now - this.spokenAt > SPOKEN_EVERY_S) {
      this.spokenAt = now;
      this.canvas.setAttribute('aria-label', this.#spoken());
    }
  }

  /** @param {(number | null)[]} values */
  #tell(values) {
    this.values.forEach((node, at) => {
      const value = values[at];
      const text = value === null ? (this.options.dots ? '–' : UNKNOWN) : this.options.text(value);
      say(node, this.names.length > 1 ? `${this.names[at]} ${text}` : text);
    });
  }

  #spoken() {
    const parts = this.names.map((name, at) => {
      const range = this.history.range(at), last = this.history.last(at), text = this.options.text;
      if (range === null) return `${name}: ${UNKNOWN}`;
      return `${name}: ${last === null ? 'none' : text(last)} now, from ${text(range[0])} to ${text(range[1])}`;
    });
    return `${this.options.title} over the last five minutes. ${parts.join('. ')}`;
  }

  #fit() {
    const width = this.canvas.clientWidth;
    if (width === 0) return;
    if (this.plot === null) {
      this.plot = this.#drawn(width);
      plots.add(this.plot);
    } else this.plot.setSize({width, height: HEIGHT});
  }

  /** @param {number} width */
  #drawn(width) {
    const {least = 0, text, dots = false} = this.options;
    const axis = {stroke: colour('--quiet'), grid: {stroke: colour('--grid'), width: 1}, ticks: {show: false},
      font: '11px system-ui, sans-serif'};
    const styles = [{stroke: colour('--first')}, {stroke: colour('--second'), dash: [6, 4]}];
    const series = this.names.map((_, at) =>
      ({...styles[at], width: 2, spanGaps: dots, points: {show: dots, size: 5, fill: styles[at].stroke}}));
    const last = this.history.times.at(-1) ?? 0;
    return new uPlot({
      width, height: HEIGHT, legend: {show: false}, cursor: {show: false}, padding: [8, 16, 0, 0],
      scales: {
        x: {time: false, range: () => [-SPAN_S, 0]},
        y: {range: () => [0, Math.max(least, this.history.top() * 1.15) || 1]},
      },
      axes: [
        {...axis, size: 20, gap: 2, splits: () => [-240, -180, -120, -60, 0],
          values: (/** @type {unknown} */ _, /** @type {number[]} */ at) =>
            at.map((each) => (each === 0 ? 'now' : `${-each / 60} min`))},
        {...axis, size: 54, gap: 4, space: 28,
          values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((each) => short(text(each)))},
      ],
      series: [{}, ...series],
    }, this.history.until(last), this.canvas);
  }
}

/** For an axis: no zeros that say nothing. @param {string} text */
function short(text) {
  return text.replace(/\.0+(?= |$)/, '').replace(/(\.\d*[1-9])0+(?= |$)/, '$1');
}
