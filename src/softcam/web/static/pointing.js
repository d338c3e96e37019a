// What pointer, fingers, wheel and arrow keys do in an image: move it, zoom it, read it, window it.

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./evidence.js").EvidenceMap} EvidenceMap */
/** @typedef {{onWindow: (dx: number, dy: number) => void}} Hooks */

const KEY_PAN = 60;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {View} view
 * @param {Hooks} hooks
 */
export function listenToPointer(canvas, view, hooks) {
  const pointer = new Pointer(view, hooks);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointer.press(event);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => pointer.move(event));
  canvas.addEventListener("pointerup", (event) => pointer.lift(event, event.button === 0));
  canvas.addEventListener("pointercancel", (event) => pointer.lift(event, false));
  canvas.addEventListener("pointerleave", () => {
    if (!view.pinned) view.forget();
  });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => view.fit());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      view.zoom(Math.exp(-0.0015 * lines * event.deltaY), event.offsetX, event.offsetY);
    },
    { passive: false },
  );
}

/** The fingers and buttons that are down on one image. */
class Pointer {
  /** @param {View} view @param {Hooks} hooks */
  constructor(view, hooks) {
    this.view = view;
    this.hooks = hooks;
    /** @type {Map<number, {x: number, y: number}>} Where each is, by its id. */
    this.down = new Map();
    this.moved = false;
    this.windowing = false;
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.moved = this.down.size > 1;
    this.windowing = event.button === 2 || event.shiftKey;
  }

  /** @param {PointerEvent} event @param {boolean} clicks Whether it is a click if nothing moved. */
  lift(event, clicks) {
    const { view } = this;
    if (!this.down.delete(event.pointerId) || !clicks || this.moved) return;
    const { x, y } = this.pixel(event);
    // A click leaves the mark there, or takes it away where it is.
    const again = view.pinned && view.cursor?.x === x && view.cursor.y === y;
    view.read(x, y, !again);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { view } = this;
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch" && !view.pinned) {
        const { x, y } = this.pixel(event);
        view.read(x, y, false);
      }
      return;
    }
    const now = { x: event.offsetX, y: event.offsetY };
    const far = Math.hypot(now.x - before.x, now.y - before.y);
    if (!this.moved && far < 4) return;
    this.moved = true;
    const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const stretch =
        Math.hypot(now.x - other.x, now.y - other.y) /
        Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      view.zoom(stretch, (now.x + other.x) / 2, (now.y + other.y) / 2);
      view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (this.windowing) {
      this.hooks.onWindow(now.x - before.x, now.y - before.y);
    } else {
      view.pan(now.x - before.x, now.y - before.y);
    }
    this.down.set(event.pointerId, now);
  }

  /** @param {PointerEvent} event */
  pixel(event) {
    const at = this.view.imagePoint(event.offsetX, event.offsetY);
    return { x: Math.floor(at.x), y: Math.floor(at.y) };
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {View} view
 * @param {() => EvidenceMap|null} map Whose cells the keys go through.
 */
export function listenToArrows(canvas, view, map) {
  canvas.addEventListener("keydown", (event) => {
    const step = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    })[event.key];
    if (event.altKey || event.metaKey) return;
    if (step) {
      event.preventDefault();
      if (event.ctrlKey) view.pan(-KEY_PAN * step[0], -KEY_PAN * step[1]);
      else go(view, map(), step, event.shiftKey);
    } else if (event.key === "Escape" && view.cursor) {
      view.forget();
    }
  });
}

/**
 * Move the mark by a cell, or a pixel.
 * @param {View} view
 * @param {EvidenceMap|null} map
 * @param {[number, number]} step
 * @param {boolean} fine
 */
function go(view, map, [dx, dy], fine) {
  const from = view.cursor ?? {
    x: Math.min(view.width - 1, Math.floor(view.x)),
    y: Math.min(view.height - 1, Math.floor(view.y)),
  };
  const cell = map?.grid.cellAt(from.x, from.y);
  const x = from.x + (view.cursor && !cell ? dx * 8 : 0);
  const y = from.y + (view.cursor && !cell ? dy * 8 : 0);
  if (!view.cursor) view.read(x, y, true);
  else if (fine) view.read(clamp(from.x + dx, view.width), clamp(from.y + dy, view.height), true);
  else if (cell && map) {
    const { columns, rows } = map.grid;
    view.read(
      dx ? next(columns, cell.column, dx, from.x) : from.x,
      dy ? next(rows, cell.row, dy, from.y) : from.y,
      true,
    );
  } else view.read(clamp(x, view.width), clamp(y, view.height), true);
  view.follow();
}

/** @param {number} value @param {number} length */
function clamp(value, length) {
  return Math.min(length - 1, Math.max(0, value));
}

/**
 * The middle of the next cell that has pixels.
 * @param {[number, number][]} spans
 * @param {number} cell
 * @param {number} step
 * @param {number} otherwise
 */
function next(spans, cell, step, otherwise) {
  for (let i = cell + step; i >= 0 && i < spans.length; i += step) {
    const [start, end] = spans[i] ?? [0, 0];
    if (end > start) return Math.floor((start + end) / 2);
  }
  return otherwise;
}
