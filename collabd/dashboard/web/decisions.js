// @ts-check
// The last decisions, each with what else was considered and why it was not taken.
import {json} from './asking.js';
import {byId, el, showEach, table} from './dom.js';
import {ago, ms, percent, price, quantity} from './format.js';
import {TAKEN, short, verdict} from './plans.js';

/** @typedef {import('./types.d.ts').Decision} Decision */

const LAST = 5;
// A network with a pair in two precisions has hundreds.
const MOST = 40;

export async function showDecisions() {
  const place = byId('decisions');
  // It would be taken away from under whoever reads it.
  if (place.querySelector('details[open]') !== null) return;
  const report = await json(`explain?last=${LAST}`);
  const decisions = /** @type {Decision[]} */ (report.decisions);
  if (decisions.length > 0) showEach(place, decisions, (each) => JSON.stringify([each.model, each.measured_ms, each.predicted_ms]), row);
  else showEach(place, ['none'], (each) => each, () => ({node: el('p', {class: 'quiet'}, 'None yet.'), update: () => {}}));
}

/** @param {Decision} decision */
function row(decision) {
  const flags = [decision.degraded ? 'degraded' : '', decision.budget_met ? '' : 'budget missed'].filter((flag) => flag !== '');
  const head = el('summary', {}, `${decision.model}: ${decision.answer}`);
  const said = el('span', {class: 'quiet'});
  head.append(said);
  const node = el('details', {}, head);
  let filled = false;
  node.addEventListener('toggle', () => {
    if (!filled) node.append(...content(decision));
    filled = true;
  });
  return {
    node,
    update(/** @type {Decision} */ now) {
      const took = `${ms(now.measured_ms)}, predicted ${ms(now.predicted_ms)}`;
      said.textContent = [ago(now.age_s), now.budget === '' ? 'no caps' : now.budget, short(now), took, ...flags].join(' · ');
    },
  };
}

/**
 * @param {Decision} decision
 * @returns {HTMLElement[]}
 */
function content(decision) {
  const why = decision.why === '' ? [] : [el('p', {}, decision.why)];
  const reason = el('p', {}, `${decision.reason}: ${verdict(decision.reason).replace(/^chosen: /, '')}`);
  if (decision.candidates.length === 0) return [reason, ...why];
  const best = [...decision.candidates].sort((a, b) =>
    Number(TAKEN.has(b.verdict)) - Number(TAKEN.has(a.verdict)) || a.predicted_ms - b.predicted_ms);
  const rows = best.slice(0, MOST).map((each) => ({
    taken: TAKEN.has(each.verdict),
    cells: [
      each.cloud === null ? 'on the device' : each.cut, each.codec,
      each.cascade === null ? each.precision : `${each.precision}, ${each.cascade} little`, each.cloud ?? '',
      ms(each.predicted_ms), ms(each.deadline_ms), quantity(each.energy_mj, 'mJ'), price(each.cost), percent(each.fidelity, 1),
      TAKEN.has(each.verdict) ? verdict(each.verdict) : `${each.verdict}: ${verdict(each.verdict)}`,
    ],
  }));
  const all = best.length > MOST ? `The best ${MOST} of ${best.length} candidates` : `${best.length} candidates`;
  const heads = ['cut', 'codec', 'precision', 'companion', '>predicted', '>safe', '>energy', '>cost', '>fidelity', 'why'];
  return [reason, ...why, table(`${all}, the fastest first`, heads, rows)];
}
