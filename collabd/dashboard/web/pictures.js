// @ts-check
// The last pictures of calls, where the daemon is told to show them.
import {blob, json} from './asking.js';
import {byId, el, say, showEach} from './dom.js';
import {ago, percent} from './format.js';

/** @typedef {import('./types.d.ts').Picture} Picture */

let shown = true;

export async function showPictures() {
  if (!shown) return;
  const report = /** @type {import('./types.d.ts').Pictures} */ (await json('pictures'));
  shown = report.shown;
  say(byId('pictures-note'), !shown ? 'They are not shown: `pictures = true` in the settings of this door would show them.'
    : report.pictures.length > 0 ? 'They are kept in memory alone, only while somebody looks.' : 'None has come since you look.');
  showEach(byId('pictures'), report.pictures, (each) => String(each.id), item);
}

/** @param {Picture} picture */
function item(picture) {
  const canvas = /** @type {HTMLCanvasElement} */ (el('canvas', {role: 'img', 'aria-label': described(picture)}));
  const age = el('span', {class: 'quiet'});
  const name = picture.stream === '' ? picture.model : `${picture.model} · ${picture.stream}`;
  const caption = el('figcaption', {}, el('strong', {}, picture.answer), el('br'), `${name} · `, age);
  draw(canvas, picture).catch(() => say(age, 'gone'));
  return {node: el('li', {}, el('figure', {}, canvas, caption)), update: (/** @type {Picture} */ now) => say(age, ago(now.age_s))};
}

/** @param {Picture} picture */
function described({boxes, answer}) {
  const found = boxes.map((box) => `${box.label} ${percent(box.score)}`).join(', ');
  return `Picture of a call. ${found === '' ? answer : `Boxes: ${found}`}`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Picture} picture
 */
async function draw(canvas, picture) {
  const image = await createImageBitmap(await blob(`pictures/${picture.id}`));
  // Twice as large, so that letters are sharp.
  [canvas.width, canvas.height] = [image.width * 2, image.height * 2];
  const pen = canvas.getContext('2d');
  if (pen === null) return;
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  // On the screen it is a third as large.
  const letters = Math.round(canvas.width / 19), high = letters + 6;
  pen.font = `600 ${letters}px system-ui, sans-serif`;
  pen.textBaseline = 'top';
  for (const box of [...picture.boxes].reverse()) {
    const [x, y] = [box.x1 * canvas.width, box.y1 * canvas.height];
    const label = `${box.label} ${percent(box.score)}`;
    pen.lineWidth = 6;
    pen.strokeStyle = '#000';
    pen.strokeRect(x, y, box.x2 * canvas.width - x, box.y2 * canvas.height - y);
    pen.lineWidth = 3;
    pen.strokeStyle = '#ffd08a';
    pen.strokeRect(x, y, box.x2 * canvas.width - x, box.y2 * canvas.height - y);
    const width = pen.measureText(label).width + 8, at = Math.max(y - high, 0);
    pen.fillStyle = '#000';
    pen.fillRect(Math.min(x, canvas.width - width), at, width, high);
    pen.fillStyle = '#ffd08a';
    pen.fillText(label, Math.min(x, canvas.width - width) + 4, at + 3);
  }
}
