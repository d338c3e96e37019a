// The raw maps: values under a pixel, own and contrast maps, regions. Pure functions of the API's
// answer; amounts are in logit units, places in pixels of the image as displayed.

/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").GridOut} GridOut */
/** @typedef {import("./types.js").Region} Region */
/** @typedef {import("./types.js").Kind} Kind */
/** @typedef {import("./types.js").Sign} Sign */

/** Below this a share of the logit has no meaning; as in softcam. */
const TINY_LOGIT = 1e-6;

/**
 * Turn base64 into bytes.
 * @param {string} text
 */
export function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** A class's map and where its cells lie. */
export class EvidenceMap {
  /**
   * @param {Float64Array} values Row by row.
   * @param {Grid} grid
   */
  constructor(values, grid) {
    this.values = values;
    this.grid = grid;
    let lowest = Infinity;
    let highest = -Infinity;
    let sum = 0;
    for (const value of values) {
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
      sum += value;
    }
    this.lowest = lowest;
    this.highest = highest;
    this.logit = sum / values.length;
  }

  /**
   * Give the evidence under a pixel, or null where the model saw nothing.
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const cell = this.grid.cellAt(x, y);
    return cell === null ? null : (this.values[cell.row * this.grid.width + cell.column] ?? null);
  }
}

/** Where the cells of the maps lie on the image. */
export class Grid {
  /** @param {GridOut} told @param {number} width @param {number} height Of the image. */
  constructor(told, width, height) {
    this.width = told.width;
    this.height = told.height;
    this.x = told.x;
    this.y = told.y;
    this.columns = told.columns;
    this.rows = told.rows;
    this.columnOf = cellsOf(told.columns, width);
    this.rowOf = cellsOf(told.rows, height);
  }

  /** @param {number} x @param {number} y A pixel. */
  cellAt(x, y) {
    const column = this.columnOf[x] ?? -1;
    const row = this.rowOf[y] ?? -1;
    return column < 0 || row < 0 ? null : { column, row };
  }

  /** Whether the image shows anything of a cell. @param {number} column @param {number} row */
  shows(column, row) {
    return this.x[column] !== this.x[column + 1] && this.y[row] !== this.y[row + 1];
  }
}

/** @param {[number, number][]} spans @param {number} length */
function cellsOf(spans, length) {
  const cells = new Int32Array(length).fill(-1);
  spans.forEach(([first, end], cell) => cells.fill(cell, first, end));
  return cells;
}

/** All maps of an answer. */
export class Evidence {
  /** @param {PredictionOut} told */
  constructor(told) {
    const bytes = bytesOf(told.evidence.data);
    const view = new DataView(bytes.buffer);
    const { maps, height, width } = told.evidence;
    const size = height * width;
    this.told = told;
    this.grid = new Grid(told.grid, told.image.width, told.image.height);
    /** @type {Float64Array[]} */
    this.maps = Array.from({ length: maps }, (_, map) =>
      Float64Array.from({ length: size }, (_, i) => view.getFloat32(4 * (map * size + i), true)),
    );
    /** @type {Map<string, EvidenceMap>} */
    this.kept = new Map();
  }

  /** Whether a contrast says anything that the own map does not. */
  get hasContrast() {
    return this.maps.length > 1 && this.told.model.task !== "multilabel";
  }

  /**
   * Give a class's map.
   * @param {number} index
   * @param {Kind} kind
   * @returns {EvidenceMap}
   */
  mapOf(index, kind) {
    const key = `${index} ${kind}`;
    let found = this.kept.get(key);
    if (!found) {
      found = new EvidenceMap(this.compute(index, kind), this.grid);
      this.kept.set(key, found);
    }
    return found;
  }

  /**
   * @param {number} index
   * @param {Kind} kind
   */
  compute(index, kind) {
    const told = this.told.classes[index];
    const source = told && this.maps[told.map];
    if (!told || !source) throw new Error("There is no such class.");
    const own = source.map((value) => told.sign * value);
    if (kind === "own" || !this.hasContrast) return own;
    const count = this.maps.length;
    return own.map((value, i) => {
      let total = 0;
      for (const map of this.maps) total += map[i] ?? 0;
      return (count * value - total) / (count - 1);
    });
  }

