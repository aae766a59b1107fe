// @ts-check
// The figures of the last minutes. They are gathered in the page, and gone with it.

export const SPAN_S = 300;

export class History {
  /** @param {number} series how many figures each moment has */
  constructor(series) {
    /** @type {number[]} */
    this.times = [];
    /** @type {(number | null)[][]} */
    this.series = Array.from({length: series}, () => []);
  }

  /**
   * @param {number} now seconds
   * @param {...(number | null)} values null: not measured
   */
  add(now, ...values) {
    const last = this.times.at(-1);
    // Nobody looked for a while: a gap, and no line across it.
    if (last !== undefined && now - last > 15) this.#push(last + 1, values.map(() => null));
    this.#push(now, values);
    while (this.times[0] < now - SPAN_S) {
      this.times.shift();
      for (const each of this.series) each.shift();
    }
  }

  /**
   * What a chart draws: seconds before `now`, and the figures.
   * @param {number} now
   * @returns {(number | null)[][]}
   */
  until(now) {
    return [this.times.map((time) => time - now), ...this.series];
  }

  /** @param {number} at */
  last(at) {
    return this.series[at].at(-1) ?? null;
  }

  /**
   * The least and the most of a figure; null: it was not measured.
   * @param {number} at
   * @returns {[number, number] | null}
   */
  range(at) {
    const known = this.series[at].filter((value) => value !== null);
    return known.length === 0 ? null : [Math.min(...known), Math.max(...known)];
  }

  /** How high a chart has to be. A figure far above nearly all others may leave it: else these could not be told apart. */
  top() {
    const known = this.series.flat().filter((value) => value !== null).sort((a, b) => a - b);
    return known.length === 0 ? 0 : Math.min(known[known.length - 1], 2 * known[Math.floor(0.95 * (known.length - 1))] || Infinity);
  }

  /**
   * @param {number} now
   * @param {(number | null)[]} values
   */
  #push(now, values) {
    this.times.push(now);
    this.series.forEach((each, at) => each.push(values[at]));
  }
}
