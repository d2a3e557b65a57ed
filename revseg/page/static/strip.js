// All frames in one line: thumbnails, the J that is expected of each, which have labels, and which are worth labelling.

import { oncePerFrame } from "./drawing.js";
import * as server from "./server.js";

const PICTURES = 54, CURVE = 40, MARKS = 20;

export class Strip {
  constructor(canvas, facts, go) {
    Object.assign(this, { draw: oncePerFrame(() => this.drawNow()), canvas, go, sheetSize: facts.sheet, ratio: facts.width / facts.height });
    Object.assign(this, { frames: 0, frame: 0, labelled: {}, next: [], expected: [], sheets: new Map() });
    new ResizeObserver(() => this.draw()).observe(canvas);
    let pressed = false;
    const to = (event) => go(this.frameAt(event.clientX - canvas.getBoundingClientRect().left));
    canvas.addEventListener("pointerdown", (event) => { pressed = true; canvas.setPointerCapture(event.pointerId); to(event); });
    canvas.addEventListener("pointermove", (event) => { if (pressed) to(event); });
    canvas.addEventListener("pointerup", () => { pressed = false; });
    canvas.addEventListener("pointercancel", () => { pressed = false; });
  }

  set(values) {
    Object.assign(this, values);
    this.draw();
  }

  x(frame) { return (frame + 0.5) / Math.max(1, this.frames) * this.canvas.clientWidth; }
  frameAt(x) { return Math.min(this.frames - 1, Math.max(0, Math.floor(x / this.canvas.clientWidth * this.frames))); }

  // A sheet of thumbnails; while frames still come, the last one is asked for again when it has more.
  sheet(number) {
    const { across, down } = this.sheetSize, count = Math.min(across * down, this.frames - number * across * down);
    const found = this.sheets.get(number);
    if (!found?.loading && (found?.count ?? 0) < count) {
      this.sheets.set(number, { ...found, loading: true });
      server.sheet(number, count).then(
        (image) => { this.sheets.set(number, { image, count }); this.draw(); },
        () => this.sheets.set(number, { ...found, loading: false }),
      );
    }
    return found?.image;
  }

  drawNow() {
    const { canvas } = this, width = canvas.clientWidth, scale = devicePixelRatio, context = canvas.getContext("2d");
    canvas.width = width * scale;
    canvas.height = canvas.clientHeight * scale;
    context.scale(scale, scale);
    this.drawPictures(context, width);
    this.drawCurve(context, width);
    this.drawMarks(context);
    context.fillStyle = "#fff";
    context.fillRect(this.x(this.frame) - 1, 0, 2, canvas.clientHeight);
  }

  drawPictures(context, width) {
    const { across, down } = this.sheetSize, each = Math.min(4 * PICTURES, Math.max(8, Math.round(this.ratio * PICTURES)));
    for (let x = 0; x < width && this.frames; x += each) {
      const frame = this.frameAt(Math.min(x + each / 2, width - 1)), number = Math.floor(frame / (across * down));
      const image = this.sheet(number), place = frame % (across * down);
      if (!image) continue;
      const wide = image.width / across, high = image.height / down;
      context.drawImage(image, place % across * wide, Math.floor(place / across) * high, wide, high, x, 0, each, PICTURES);
    }
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
