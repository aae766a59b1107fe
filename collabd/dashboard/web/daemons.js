// @ts-check
// What is shown of each of the two daemons.
import {Chart} from './chart.js';
import {byId, el, facts, table} from './dom.js';
import {bytes, count, ms, percent, quantity} from './format.js';
import {showCompanions} from './companions.js';
import {showHealth} from './health.js';
import {showStreams} from './streams.js';

/** @typedef {import('./types.d.ts').DeviceStatus} DeviceStatus */
/** @typedef {import('./types.d.ts').CloudStatus} CloudStatus */

/** @param {Chart[]} charts */
function tiles(charts) {
  byId('now').replaceChildren(...charts.map((chart) => {
    chart.node.setAttribute('class', 'tile');
    return chart.node;
  }));
}

/** How fast a count grows. */
class Rate {
  /** @type {[number, number] | null} */
  #before = null;

  /**
   * @param {number} total
   * @param {number} now
   * @returns {number | null}
   */
  of(total, now) {
    const before = this.#before;
    this.#before = [total, now];
    // A daemon that was restarted counts anew.
    return before === null || total < before[0] || now <= before[1] ? null : (total - before[0]) / (now - before[1]);
  }
}

const each = (/** @type {string} */ unit) => (/** @type {number} */ value) => quantity(value, unit);

export function device() {
  const calls = new Chart({title: 'Calls a second', text: each('/s'), least: 1}), rate = new Rate();
  const load = new Chart({title: 'CPU load', text: percent, least: 1});
  const warmth = new Chart({title: 'Temperature', text: each('°C'), least: 60});
  const power = new Chart({title: 'Power', text: each('W'), least: 1});
  tiles([calls, load, warmth, power]);
  /** @param {DeviceStatus} status */
  return (status) => {
    const now = performance.now() / 1e3;
    calls.add(now, rate.of(status.requests.total, now));
    load.add(now, status.device.cpu_load);
    warmth.add(now, status.device.temperature_c);
    power.add(now, status.device.power_w);
    showHealth(status.health);
    showStreams(status);
    showCompanions(status.clouds);
  };
}

export function companion() {
  const answers = new Chart({title: 'Answers a second', text: each('/s'), least: 1}), rate = new Rate();
  const load = new Chart({title: 'CPU load', text: percent, least: 1});
  const queue = new Chart({title: 'Requests that wait', text: (value) => String(Math.round(value)), least: 4});
  const engine = new Chart({title: 'Engine, last answer', text: ms});
  tiles([answers, load, queue, engine]);
  const held = facts([
    ['Answers', 'answers'], ['Sessions', 'sessions'], ['Their memory', 'memory'], ['Found again', 'hits'],
    ['Built', 'builds'], ['Let go', 'evictions'],
  ]);
  byId('engine').replaceChildren(el('div', {class: 'card'}, held.node));
  let packages = '';
  /** @param {CloudStatus} status */
  return (status) => {
    const now = performance.now() / 1e3;
    answers.add(now, rate.of(status.answers.total, now));
    load.add(now, status.load);
    queue.add(now, status.queue);
    engine.add(now, status.answers.last_ms);
    showHealth(status.health);
    held.set({
      answers: count(status.answers.total), sessions: count(status.engine.sessions), memory: bytes(status.engine.bytes),
      hits: count(status.engine.hits), builds: count(status.engine.builds), evictions: count(status.engine.evictions),
    });
    if (packages === (packages = JSON.stringify(status.packages))) return;
    const rows = status.packages.map((each) => ({cells: [
      each.name, bytes(each.weight_bytes), String(each.layers), String(each.cuts), each.digest.replace('sha256:', '').slice(0, 12)]}));
    byId('packages').replaceChildren(rows.length > 0
      ? el('div', {class: 'card'}, table('Loaded packages', ['name', '>weights', '>layers', '>cuts', 'digest'], rows))
      : el('p', {class: 'quiet'}, 'None is loaded: devices send what they need.'));
  };
}
