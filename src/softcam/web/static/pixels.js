// The image's samples, and the picture of them through a window (level and width).

import { bytesOf } from "./evidence.js";

/** @typedef {import("./types.js").ImageOut} ImageOut */
/** @typedef {{level: number, width: number}} Window In the units of `Pixels.unit`. */

/** Range of grey under an overlay: colour laid over black or white would not show. */
const DARKEST = 0.14;
const BRIGHTEST = 0.88;

/** The painted image, and smaller copies of it, from which a small view is drawn faster. */
export class Picture {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    /** @type {OffscreenCanvas[]} Each half as large as the one before. */
    this.levels = [new OffscreenCanvas(width, height)];
  }

  /** The canvas to paint on, after which the copies are made anew. */
  get canvas() {
    this.levels.length = 1;
    return /** @type {OffscreenCanvas} */ (this.levels[0]);
  }

  /** Give what to draw from. @param {number} scale Screen pixels for a pixel of the image. */
  at(scale) {
    let last = /** @type {OffscreenCanvas} */ (this.levels[0]);
    for (let level = 1; scale * 2 ** level <= 1 && Math.min(last.width, last.height) > 256; level++) {
      const kept = this.levels[level];
      const next = kept ?? new OffscreenCanvas(Math.ceil(last.width / 2), Math.ceil(last.height / 2));
      if (!kept) {
        next.getContext("2d")?.drawImage(last, 0, 0, next.width, next.height);
        this.levels[level] = next;
      }
      last = next;
    }
    return last;
  }
}

/** The decoded image. */
export class Pixels {
  /**
   * @param {ImageOut} told
   * @param {ImageData} data
   */
  constructor(told, data) {
    this.told = told;
    this.data = data;
    this.grey = told.encoding !== "rgb8";
    this.samples = told.encoding === "grey16" ? 65536 : 256;
    this.unit = told.scale?.unit ?? "";
    const black = told.scale?.black ?? 0;
    const white = told.scale?.white ?? this.samples - 1;
    this.black = black;
    this.step = (white - black) / (this.samples - 1);
    this.lowest = Math.min(black, white);
    this.highest = Math.max(black, white);
    /** @type {Uint16Array|null} Grey samples. */
    this.values = this.grey ? greyOf(data, told.encoding === "grey16") : null;
    /** @type {Uint8ClampedArray|null} Luminance of colour, made when it is wanted. */
    this.luminance = null;
  }

  /**
   * Decode what the API sent, without any change of colour on the way.
   * @param {ImageOut} told
   */
  static async decode(told) {
    if (!told.png) throw new Error("The answer has no image.");
    const blob = new Blob([bytesOf(told.png)], { type: "image/png" });
    const bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("The browser gives no canvas.");
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return new Pixels(told, context.getImageData(0, 0, canvas.width, canvas.height));
  }

  /** The window to start with: the file's own, or everything. @returns {Window} */
  get fileWindow() {
    const { center, width } = this.told.scale ?? {};
    if (center != null && width != null && width > 0) return { level: center, width };
    return this.fullWindow;
  }

  /** @returns {Window} */
  get fullWindow() {
    if (this.grey && this.samples > 256 && !this.told.scale) return this.occurring();
    return { level: (this.lowest + this.highest) / 2, width: this.highest - this.lowest };
  }

  /** The range of the samples that there are: 12 of 16 bits would be black. @returns {Window} */
  occurring() {
    let low = 65535;
    let high = 0;
    for (const value of this.values ?? []) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const [first, last] = [this.black + low * this.step, this.black + high * this.step];
    return { level: (first + last) / 2, width: Math.max(1, Math.abs(last - first)) };
  }

  /**
   * Give what a pixel stands for, in words.
   * @param {number} x
   * @param {number} y
   */
  describe(x, y) {
    const at = y * this.data.width + x;
    if (this.values) {
      const value = this.black + (this.values[at] ?? 0) * this.step;
      const text = this.told.scale ? String(Math.round(value * 10) / 10) : String(value);
      return `${text.replace("-", "−")}${this.unit ? ` ${this.unit}` : ""}`;
    }
    return Array.from(this.data.data.subarray(4 * at, 4 * at + 3)).join(" ");
  }

  /**
   * Paint the image through a window.
   * @param {Window} window
   * @param {boolean} muted Without colour and less contrast, so that colour means evidence.
   * @param {OffscreenCanvas} canvas Of the image's size.
   */
  paint(window, muted, canvas) {
    const context = canvas.getContext("2d");
    if (!context) return;
    const table = this.table(window, muted);
    const out = new ImageData(this.data.width, this.data.height);
    const words = new Uint32Array(out.data.buffer);
    if (this.values || muted) {
      const values = this.values ?? this.luminances();
      const greys = Uint32Array.from(table, (v) => 0xff000000 | (v << 16) | (v << 8) | v);
      for (let i = 0; i < words.length; i++) words[i] = greys[values[i] ?? 0] ?? 0;
    } else {
      const input = this.data.data;
      for (let i = 0, at = 0; i < words.length; i++, at += 4) {
        words[i] =
          0xff000000 |
          ((table[input[at + 2] ?? 0] ?? 0) << 16) |
          ((table[input[at + 1] ?? 0] ?? 0) << 8) |
          (table[input[at] ?? 0] ?? 0);
      }
    }
    context.putImageData(out, 0, 0);
  }

  /**
   * @param {Window} window
   * @param {boolean} muted
   */
  table(window, muted) {
    const table = new Uint8ClampedArray(this.samples);
    const [low, high] = muted ? [DARKEST, BRIGHTEST] : [0, 1];
    const smooth = this.told.scale?.function === "SIGMOID";
    const width = Math.max(window.width, 1e-9);
    // Where less means brighter (MONOCHROME1) the largest sample stands for the least.
    const turn = this.step < 0 ? -1 : 1;
    for (let sample = 0; sample < this.samples; sample++) {
      const distance = (turn * (this.black + sample * this.step - window.level)) / width;
      const shown = smooth
        ? 1 / (1 + Math.exp(-4 * distance))
        : Math.min(1, Math.max(0, distance + 0.5));
      table[sample] = 255 * (low + (high - low) * shown);
    }
    return table;
  }

  luminances() {
    if (!this.luminance) {
      const input = this.data.data;
      const luminance = new Uint8ClampedArray(input.length / 4);
      for (let i = 0, at = 0; i < luminance.length; i++, at += 4) {
        luminance[i] =
          0.299 * (input[at] ?? 0) + 0.587 * (input[at + 1] ?? 0) + 0.114 * (input[at + 2] ?? 0);
      }
      this.luminance = luminance;
    }
    return this.luminance;
  }
}

/** @param {ImageData} data @param {boolean} packed Two bytes: red times 256 plus green. */
function greyOf(data, packed) {
  const input = data.data;
  const values = new Uint16Array(input.length / 4);
  for (let i = 0, at = 0; i < values.length; i++, at += 4) {
    values[i] = packed ? ((input[at] ?? 0) << 8) | (input[at + 1] ?? 0) : (input[at] ?? 0);
  }
  return values;
}
