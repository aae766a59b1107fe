// @ts-check
// Asks the daemon, with the key of who looks. The key stays in this tab and goes to no other address.

const KEY = 'collabd.key';
const PATIENCE_MS = 8000;

/** The daemon wants a key, or another one. */
export class Refused extends Error {}

/** @returns {string} */
export const key = () => sessionStorage.getItem(KEY) ?? '';

/** @param {string} given */
export function keep(given) {
  if (given === '') sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, given);
}

/**
 * @param {string} path below /collab/v1/
 * @returns {Promise<Response>}
 */
async function ask(path) {
  /** @type {Record<string, string>} */
  const headers = key() === '' ? {} : {Authorization: `Bearer ${key()}`};
  const reply = await fetch(`../collab/v1/${path}`, {
    headers, cache: 'no-store', credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (reply.status === 401) throw new Refused('the daemon does not know this key');
  if (!reply.ok) throw new Error(`the daemon answered ${reply.status}`);
  return reply;
}

/**
 * @template T
 * @param {string} path
 * @returns {Promise<T>}
 */
export async function json(path) {
  return (await ask(path)).json();
}

/** @param {string} path */
export async function blob(path) {
  return (await ask(path)).blob();
}

/** What everybody may know. @returns {Promise<import('./types.d.ts').About>} */
export async function about() {
  return (await fetch('about.json', {cache: 'no-store', credentials: 'omit'})).json();
}
