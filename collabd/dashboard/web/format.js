// @ts-check
// Figures as text. null: not measured, which is neither zero nor false.

export const UNKNOWN = 'not measured';

/** 0.04, 1.23, 12.3, 1234. @param {number} value */
export function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function quantity(value, unit) {
  return value === null || value === undefined ? UNKNOWN : `${digits(value)} ${unit}`;
}

/** @param {number | null | undefined} value */
export const ms = (value) => quantity(value, 'ms');

/** 0..1 as percent. @param {number | null | undefined} part */
export function percent(part, places = 0) {
  return part === null || part === undefined ? UNKNOWN : `${(100 * part).toFixed(places)} %`;
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1000) return `${Math.round(count)} B`;
  if (count < 999_500) return `${digits(count / 1e3)} kB`;
  return count < 999.5e6 ? `${digits(count / 1e6)} MB` : `${digits(count / 1e9)} GB`;
}

/** @param {number} millijoules */
export function energy(millijoules) {
  if (millijoules < 1000) return `${digits(millijoules)} mJ`;
  return millijoules < 1e6 ? `${digits(millijoules / 1e3)} J` : `${digits(millijoules / 1e6)} kJ`;
}

/** @param {number} cost */
export function price(cost) {
  return cost === 0 ? '0' : String(Number(cost.toPrecision(3)));
}

/** 1,234. @param {number} value */
export function count(value) {
  return Math.round(value).toLocaleString('en-GB');
}

/** A duration in its two largest units. @param {number} seconds */
export function duration(seconds) {
  let rest = Math.max(Math.round(seconds), 0);
  const parts = [];
  for (const [unit, size] of /** @type {[string, number][]} */ ([['d', 86400], ['h', 3600], ['min', 60], ['s', 1]])) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0) parts.push(`${whole} ${unit}`);
  }
  return parts.slice(0, 2).join(' ') || '0 s';
}

/** @param {number} seconds */
export function ago(seconds) {
  return seconds < 1.5 ? 'just now' : `${duration(seconds)} ago`;
}

/** 34 million operations. @param {number} operations */
export function operations(operations) {
  if (operations === 0) return '';
  return operations < 1e6 ? `${digits(operations / 1e3)} k` : `${digits(operations / 1e6)} M`;
}
