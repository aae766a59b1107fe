// @ts-check
// Starts the page: asks for a key where one is needed, and then looks at the daemon about once a second.
import {Refused, about, json, keep, key} from './asking.js';
import {companion, device} from './daemons.js';
import {showDecisions} from './decisions.js';
import {byId, say} from './dom.js';
import {duration} from './format.js';
import {showPictures} from './pictures.js';

const LOOK_MS = 1000, HIDDEN_MS = 15_000, AFTER_FAILURE_MS = 3000;
// Decisions take the daemon longer to tell, and pictures come every two seconds.
const DECISIONS_EVERY_MS = 5000, PICTURES_EVERY_MS = 2000;

let answeredAt = performance.now();

/** @param {string} text @param {string} kind */
function state(text, kind) {
  say(byId('state'), text);
  byId('state').setAttribute('class', kind);
}

/** A key, once somebody has given one. @param {string} refused @returns {Promise<void>} */
function asked(refused) {
  const form = byId('ask'), field = /** @type {HTMLInputElement} */ (byId('key'));
  byId('shown').hidden = true;
  byId('forget').hidden = true;
  form.hidden = false;
  say(byId('refused'), refused);
  state('a key is needed', 'starting');
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      keep(field.value.trim());
      field.value = '';
      form.hidden = true;
      resolve();
    }, {once: true});
  });
}

/**
 * Wait, until somebody looks at the page again at the latest.
 * @param {number} time ms
 * @param {(done: () => void) => void} [before] gets what ends the wait
 */
function pause(time, before) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      resolve(undefined);
    };
    const seen = () => document.visibilityState === 'visible' && done();
    const timer = setTimeout(done, time);
    document.addEventListener('visibilitychange', seen);
    before?.(done);
  });
}

/**
 * What costs the daemon something is asked for only while it is on the screen, and then now and then.
 * @param {string} id of the section's part that is watched
 * @param {number} every ms
 * @param {() => Promise<void>} show
 * @param {() => void} appeared
 */
function whileSeen(id, every, show, appeared) {
  let isSeen = false, next = 0;
  new IntersectionObserver((entries) => {
    isSeen = entries.at(-1)?.isIntersecting ?? false;
    if (isSeen) appeared();
  }, {rootMargin: '100px'}).observe(/** @type {Element} */ (byId(id).parentElement));
  return async () => {
    if (!isSeen || performance.now() < next) return;
    next = performance.now() + every;
    await show();
  };
}

/** @param {import('./types.d.ts').About} viewed */
async function look(viewed) {
  const isDevice = viewed.daemon === 'collabd';
  const show = isDevice ? device() : companion();
  let wake = () => {};
  const now = () => wake();
  const seldom = isDevice ? [
    whileSeen('decisions', DECISIONS_EVERY_MS, showDecisions, now), whileSeen('pictures', PICTURES_EVERY_MS, showPictures, now),
  ] : [];
  for (;;) {
    const isSeen = document.visibilityState === 'visible';
    try {
      const status = await json('status');
      byId('shown').hidden = false;
      byId('forget').hidden = key() === '';
      show(status);
      say(byId('about'), `${status.version}, up for ${duration(status.uptime_s)}`);
      if (isSeen) for (const each of seldom) await each();
      answeredAt = performance.now();
      state('live', '');
      await pause(isSeen ? LOOK_MS : HIDDEN_MS, (done) => { wake = done; });
    } catch (error) {
      if (error instanceof Refused) {
        const given = key() !== '';
        keep('');
        await asked(given ? 'This key is not accepted. Is it one of this daemon?' : '');
      } else {
        state(`no answer for ${duration((performance.now() - answeredAt) / 1e3)}`, 'late');
        await pause(AFTER_FAILURE_MS);
      }
    }
  }
}

async function start() {
  const viewed = await about();
  const isDevice = viewed.daemon === 'collabd';
  say(byId('name'), viewed.daemon);
  document.title = `${viewed.daemon} on ${location.hostname}`;
  say(byId('whose'), isDevice ? 'On the device, collabctl doors key NAME makes one.' : 'It is one of those that collabctl pair new makes.');
  for (const section of document.querySelectorAll('[data-of]')) {
    /** @type {HTMLElement} */ (section).hidden = section.getAttribute('data-of') !== viewed.daemon;
  }
  byId('forget').addEventListener('click', () => {
    keep('');
    location.reload();
  });
  if (viewed.keys && key() === '') await asked('');
  await look(viewed);
}

start().catch((error) => state(`the page does not work: ${error}`, 'late'));
