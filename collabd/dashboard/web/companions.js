// @ts-check
// A card for each companion: its link, its load, and whether calls go there.
import {Chart} from './chart.js';
import {byId, el, facts, say, showEach} from './dom.js';
import {digits, ms, percent} from './format.js';

/** @typedef {import('./types.d.ts').Companion} Companion */

const STATES = /** @type {Record<string, string>} */ ({up: 'good', busy: 'warning', down: 'error', unknown: 'notice'});
const BREAKERS = /** @type {Record<string, string>} */ ({
  closed: 'closed: calls go there', open: 'open: it failed, and is left alone for a while',
  'half-open': 'half open: one probe decides',
});

/** @param {Companion[]} companions */
export function showCompanions(companions) {
  const place = byId('companions');
  if (companions.length > 0) showEach(place, companions, (each) => each.name, card);
  else showEach(place, ['none'], (each) => each, () =>
    ({node: el('p', {class: 'quiet'}, 'None is configured: everything runs on this device.'), update: () => {}}));
}

/** @param {Companion} first */
function card(first) {
  const state = el('span'), problem = el('p', {class: 'error'});
  const rate = new Chart({title: 'Link, Mbit/s', names: ['up', 'down'], text: digits, level: 'h4'});
  const trip = new Chart({title: 'Round trip', text: ms, level: 'h4'});
  const known = facts([
    ['CPU load', 'load'], ['Queue', 'queue'], ['Takes for a tail', 'speed'], ['Packages', 'packages'],
  ], [['Breaker', 'breaker'], ['Address', 'url'], ['Lacks', 'lacks']]);
  const node = el('article', {class: 'card', 'aria-label': first.name},
    el('header', {}, el('h3', {}, first.name), state), problem, el('div', {class: 'chart-row'}, rate.node, trip.node), known.node);
  return {
    node,
    update(/** @type {Companion} */ now) {
      say(state, now.state);
      state.setAttribute('class', `badge ${STATES[now.state] ?? 'warning'}`);
      problem.hidden = now.problem === null;
      say(problem, now.problem ?? '');
      const at = performance.now() / 1e3;
      rate.add(at, now.up_mbps, now.down_mbps);
      trip.add(at, now.rtt_ms);
      known.set({
        url: now.found_at === null ? now.url : `${now.url}, found at ${now.found_at}`,
        load: percent(now.load), queue: ms(now.queue_ms), breaker: BREAKERS[now.breaker] ?? now.breaker,
        speed: now.speed_factor === null ? '' : `${digits(now.speed_factor)} times as long as profiled`,
        packages: String(now.packages.length), lacks: Object.values(now.lacks).join('; '),
      });
    },
  };
}
