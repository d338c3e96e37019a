// Evidence as colour: orange for a class, blue against it, the image itself where there is none.

/** @typedef {import("./evidence.js").EvidenceMap} EvidenceMap */
/** @typedef {import("./types.js").Sign} Sign */
/** @typedef {(x: number, y: number) => {x: number, y: number}} Place Image to screen pixels. */
/** @typedef {{opacity: number, sign: Sign, threshold: number|null, limit: number}} Look Limit is
 *   the evidence at the ends of the colour scale. */

/** The colours of `softcam explain`; told apart with every common colour vision. */
export const FOR = "255, 92, 13";
export const AGAINST = "26, 120, 255";

/** So many cells are drawn one by one, to the pixel; more as a picture. */
const MOST_CELLS = 16_384;

/**
 * Give the colour of an amount of evidence, or "" for none.
 * @param {number} value
 * @param {Look} look
 */
export function colourOf(value, look) {
  const strength = opacityOf(value, look);
  return strength > 0 ? `rgba(${value < 0 ? AGAINST : FOR}, ${strength.toFixed(3)})` : "";
}

/**
 * Give how far an amount of evidence covers the image.
 * @param {number} value
 * @param {Look} look
 */
function opacityOf(value, look) {
  if (look.sign === "for" && value < 0) return 0;
  if (look.sign === "against" && value > 0) return 0;
  if (Math.abs(value) < (look.threshold ?? 0)) return 0;
  // A power a little below one lifts weak evidence over what the eye can tell from none.
  return look.opacity * Math.min(1, Math.abs(value) / look.limit) ** 0.7;
}

/** A map made ready to be drawn many times. */
export class Overlay {
  /** @param {EvidenceMap} map @param {Look} look */
  constructor(map, look) {
    this.grid = map.grid;
    const { width, height } = map.grid;
    this.single = width * height <= MOST_CELLS;
    /** @type {string[]} */
    this.colours = [];
    /** @type {OffscreenCanvas|null} */
    this.picture = null;
    if (this.single) this.colours = Array.from(map.values, (value) => colourOf(value, look));
    else this.picture = pictureOf(map, look);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Place} place
   */
  draw(context, place) {
    if (this.picture) {
      this.drawPicture(context, place);
      return;
    }
    const { columns, rows, width } = this.grid;
    // Whole screen pixels, so that neighbours neither overlap nor leave a seam.
    const xs = columns.map((span) => span.map((x) => Math.round(place(x, 0).x)));
    const ys = rows.map((span) => span.map((y) => Math.round(place(0, y).y)));
    ys.forEach(([top = 0, bottom = 0], row) => {
      if (bottom <= top) return;
      xs.forEach(([left = 0, right = 0], column) => {
        const colour = this.colours[row * width + column];
        if (!colour || right <= left) return;
        context.fillStyle = colour;
        context.fillRect(left, top, right - left, bottom - top);
      });
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Place} place
   */
  drawPicture(context, place) {
    const across = shown(this.grid.columns);
    const down = shown(this.grid.rows);
    if (!this.picture || !across || !down) return;
    const from = place(across.start, down.start);
    const to = place(across.end, down.end);
    context.imageSmoothingEnabled = false;
    context.drawImage(
      this.picture,
      across.first,
      down.first,
      across.last - across.first + 1,
      down.last - down.first + 1,
      from.x,
      from.y,
      to.x - from.x,
      to.y - from.y,
    );
  }
}

/** @param {EvidenceMap} map @param {Look} look */
function pictureOf(map, look) {
  const { width, height } = map.grid;
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  const [plus, minus] = [FOR, AGAINST].map((text) => text.split(",").map(Number));
  map.values.forEach((value, i) => {
    image.data.set([...((value < 0 ? minus : plus) ?? []), 255 * opacityOf(value, look)], 4 * i);
  });
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/**
 * The cells that have pixels, and the pixels that they have.
 * @param {[number, number][]} spans
 */
function shown(spans) {
  const first = spans.findIndex(([start, end]) => end > start);
  const last = spans.findLastIndex(([start, end]) => end > start);
  if (first < 0) return null;
  return { first, last, start: spans[first]?.[0] ?? 0, end: spans[last]?.[1] ?? 0 };
}

/**
 * Paint the colour scale: what is drawn, at which amount.
 * @param {HTMLCanvasElement} canvas
 * @param {Look} look
 */
export function paintLegend(canvas, look) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  context.fillStyle = "#747474";
  context.fillRect(0, 0, width, height);
  for (let x = 0; x < width; x++) {
    const colour = colourOf(((2 * (x + 0.5)) / width - 1) * look.limit, look);
    if (!colour) continue;
    context.fillStyle = colour;
    context.fillRect(x, 0, 1, height);
  }
  context.fillStyle = "#fff";
  context.fillRect(width / 2 - 1, 0, 2, height);
}
