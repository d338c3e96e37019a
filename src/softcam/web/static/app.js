// The page put together: opens images, asks the models, and wires controls to what is shown.

import { getJson, onTokenNeeded, predictFile, predictMaps, Refused } from "./api.js";
import { showAnswer, showRegions } from "./answer.js";
import { CaseForm } from "./caseform.js";
import { CaseTable } from "./casetable.js";
import { Controls } from "./controls.js";
import { announce, byId, download, make, signed } from "./dom.js";
import { listenForKeys } from "./keys.js";
import { Library } from "./library.js";
import { Pane } from "./pane.js";
import { Painter } from "./painter.js";
import { Pixels } from "./pixels.js";
import { makeReport } from "./report.js";
import { Settings } from "./settings.js";
import { nextTheme } from "./theme.js";
import { askToken } from "./token.js";
import { View } from "./view.js";
import { Windowing } from "./windowing.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").ModelOut} ModelOut */
/** @typedef {import("./types.js").PredictionOut} PredictionOut */
/** @typedef {import("./types.js").FindingOut} FindingOut */

const settings = new Settings();
const view = new View();
const windowing = new Windowing(() => painter.paintSoon());
const hooks = { onWindow: (/** @type {number} */ dx, /** @type {number} */ dy) => windowing.drag(dx, dy) };
const first = new Pane("a", view, settings, hooks);
const second = new Pane("b", view, settings, hooks);
const painter = new Painter(panes, windowing, settings);
const controls = new Controls(settings, scaleEnd);
const form = new CaseForm();
const library = new Library((source) => open(source, null));
new CaseTable(
  () => library.sources,
  (source, frame, model) => {
    if (modelNames().includes(model)) modelSelect.value = model;
    void open(source, frame);
  },
);

const modelSelect = byId("model", HTMLSelectElement);
const compareSelect = byId("compare", HTMLSelectElement);
const frameInput = byId("frame", HTMLInputElement);
const problem = byId("problem", HTMLElement);

/** @type {ModelOut[]} */
let models = [];
/** @type {Source|null} */
let source = null;
/** @type {FindingOut[]} */
let findings = [];
let hasCases = false;
let opening = new AbortController();

function panes() {
  return [first, second].filter((pane) => pane.told);
}

function modelNames() {
  return models.map((model) => model.name);
}

/**
 * Open an image: ask the chosen models, decode it, show it.
 * @param {Source} wanted
 * @param {number|null} frame
 */
async function open(wanted, frame) {
  if (!form.mayLeave()) return;
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  const busy = byId("busy", HTMLElement);
  busy.hidden = false;
  sayProblem("");
  library.mark(wanted);
  try {
    const asked = { model: modelSelect.value, frame, image: true, signal };
    const other = compareSelect.value;
    const [told, beside, marks] = await Promise.all([
      predictMaps(wanted, asked),
      other ? predictMaps(wanted, { ...asked, model: other, image: false }) : null,
      annotation(wanted, signal),
    ]);
    const decoded = await Pixels.decode(told.image);
    if (signal.aborted) return;
    findings = marks;
    await show(wanted, told, beside, decoded);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refused && error.code === "frame_needed") {
      setFrames(error.frames, 1);
      await open(wanted, 1);
      return;
    }
    sayProblem(error instanceof Error ? error.message : "The image cannot be opened.");
  } finally {
    if (!signal.aborted) busy.hidden = true;
  }
}

/** @param {Source} wanted @param {AbortSignal} signal @returns {Promise<FindingOut[]>} */
async function annotation(wanted, signal) {
  if (wanted.kind !== "folder") return [];
  try {
    return (await getJson(`/v1/folder/${encodeURIComponent(wanted.id)}/annotation`, { signal })).findings;
  } catch (error) {
    if (error instanceof Refused) return [];
    throw error;
  }
}

/**
 * @param {Source} wanted
 * @param {PredictionOut} told
 * @param {PredictionOut|null} beside
 * @param {Pixels} decoded
 */
async function show(wanted, told, beside, decoded) {
  const same = source === wanted;
  source = wanted;
  painter.pixels = decoded;
  first.show(told);
  second.show(beside);
  for (const pane of [first, second]) {
    pane.pixels = decoded;
    pane.viewer.setPicture(null);
  }
  byId("empty", HTMLElement).hidden = true;
  second.root.hidden = beside === null;
  byId("case-name", HTMLElement).textContent = wanted.name;
  document.title = "softcam: read cases";
  if (told.image.frame === null) byId("frame-field", HTMLElement).hidden = true;
  else frameInput.value = String(told.image.frame);
  if (!told.classes.some((item) => item.name === settings.className)) settings.className = mainClass(told);
  if (!first.evidence?.hasContrast) settings.kind = "own";
  for (const input of document.querySelectorAll("input[name=kind]")) {
    if (input instanceof HTMLInputElement && input.value === "contrast") input.disabled = !first.evidence?.hasContrast;
  }
  if (!same) settings.threshold = null;
  if (!beside) settings.listed = "a";
  // The panes measure themselves now that they are there.
  for (const pane of panes()) pane.viewer.measure();
  view.show(told.image.width, told.image.height, told.image.pixel_aspect);
  windowing.show(decoded);
  showFacts(told);
  for (const id of ["report", "maps"]) byId(id, HTMLButtonElement).disabled = false;
  settings.set({});
  announce(`${wanted.name}: ${told.predicted.join(", ") || "no class"} called.`);
  if (hasCases) {
    try {
      await form.show(told, wanted);
    } catch (error) {
      sayProblem(error instanceof Error ? error.message : "The case log cannot be read.");
    }
  }
}

