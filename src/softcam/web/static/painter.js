// Paints the image through its window for all viewers, once a frame at most.

import { Picture } from "./pixels.js";

/** @typedef {import("./pane.js").Pane} Pane */
/** @typedef {import("./pixels.js").Pixels} Pixels */
/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./windowing.js").Windowing} Windowing */

export class Painter {
  /**
   * @param {() => Pane[]} panes Those with an answer.
   * @param {Windowing} windowing
   * @param {Settings} settings
   */
  constructor(panes, windowing, settings) {
    this.panes = panes;
    this.windowing = windowing;
    this.settings = settings;
    /** @type {Pixels|null} */
    this.shown = null;
    /** @type {Picture|null} */
    this.picture = null;
    this.frame = 0;
    this.muted = true;
  }

  /** The image that is open. @param {Pixels} pixels */
  set pixels(pixels) {
    this.shown = pixels;
    this.picture = new Picture(pixels.data.width, pixels.data.height);
  }

  paintSoon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const { shown, picture, settings } = this;
    if (!shown || !picture) return;
    shown.paint(this.windowing.window, settings.muted && settings.overlay, picture.canvas);
    for (const pane of this.panes()) pane.viewer.setPicture(picture);
  }

  /** Paint again if the settings ask for other colours than before. */
  follow() {
    const muted = this.settings.muted && this.settings.overlay;
    if (muted === this.muted) return;
    this.muted = muted;
    this.paintSoon();
  }
}
