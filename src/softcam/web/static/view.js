// Which part of the image is seen, and which pixel is read; shared by two viewers side by side.

const MOST = 64;
const STEP = 1.25;

/** Scale is in CSS pixels for a pixel of the image, x and y the image point in the middle. */
export class View extends EventTarget {
  constructor() {
    super();
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitting = true;
    /** Size of the image in pixels, and the height of a pixel over its width. */
    this.width = 1;
    this.height = 1;
    this.aspect = 1;
    /** Size of a viewer in CSS pixels. */
    this.roomWidth = 1;
    this.roomHeight = 1;
    /** @type {{x: number, y: number}|null} The pixel that is read. */
    this.cursor = null;
    /** Whether the reading mark stays when the pointer leaves. */
    this.pinned = false;
  }

  /** @param {number} width @param {number} height @param {number} aspect */
  show(width, height, aspect) {
    const same = this.width === width && this.height === height && this.aspect === aspect;
    Object.assign(this, { width, height, aspect, cursor: null, pinned: false });
    if (!same || this.fitting) this.fit();
    else this.changed();
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    if (width === this.roomWidth && height === this.roomHeight) return;
    this.roomWidth = Math.max(1, width);
    this.roomHeight = Math.max(1, height);
    if (this.fitting) this.fit();
    else this.changed();
  }

  get fitScale() {
    return Math.min(this.roomWidth / this.width, this.roomHeight / (this.height * this.aspect));
  }

  fit() {
    this.scale = this.fitScale;
    this.x = this.width / 2;
    this.y = this.height / 2;
    this.fitting = true;
    this.changed();
  }

  /**
   * Zoom so that an image point stays where it is.
   * @param {number} factor
   * @param {number} [x] A point of the viewer in CSS pixels.
   * @param {number} [y]
   */
  zoom(factor, x = this.roomWidth / 2, y = this.roomHeight / 2) {
    const before = this.imagePoint(x, y);
    const least = Math.min(this.fitScale / 2, 1);
    this.scale = Math.min(MOST, Math.max(least, this.scale * factor));
    const after = this.imagePoint(x, y);
    this.moveTo(this.x + before.x - after.x, this.y + before.y - after.y);
  }

  zoomIn() {
    this.zoom(STEP);
  }

  zoomOut() {
    this.zoom(1 / STEP);
  }

  /** One pixel of the image on one of the screen. */
  actual() {
    this.zoom(1 / (globalThis.devicePixelRatio || 1) / this.scale);
  }

  /** @param {number} dx CSS pixels. @param {number} dy */
  pan(dx, dy) {
    this.moveTo(this.x - dx / this.scale, this.y - dy / (this.scale * this.aspect));
  }

  /** @param {number} x An image point. @param {number} y */
  moveTo(x, y) {
    this.x = Math.min(this.width, Math.max(0, x));
    this.y = Math.min(this.height, Math.max(0, y));
    this.fitting = false;
    this.changed();
  }

  /** Show an image point in the middle, large enough to see. @param {number} x @param {number} y */
  centreOn(x, y) {
    this.scale = Math.min(MOST, Math.max(this.scale, 2 * this.fitScale));
    this.read(Math.floor(x), Math.floor(y), true);
    this.moveTo(x, y);
  }

  /**
   * Read a pixel.
   * @param {number} x
   * @param {number} y
   * @param {boolean} pinned
   */
  read(x, y, pinned) {
    const inside = x >= 0 && y >= 0 && x < this.width && y < this.height;
    const cursor = inside ? { x, y } : null;
    if (cursor?.x === this.cursor?.x && cursor?.y === this.cursor?.y && pinned === this.pinned)
      return;
    this.cursor = cursor;
    this.pinned = pinned && inside;
    this.changed();
  }

  forget() {
    if (!this.cursor) return;
    this.cursor = null;
    this.pinned = false;
    this.changed();
  }

  /** Move as little as brings the mark into sight. */
  follow() {
    if (!this.cursor) return;
    const half = { x: this.roomWidth / 2, y: this.roomHeight / 2 };
    const at = this.screenPoint(this.cursor.x + 0.5, this.cursor.y + 0.5);
    const edge = 24;
    const dx = at.x < edge ? edge - at.x : Math.min(0, 2 * half.x - edge - at.x);
    const dy = at.y < edge ? edge - at.y : Math.min(0, 2 * half.y - edge - at.y);
    if (dx || dy) this.pan(dx, dy);
  }

  /** @param {number} x CSS pixels from the viewer's corner. @param {number} y */
  imagePoint(x, y) {
    return {
      x: this.x + (x - this.roomWidth / 2) / this.scale,
      y: this.y + (y - this.roomHeight / 2) / (this.scale * this.aspect),
    };
  }

  /** @param {number} x An image point. @param {number} y */
  screenPoint(x, y) {
    return {
      x: (x - this.x) * this.scale + this.roomWidth / 2,
      y: (y - this.y) * this.scale * this.aspect + this.roomHeight / 2,
    };
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}
