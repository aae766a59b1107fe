// @ts-check
// What is wrong with the daemon, and what to do about it. The only part of the page that is read out by itself.
import {byId, el, say, showEach} from './dom.js';
import {duration} from './format.js';

/** @typedef {import('./types.d.ts').Condition} Condition */

const WORDS = /** @type {Record<string, string>} */ ({error: 'Error', warning: 'Warning', notice: 'Notice'});
const FINE = {code: '', about: '', severity: 'good', what: 'Nothing is wrong.', do: '', since_s: 0, behind: null};

/** @param {Condition[]} conditions */
export function showHealth(conditions) {
  // What follows from another one is shown in its place.
  const shown = conditions.filter((each) => each.behind === null);
  showEach(byId('health'), shown.length > 0 ? shown : [FINE], (each) => `${each.code} ${each.about} ${each.severity}`, row);
  say(byId('said'), shown.length === 0 ? 'Health: nothing is wrong.' : shown.map((each) => `${title(each)}: ${each.what}`).join(' '));
}

/** @param {Condition} condition */
function title({code, about, severity}) {
  return [WORDS[severity] ?? severity, code, about].filter((part) => part !== '').join(' · ');
}

/** @param {Condition} condition */
function row(condition) {
  const what = el('p'), todo = el('p'), since = el('p', {class: 'quiet'});
  const kind = ['good', 'notice', 'warning', 'error'].includes(condition.severity) ? condition.severity : 'warning';
  const node = el('li', {class: `condition ${kind}`}, what, todo, since);
  return {
    node,
    update(/** @type {Condition} */ now) {
      say(what, now.what);
      say(todo, now.do);
      todo.hidden = now.do === '';
      since.hidden = now.code === '';
      say(since, `${title(now)} · for ${duration(now.since_s)}`);
    },
  };
}
