// One image with what is laid over it: evidence, regions, annotation and the reading mark.

import { Overlay } from "./overlay.js";
import { listenToArrows, listenToPointer } from "./pointing.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./evidence.js").EvidenceMap} EvidenceMap */
/** @typedef {import("./overlay.js").Look} Look */
/** @typedef {import("./types.js").Region} Region */
/** @typedef {import("./types.js").FindingOut} FindingOut */
/** @typedef {import("./pointing.js").Hooks} Hooks */

const MOST_NUMBERS = 9;
const MOST_NAMED = 100;
const SHARP = 3;
const ANNOTATION = "#19d447";

export class Viewer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {View} view
   * @param {Hooks} hooks
   */
  constructor(canvas, view, hooks) {
    this.canvas = canvas;
    this.view = view;
    /** @type {import("./pixels.js").Picture|null} */
    this.picture = null;
    /** @type {EvidenceMap|null} */
    this.map = null;
    /** @type {Overlay|null} */
    this.overlay = null;
    /** @type {Region[]} */
    this.regions = [];
    /** @type {FindingOut[]} */
    this.findings = [];
    this.frame = 0;
    view.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.measure()).observe(canvas);
    listenToPointer(canvas, view, hooks);
    listenToArrows(canvas, view, () => this.map);
  }

  /** @param {import("./pixels.js").Picture|null} picture */
  setPicture(picture) {
    this.picture = picture;
    this.redraw();
  }

  /** @param {EvidenceMap|null} map @param {Look|null} look Null for no overlay. */
  setMap(map, look) {
    this.map = map;
    this.overlay = map && look ? new Overlay(map, look) : null;
    this.redraw();
  }

  /** @param {Region[]} regions */
  setRegions(regions) {
    this.regions = regions;
    this.redraw();
  }

  /** @param {FindingOut[]} findings */
  setFindings(findings) {
    this.findings = findings;
    this.redraw();
  }

  measure() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    const ratio = globalThis.devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.view.resize(clientWidth, clientHeight);
    this.redraw();
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.picture) return;
    /** @param {number} x @param {number} y */
    const place = (x, y) => {
      const at = this.view.screenPoint(x, y);
      return { x: at.x * ratio, y: at.y * ratio };
    };
    const from = place(0, 0);
    const to = place(this.view.width, this.view.height);
    const scale = this.view.scale * ratio;
    context.imageSmoothingEnabled = scale < SHARP;
    context.imageSmoothingQuality = "medium";
    const picture = this.picture.at(scale);
    context.drawImage(picture, from.x, from.y, to.x - from.x, to.y - from.y);
    if (this.overlay) {
      this.overlay.draw(context, place);
      this.drawUnseen(context, place);
    }
    this.drawRegions(context, place, ratio);
    this.drawFindings(context, place, ratio);
    this.drawCursor(context, place, ratio);
  }

  /**
   * Hatch what was cut off before the model.
   * @param {CanvasRenderingContext2D} context
   * @param {import("./overlay.js").Place} place
   */
  drawUnseen(context, place) {
    if (!this.map) return;
    const { columnOf, rowOf } = this.map.grid;
    const [x0, x1] = [columnOf.findIndex((c) => c >= 0), columnOf.findLastIndex((c) => c >= 0) + 1];
    const [y0, y1] = [rowOf.findIndex((c) => c >= 0), rowOf.findLastIndex((c) => c >= 0) + 1];
    const { width, height } = this.view;
    if (x0 === 0 && y0 === 0 && x1 === width && y1 === height) return;
    const [a, b, c, d] = [place(0, 0), place(width, height), place(x0, y0), place(x1, y1)];
    context.save();
    context.beginPath();
    context.rect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.rect(c.x, c.y, d.x - c.x, d.y - c.y);
    context.clip("evenodd");
    context.fillStyle = "rgba(0, 0, 0, 0.45)";
    context.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./overlay.js").Place} place
   * @param {number} ratio
   */
  drawRegions(context, place, ratio) {
    if (!this.regions.length) return;
    const lines = new Path2D();
    for (const region of this.regions) trace(lines, region.outline, place, false);
    stroke(context, lines, [
      ["rgba(0, 0, 0, 0.75)", 3 * ratio],
      ["#fff", 1.25 * ratio],
    ]);
    context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "bottom";
    this.regions.slice(0, MOST_NUMBERS).forEach((region, index) => {
      const points = region.outline.flat();
      if (!points.length) return;
      const corner = place(
        Math.min(...points.map(([x]) => x)),
        Math.min(...points.map(([, y]) => y)),
      );
      const text = String(index + 1);
      const [w, h] = [context.measureText(text).width + 8 * ratio, 16 * ratio];
      const [x, y] = [Math.max(0, corner.x), Math.max(h, corner.y - 2 * ratio)];
      context.fillStyle = "rgba(0, 0, 0, 0.8)";
      context.fillRect(x, y - h, w, h);
      context.fillStyle = "#fff";
      context.fillText(text, x + 4 * ratio, y - 1.5 * ratio);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./overlay.js").Place} place
   * @param {number} ratio
   */
  drawFindings(context, place, ratio) {
    if (!this.findings.length) return;
    const lines = new Path2D();
    for (const finding of this.findings) trace(lines, finding.outline, place, true);
    context.setLineDash([6 * ratio, 4 * ratio]);
    stroke(context, lines, [
      ["rgba(0, 0, 0, 0.6)", 3.5 * ratio],
      [ANNOTATION, 1.75 * ratio],
    ]);
    context.setLineDash([]);
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "top";
    for (const { finding, outline } of this.findings) {
      const text = finding.replaceAll("_", " ");
      const needed = context.measureText(text).width;
      for (const loop of outline.slice(0, MOST_NAMED)) {
        const xs = loop.map(([x]) => x);
        const at = place(Math.min(...xs), Math.max(...loop.map(([, y]) => y)));
        // Where the name has no room, the value's line tells it under the pointer.
        if (place(Math.max(...xs), 0).x - at.x < needed) continue;
        context.lineWidth = 3 * ratio;
        context.strokeStyle = "rgba(0, 0, 0, 0.75)";
        context.strokeText(text, at.x, at.y + 3 * ratio);
        context.fillStyle = ANNOTATION;
        context.fillText(text, at.x, at.y + 3 * ratio);
      }
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./overlay.js").Place} place
   * @param {number} ratio
   */
  drawCursor(context, place, ratio) {
    const { cursor } = this.view;
    if (!cursor) return;
    const lines = new Path2D();
    const cell = this.map?.grid.cellAt(cursor.x, cursor.y);
    const columns = cell && this.map?.grid.columns[cell.column];
    const rows = cell && this.map?.grid.rows[cell.row];
    if (columns && rows) {
      const [a, b] = [place(columns[0], rows[0]), place(columns[1], rows[1])];
      lines.rect(a.x, a.y, b.x - a.x, b.y - a.y);
    }
    if (this.view.pinned) {
      const at = place(cursor.x + 0.5, cursor.y + 0.5);
      const [near, far] = [4 * ratio, 11 * ratio];
      for (const [dx, dy] of /** @type {const} */ ([[1, 0], [-1, 0], [0, 1], [0, -1]])) {
        lines.moveTo(at.x + dx * near, at.y + dy * near);
        lines.lineTo(at.x + dx * far, at.y + dy * far);
      }
    }
    stroke(context, lines, [
      ["rgba(0, 0, 0, 0.8)", 3 * ratio],
      ["#ffe45c", 1.25 * ratio],
    ]);
  }
}

/**
 * @param {Path2D} path
 * @param {[number, number][][]} loops
 * @param {import("./overlay.js").Place} place
 * @param {boolean} closed
 */
function trace(path, loops, place, closed) {
  for (const loop of loops) {
    loop.forEach(([x, y], index) => {
      const at = place(x, y);
      if (index) path.lineTo(at.x, at.y);
      else path.moveTo(at.x, at.y);
    });
    if (closed) path.closePath();
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Path2D} path
 * @param {[string, number][]} pens Colour and width, the lowest first.
 */
function stroke(context, path, pens) {
  for (const [colour, width] of pens) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke(path);
  }
}
