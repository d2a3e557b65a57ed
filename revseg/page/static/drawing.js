// Painting on labels: bytes, one for each pixel of a frame, row by row. Every function returns the rectangle that it changed,
// {left, top, right, bottom} (right and bottom outside), or null.

export const UNKNOWN = 255;

function clipped(rectangle, width, height) {
  const found = {
    left: Math.max(0, Math.floor(rectangle.left)), top: Math.max(0, Math.floor(rectangle.top)),
    right: Math.min(width, Math.ceil(rectangle.right)), bottom: Math.min(height, Math.ceil(rectangle.bottom)),
  };
  return found.left < found.right && found.top < found.bottom ? found : null;
}

export function union(one, other) {
  if (!one || !other) return one ?? other;
  return {
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
  };
}

// A line with round ends, from one point to another. Pixel (x, y) has its centre at (x + 0.5, y + 0.5).
export function stroke(labels, width, height, from, to, radius, label) {
  const box = clipped({
    left: Math.min(from.x, to.x) - radius, top: Math.min(from.y, to.y) - radius,
    right: Math.max(from.x, to.x) + radius + 1, bottom: Math.max(from.y, to.y) + radius + 1,
  }, width, height);
  if (!box) return null;
  const dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy;
  const reach = Math.max(radius, 0.5) ** 2;
  for (let y = box.top; y < box.bottom; y++) {
    for (let x = box.left; x < box.right; x++) {
      const px = x + 0.5 - from.x, py = y + 0.5 - from.y;
      const along = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
      if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= reach) labels[y * width + x] = label;
    }
  }
  return box;
}

// The inside of a polygon by the even-odd rule.
export function polygon(labels, width, height, points, label) {
  const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
  const box = clipped({ left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs) + 1, bottom: Math.max(...ys) + 1 },
    width, height);
  if (!box || points.length < 3) return null;
  for (let y = box.top; y < box.bottom; y++) {
    const middle = y + 0.5, crossings = [];
    points.forEach((a, index) => {
      const b = points[(index + 1) % points.length];
      if ((a.y <= middle) !== (b.y <= middle)) crossings.push(a.x + (middle - a.y) / (b.y - a.y) * (b.x - a.x));
    });
    crossings.sort((a, b) => a - b);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const start = Math.max(0, Math.ceil(crossings[pair] - 0.5)), end = Math.min(width, Math.ceil(crossings[pair + 1] - 0.5));
      if (start < end) labels.fill(label, y * width + start, y * width + end);
    }
  }
  return box;
}

// The connected area of one label around a point.
export function fill(labels, width, height, at, label) {
  const x0 = Math.floor(at.x), y0 = Math.floor(at.y);
  if (x0 < 0 || y0 < 0 || x0 >= width || y0 >= height) return null;
  const old = labels[y0 * width + x0];
  if (old === label) return null;
  const box = { left: x0, top: y0, right: x0 + 1, bottom: y0 + 1 }, waiting = [y0 * width + x0];
  while (waiting.length) {
    const start = waiting.pop(), y = Math.floor(start / width);
    if (labels[start] !== old) continue;
    let left = start, right = start + 1;
    while (left > y * width && labels[left - 1] === old) left--;
    while (right < (y + 1) * width && labels[right] === old) right++;
    labels.fill(label, left, right);
    for (const row of [y - 1, y + 1]) {
      if (row < 0 || row >= height) continue;
      for (let place = left + (row - y) * width; place < right + (row - y) * width; place++) {
        if (labels[place] === old) waiting.push(place);
      }
    }
    box.left = Math.min(box.left, left - y * width);
    box.right = Math.max(box.right, right - y * width);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
  }
  return box;
}

// Draws with the browser's next frame, however often it is asked for until then.
export function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

// What undo needs: the bytes of a rectangle.
export function cut(labels, width, box) {
  const rows = [];
  for (let y = box.top; y < box.bottom; y++) rows.push(labels.slice(y * width + box.left, y * width + box.right));
  return { box, rows };
}

export function paste(labels, width, piece) {
  piece.rows.forEach((row, index) => labels.set(row, (piece.box.top + index) * width + piece.box.left));
}

// The rectangle in which two labellings differ.
export function difference(one, other, width, height) {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let place = 0; place < one.length; place++) {
    if (one[place] === other[place]) continue;
    const y = Math.floor(place / width), x = place - y * width;
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
  }
  return box.left < box.right ? box : null;
}
