// All frames in one line: thumbnails, the J that is expected of each, which have labels, and which are worth labelling.

import { oncePerFrame } from "./drawing.js";
import * as server from "./server.js";

const PICTURES = 54, CURVE = 40, MARKS = 20, MOST_SHEETS = 48;

export class Strip {
  constructor(canvas, facts, go) {
    Object.assign(this, { draw: oncePerFrame(() => this.drawNow()), canvas, go, sheetSize: facts.sheet });
    this.each = Math.min(4 * PICTURES, Math.max(8, Math.round(facts.width / facts.height * PICTURES))); // width of a thumbnail
    Object.assign(this, { frames: 0, frame: 0, labelled: {}, next: [], expected: [], sheets: new Map() });
    Object.assign(this, { zoom: 1, first: 0 }); // what is seen: frames / zoom of them, from `first` on
    new ResizeObserver(() => this.draw()).observe(canvas);
    let pressed = false;
    const to = (event) => go(this.frameAt(event.clientX - canvas.getBoundingClientRect().left));
    canvas.addEventListener("pointerdown", (event) => { pressed = true; canvas.setPointerCapture(event.pointerId); to(event); });
    canvas.addEventListener("pointermove", (event) => { if (pressed) to(event); });
    canvas.addEventListener("pointerup", () => { pressed = false; });
    canvas.addEventListener("pointercancel", () => { pressed = false; });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  set(values) {
    Object.assign(this, values);
    if ("frame" in values) { // what is worked on stays in sight
      const margin = 0.05 * this.seen;
      this.scroll(Math.min(this.frame - margin, Math.max(this.first, this.frame + 1 + margin - this.seen)));
    }
    this.draw();
  }

  get seen() { return Math.max(1, this.frames) / this.zoom; }
  x(frame) { return (frame + 0.5 - this.first) / this.seen * this.canvas.clientWidth; }
  frameAt(x) {
    return Math.min(this.frames - 1, Math.max(0, Math.floor(this.first + x / this.canvas.clientWidth * this.seen)));
  }

  scroll(first) {
    this.first = Math.max(0, Math.min(this.frames - this.seen, first));
    this.draw();
  }

  // Zooms about the pointer until thumbnails are of neighbours; with Shift, or sideways, scrolls.
  wheel(event) {
    event.preventDefault();
    const sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    const share = (event.clientX - this.canvas.getBoundingClientRect().left) / this.canvas.clientWidth;
    const at = this.first + share * this.seen, most = Math.max(1, this.frames * this.each / this.canvas.clientWidth);
    if (!sideways) this.zoom = Math.min(most, Math.max(1, this.zoom * Math.exp(-event.deltaY / 300)));
    this.scroll(sideways ? this.first + sideways / this.canvas.clientWidth * this.seen : at - share * this.seen);
  }

  // A sheet of thumbnails; while frames still come, the last one is asked for again when it has more. The last used are kept.
  sheet(number) {
    const { across, down } = this.sheetSize, count = Math.min(across * down, this.frames - number * across * down);
    const found = this.sheets.get(number) ?? { count: 0 };
    this.sheets.delete(number);
    this.sheets.set(number, found);
    if (!found.loading && found.count < count) {
      found.loading = true;
      server.sheet(number, count).then((image) => { Object.assign(found, { image, count }); this.draw(); }, () => {})
        .finally(() => { found.loading = false; });
    }
    return found.image;
  }

  drawNow() {
    const { canvas } = this, width = canvas.clientWidth, height = canvas.clientHeight, scale = devicePixelRatio;
    const context = canvas.getContext("2d");
    canvas.width = width * scale;
    canvas.height = height * scale;
    context.scale(scale, scale);
    this.drawPictures(context, width);
    this.drawCurve(context, width);
    this.drawMarks(context);
    context.fillStyle = "#fff";
    context.fillRect(this.x(this.frame) - 1, 0, 2, height);
    context.fillStyle = "#9aa5b5";
    if (this.zoom > 1) context.fillRect(this.first / this.frames * width, height - 3, Math.max(4, width / this.zoom), 3);
  }

  drawPictures(context, width) {
    const { each, sheetSize: { across, down } } = this, step = this.seen * each / width;
    for (let at = Math.floor(this.first / step); at * step < Math.min(this.frames, this.first + this.seen); at++) {
      const frame = Math.min(this.frames - 1, Math.floor((at + 0.5) * step)), place = frame % (across * down);
      const image = this.sheet(Math.floor(frame / (across * down))), x = (at * step - this.first) / step * each;
      if (!image) continue;
      const wide = image.width / across, high = image.height / down;
      context.drawImage(image, place % across * wide, Math.floor(place / across) * high, wide, high, x, 0, each, PICTURES);
    }
    while (this.sheets.size > Math.max(MOST_SHEETS, 2 * width / each)) this.sheets.delete(this.sheets.keys().next().value);
  }

  // The least J of the frames that share a pixel: what is bad must not vanish between others.
  drawCurve(context, width) {
    context.fillStyle = "#14181f";
    context.fillRect(0, PICTURES, width, CURVE);
    if (!this.expected.length) return;
    for (let x = 0; x < width; x++) {
      const first = this.frameAt(x), last = Math.max(first + 1, this.frameAt(x + 1));
      const J = Math.min(...this.expected.slice(first, last)), high = Math.max(1, J * (CURVE - 2));
      context.fillStyle = `hsl(${130 * Math.max(0, J - 0.4) / 0.6} 65% 48%)`;
      context.fillRect(x, PICTURES + CURVE - high, 1, high);
    }
  }

  drawMarks(context) {
    const top = PICTURES + CURVE + 2;
    context.fillStyle = "#5aa9ff";
    for (const frame of Object.keys(this.labelled)) context.fillRect(this.x(Number(frame)) - 3, top, 6, MARKS - 8);
    context.strokeStyle = "#ffd166";
    context.lineWidth = 2;
    for (const frame of this.next) context.strokeRect(this.x(frame) - 4, top + 1, 8, 8);
  }
}
