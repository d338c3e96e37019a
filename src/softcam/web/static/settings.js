// What the reader chose to see; one object, told of by a change event.

/** @typedef {import("./types.js").Kind} Kind */
/** @typedef {import("./types.js").Sign} Sign */

export class Settings extends EventTarget {
  constructor() {
    super();
    /** The class that is looked at; by name, since a second model may order them otherwise. */
    this.className = "";
    /** @type {Kind} */
    this.kind = "own";
    /** @type {Sign} */
    this.sign = "both";
    this.opacity = 0.7;
    /** Part of the strongest evidence at which the colour scale ends. */
    this.range = 1;
    /** @type {number|null} In logit units; null for half of the strongest cell, for regions. */
    this.threshold = null;
    /** @type {"a"|"b"} Whose regions are listed, where two models are shown. */
    this.listed = "a";
    this.overlay = true;
    this.regions = true;
    this.findings = true;
    /** Whether the image loses its colour under evidence. */
    this.muted = true;
  }

  /** @param {Partial<Settings>} changes */
  set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event("change"));
  }
}