  /**
   * Give the evidence at the ends of the colour scale: the strongest of all classes.
   * @param {Kind} kind
   */
  limit(kind) {
    let limit = 0;
    this.told.classes.forEach((_, index) => {
      const { lowest, highest } = this.mapOf(index, kind);
      limit = Math.max(limit, -lowest, highest);
    });
    return limit || 1;
  }
}

/**
 * Find the connected parts of a map that reach a threshold; cells that touch at a corner belong
 * together.
 * @param {EvidenceMap} map
 * @param {Sign} sign Evidence for the class, against it, or both.
 * @param {number|null} threshold Null for half of the strongest cell.
 * @returns {Region[]} By falling size of their contribution.
 */
export function findRegions(map, sign, threshold) {
  const limit = threshold ?? strongest(map, sign) / 2;
  const found = [
    ...(sign === "against" ? [] : regionsOf(map, 1, limit)),
    ...(sign === "for" ? [] : regionsOf(map, -1, limit)),
  ];
  return found.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
}

/**
 * Give the strongest evidence of a sign, at least 0.
 * @param {EvidenceMap} map
 * @param {Sign} sign
 */
function strongest(map, sign) {
  const highest = Math.max(0, map.highest);
  const lowest = Math.max(0, -map.lowest);
  return { for: highest, against: lowest, both: Math.max(highest, lowest) }[sign];
}

/**
 * @param {EvidenceMap} map
 * @param {1|-1} sign
 * @param {number} limit
 */
function regionsOf(map, sign, limit) {
  const { values, grid } = map;
  const open = values.map((value) => (sign * value >= limit && sign * value > 0 ? 1 : 0));
  /** @type {Region[]} */
  const regions = [];
  for (let start = 0; start < open.length; start++) {
    if (open[start]) regions.push(describe(map, flood(open, start, grid)));
  }
  return regions;
}

/**
 * Take the cells that hang together with one out of those that are open.
 * @param {Float64Array} open
 * @param {number} start
 * @param {Grid} grid
 */
function flood(open, start, grid) {
  const cells = [start];
  open[start] = 0;
  for (let next = 0; next < cells.length; next++) {
    const cell = cells[next] ?? 0;
    const column = cell % grid.width;
    const row = (cell - column) / grid.width;
    for (let y = Math.max(0, row - 1); y <= Math.min(grid.height - 1, row + 1); y++) {
      for (let x = Math.max(0, column - 1); x <= Math.min(grid.width - 1, column + 1); x++) {
        const other = y * grid.width + x;
        if (open[other]) {
          open[other] = 0;
          cells.push(other);
        }
      }
    }
  }
  return cells;
}

/**
 * @param {EvidenceMap} map
 * @param {number[]} cells
 * @returns {Region}
 */
function describe(map, cells) {
  const { values, grid, logit } = map;
  let sum = 0;
  let peak = cells[0] ?? 0;
  for (const cell of cells) {
    sum += values[cell] ?? 0;
    if (Math.abs(values[cell] ?? 0) > Math.abs(values[peak] ?? 0)) peak = cell;
  }
  const contribution = sum / values.length;
  const inside = new Set(
    cells.filter((cell) => grid.shows(cell % grid.width, Math.floor(cell / grid.width))),
  );
  return {
    cells: cells.length,
    contribution,
    share: Math.abs(logit) < TINY_LOGIT ? null : contribution / logit,
    peak: values[peak] ?? 0,
    centre: inside.has(peak) ? middle(grid, peak) : null,
    outline: outlineOf(inside, grid),
  };
}

/** @param {Grid} grid @param {number} cell @returns {[number, number]} */
function middle(grid, cell) {
  const column = cell % grid.width;
  const row = (cell - column) / grid.width;
  return [
    ((grid.x[column] ?? 0) + (grid.x[column + 1] ?? 0)) / 2,
    ((grid.y[row] ?? 0) + (grid.y[row + 1] ?? 0)) / 2,
  ];
}

/**
 * Give the edges between cells inside and outside, each as a line of two points; for drawing,
 * their order does not matter.
 * @param {Set<number>} inside
 * @param {Grid} grid
 * @returns {[number, number][][]}
 */
function outlineOf(inside, grid) {
  const { width, height, x, y } = grid;
  /** @type {[number, number][][]} */
  const lines = [];
  /** @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
  const line = (x0, y0, x1, y1) =>
    lines.push([
      [x[x0] ?? 0, y[y0] ?? 0],
      [x[x1] ?? 0, y[y1] ?? 0],
    ]);
  for (const cell of inside) {
    const column = cell % width;
    const row = (cell - column) / width;
    if (row === 0 || !inside.has(cell - width)) line(column, row, column + 1, row);
    if (row === height - 1 || !inside.has(cell + width)) line(column, row + 1, column + 1, row + 1);
    if (column === 0 || !inside.has(cell - 1)) line(column, row, column, row + 1);
    if (column === width - 1 || !inside.has(cell + 1)) line(column + 1, row, column + 1, row + 1);
  }
  return lines;
}
