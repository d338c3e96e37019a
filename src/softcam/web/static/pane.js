// One model's view of the image: title, viewer, value under the pointer, colour scale.

import { byId, make, signed } from "./dom.js";
import { Evidence, findRegions } from "./evidence.js";
import { paintLegend } from "./overlay.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").Region} Region */
/** @typedef {import("./pixels.js").Pixels} Pixels */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./view.js").View} View */

export class Pane {
  /**
   * @param {"a"|"b"} letter
   * @param {View} view
   * @param {Settings} settings
   * @param {import("./viewer.js").Hooks} hooks
   */
  constructor(letter, view, settings, hooks) {
    this.root = byId(`pane-${letter}`, HTMLElement);
    this.title = byId(`title-${letter}`, HTMLElement);
    this.readout = byId(`readout-${letter}`, HTMLElement);
    this.legend = byId(`legend-bar-${letter}`, HTMLCanvasElement);
    this.low = byId(`legend-low-${letter}`, HTMLElement);
    this.high = byId(`legend-high-${letter}`, HTMLElement);
    this.text = byId(`legend-text-${letter}`, HTMLElement);
    this.canvas = byId(`canvas-${letter}`, HTMLCanvasElement);
    this.viewer = new Viewer(this.canvas, view, hooks);
    this.view = view;
    this.settings = settings;
    /** @type {PredictionOut|null} */
    this.told = null;
    /** @type {Evidence|null} */
    this.evidence = null;
    /** @type {Pixels|null} */
    this.pixels = null;
    /** @type {Region[]} */
    this.regions = [];
    /** What the answer's table calls it, where there are two. */
    this.letter = "";
    view.addEventListener("change", () => this.read());
  }

  /** @param {PredictionOut|null} told */
  show(told) {
    this.told = told;
    this.evidence = told && new Evidence(told);
  }

  /** The class that is looked at, if this model has it. */
  get classIndex() {
    return this.told?.classes.findIndex((item) => item.name === this.settings.className) ?? -1;
  }

  /** The map that is looked at. */
  get map() {
    const index = this.classIndex;
    return index < 0 ? null : (this.evidence?.mapOf(index, this.settings.kind) ?? null);
  }

  /** Draw what the settings say. */
  update() {
    const { settings, evidence, told, map } = this;
    const look = {
      opacity: settings.opacity,
      sign: settings.sign,
      threshold: settings.threshold,
      limit: settings.range * (evidence?.limit(settings.kind) ?? 1),
    };
    this.regions = map ? findRegions(map, settings.sign, settings.threshold) : [];
    this.viewer.setMap(map, settings.overlay ? look : null);
    this.viewer.setRegions(settings.regions ? this.regions : []);
    this.title.replaceChildren();
    if (told) {
      const called = told.predicted.join(", ") || "no class";
      this.title.append(make("b", {}, `${this.letter} ${told.model.name}`.trim()), ` · called: ${called}`);
    }
    const name = told ? `Image with the evidence of ${told.model.name} for ${settings.className}` : "Image";
    this.canvas.setAttribute("aria-label", name);
    // What lies beyond a shortened scale has the colour of its end.
    const [below, beyond] = settings.range < 1 ? ["≤ ", "≥ "] : ["", ""];
    this.low.textContent = `${below}−${plain(look.limit)}`;
    this.high.textContent = `${beyond}+${plain(look.limit)}`;
    this.text.textContent = this.legendText(map?.logit ?? null);
    paintLegend(this.legend, look);
    this.read();
  }

  /** @param {number|null} logit */
  legendText(logit) {
    const { className, kind } = this.settings;
    if (logit === null) return this.told ? `this model has no class ${className}` : "";
    const what = kind === "contrast" && this.evidence?.hasContrast ? "contrast" : "evidence";
    const mean = what === "contrast" ? "difference of logits" : "logit";
    return `${what} for ${className}, logit units; mean = ${mean} ${signed(logit)}`;
  }

  /** Give the value under the reading mark; null where there is none. */
  get value() {
    const { cursor } = this.view;
    return cursor && this.map ? this.map.at(cursor.x, cursor.y) : null;
  }

  /** @param {number} x @param {number} y */
  findingsAt(x, y) {
    const found = this.viewer.findings.filter(({ outline }) => isInside(outline, x, y));
    return found.map(({ finding }) => finding.replaceAll("_", " ")).join(", ");
  }

  read() {
    const { cursor } = this.view;
    const { map, pixels, readout, value } = this;
    if (!cursor || !pixels || !this.told) {
      readout.replaceChildren(make("span", { class: "name" }, this.told ? "Point at the image, or tap it, to read a value." : ""));
      delete readout.dataset["value"];
      return;
    }
    const parts = [
      named("x, y", `${cursor.x}, ${cursor.y}`),
      named(pixels.grey ? "image" : "RGB", pixels.describe(cursor.x, cursor.y)),
    ];
    if (map) {
      const cell = map.grid.cellAt(cursor.x, cursor.y);
      const text = value === null ? "not seen by the model" : signed(value, 4);
      const shown = make("span", {}, make("span", { class: "name" }, "evidence "), make("strong", {}, text));
      parts.push(shown);
      if (cell && value !== null) {
        parts.push(named("cell", `${cell.column}, ${cell.row}`));
        parts.push(named("adds", `${signed(value / map.values.length, 4)} to the logit`));
      }
    }
    const marked = this.findingsAt(cursor.x + 0.5, cursor.y + 0.5);
    if (marked) parts.push(named("annotated", marked));
    readout.replaceChildren(...parts);
    if (value === null) delete readout.dataset["value"];
    else readout.dataset["value"] = String(value);
  }
}

/**
 * Whether a point lies in one of some polygons, but in no hole of it.
 * @param {[number, number][][]} loops
 * @param {number} x
 * @param {number} y
 */
function isInside(loops, x, y) {
  // The winding number: holes run the other way around, boxes that overlap run the same.
  let winding = 0;
  for (const loop of loops) {
    loop.forEach(([x1, y1], index) => {
      const [x0, y0] = loop.at(index - 1) ?? [0, 0];
      if (y0 <= y === y1 <= y) return;
      if (x0 + ((y - y0) / (y1 - y0)) * (x1 - x0) > x) winding += y1 > y0 ? 1 : -1;
    });
  }
  return winding !== 0;
}

/** @param {number} value Three digits that count. */
function plain(value) {
  return String(Number(value.toPrecision(3)));
}

/** @param {string} name @param {string} text */
function named(name, text) {
  return make("span", {}, make("span", { class: "name" }, `${name} `), text);
}
