// @ts-check
// A card for each model and stream: its plan, its network with the cut, and what its calls took.
import {json} from './asking.js';
import {Chart} from './chart.js';
import {byId, el, facts, say, showEach} from './dom.js';
import {ago, bytes, count, digits, energy, percent, price} from './format.js';
import {Network, layerTable, placementOf} from './network.js';
import {KINDS, planOf} from './plans.js';

/** @typedef {import('./types.d.ts').Stream} Stream */

// A page is no place for hundreds.
const MOST = 12;

/** @type {Map<string, Promise<import('./types.d.ts').Layer[]>>} */
const networks = new Map();

/** @param {string} model */
function layersOf(model) {
  const known = networks.get(model);
  if (known !== undefined) return known;
  const asked = json(`models/${encodeURIComponent(model)}`).then((/** @type {import('./types.d.ts').Layers} */ report) => {
    // A model that is put away does not tell how its layers hang together: ask again for the next card.
    if (report.layers.some((layer) => layer.inputs === null)) networks.delete(model);
    return report.layers;
  });
  asked.catch(() => networks.delete(model));
  networks.set(model, asked);
  return asked;
}

/** @param {import('./types.d.ts').DeviceStatus} status */
export function showStreams(status) {
  const place = byId('streams');
  if (status.streams.length === 0) {
    const models = status.models.map((model) => model.name).join(', ') || 'none is loaded';
    showEach(place, [models], (text) => `none ${text}`, (text) =>
      ({node: el('p', {class: 'quiet'}, `No call has come yet. Models: ${text}.`), update: () => {}}));
    return;
  }
  // In a steady order, so that cards stay where they are while calls come.
  const shown = status.streams.slice(0, MOST).sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1);
  showEach(place, shown, keyOf, card);
}

/** @param {Stream} stream */
const keyOf = ({model, stream}) => JSON.stringify([model, stream]);

/** @param {Stream} first */
function card(first) {
  const plan = el('p', {class: 'plan'}), last = el('span', {class: 'quiet'}), graph = el('div');
  const chart = new Chart({title: 'Latency, ms', names: ['measured', 'predicted'], text: digits, dots: true, level: 'h4'});
  const taken = facts([
    ['Calls', 'calls'], ['Degraded', 'degraded'], ['Failed', 'failed'], ['Budget missed', 'missed'],
    ['Sent a call', 'up'], ['Received a call', 'down'], ['Energy a call', 'energy'], ['Energy in all', 'joules'],
    ['Cost in all', 'cost'],
  ], [['Answered by', 'kinds'], ['Fidelity of the plan', 'fidelity']]);
  const name = first.stream === '' ? first.model : `${first.model} · ${first.stream}`;
  const table = el('div'), more = el('details', {}, el('summary', {}, 'Layers'), table);
  const node = el('article', {class: 'card', 'aria-label': name},
    el('header', {}, el('h3', {}, name), last), plan, graph, el('div', {class: 'chart-row'}, chart.node), taken.node, more);
  /** @type {Network | null} */
  let network = null;
  let latest = first, calls = -1;
  const drawTable = () => {
    if (network === null || !(/** @type {HTMLDetailsElement} */ (more).open)) return;
    table.replaceChildren(layerTable(network.layers, placementOf(latest, network.layers.length), latest.cloud ?? ''));
  };
  more.addEventListener('toggle', drawTable);
  layersOf(first.model).then((layers) => {
    network = new Network(layers);
    graph.replaceChildren(network.node);
    drawNetwork();
  }, () => say(graph, 'The network cannot be shown now.'));
  const drawNetwork = () => {
    if (network === null) return;
    const cut = latest.kind === 'split' && network.layers.length !== latest.cut.length ? `The cut is behind ${latest.cut}.` : '';
    network.show(placementOf(latest, network.layers.length), latest.cloud ?? '', cut);
  };
  return {
    node,
    update(/** @type {Stream} */ stream) {
      const moved = planOf(stream) !== planOf(latest);
      latest = stream;
      say(plan, planOf(stream));
      say(last, ago(stream.age_s));
      const isNew = stream.calls !== calls;
      calls = stream.calls;
      chart.add(performance.now() / 1e3, isNew ? stream.measured_ms : null, isNew ? stream.predicted_ms : null);
      const each = Math.max(stream.calls, 1);
      taken.set({
        calls: count(stream.calls),
        kinds: Object.entries(stream.kinds).sort((a, b) => b[1] - a[1]).map(([kind, some]) => `${KINDS[kind] ?? kind} ${count(some)}`).join(', '),
        degraded: count(stream.degraded), failed: count(stream.failed), missed: count(stream.missed),
        up: bytes(stream.bytes_up / each), down: bytes(stream.bytes_down / each),
        energy: energy(stream.energy_mj / each), joules: energy(stream.energy_mj), cost: price(stream.cost),
        fidelity: fidelity(stream),
      });
      drawNetwork();
      if (moved) drawTable();
    },
  };
}

/** @param {Stream} stream */
function fidelity({fidelity: promised, fidelity_pictures: pictures}) {
  if (promised === null) return 'not counted';
  return pictures === null ? percent(promised, 1) : `${percent(promised, 1)}, by ${count(pictures)} pictures`;
}

