// Level and width of the image's window.

import { byId, make } from "./dom.js";

/** @typedef {import("./pixels.js").Pixels} Pixels */
/** @typedef {import("./pixels.js").Window} Window */

/** Usual windows of CT, in Hounsfield units. */
const CT = { Brain: [40, 80], "Soft tissue": [40, 400], Lung: [-600, 1500], Bone: [400, 1800] };

export class Windowing {
  /** @param {(window: Window) => void} onChange */
  constructor(onChange) {
    this.level = byId("level", HTMLInputElement);
    this.width = byId("width", HTMLInputElement);
    this.onChange = onChange;
    /** @type {Pixels|null} */
    this.pixels = null;
    /** @type {Window} */
    this.window = { level: 127.5, width: 255 };
    for (const input of [this.level, this.width]) {
      input.addEventListener("input", () =>
        this.apply({ level: Number(this.level.value), width: this.widthOf(Number(this.width.value)) }),
      );
    }
  }

  /** Start with an image's own window. @param {Pixels} pixels */
  show(pixels) {
    this.pixels = pixels;
    const range = pixels.highest - pixels.lowest;
    this.level.min = String(pixels.lowest);
    this.level.max = String(pixels.highest);
    // Narrow windows need finer steps than wide ones.
    this.width.min = String(Math.log(Math.max(range / 2000, 1e-9)));
    this.width.max = String(Math.log(2 * range));
    /** @type {[string, Window][]} */
    const presets = [["Reset", pixels.fileWindow]];
    if (pixels.samples > 256) presets.push(["Full range", pixels.fullWindow]);
    if (pixels.unit === "HU") {
      for (const [name, [level = 0, width = 1]] of Object.entries(CT)) presets.push([name, { level, width }]);
    }
    byId("window-presets", HTMLElement).replaceChildren(
      ...presets.map(([name, window]) => {
        const button = make("button", { type: "button", class: "small" }, name);
        button.addEventListener("click", () => this.apply(window));
        return button;
      }),
    );
    this.apply(pixels.fileWindow);
  }

  /** @param {number} value */
  widthOf(value) {
    return Math.exp(value);
  }

  /** Change it by dragging: across for the width, down for the level. @param {number} dx @param {number} dy */
  drag(dx, dy) {
    if (!this.pixels) return;
    const range = this.pixels.highest - this.pixels.lowest;
    const step = Math.min(range, 2 * this.window.width) / 400;
    const width = Math.max(range / 2000, this.window.width + dx * step);
    this.apply({ level: this.window.level + dy * step, width: Math.min(2 * range, width) });
  }

  /** @param {Window} window */
  apply(window) {
    this.window = window;
    this.level.value = String(window.level);
    this.width.value = String(Math.log(window.width));
    const unit = this.pixels?.unit ? ` ${this.pixels.unit}` : "";
    for (const [name, value] of /** @type {const} */ ([["level", window.level], ["width", window.width]])) {
      const text = `${Math.round(value)}${unit}`.replace("-", "−");
      byId(`${name}-value`, HTMLElement).textContent = text;
      byId(name, HTMLInputElement).setAttribute("aria-valuetext", text);
    }
    this.onChange(window);
  }
}