/** The class to look at first: one that is called, and looked for if there is such. @param {PredictionOut} told */
function mainClass(told) {
  return told.model.positive ?? told.predicted[0] ?? told.classes[0]?.name ?? "";
}

/** @param {PredictionOut} told */
function showFacts(told) {
  const { image, model } = told;
  /** @type {[string, string][]} */
  const facts = [
    ["Image", `${image.width} × ${image.height} px, ${image.bits} bits`],
    ["File", `SHA-256 ${image.sha256.slice(0, 16)}…`],
    ["Model", `${model.architecture ?? model.name}, input ${model.input_size[1]} × ${model.input_size[0]}`],
    ["Map", `${told.grid.width} × ${told.grid.height} cells`],
    ["Check", `logit − mean of its map ≤ ${told.completeness_error.toExponential(1)}`],
  ];
  byId("facts", HTMLElement).replaceChildren(
    ...facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]),
  );
}

/** @param {number|null} count @param {number} value */
function setFrames(count, value) {
  byId("frame-field", HTMLElement).hidden = false;
  byId("frames", HTMLElement).textContent = count ? `of ${count}` : "";
  frameInput.max = count ? String(count) : "";
  frameInput.value = String(value);
}

/** @param {number} step */
function stepFrame(step) {
  if (!source || byId("frame-field", HTMLElement).hidden) return;
  const most = Number(frameInput.max) || Infinity;
  const wanted = Math.min(most, Math.max(1, Number(frameInput.value) + step));
  frameInput.value = String(wanted);
  void open(source, wanted);
}

