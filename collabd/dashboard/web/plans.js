// @ts-check
// Plans and verdicts in words.

const VERDICTS = /** @type {Record<string, string>} */ ({
  chosen: 'chosen: it fits, and is the best on the objective',
  explored: 'chosen as a trial, because it looked too slow',
  kept: 'chosen again: the best plan gains too little',
  nearest: 'chosen: none fits, this one most likely keeps the caps',
  fixed: 'the call itself stated the cut or the placement',
  worse: 'fits, but another plan is better on the objective',
  'not-worth-a-switch': 'better than the plan that was kept, but not by enough',
  'over-latency': 'would take longer than the budget allows',
  'over-energy': 'would take more energy than the budget allows',
  'over-cost': 'would cost more than the budget allows',
  'below-fidelity': "would give the unsplit network's answer too rarely",
  busy: 'the companion has asked to be left alone for a moment',
  impossible: 'the companion is down or lacks the model',
  'not-allowed': "pins, never-leave or the call's codec exclude it",
});
export const TAKEN = new Set(['chosen', 'explored', 'kept', 'nearest']);

/** @param {string} word */
export const verdict = (word) => VERDICTS[word] ?? word;

/** What a kind of plan is called, where it is counted. */
export const KINDS = /** @type {Record<string, string>} */ ({
  split: 'split', image: 'picture sent', local: 'on the device', little: 'little network', inherited: 'inherited',
});

/** @param {string} codec */
const sentAs = (codec) => (codec === 'source' ? 'as it came' : `as ${codec}`);

/**
 * What was done for the last call of a stream.
 * @param {import('./types.d.ts').Stream} stream
 */
export function planOf(stream) {
  const companion = stream.cloud ?? 'a companion';
  switch (stream.kind) {
    case 'split':
      return /^[DC]+$/.test(stream.cut)
        ? `Split in several places with ${companion}, features as ${stream.codec}, ${stream.precision}`
        : `Split behind ${stream.cut}: ${stream.head_layers} of ${stream.layers} layers here, the others on ${companion}, ` +
          `features as ${stream.codec}, ${stream.precision}`;
    case 'image':
      return `Picture sent ${sentAs(stream.codec)} to ${companion}, which ran all ${stream.layers} layers, ${stream.precision}`;
    case 'local':
      return `All ${stream.layers} layers on this device, ${stream.precision}` +
        (stream.cloud === null ? '' : `; ${stream.cloud} was asked too, and came too late`);
    case 'little': return 'A little network was sure, and answered';
    case 'inherited': return 'The picture had not changed: the last answer was given again';
    default: return stream.kind;
  }
}

/**
 * Where a plan of a decision runs.
 * @param {{cut: string, codec: string, cloud: string | null}} plan
 */
export function short(plan) {
  if (plan.cloud === null) return plan.cut === 'inherit' ? 'inherited' : 'on the device';
  return plan.cut === 'image' ? `picture ${sentAs(plan.codec)} to ${plan.cloud}` : `${plan.cut} as ${plan.codec} to ${plan.cloud}`;
}
