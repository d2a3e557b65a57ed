// The frame that is worked on: its picture, its labels in colours on top, zoom, tools, undo.

import * as drawing from "./drawing.js";

const MOST_UNDO = 100, LARGEST_ZOOM = 40;
const colour = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

export class Stage {
  // changed(): a stroke has ended, and labels are others than before.
  constructor(canvas, width, height, changed) {
    Object.assign(this, { canvas, width, height, changed, draw: drawing.oncePerFrame(() => this.drawNow()) });
    this.labels = new Uint8Array(width * height);
    this.predicted = false; // whether the labels are a mask that nobody has accepted
    this.tool = "brush";
    this.object = 1;
    this.radius = 12;
    this.shown = true;
    this.colours = new Map();
    this.layer = new OffscreenCanvas(width, height);
    this.undone = [];
    this.done = [];
    this.corners = [];
    this.pointer = null;
    this.resize(); // the pointer may come before the observer's first call
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("dblclick", () => this.closePolygon());
    canvas.addEventListener("wheel", (event) => this.zoom(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  get busy() { return this.stroke !== undefined || this.corners.length > 0; }
  // A frame that is still on its way cannot be drawn on.
  get ready() { return this.canvas.ariaBusy === "false"; }
  set ready(value) { this.canvas.ariaBusy = String(!value); }
  get label() { return this.tool === "eraser" ? 0 : this.object; }

  // Another frame, or other labels of this one. What was undone belongs to the old ones.
  show(picture, labels, predicted) {
    if (picture) this.picture = picture;
    this.labels = labels;
    this.predicted = predicted;
    this.done = [];
    this.undone = [];
    this.corners = [];
    this.stroke = undefined;
    this.paint();
  }

  setColours(objects) {
    this.colours = new Map(objects.map((each) => [each.id, colour(each.colour)]));
    this.paint();
  }

  // Draws a rectangle of the labels in colours; contours are opaque.
  paint(box = { left: 0, top: 0, right: this.width, bottom: this.height }) {
    const { labels, width, height } = this;
    const left = Math.max(0, box.left - 1), top = Math.max(0, box.top - 1);
    const right = Math.min(width, box.right + 1), bottom = Math.min(height, box.bottom + 1);
    const image = new ImageData(right - left, bottom - top), strength = this.predicted ? 70 : 115;
    for (let y = top, at = 0; y < bottom; y++) {
      for (let x = left; x < right; x++, at += 4) {
        const place = y * width + x, label = labels[place];
        if (!label) continue;
        const edge = (x > 0 && labels[place - 1] !== label) || (x + 1 < width && labels[place + 1] !== label)
          || (y > 0 && labels[place - width] !== label) || (y + 1 < height && labels[place + width] !== label);
        const [red, green, blue] = label === drawing.UNKNOWN ? [128, 128, 128] : this.colours.get(label) ?? [255, 255, 255];
        image.data[at] = red;
        image.data[at + 1] = green;
        image.data[at + 2] = blue;
        image.data[at + 3] = edge && !(this.predicted && (x + y) % 6 < 3) ? 255 : strength;
      }
    }
    this.layer.getContext("2d").putImageData(image, left, top);
    this.draw();
  }

  drawNow() {
    const { canvas, view } = this, context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(view.scale, 0, 0, view.scale, view.x, view.y);
    context.imageSmoothingEnabled = view.scale < 4;
    if (this.picture) context.drawImage(this.picture, 0, 0, this.width, this.height);
    if (this.shown) context.drawImage(this.layer, 0, 0);
    context.lineWidth = 1.5 * devicePixelRatio / view.scale;
    context.strokeStyle = "#fff";
    if (this.corners.length) {
      context.beginPath();
      for (const point of this.pointer ? [...this.corners, this.pointer] : this.corners) context.lineTo(point.x, point.y);
      context.stroke();
    }
    if (this.pointer && (this.tool === "brush" || this.tool === "eraser")) {
      context.beginPath();
      context.arc(this.pointer.x, this.pointer.y, this.radius, 0, 7);
      context.stroke();
    }
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    this.canvas.width = Math.max(1, clientWidth * devicePixelRatio);
    this.canvas.height = Math.max(1, clientHeight * devicePixelRatio);
    this.fit();
  }

  // The whole frame in the middle. view: canvas = scale * frame + (x, y).
  fit() {
    const { width, height } = this.canvas, scale = 0.98 * Math.min(width / this.width, height / this.height);
    this.view = { scale, x: (width - scale * this.width) / 2, y: (height - scale * this.height) / 2 };
    this.draw();
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), { scale, x, y } = this.view;
    return {
      x: ((event.clientX - box.left) * devicePixelRatio - x) / scale, y: ((event.clientY - box.top) * devicePixelRatio - y) / scale,
    };
  }

  zoom(event) {
    event.preventDefault();
    const at = this.at(event), scale = Math.min(LARGEST_ZOOM, Math.max(0.05, this.view.scale * Math.exp(-event.deltaY / 400)));
    const moved = scale - this.view.scale;
    this.view = { scale, x: this.view.x - moved * at.x, y: this.view.y - moved * at.y };
    this.draw();
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (event.button === 1 || this.panning) {
      this.dragged = { x: event.clientX, y: event.clientY };
      return;
    }
    if (event.button || !this.ready) return;
    const at = this.at(event);
    if (this.tool === "polygon") {
      this.corners.push(at);
      this.draw();
    } else if (this.tool === "fill") {
      this.edit(() => drawing.fill(this.labels, this.width, this.height, at, this.object));
    } else {
      this.stroke = { before: this.labels.slice(), box: null, last: at };
      this.line(at);
    }
  }

  move(event) {
    if (this.dragged) {
      this.view.x += (event.clientX - this.dragged.x) * devicePixelRatio;
      this.view.y += (event.clientY - this.dragged.y) * devicePixelRatio;
      this.dragged = { x: event.clientX, y: event.clientY };
    }
    for (const each of event.getCoalescedEvents?.() ?? [event]) if (this.stroke) this.line(this.at(each));
    this.pointer = this.at(event);
    this.draw();
  }

  release() {
    this.dragged = null;
    if (!this.stroke) return;
    const { before, box } = this.stroke;
    this.stroke = undefined;
    this.keep(before, box);
  }

  line(to) {
    const box = drawing.stroke(this.labels, this.width, this.height, this.stroke.last, to, this.radius, this.label);
    this.stroke.last = to;
    this.stroke.box = drawing.union(this.stroke.box, box);
    if (box) this.paint(box);
  }

  closePolygon() {
    const corners = this.corners;
    this.corners = [];
    this.edit(() => drawing.polygon(this.labels, this.width, this.height, corners, this.object));
    this.draw();
  }

  giveUp() {
    this.corners = [];
    this.draw();
  }

  // Changes the labels by a function that returns the rectangle it changed.
  edit(change) {
    if (!this.ready) return;
    const before = this.labels.slice(), box = change();
    if (box) this.keep(before, box);
  }

  // Takes over other labels, so that this can be undone.
  replace(labels) {
    const box = drawing.difference(this.labels, labels, this.width, this.height);
    if (!box) return;
    const before = this.labels;
    this.labels = labels;
    this.keep(before, box);
  }

  keep(before, box) {
    if (!box) return;
    this.done = [...this.done, drawing.cut(before, this.width, box)].slice(-MOST_UNDO);
    this.undone = [];
    const whole = this.predicted; // from now on these are labels, drawn as such
    this.predicted = false;
    this.paint(whole ? undefined : box);
    this.changed();
  }

  undo() { this.swap(this.done, this.undone); }
  redo() { this.swap(this.undone, this.done); }

  swap(from, to) {
    const piece = this.ready && !this.stroke && from.pop();
    if (!piece) return;
    to.push(drawing.cut(this.labels, this.width, piece.box));
    drawing.paste(this.labels, this.width, piece);
    this.paint(piece.box);
    this.changed();
  }
}