/** @param {string} text */
function sayProblem(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

function update() {
  controls.show(findings, panes(), listed());
  for (const pane of panes()) {
    pane.viewer.setFindings(settings.findings ? findings : []);
    pane.letter = panes().length > 1 ? (pane === first ? "A" : "B") : "";
    pane.update();
  }
  showAnswer(panes(), settings);
  showRegions(listed(), (x, y) => view.centreOn(x, y));
  byId("case-head", HTMLElement).textContent = panes().length > 1 ? "Your reading of A" : "Your reading";
  painter.follow();
}

/** The model whose regions are listed. */
function listed() {
  return settings.listed === "b" && second.told ? second : first;
}

/** The evidence at the end of its colour scale, where the threshold's slider ends as well. */
function scaleEnd() {
  return settings.range * (listed().evidence?.limit(settings.kind) ?? 1);
}

function listOther() {
  if (panes().length < 2) return;
  settings.set({ listed: settings.listed === "a" ? "b" : "a" });
  announce(`Regions of ${listed().told?.model.name}, ${settings.listed.toUpperCase()}`);
}

/** @param {number} index */
function chooseClass(index) {
  const item = first.told?.classes[index];
  if (!item) return;
  settings.set({ className: item.name });
  announce(`${item.name}: ${settings.kind} evidence, logit ${signed(first.map?.logit ?? 0)}`);
}

/** @template {string} T @param {readonly T[]} values @param {T} value @returns {T} */
function after(values, value) {
  return values[(values.indexOf(value) + 1) % values.length] ?? value;
}

function connect() {
  settings.addEventListener("change", update);
  let speaking = 0;
  view.addEventListener("change", () => {
    const percent = Math.round(100 * view.scale * (devicePixelRatio || 1));
    byId("zoom", HTMLElement).textContent = source ? `${percent} %` : "";
    clearTimeout(speaking);
    if (view.pinned && view.cursor) {
      speaking = setTimeout(() => announce(first.readout.textContent ?? ""), 300);
    }
  });
  /** @type {[string, () => void][]} */
  const buttons = [
    ["zoom-in", () => view.zoomIn()],
    ["zoom-out", () => view.zoomOut()],
    ["fit", () => view.fit()],
    ["actual", () => view.actual()],
    ["previous", () => library.step(-1)],
    ["next", () => library.step(1)],
    ["open-help", () => byId("help-dialog", HTMLDialogElement).showModal()],
    ["report", () => void save("report.html", () => makeReport(panes(), /** @type {Source} */ (source), form.saved))],
    ["maps", () => void save("maps.npz", () => predictFile(/** @type {Source} */ (source), mapsAsked()))],
  ];
  for (const [id, run] of buttons) byId(id, HTMLButtonElement).addEventListener("click", run);
  for (const select of [modelSelect, compareSelect]) {
    select.addEventListener("change", () => source && open(source, first.told?.image.frame ?? null));
  }
  frameInput.addEventListener("change", () => stepFrame(0));
  listenForKeys(shortcuts());
}

function mapsAsked() {
  const told = first.told;
  return {
    format: "npz",
    model: told?.model.name ?? "",
    ...(told?.image.frame && { frame: String(told.image.frame) }),
  };
}

/** @param {string} name @param {() => Promise<Blob>} content */
async function save(name, content) {
  const state = byId("save-state", HTMLElement);
  state.textContent = "Making it…";
  try {
    const digest = first.told?.image.sha256.slice(0, 8) ?? "";
    download(await content(), `softcam-${digest}-${name}`);
    state.textContent = "Done; it is among your downloads.";
  } catch (error) {
    state.textContent = error instanceof Error ? error.message : "That failed.";
  }
}

/** @returns {import("./keys.js").Shortcut[]} */
function shortcuts() {
  const digits = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
  /** @param {number} step */
  const opacity = (step) => settings.set({ opacity: Math.min(1, Math.max(0, settings.opacity + step)) });
  return [
    { keys: ["n"], text: "next image", run: () => library.step(1) },
    { keys: ["p"], text: "previous image", run: () => library.step(-1) },
    { keys: ["PageDown", "PageUp"], text: "next, previous frame", run: (key) => stepFrame(key === "PageDown" ? 1 : -1) },
    { keys: digits, text: "look at this class", run: (key) => chooseClass(Number(key) - 1) },
    {
      keys: ["c"],
      text: "own evidence or contrast",
      run: () => first.evidence?.hasContrast && settings.set({ kind: after(/** @type {const} */ (["own", "contrast"]), settings.kind), threshold: null }),
    },
    { keys: ["s"], text: "evidence for, against, both", run: () => settings.set({ sign: after(/** @type {const} */ (["both", "for", "against"]), settings.sign) }) },
    { keys: ["o"], text: "overlay on or off", run: () => settings.set({ overlay: !settings.overlay }) },
    { keys: ["r"], text: "regions on or off", run: () => settings.set({ regions: !settings.regions }) },
    { keys: ["b"], text: "list the regions of the other model", run: listOther },
    { keys: ["a"], text: "annotation on or off", run: () => settings.set({ findings: !settings.findings }) },
    { keys: ["g"], text: "muted image under evidence, or its own colours", run: () => settings.set({ muted: !settings.muted }) },
    { keys: ["[", "]"], text: "less, more opacity", run: (key) => opacity(key === "[" ? -0.1 : 0.1) },
    { keys: ["k", "l"], text: "colour scale to weaker, stronger evidence", run: (key) => controls.stepRange(key === "k" ? 0.5 : 2) },
    { keys: [",", "."], text: "lower, higher threshold", run: (key) => controls.stepThreshold(key === "," ? -0.02 : 0.02) },
    { keys: ["+", "-"], text: "zoom in, out", run: (key) => (key === "+" ? view.zoomIn() : view.zoomOut()) },
    { keys: ["0"], text: "fit the image", run: () => view.fit() },
    { keys: ["z"], text: "one pixel on one of the screen", run: () => view.actual() },
    { keys: ["y"], text: "accept", run: () => form.choose("accepted") },
    { keys: ["x"], text: "correct", run: () => form.choose("corrected") },
    { keys: ["m"], text: "write a comment", run: () => byId("comment", HTMLTextAreaElement).focus() },
    { keys: ["t"], text: "light or dark", run: nextTheme },
    { keys: ["?"], text: "this list", run: () => byId("help-dialog", HTMLDialogElement).showModal() },
  ];
}

async function start() {
  onTokenNeeded(askToken);
  connect();
  try {
    models = (await getJson("/v1/models")).models;
    modelSelect.replaceChildren(...modelNames().map((name) => make("option", { value: name }, name)));
    compareSelect.replaceChildren(
      make("option", { value: "" }, "nothing"),
      ...modelNames().map((name) => make("option", { value: name }, name)),
    );
    byId("compare-field", HTMLElement).hidden = models.length < 2;
    await library.loadFolder();
    hasCases = await casesAreKept();
    byId("case-section", HTMLElement).hidden = !hasCases;
    byId("open-cases", HTMLElement).hidden = !hasCases;
    document.body.dataset["ready"] = "true";
  } catch (error) {
    sayProblem(error instanceof Error ? error.message : "The server cannot be used.");
  }
}

async function casesAreKept() {
  try {
    await getJson("/v1/cases?limit=0");
    return true;
  } catch (error) {
    if (error instanceof Refused && error.code === "no_cases") return false;
    throw error;
  }
}

void start();
